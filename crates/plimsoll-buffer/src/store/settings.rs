//! The settings of a store, and changing them.

use super::Store;
use super::shard::{Shard, State};
use super::stamp::stamping;
use crate::mailbox::config::ShardPick;
use plimsoll_core::parts::Bounds;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Discipline, Instant, Reason};

impl<T> Store<T> {
    /// Returns the number of shards that receive offers.
    pub(crate) fn shard_count(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Changes the number of shards that receive offers. Initializes those that are missing.
    pub(crate) fn set_shards(&self, shards: usize) {
        // Serialized by the lock of the first shard: it keeps out other changes and `close`.
        let mut state = self.first.lock();
        let (discipline, bounds) = (state.queue.discipline(), state.queue.bounds());
        let mut removed = vec![];
        for place in self.more.iter().take(shards - 1) {
            let shard =
                place.get_or_init(|| Box::new(Shard::new(discipline, bounds, self.weigher.is_some())));
            // It may have been initialized earlier, under other settings.
            let now = self.clock.now();
            let mut other = shard.lock();
            (other.closed, other.retired) = (state.closed, false);
            self.change(shard, &mut other, discipline, bounds, now, &mut removed);
        }
        let made = self.shards_made().max(shards);
        // Release: pairs with the Acquire load in `shards_made`.
        self.made.store(made, Ordering::Release);
        // Release: the shards are initialized before the number is published. A producer that does
        // not see a new shard yet uses the first one; see `shard_at`.
        self.active.store(shards, Ordering::Release);
        self.retire_shards(&mut state);
        drop(state);
        // Waiters have looked at fewer shards.
        self.mail.notify_all();
        self.space.notify_all();
        self.emit_removed(&removed);
    }

    /// Returns the number of shards that a consumer has to look at.
    ///
    /// Retires those that receive no offers and are empty by now. With a single shard left,
    /// consumers and producers take the shortest path again.
    #[inline]
    pub(super) fn shards_in_use(&self) -> usize {
        match self.shards_made() {
            1 => 1,
            made => self.shards_in_use_of(made),
        }
    }

    fn shards_in_use_of(&self, made: usize) -> usize {
        let active = self.shard_count();
        if active < made && (active..made).all(|n| self.shard_at(n).len() == 0) {
            self.retire_shards(&mut self.first.lock());
        }
        self.shards_made()
    }

    /// Retires the last shards, as far as they are idle. Their losses go to the first one.
    ///
    /// Serialized by the lock of the first shard, with `set_shards`.
    #[cold]
    fn retire_shards(&self, first: &mut State<T>) {
        let (active, mut made) = (self.shard_count(), self.shards_made());
        while made > active {
            let shard = self.shard_at(made - 1);
            let mut state = shard.lock();
            if !state.queue.is_empty() || state.visits > 0 {
                break;
            }
            let lost = shard.report_losses(&mut state, &self.unmarked, &self.clock);
            first.losses.restore(lost, first.queue.front(), &self.clock);
            // A producer that picked this shard earlier picks another one when it sees this.
            (state.closed, state.retired) = (true, true);
            made -= 1;
        }
        // Release: pairs with the Acquire load in `shards_made`.
        self.made.store(made, Ordering::Release);
        self.update_plain(first);
    }

    /// Updates the marks of the first shard after every change of the settings.
    pub(super) fn update_plain(&self, first: &mut State<T>) {
        let alone = self.shards_made() == 1;
        first.plain = alone && first.queue.is_plain() && !first.closed;
        // A plain shard is not measured at every operation.
        self.first.publish(first);
        self.first.mark(alone, first.plain);
    }

    /// Returns the discipline and the bounds of each shard.
    pub(crate) fn settings(&self) -> (Discipline, Bounds) {
        let state = self.first.lock();
        (state.queue.discipline(), state.queue.bounds())
    }

    /// Returns how a producer picks its shard.
    pub(crate) fn pick(&self) -> ShardPick {
        if self.pick.load(Ordering::Relaxed) == ShardPick::Random as u32 {
            ShardPick::Random
        } else {
            ShardPick::TwoChoices
        }
    }

    /// Changes how a producer picks its shard.
    pub(crate) fn set_pick(&self, pick: ShardPick) {
        self.pick.store(pick as u32, Ordering::Relaxed);
    }

    /// Returns whether items are weighed.
    pub(crate) fn is_weighed(&self) -> bool {
        self.weigher.is_some()
    }

    /// Changes discipline and bounds of every shard.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Discipline, &mut Bounds)) {
        let now = self.clock.now();
        let mut removed = vec![];
        let mut first = self.first.lock();
        let (mut discipline, mut bounds) = (first.queue.discipline(), first.queue.bounds());
        change(&mut discipline, &mut bounds);
        self.stamping.store(stamping(discipline, bounds), Ordering::Relaxed);
        self.change(&self.first, &mut first, discipline, bounds, now, &mut removed);
        for shard in self.shards().skip(1) {
            self.change(shard, &mut shard.lock(), discipline, bounds, now, &mut removed);
        }
        self.update_plain(&mut first);
        drop(first);
        self.mail.notify_one();
        self.space.notify_all();
        self.emit_removed(&removed);
    }

    /// Emits each item that a change has removed.
    fn emit_removed(&self, removed: &[(T, Reason)]) {
        removed.iter().for_each(|(_, reason)| self.emit_lost(*reason, 1));
    }

    /// Changes one shard. The removed items are appended to `removed`, to be dropped after the
    /// lock.
    fn change(
        &self,
        shard: &Shard<T>,
        state: &mut State<T>,
        discipline: Discipline,
        bounds: Bounds,
        now: Instant,
        removed: &mut Vec<(T, Reason)>,
    ) {
        let before = removed.len();
        state.queue.set(discipline, bounds, now, &mut |item, reason| removed.push((item, reason)));
        for (_, reason) in removed.iter().skip(before) {
            state.record_loss(*reason, 1, &self.clock);
        }
        shard.publish(state);
    }
}

#[cfg(all(test, not(plimsoll_loom)))]
mod tests {
    use crate::{Discipline, Mailbox};
    use plimsoll_core::parts::sync::Ordering;

    /// A mailbox that had 64 shards for a moment locked all of them at every take, for ever.
    #[test]
    fn shards_that_are_empty_are_no_longer_looked_at() {
        let mailbox = Mailbox::new(8).unwrap();
        let (store, mut inbox) = (&mailbox.0, mailbox.inbox());
        mailbox.set_shards(64).unwrap();
        (0..100).for_each(|n| drop(mailbox.offer(n)));
        mailbox.set_shards(1).unwrap();
        let held = mailbox.usage().len;
        assert!(held > 50 && store.shards_made() > 32);
        // The items are still taken.
        assert!((0..held).all(|_| inbox.take().is_some()));
        assert_eq!((inbox.take(), store.shards_made()), (None, 1));
        assert!(store.first.lock().plain, "the shortest path");
        assert_eq!(inbox.lost().total(), 100 - held as u64, "their losses are reported");
        // They are used again.
        mailbox.set_shards(64).unwrap();
        assert_eq!(store.shards_made(), 64);
        (0..100).for_each(|n| drop(mailbox.offer(n)));
        assert_eq!(inbox.take_up_to(100).items.len() as u64 + inbox.lost().total(), 100);
        mailbox.set_shards(1).unwrap();
        assert_eq!(store.shards_made(), 1, "at once if they are empty");
    }

    /// After a single rejection every consumer that went to sleep interrupted all cores.
    #[test]
    fn consumer_catches_up_once_after_a_report_of_rejections() {
        let mailbox = Mailbox::builder().capacity(1).discipline(Discipline::KeepOldest).build().unwrap();
        let (store, mut inbox) = (&mailbox.0, mailbox.inbox());
        let sleep = |inbox: &mut crate::Inbox<u32>| {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(std::pin::pin!(inbox.mail()).as_mut().poll(&mut cx).is_pending());
        };
        for report in 1..=3 {
            (0..5).for_each(|n| drop(mailbox.offer(n)));
            assert_eq!(inbox.take_up_to(9).lost.rejected, 4);
            assert_eq!(store.unmarked.load(Ordering::Relaxed), report);
            assert_eq!(store.caught_up.load(Ordering::Relaxed), report - 1);
            (0..9).for_each(|_| sleep(&mut inbox));
            assert_eq!(store.caught_up.load(Ordering::Relaxed), report);
        }
    }
}
