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
            other.closed = state.closed;
            self.change(shard, &mut other, discipline, bounds, now, &mut removed);
        }
        self.made.fetch_max(shards, Ordering::AcqRel);
        self.update_plain(&mut state);
        // Release: the shards are initialized before the number is published. A producer that does
        // not see a new shard yet uses the first one; see `shard_at`.
        self.active.store(shards, Ordering::Release);
        drop(state);
        // Waiters have looked at fewer shards.
        self.mail.notify_all();
        self.space.notify_all();
        self.emit_removed(&removed);
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
