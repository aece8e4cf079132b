//! What a guard under test is built with: time, dice, and an observer that counts.

use plimsoll_core::{Clock, Dice, Event, ManualTime, Observe, Outcome};
use std::sync::{Arc, Mutex};

/// The clock, the dice and the observer of a guard under test.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The time of the guard. It stands still until a probe advances it.
    pub time: ManualTime,
    /// The source of random numbers.
    pub dice: Dice,
    tally: Arc<Tally>,
}

impl Kit {
    /// Creates a kit whose dice have the given seed.
    pub fn new(seed: u64) -> Self {
        Kit { time: ManualTime::new(), dice: Dice::seeded(seed), tally: Arc::default() }
    }

    /// Returns a clock that shows the time of the kit.
    pub fn clock(&self) -> Clock {
        self.time.clock()
    }

    /// Returns the observer that counts events. Every guard of the fixture must report to it.
    pub fn observer(&self) -> Arc<dyn Observe> {
        self.tally.clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.tally.0.lock().unwrap()
    }
}

/// The number of events, over all guards of a fixture.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) admitted: u64,
    pub(crate) rejected: u64,
    pub(crate) abandoned: u64,
    pub(crate) completed: u64,
    /// Of those completed, the number of failures.
    pub(crate) failed: u64,
    pub(crate) refunded: u64,
}

impl Counts {
    /// Returns the number of requests that were decided.
    pub(crate) fn decided(&self) -> u64 {
        self.admitted + self.rejected + self.abandoned
    }

    /// Returns the number of admitted requests that were released.
    pub(crate) fn released(&self) -> u64 {
        self.completed + self.refunded
    }

    /// Returns the number of admitted requests that were not released yet.
    pub(crate) fn in_flight(&self) -> u64 {
        self.admitted - self.released()
    }
}

#[derive(Debug, Default)]
struct Tally(Mutex<Counts>);

impl Observe for Tally {
    fn event(&self, event: Event) {
        let mut counts = self.0.lock().unwrap();
        match event {
            Event::Admitted { .. } => counts.admitted += 1,
            Event::Rejected { .. } => counts.rejected += 1,
            Event::Abandoned { .. } => counts.abandoned += 1,
            Event::Refunded { .. } => counts.refunded += 1,
            Event::Completed { outcome, .. } => {
                counts.completed += 1;
                counts.failed += u64::from(outcome == Outcome::Failure);
            }
            _ => {}
        }
    }
}
