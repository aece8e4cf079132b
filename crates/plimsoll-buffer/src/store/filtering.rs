//! The consumers: taking items by a filter.

use super::shard::Shard;
use super::{Cursor, Store};
use crate::inbox::Filter;
use crate::lost::Lost;
use plimsoll_core::parts::Position;
use plimsoll_core::{Event, Reason};

impl<T> Store<T> {
    /// Takes the items that `filter` takes, until it stops. Returns them with the report of losses.
    pub(crate) fn take_with(
        &self,
        cursor: &mut Cursor<T>,
        filter: &mut dyn FnMut(&T) -> Filter,
    ) -> (Vec<T>, Lost) {
        let mut run = FilterRun { store: self, taken: vec![], filtered: 0, done: false };
        let made = self.shards_in_use();
        // In all shards, even those that the filter does not reach.
        let now = self.now();
        self.shards().for_each(|shard| {
            let state = self.lock_fresh(shard, now, &mut cursor.expired);
            shard.publish(&state);
        });
        'shards: for _ in 0..made {
            let shard = self.shard_at(cursor.next(made));
            // No more than it held when it was reached: producers continue while the filter runs.
            let visit = Visit::enter(shard);
            for _ in 0..visit.held {
                let now = self.now();
                let mut state = self.lock_fresh(shard, now, &mut cursor.expired);
                let picked = state.pop_with_position(now, &mut cursor.expired, &self.clock);
                shard.publish(&state);
                drop(state);
                let Some(picked) = picked else { break };
                let mut back = PutBack { store: self, shard, item: Some(picked) };
                // Without a lock: the filter is foreign code and may be slow.
                match back.item.as_ref().map(|(item, _)| filter(item)) {
                    Some(Filter::Take) => run.taken.extend(back.item.take().map(|(item, _)| item)),
                    Some(Filter::Discard) => {
                        run.filtered += 1;
                        let removed = back.item.take();
                        shard.lock().record_loss(Reason::Filtered, 1, &self.clock);
                        drop(removed);
                    }
                    Some(Filter::Stop) | None => break 'shards,
                }
            }
        }
        run.done = true;
        let taken = std::mem::take(&mut run.taken);
        drop(run);
        let lost = self.report_losses();
        self.after_take(taken.len(), &mut cursor.expired);
        (taken, lost)
    }
}

/// What a filter has taken and discarded so far. Keeps the books right if it panics.
struct FilterRun<'a, T> {
    store: &'a Store<T>,
    taken: Vec<T>,
    filtered: usize,
    done: bool,
}

impl<T> Drop for FilterRun<'_, T> {
    fn drop(&mut self) {
        let store = self.store;
        store.emit_lost(Reason::Filtered, self.filtered);
        store.notify_space(self.filtered);
        if !self.done && !self.taken.is_empty() {
            // These items have left the mailbox, and no consumer receives them.
            let count = self.taken.len() as u64;
            store.observer.emit(|| Event::delivered(store.name, count));
            store.notify_space(self.taken.len());
            store.restore_losses(Lost { undelivered: count, ..Lost::default() });
        }
    }
}

/// A run of a filter over the items of a shard. Keeps the shard from being retired meanwhile.
struct Visit<'a, T> {
    shard: &'a Shard<T>,
    held: usize,
}

impl<'a, T> Visit<'a, T> {
    fn enter(shard: &'a Shard<T>) -> Self {
        let mut state = shard.lock();
        state.visits += 1;
        Visit { shard, held: state.queue.len() }
    }
}

impl<T> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        self.shard.lock().visits -= 1;
    }
}

/// Puts an item back when it is dropped, unless it was taken out.
///
/// It is left in if the filter stops or panics.
struct PutBack<'a, T> {
    store: &'a Store<T>,
    shard: &'a Shard<T>,
    item: Option<(T, Position)>,
}

impl<T> Drop for PutBack<'_, T> {
    fn drop(&mut self) {
        let Some((item, position)) = self.item.take() else { return };
        let mut removed = vec![];
        let mut state = self.shard.lock();
        state.queue.put_back(item, position, &mut |item, reason| removed.push((item, reason)));
        for (_, reason) in &removed {
            state.record_loss(*reason, 1, &self.store.clock);
        }
        self.shard.publish(&state);
        drop(state);
        removed.iter().for_each(|(_, reason)| self.store.emit_lost(*reason, 1));
    }
}
