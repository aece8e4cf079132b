//! Adding items to a queue that weighs or stamps them, or whose free room is promised to others.

use super::Queue;
use super::holes::{Note, Ticket};
use crate::{Instant, Reason};

/// The maximum number of items that a push removes because they are too old.
///
/// The others are removed by later operations. So a producer never pays for a whole time slice.
const EXPIRED_BY_PUSH: usize = 32;

impl<T> Queue<T> {
    pub(super) fn push_noted<L: FnMut(T, Reason)>(
        &mut self,
        item: T,
        weight: u32,
        now: Instant,
        lost: &mut L,
    ) -> Result<Ticket, (T, Reason)> {
        if self.weighed && u64::from(weight) > self.expiry.bounds.max_weight {
            return Err((item, Reason::TooLarge));
        }
        self.expire_up_to(EXPIRED_BY_PUSH, now, lost);
        // Taken before the evictions: a queue that they empty was not served until it was empty.
        let was_empty = self.is_empty();
        while !self.fits(weight) {
            let expired = self.timed && self.due <= now && self.oldest_is_too_old(now);
            if self.expiry.discipline.keeps_oldest() && !expired {
                return Err((item, Reason::Full));
            }
            match self.take_front() {
                Some((old, _)) => lost(old, if expired { Reason::Expired } else { Reason::Evicted }),
                None => return Err((item, Reason::Full)),
            }
        }
        let ticket = self.items.push(item);
        self.pushes += 1;
        if self.is_noted() {
            self.stamp(weight, now, was_empty);
        }
        Ok(ticket)
    }

    /// Notes arrival and weight of the item that was pushed last.
    fn stamp(&mut self, weight: u32, now: Instant, was_empty: bool) {
        self.latest = self.latest.max(now);
        let at = self.latest;
        if was_empty {
            self.expiry.empty = at;
            // The RFC notices it when the last packet is taken. Here that may have expired instead.
            self.codel.emptied();
        }
        if self.len() == 1 && self.timed {
            self.due = self.expiry.of(at);
        }
        let weight = if self.weighed { weight } else { 0 };
        self.weight += u64::from(weight);
        self.items.note(Note { at, weight });
    }

    /// Evicts at least as much as an item of this weight adds. Returns whether it did.
    ///
    /// Called before [`push`](Self::push) while the free room is promised to others. It returns
    /// `false`, and evicts nothing, if the discipline keeps the oldest items, or if all items
    /// together are lighter.
    pub fn make_place<L: FnMut(T, Reason)>(&mut self, weight: u32, now: Instant, lost: &mut L) -> bool {
        let weight = if self.weighed { u64::from(weight) } else { 0 };
        self.expire_up_to(EXPIRED_BY_PUSH, now, lost);
        if self.expiry.discipline.keeps_oldest() || self.is_empty() || self.weight < weight {
            return false;
        }
        let rest = self.weight - weight;
        while let Some((old, _)) = self.take_front() {
            lost(old, Reason::Evicted);
            if self.weight <= rest {
                break;
            }
        }
        true
    }
}
