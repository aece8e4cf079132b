//! The consumers' side: what is taken, and what is told.

use crate::inbox::Filter;
use crate::lost::{Delivery, Lost};
use crate::shard::{PLAIN, Shard};
use crate::shared::Shared;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::parts::{Position, StripedCounter};
use plimsoll_core::{Event, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<T> Shared<T> {
    /// What happens outside the locks after a consumer has taken.
    fn taken(&self, count: usize, expired: &mut Vec<T>) {
        self.space.ring_for(count + expired.len());
        self.tell_lost(Reason::Expired, expired.len());
        if count > 0 {
            self.observer.emit(|| Event::delivered(self.name, count as u64));
        }
        if !expired.is_empty() {
            // Somebody else's code runs when they are dropped: a panic in it must not take along what was
            // taken. The panic hook has told it by then.
            let _ = catch_unwind(AssertUnwindSafe(|| expired.clear()));
            expired.shrink_to(1_024);
        }
    }

    /// The next item. Shards are taken from in turn.
    #[inline]
    pub(crate) fn take(&self, hand: &mut Cursor<T>) -> Option<T> {
        if self.first.flags() & PLAIN != 0 {
            let mut state = self.first.lock();
            if state.plain {
                let item = state.line.pop_plain()?;
                drop(state);
                self.space.ring();
                self.observer.emit(|| Event::delivered(self.name, 1));
                return Some(item);
            }
        }
        self.take_any(hand)
    }

    fn take_any(&self, hand: &mut Cursor<T>) -> Option<T> {
        let now = self.now();
        let made = self.made();
        let mut item = None;
        for _ in 0..made {
            // Each under its lock, also those that look empty: who is about to sleep has to be sure.
            let shard = self.at(hand.next(made));
            let mut state = shard.lock();
            item = state.pop(now, &mut hand.expired, &self.clock);
            shard.measure(&state);
            drop(state);
            if item.is_some() {
                break;
            }
        }
        self.taken(usize::from(item.is_some()), &mut hand.expired);
        item
    }

    /// Up to `most` items to the end of `out`, and what was lost.
    pub(crate) fn take_many(&self, hand: &mut Cursor<T>, most: usize, out: &mut Vec<T>) -> Lost {
        let now = self.now();
        let made = self.made();
        let before = out.len();
        let mut lost = Lost::default();
        // Each shard gives its share, and then what others did not have; never more than it held when
        // it was come to, or producers could keep this going for ever.
        let mut more = true;
        while more {
            let share = ((most - (out.len() - before)) / made).max(1);
            more = false;
            for _ in 0..made {
                let share = share.min(most - (out.len() - before));
                let shard = self.at(hand.next(made));
                let mut state = shard.lock();
                let taken = state.pop_many(share, now, out, &mut hand.expired, &self.clock);
                lost += shard.take_lost(&mut state, &self.clock);
                shard.measure(&state);
                more |= taken > 0 && taken == share && made > 1;
            }
        }
        lost += self.refusals_untold();
        self.taken(out.len() - before, &mut hand.expired);
        told(lost)
    }

    /// The next thing of a stream: an item, or a gap that is due.
    pub(crate) fn take_next(&self, hand: &mut Cursor<T>) -> Option<Delivery<T>> {
        let now = self.now();
        let made = self.made();
        let mut found = None;
        for _ in 0..made {
            let shard = self.at(hand.next(made));
            let mut state = shard.lock();
            // First, for it may be what opens the gap.
            state.expire(now, &mut hand.expired, &self.clock);
            if !state.gap_is_next() {
                found = state.pop(now, &mut hand.expired, &self.clock).map(Delivery::Item);
            }
            if found.is_none() && state.gap_is_next() {
                let lost = shard.take_lost(&mut state, &self.clock);
                shard.measure(&state);
                drop(state);
                let lost = lost + self.refusals_untold();
                found = (!lost.is_empty()).then_some(Delivery::Lost(lost));
            } else {
                shard.measure(&state);
                drop(state);
            }
            if found.is_some() {
                break;
            }
        }
        self.taken(usize::from(matches!(found, Some(Delivery::Item(_)))), &mut hand.expired);
        found.or_else(|| {
            // Counted in the very moment of an earlier telling.
            let lost = self.refusals_untold();
            (!lost.is_empty()).then_some(Delivery::Lost(lost))
        })
    }

    /// Items that `filter` lets through, until it says to stop.
    pub(crate) fn take_with(
        &self,
        hand: &mut Cursor<T>,
        filter: &mut dyn FnMut(&T) -> Filter,
    ) -> (Vec<T>, Lost) {
        let mut taking = Taking { shared: self, kept: vec![], filtered: 0, over: false };
        let made = self.made();
        // All of them, also those that the filter does not come to.
        let now = self.now();
        self.shards().for_each(|shard| {
            let mut state = shard.lock();
            state.expire(now, &mut hand.expired, &self.clock);
            shard.measure(&state);
        });
        'shards: for _ in 0..made {
            let shard = self.at(hand.next(made));
            // No more than it held when it was come to: producers go on while the filter thinks.
            let held = shard.lock().line.len();
            for _ in 0..held {
                let mut state = shard.lock();
                let picked = state.pick(self.now(), &mut hand.expired, &self.clock);
                shard.measure(&state);
                drop(state);
                let Some(picked) = picked else { break };
                let mut back = PutBack { shared: self, shard, item: Some(picked) };
                // With nothing locked: the filter is somebody else's code, and may take its time.
                match back.item.as_ref().map(|(item, _)| filter(item)) {
                    Some(Filter::Take) => taking.kept.extend(back.item.take().map(|(item, _)| item)),
                    Some(Filter::Discard) => {
                        taking.filtered += 1;
                        let gone = back.item.take();
                        shard.lock().lose(Reason::Filtered, 1, &self.clock);
                        drop(gone);
                    }
                    Some(Filter::Stop) | None => break 'shards,
                }
            }
        }
        taking.over = true;
        let kept = std::mem::take(&mut taking.kept);
        drop(taking);
        let lost = self.take_lost();
        self.taken(kept.len(), &mut hand.expired);
        (kept, lost)
    }

    /// What was lost, to be told now.
    pub(crate) fn take_lost(&self) -> Lost {
        let mut lost = Lost::default();
        for shard in self.shards() {
            let mut state = shard.lock();
            lost += shard.take_lost(&mut state, &self.clock);
        }
        told(lost + self.refusals_untold())
    }

    /// Refusals that were only counted, since they were last told.
    fn refusals_untold(&self) -> Lost {
        let Some(refusals) = self.refusals.get() else { return Lost::default() };
        let total = refusals.total();
        let count = total.saturating_sub(self.told.fetch_max(total, Ordering::AcqRel));
        if count == 0 {
            return Lost::default();
        }
        Lost { rejected: count, since: Some(self.clock.wall(self.clock.now())), ..Lost::default() }
    }

    /// Before the last look of one who is about to sleep: refusals that are being counted are counted, or
    /// their producers see that they have to call him.
    pub(crate) fn catch_up(&self) {
        if let Some(refusals) = self.refusals.get() {
            refusals.catch_up();
        }
    }

    /// Takes back a telling that did not arrive.
    pub(crate) fn restore_losses(&self, lost: Lost) {
        let mut state = self.first.lock();
        let gap = state.line.front();
        state.losses.untold(lost, gap, &self.clock);
        drop(state);
        self.mail.ring();
    }

    /// Whether there is anything to tell.
    pub(crate) fn has_mail(&self) -> bool {
        let counted =
            || self.refusals.get().map_or(0, StripedCounter::total) > self.told.load(Ordering::Acquire);
        self.shards().any(|shard| {
            let state = shard.lock();
            !state.line.is_empty() || !state.losses.is_empty()
        }) || counted()
    }
}

/// A moment without a loss is no news.
fn told(lost: Lost) -> Lost {
    if lost.is_empty() { Lost::default() } else { lost }
}

/// A consumer's place among the shards, and a place to put what it finds too old.
#[derive(Debug)]
pub(crate) struct Cursor<T> {
    next: usize,
    expired: Vec<T>,
}

impl<T> Cursor<T> {
    pub(crate) const fn new() -> Self {
        Cursor { next: 0, expired: Vec::new() }
    }

    #[inline]
    fn next(&mut self, made: usize) -> usize {
        if made == 1 {
            return 0;
        }
        let at = self.next % made;
        self.next = at + 1;
        at
    }
}

/// What a filter has kept and lost so far: a panic in it ends the taking, and not the books.
struct Taking<'a, T> {
    shared: &'a Shared<T>,
    kept: Vec<T>,
    filtered: usize,
    over: bool,
}

impl<T> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        let shared = self.shared;
        shared.tell_lost(Reason::Filtered, self.filtered);
        shared.space.ring_for(self.filtered);
        if !self.over && !self.kept.is_empty() {
            // They have left the mailbox, and nobody gets them.
            let count = self.kept.len() as u64;
            shared.observer.emit(|| Event::delivered(shared.name, count));
            shared.space.ring_for(self.kept.len());
            shared.restore_losses(Lost { undelivered: count, ..Lost::default() });
        }
    }
}

/// Puts an item back where it was picked from, if it is still there: also when a filter panics.
struct PutBack<'a, T> {
    shared: &'a Shared<T>,
    shard: &'a Shard<T>,
    item: Option<(T, Position)>,
}

impl<T> Drop for PutBack<'_, T> {
    fn drop(&mut self) {
        let Some((item, spot)) = self.item.take() else { return };
        let mut gone = vec![];
        let mut state = self.shard.lock();
        state.line.put_back(item, spot, &mut |item, reason| gone.push((item, reason)));
        for (_, reason) in &gone {
            state.lose(*reason, 1, &self.shared.clock);
        }
        self.shard.measure(&state);
        drop(state);
        gone.iter().for_each(|(_, reason)| self.shared.tell_lost(*reason, 1));
    }
}
