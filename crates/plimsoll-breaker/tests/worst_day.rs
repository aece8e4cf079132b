//! Days on which a breaker made things worse, or did nothing, with its default settings.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitState, OpenTime, Trip};
use plimsoll_core::{Dice, ManualTime, OpenCause, Outcome, Permit};
use std::collections::VecDeque;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A dependency in virtual time, called at a constant rate.
struct Day {
    breaker: CircuitBreaker,
    time: ManualTime,
    dice: Dice,
    rate: u32,
}

/// The number of calls, and of those that were admitted.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u64,
    admitted: u64,
}

impl Calls {
    fn share(self) -> f64 {
        self.admitted as f64 / self.all as f64
    }
}

impl Day {
    fn new(rate: u32, seed: u64, build: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Self {
        let time = ManualTime::new();
        let builder = build(CircuitBreaker::builder()).clock(time.clock()).dice(Dice::seeded(seed));
        Day { breaker: builder.build().unwrap(), time, dice: Dice::seeded(!seed), rate }
    }

    /// Calls the dependency for this time. Each call ends at once, as `outcome` decides.
    fn run(&mut self, lasts: Duration, mut outcome: impl FnMut(&Dice, u64) -> Outcome) -> Calls {
        let mut calls = Calls::default();
        let until = self.time.clock().now() + lasts;
        while self.time.clock().now() < until {
            if let Ok(permit) = self.breaker.try_acquire() {
                permit.done(outcome(&self.dice, calls.admitted));
                calls.admitted += 1;
            }
            calls.all += 1;
            self.time.advance(S / self.rate);
        }
        calls
    }
}

fn bad_at(share: f64, bad: Outcome) -> impl FnMut(&Dice, u64) -> Outcome {
    move |dice, _| if dice.chance(share) { bad } else { Outcome::Success }
}

/// The ramp bore 10 % failures, judged from the first call on, and each fall lengthened the open
/// time. A closed breaker bears 50 %. So at 12 % and 1,000 calls a second, one blip of 15 s, or one
/// `trip("test")`, was an outage without an end: the share admitted in the following hour was
/// 0.000.
#[test]
fn hour_after_a_blip_is_admitted() {
    for rate in [20, 200, 1_000] {
        for share in [0.05, 0.12, 0.25, 0.35, 0.4, 0.45] {
            for seed in 0..3 {
                let day = || Day::new(rate, seed, |builder| builder);
                let mut blip = day();
                blip.run(60 * S, bad_at(share, Outcome::Failure));
                blip.run(15 * S, |_, _| Outcome::Failure);
                let hour = blip.run(HOUR, bad_at(share, Outcome::Failure)).share();
                let mut none = day();
                none.run(75 * S, bad_at(share, Outcome::Failure));
                let twin = none.run(HOUR, bad_at(share, Outcome::Failure)).share();
                println!("{rate} {share} {seed}: {hour:.4} without {twin:.4}");
            }
        }
    }
}
