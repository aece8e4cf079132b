//! A guard alone, called in a plain loop under a manual clock.

use std::time::Duration;

use plimsoll::{Clock, Dice, Instant, ManualTime};

use crate::sim::dice;

/// A guard alone: the clock, the dice, and evenly spaced calls.
///
/// For what needs no far side: an hour of error rates at a breaker, changed quotas, floods of keys.
#[derive(Debug)]
pub(crate) struct Alone {
    time: ManualTime,
    seed: u64,
    dice: Dice,
}

impl Alone {
    /// Creates a loop whose chance comes from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Alone { time: ManualTime::new(), seed, dice: dice(seed, 30) }
    }

    /// Returns the clock for the guard.
    pub(crate) fn clock(&self) -> Clock {
        self.time.clock()
    }

    /// Returns the manual time, to move it.
    pub(crate) fn time(&self) -> &ManualTime {
        &self.time
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Instant {
        self.time.clock().now()
    }

    /// Returns dice for the guard. Guards of one cell take different `n`.
    pub(crate) fn guard_dice(&self, n: u64) -> Dice {
        dice(self.seed, 100 + n)
    }

    /// Returns true with this probability.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        self.dice.chance(probability)
    }

    /// Calls `call` at `rate` per second, evenly spaced, for `lasts`, and returns the share of the
    /// calls for which it returned true.
    pub(crate) fn calls(&self, rate: f64, lasts: Duration, mut call: impl FnMut() -> bool) -> f64 {
        let (start, n) = (self.now(), (rate * lasts.as_secs_f64()) as u64);
        let mut admitted = 0;
        for call_number in 0..n {
            let at = start + Duration::from_secs_f64(call_number as f64 / rate);
            self.time.advance_to(at.max(self.now()));
            admitted += u64::from(call());
        }
        self.time.advance_to((start + lasts).max(self.now()));
        admitted as f64 / n.max(1) as f64
    }
}
