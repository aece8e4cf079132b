//! The adapter to the `metrics` facade.
//!
//! Events are counted in cells of our own, a set for each of the first 32 threads and one for all
//! others. The totals are handed to the recorder by [`Metrics::publish`], usually in the handler
//! that is scraped. So a decision costs a load and a store, whichever recorder is installed.
//! Events that were counted before a recorder was installed are not lost: the next `publish`
//! includes them.

use crate::observe::metric_names as names;
use crate::parts::PerThread;
use crate::parts::sync::recover;
use crate::{Event, Observe, Outcome, Reason};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Counts the events of guards and publishes the totals to the installed `metrics` recorder.
///
/// Call [`publish`](Self::publish) in the handler that is scraped. With an exporter that serves its
/// own port, call it in a task, every few seconds. Nothing else calls it.
///
/// A request that a [`Shadow`](crate::Shadow) lets pass counts as shadowed, not as rejected too. It
/// is not in flight at the gate behind the shadow, so the gauge does not include it.
///
/// ```
/// use plimsoll_core::{Event, Metrics, Observe};
/// use std::sync::Arc;
///
/// let metrics = Arc::new(Metrics::new());
/// // Pass it to a guard by `Valve::builder().observe(metrics.clone())`. When scraped:
/// metrics.publish();
/// ```
#[derive(Debug, Default)]
#[doc(alias = "prometheus")]
pub struct Metrics {
    guards: Mutex<BTreeMap<&'static str, Arc<Counts>>>,
}

impl Metrics {
    /// Creates an observer that has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes all totals and gauges to the recorder that is installed now.
    ///
    /// Without a recorder it does nothing, and nothing is lost.
    pub fn publish(&self) {
        // The recorder is foreign code: it is called after the lock is released.
        let guards: Vec<_> = self.guards().iter().map(|(&guard, counts)| (guard, counts.clone())).collect();
        for (guard, counts) in guards {
            counts.publish(guard);
        }
    }

    fn guards(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Arc<Counts>>> {
        recover(self.guards.lock())
    }

    fn counts(&self, name: &'static str) -> Arc<Counts> {
        self.guards().entry(name).or_default().clone()
    }
}

impl Observe for Metrics {
    fn event(&self, event: Event) {
        // Guards call the observer that `for_guard` returned. Only a shadow calls this one, with
        // events that carry the name of the gate behind it.
        self.counts(event.by()).event(event);
    }

    fn for_guard(&self, name: &'static str) -> Option<Arc<dyn Observe>> {
        Some(self.counts(name))
    }
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::TimedOut,
    Outcome::Overloaded,
    Outcome::Ignored,
    Outcome::Cancelled,
];

// The cell in which each event is counted.
const ADMITTED: usize = 0;
const ABANDONED: usize = 1;
const REFUNDED: usize = 2;
const COMPLETED: usize = 3;
const REJECTED: usize = COMPLETED + OUTCOMES.len();
const SHADOWED: usize = REJECTED + Reason::MAX;
const LOST: usize = SHADOWED + Reason::MAX;
const ENQUEUED: usize = LOST + Reason::MAX;
const DELIVERED: usize = ENQUEUED + 1;
const STATE_CHANGED: usize = DELIVERED + 1;
const UNGUARDED: usize = STATE_CHANGED + 1;
const REPORTED: usize = UNGUARDED + 1;
const CELLS: usize = REPORTED + OUTCOMES.len();

/// The counts of a thread.
#[repr(align(128))] // two lines: the prefetcher of x86 fetches them in pairs
struct Cells([AtomicU64; CELLS]);

impl Cells {
    fn new() -> Self {
        Cells(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// The counts of a guard.
#[derive(Default)]
struct Counts(PerThread<Cells>);

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

impl Counts {
    fn add(&self, cell: usize) {
        self.add_many(cell, 1);
    }

    fn add_many(&self, cell: usize, count: u64) {
        // Relaxed: nothing else is ordered by a count.
        if let Some(Cells(own)) = self.0.own() {
            if let Some(own) = own.get(cell) {
                // No read-modify-write: only this thread writes it.
                own.store(own.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
            }
        } else if let Some(shared) = self.0.get(Cells::new).and_then(|cells| cells.0.get(cell)) {
            shared.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn total(&self, cell: usize) -> u64 {
        self.0.iter().filter_map(|cells| cells.0.get(cell)).map(|n| n.load(Ordering::Relaxed)).sum()
    }

    fn publish(&self, guard: &'static str) {
        let total_of = |decision: &'static str, reason: &'static str, total| {
            // A zero needs no series, except in the one that every dashboard shows.
            if total > 0 || decision == "admitted" {
                metrics::counter!(names::DECISIONS, names::GUARD => guard, names::DECISION => decision, names::REASON => reason)
                    .absolute(total);
            }
        };
        let decision = |decision, reason, cell| total_of(decision, reason, self.total(cell));
        decision("admitted", "", ADMITTED);
        decision("abandoned", "", ABANDONED);
        decision("unguarded", "", UNGUARDED);
        decision("refunded", "", REFUNDED);
        for n in 0..Reason::MAX {
            let reason = Reason::from_number(n as u64);
            // The gate behind a shadow has rejected these requests, but they were not turned away.
            // The rejection is emitted first, then the shadow's event. So the difference may be too
            // large by the requests that are between the two, at most one in each thread.
            let rejected = self.total(REJECTED + n);
            total_of("rejected", reason.as_str(), rejected.saturating_sub(self.total(SHADOWED + n)));
            decision("shadowed", reason.as_str(), SHADOWED + n);
            decision("lost", reason.as_str(), LOST + n);
        }
        // Read before the enqueued items: items that leave in between count as held, and the
        // difference is never negative.
        let gone: u64 = (0..Reason::MAX).map(|n| self.total(LOST + n)).sum::<u64>() + self.total(DELIVERED);
        let changed = self.total(STATE_CHANGED);
        if changed > 0 {
            metrics::counter!(names::STATE_CHANGES, names::GUARD => guard).absolute(changed);
        }
        decision("delivered", "", DELIVERED);
        decision("enqueued", "", ENQUEUED);
        let enqueued = self.total(ENQUEUED);
        if enqueued > 0 {
            metrics::gauge!(names::QUEUE_ITEMS, names::GUARD => guard)
                .set(enqueued.saturating_sub(gone) as f64);
        }
        // Read before the admissions: work that ends in between counts as in flight, and the
        // difference is never negative.
        let mut gone = self.total(REFUNDED);
        for (n, outcome) in OUTCOMES.iter().enumerate() {
            let total = self.total(COMPLETED + n);
            gone += total;
            let reported = self.total(REPORTED + n);
            if reported > 0 {
                metrics::counter!(names::REPORTED, names::GUARD => guard, names::OUTCOME => outcome.as_str())
                    .absolute(reported);
            }
            if total > 0 {
                metrics::counter!(names::COMPLETED, names::GUARD => guard, names::OUTCOME => outcome.as_str())
                    .absolute(total);
            }
        }
        let in_flight = self.total(ADMITTED).saturating_sub(gone);
        metrics::gauge!(names::IN_FLIGHT, names::GUARD => guard).set(in_flight as f64);
    }
}

impl Observe for Counts {
    fn event(&self, event: Event) {
        match event {
            Event::Admitted { .. } => self.add(ADMITTED),
            Event::Abandoned { .. } => self.add(ABANDONED),
            Event::Refunded { .. } => self.add(REFUNDED),
            Event::Completed { outcome, .. } => self.add(COMPLETED + outcome as usize),
            Event::Reported { outcome, .. } => self.add(REPORTED + outcome as usize),
            Event::Rejected { rejected, .. } => self.add(REJECTED + rejected.reason() as usize),
            Event::Shadowed { rejected, .. } => self.add(SHADOWED + rejected.reason() as usize),
            Event::Enqueued { .. } => self.add(ENQUEUED),
            Event::Delivered { count, .. } => self.add_many(DELIVERED, count),
            Event::StateChanged { .. } => self.add(STATE_CHANGED),
            Event::Misconfigured { .. } => {}
            Event::Unguarded { .. } => self.add(UNGUARDED),
            Event::Lost { reason, count, .. } => self.add_many(LOST + reason as usize, count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_cell() {
        assert!(OUTCOMES.iter().enumerate().all(|(n, &outcome)| n == outcome as usize));
    }
}
