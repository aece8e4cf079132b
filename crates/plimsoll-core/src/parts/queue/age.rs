//! The age at which items leave a queue.

use super::{Bounds, Discipline};
use crate::Instant;
use crate::time::instant::nanos;

/// What determines how old an item may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) discipline: Discipline,
    pub(super) bounds: Bounds,
    /// When the queue was last empty.
    pub(super) empty: Instant,
}

impl Expiry {
    /// Returns whether items can become too old at all.
    pub(super) const fn is_timed(&self) -> bool {
        self.discipline.is_timed() || self.bounds.max_age.is_some()
    }

    /// Returns when an item that arrived `at` is too old for the bound of the queue.
    fn by_bound(&self, at: Instant) -> Instant {
        self.bounds.max_age.map_or(Instant::FAR_FUTURE, |max_age| at + max_age)
    }

    /// Returns when an item that arrived `at` is too old.
    ///
    /// Under [`LifoWithAge`](Discipline::LifoWithAge) it leaves then only if it is the newest.
    pub(super) fn of(&self, at: Instant) -> Instant {
        let by_discipline = match self.discipline {
            Discipline::Fifo | Discipline::KeepOldest | Discipline::Lifo | Discipline::CoDel { .. } => {
                Instant::FAR_FUTURE
            }
            Discipline::LifoWithAge { max_age } => at + max_age,
            Discipline::AdaptiveLifo { target, interval } => {
                (at + interval).min((at + target).max(self.empty + interval))
            }
            Discipline::TimeBuckets { slice, slices } => {
                let slice = nanos(slice).max(1);
                let end = (at.as_nanos() / slice).saturating_add(u64::from(slices)).saturating_mul(slice);
                Instant::from_nanos(end)
            }
        };
        by_discipline.min(self.by_bound(at))
    }

    /// Returns when the oldest item leaves even if the others stay.
    pub(super) fn of_oldest(&self, at: Instant) -> Instant {
        match self.discipline {
            Discipline::LifoWithAge { .. } => self.by_bound(at),
            _ => self.of(at),
        }
    }

    /// Returns when the next item leaves, given when the oldest and the newest arrived.
    pub(super) fn next(&self, oldest: Instant, newest: Instant) -> Option<Instant> {
        let oldest = self.of_oldest(oldest);
        let next = match self.discipline {
            Discipline::LifoWithAge { .. } => oldest.min(self.of(newest)),
            _ => oldest,
        };
        (self.is_timed() && next < Instant::FAR_FUTURE).then_some(next)
    }
}
