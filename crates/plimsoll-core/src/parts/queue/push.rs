//! Adding items to a queue that weighs or stamps them, or whose free room is promised to others.

use super::holes::{Note, Ticket};
use super::{Bounds, Queue};
use crate::{Instant, Reason};

/// The maximum number of items that a push removes because they are too old.
///
/// The others are removed by later operations. So a producer never pays for a whole time slice.
/// In a stack with a maximum age, they stay below the newcomer until the newest is too old again.
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
            let reason = self.reason_to_leave(now);
            if self.expiry.discipline.keeps_oldest() && reason == Reason::Evicted {
                return Err((item, Reason::Full));
            }
            match self.take_front() {
                Some((old, _)) => lost(old, reason),
                None => return Err((item, Reason::Full)),
            }
        }
        Ok(self.add(item, weight, now, was_empty))
    }

    #[inline(always)]
    fn add(&mut self, item: T, weight: u32, now: Instant, was_empty: bool) -> Ticket {
        let ticket = self.items.push(item);
        self.pushes += 1;
        if self.is_noted() {
            self.stamp(weight, now, was_empty);
        }
        ticket
    }

    /// Pushes an item if none may be too old and it fits, or fits in place of the oldest. Returns
    /// the item that it has evicted; as an error, an item that [`push`](Self::push) has to decide
    /// on.
    ///
    /// The shortest path of a mailbox: what it returns never lies in memory.
    #[doc(hidden)]
    #[inline(always)]
    pub fn push_for_one(&mut self, item: T, weight: u32, now: Instant) -> Result<Option<T>, T> {
        let was_empty = self.is_empty();
        let mut evicted = None;
        if self.may_expire(now) {
            return Err(item);
        }
        if !self.fits(weight) {
            if !self.fits_for_oldest(weight) {
                return Err(item);
            }
            evicted = self.take_front().map(|(old, _)| old);
        }
        self.add(item, weight, now, was_empty);
        Ok(evicted)
    }

    /// Returns whether an item of this weight fits once the oldest is evicted, if it may be.
    #[inline(always)]
    fn fits_for_oldest(&self, weight: u32) -> bool {
        let Bounds { capacity, max_weight, .. } = self.expiry.bounds;
        let rest = self.weight - u64::from(self.items.oldest_weight());
        !self.is_empty()
            && self.len() <= capacity
            && (!self.weighed || rest + u64::from(weight) <= max_weight)
            && !self.expiry.discipline.keeps_oldest()
    }

    /// Returns for which reason the oldest item leaves if its room is needed.
    fn reason_to_leave(&self, now: Instant) -> Reason {
        // In a stack with a maximum age, the age of the newest counts too.
        let expired = self.may_expire(now) && self.next_expiry().is_some_and(|next| next <= now);
        if expired { Reason::Expired } else { Reason::Evicted }
    }

    /// Notes arrival and weight of the item that was pushed last.
    #[inline(always)]
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
        loop {
            let reason = self.reason_to_leave(now);
            match self.take_front() {
                Some((old, _)) => lost(old, reason),
                None => return true,
            }
            if self.weight <= rest {
                return true;
            }
        }
    }
}
