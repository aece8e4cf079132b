//! An observer that counts.

use plimsoll_core::{Event, Observe, Outcome};
use std::sync::Mutex;

/// What the guards of a subject have told, summed over all of them.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Sums>);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) admitted: u64,
    pub(crate) rejected: u64,
    pub(crate) left: u64,
    pub(crate) given_back: u64,
    pub(crate) ended: u64,
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn sums(&self) -> Sums {
        *self.0.lock().unwrap()
    }
}

impl Observe for Tally {
    fn event(&self, event: Event) {
        let mut sums = self.0.lock().unwrap();
        match event {
            Event::Admitted { .. } => sums.admitted += 1,
            Event::Rejected { .. } => sums.rejected += 1,
            Event::Abandoned { .. } => sums.left += 1,
            Event::Refunded { .. } => sums.given_back += 1,
            Event::Completed { outcome, .. } => {
                sums.ended += 1;
                sums.failed += u64::from(outcome == Outcome::Failure);
            }
            _ => {}
        }
    }
}
