//! The consumers: taking items.

use super::Store;
use super::shard::{PLAIN, Shard, State};
use crate::lost::{Delivery, Lost};
use plimsoll_core::parts::sync::MutexGuard;
use plimsoll_core::{Event, Instant, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<T> Store<T> {
    /// The maximum number of items that are moved while a lock is held.
    ///
    /// Some 64 KiB. Producers get the lock in between, so an offer never waits for a large take.
    const CHUNK: usize = {
        let fit = 65_536 / if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
        if fit < 16 { 16 } else { fit }
    };

    /// Locks a shard after removing the items that are too old.
    ///
    /// Releases the lock after each [`CHUNK`](Self::CHUNK) of them.
    #[inline(always)]
    pub(super) fn lock_fresh<'a>(
        &self,
        shard: &'a Shard<T>,
        now: Instant,
        expired: &mut Vec<T>,
    ) -> MutexGuard<'a, State<T>> {
        let state = shard.lock();
        if state.queue.may_expire(now) { self.refresh(shard, state, now, expired) } else { state }
    }

    #[cold]
    fn refresh<'a>(
        &self,
        shard: &'a Shard<T>,
        mut state: MutexGuard<'a, State<T>>,
        now: Instant,
        expired: &mut Vec<T>,
    ) -> MutexGuard<'a, State<T>> {
        while !state.expire(Self::CHUNK, now, expired, &self.clock) {
            shard.publish(&state);
            drop(state);
            self.mail.notify_one();
            self.after_take(0, expired);
            state = shard.lock();
        }
        state
    }

    /// Completes a take after the locks are released.
    ///
    /// Wakes producers, emits events and drops the expired items.
    pub(super) fn after_take(&self, count: usize, expired: &mut Vec<T>) {
        self.notify_space(count + expired.len());
        self.emit_lost(Reason::Expired, expired.len());
        if count > 0 {
            self.observer.emit(|| Event::delivered(self.name, count as u64));
        }
        if !expired.is_empty() {
            // Dropping an item runs foreign code. Its panic must not lose the item that was taken.
            // By the time it is caught, the panic hook has reported it.
            let _ = catch_unwind(AssertUnwindSafe(|| expired.clear()));
            expired.shrink_to(1_024);
        }
    }

    /// Takes the next item. Shards take turns.
    #[inline]
    pub(crate) fn take(&self, cursor: &mut Cursor<T>) -> Option<T> {
        if self.first.flags() & PLAIN != 0 {
            let mut state = self.first.lock();
            if state.plain {
                let item = state.queue.pop_plain()?;
                drop(state);
                self.space.notify_one();
                self.observer.emit(|| Event::delivered(self.name, 1));
                return Some(item);
            }
        }
        self.take_any(cursor)
    }

    fn take_any(&self, cursor: &mut Cursor<T>) -> Option<T> {
        let now = self.now();
        let made = self.shards_in_use();
        let mut item = None;
        for _ in 0..made {
            // Under its lock, even if it looks empty: a consumer that is about to sleep must be
            // sure.
            let shard = self.shard_at(cursor.next(made));
            let mut state = self.lock_fresh(shard, now, &mut cursor.expired);
            item = state.pop(now, &mut cursor.expired, &self.clock);
            shard.publish(&state);
            drop(state);
            if item.is_some() {
                break;
            }
        }
        self.after_take(usize::from(item.is_some()), &mut cursor.expired);
        item
    }

    /// Appends up to `max` items to `out`. Returns the report of losses.
    pub(crate) fn take_many(&self, cursor: &mut Cursor<T>, max: usize, out: &mut Vec<T>) -> Lost {
        let now = self.now();
        let made = self.shards_in_use();
        let before = out.len();
        let mut lost = Lost::default();
        // Each shard gives its share, then the shares that others lack. A round takes no more than
        // a shard held when it was reached: producers could otherwise keep this going for ever.
        let mut more = true;
        while more {
            let share = ((max - (out.len() - before)) / made).max(1);
            more = false;
            for _ in 0..made {
                let share = share.min(max - (out.len() - before));
                let shard = self.shard_at(cursor.next(made));
                let taken = self.take_share(shard, share, now, &mut cursor.expired, out, &mut lost);
                more |= taken > 0 && taken == share && made > 1;
            }
        }
        lost += self.report_rejections();
        self.after_take(out.len() - before, &mut cursor.expired);
        lost.normalized()
    }

    /// Takes up to `max` items of those that a shard holds now, and its report. Returns how many.
    fn take_share(
        &self,
        shard: &Shard<T>,
        max: usize,
        now: Instant,
        expired: &mut Vec<T>,
        out: &mut Vec<T>,
        lost: &mut Lost,
    ) -> usize {
        let (mut taken, mut held) = (0, usize::MAX);
        loop {
            let mut state = if max > 0 { self.lock_fresh(shard, now, expired) } else { shard.lock() };
            held = held.min(taken + state.queue.len());
            let rest = max.min(held) - taken;
            if rest > Self::CHUNK && out.capacity() - out.len() < rest {
                // Not under the lock: large memory takes long to get.
                drop(state);
                out.reserve(rest);
                continue;
            }
            let popped = state.pop_many(rest.min(Self::CHUNK), now, out, expired, &self.clock);
            taken += popped;
            let last = popped == rest || state.queue.is_empty();
            if last {
                *lost += shard.report_losses(&mut state, &self.unmarked, &self.clock);
            }
            shard.publish(&state);
            if last {
                return taken;
            }
            drop(state);
            self.notify_space(popped);
        }
    }

    /// Takes the next element of a stream: an item, or a report whose gap is due.
    pub(crate) fn take_next(&self, cursor: &mut Cursor<T>) -> Option<Delivery<T>> {
        let now = self.now();
        let made = self.shards_in_use();
        let mut found = None;
        for _ in 0..made {
            let shard = self.shard_at(cursor.next(made));
            // Expired items first, because they may open the gap.
            let mut state = self.lock_fresh(shard, now, &mut cursor.expired);
            if !state.gap_is_next() {
                found = state.pop(now, &mut cursor.expired, &self.clock).map(Delivery::Item);
            }
            if found.is_none() && state.gap_is_next() {
                let lost = shard.report_losses(&mut state, &self.unmarked, &self.clock);
                shard.publish(&state);
                drop(state);
                let lost = lost + self.report_rejections();
                found = (!lost.is_empty()).then_some(Delivery::Lost(lost));
            } else {
                shard.publish(&state);
                drop(state);
            }
            if found.is_some() {
                break;
            }
        }
        self.after_take(usize::from(matches!(found, Some(Delivery::Item(_)))), &mut cursor.expired);
        found.or_else(|| {
            // Counted while an earlier report was taken.
            let lost = self.report_rejections();
            (!lost.is_empty()).then_some(Delivery::Lost(lost))
        })
    }
}

/// A consumer's position among the shards.
///
/// Also a buffer for the expired items that it finds.
#[derive(Debug)]
pub(crate) struct Cursor<T> {
    next: usize,
    pub(super) expired: Vec<T>,
}

impl<T> Cursor<T> {
    pub(crate) const fn new() -> Self {
        Cursor { next: 0, expired: Vec::new() }
    }

    /// Returns the number of the shard whose turn it is.
    #[inline]
    pub(super) fn next(&mut self, made: usize) -> usize {
        if made == 1 {
            return 0;
        }
        let at = self.next % made;
        self.next = at + 1;
        at
    }
}
