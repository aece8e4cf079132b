//! Changing the discipline and the bounds of a queue in use.

use super::codel::CoDel;
use super::{Bounds, Discipline, Queue, is_plain};
use crate::{Instant, Reason};

impl<T> Queue<T> {
    /// Changes the bounds, and evicts what no longer fits.
    ///
    /// Evicts the newest items under [`KeepOldest`](Discipline::KeepOldest), otherwise the oldest.
    pub fn set_bounds<L: FnMut(T, Reason)>(&mut self, bounds: Bounds, now: Instant, lost: &mut L) {
        self.set(self.expiry.discipline, bounds, now, lost);
    }

    /// Changes the discipline. The items stay, in the order of arrival.
    ///
    /// If the new discipline needs ages and the old one did not, ages count from `now`.
    pub fn set_discipline<L: FnMut(T, Reason)>(&mut self, to: Discipline, now: Instant, lost: &mut L) {
        self.set(to, self.expiry.bounds, now, lost);
    }

    /// Changes the discipline and the bounds at once.
    pub fn set<L: FnMut(T, Reason)>(&mut self, to: Discipline, bounds: Bounds, now: Instant, lost: &mut L) {
        self.latest = self.latest.max(now);
        if self.expiry.discipline != to {
            self.codel = CoDel::default();
            self.expiry.empty = self.latest;
        }
        let smaller = bounds.capacity < self.expiry.bounds.capacity;
        let was_timed = self.timed;
        (self.expiry.discipline, self.expiry.bounds) = (to, bounds);
        self.timed = self.expiry.is_timed();
        self.plain = is_plain(to, bounds, self.weighed);
        self.items.set_noted(self.is_noted(), self.latest);
        if self.timed && !was_timed {
            self.timed_since = self.latest;
            self.items.restamp(self.latest);
        }
        self.due = Instant::default();
        self.expire(now, lost);
        self.fit(lost);
        if smaller {
            self.items.shrink_to(bounds.capacity);
        }
    }

    /// Evicts what does not fit.
    pub(super) fn fit<L: FnMut(T, Reason)>(&mut self, lost: &mut L) {
        let Bounds { capacity, max_weight, .. } = self.expiry.bounds;
        while self.len() > capacity || (self.weighed && self.weight > max_weight) {
            let newest = self.expiry.discipline.keeps_oldest();
            match if newest { self.take_back() } else { self.take_front() } {
                Some((item, _)) => lost(item, Reason::Evicted),
                None => return,
            }
        }
    }
}
