//! Offers that wait for room.

use super::Store;
use super::stamp::UNSTAMPED;
use crate::mailbox::offer::OfferError;
use plimsoll_core::parts::OneOrMany;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Instant, Reason, Rejected};

impl<T> Store<T> {
    /// Wakes waiting producers after `count` items have left.
    #[inline]
    pub(super) fn notify_space(&self, count: usize) {
        // Of weighed items, many may have to leave before the first producer's fits.
        self.space.notify_many(if self.weigher.is_some() { count.min(1) } else { count });
    }

    /// Rejects an offer whose time to wait has passed.
    pub(crate) fn expire_offer(&self, item: T) -> OfferError<T> {
        let mut state = self.first.lock();
        state.record_loss(Reason::Full, 1, &self.clock);
        drop(state);
        self.mail.notify_one();
        self.reject(item, Rejected::new(self.name, Reason::Expired))
    }

    /// Accepts the item in `place` if a shard has room for it. Evicts nothing.
    ///
    /// Returns `None` and leaves the item in `place` if it has to wait.
    pub(crate) fn offer_if_room(
        &self,
        place: &mut Option<T>,
        weight: u32,
    ) -> Option<Result<(), OfferError<T>>> {
        let mut item = place.take()?;
        let active = self.shard_count();
        let first = if active > 1 { self.dice.below(active as u64) as usize } else { 0 };
        // By the precise clock: a timer may have fired because room is made now.
        let now = self.now();
        for n in 0..active {
            let shard = self.shard_at((first + n) % active);
            let mut expired = vec![];
            let state = self.lock_fresh(shard, now, &mut expired);
            let too_large = self.weigher.is_some() && u64::from(weight) > state.queue.bounds().max_weight;
            let done = if !state.retired && (state.closed || too_large || state.queue.fits(weight)) {
                Ok(self.push_locked(shard, state, item, weight, now, OneOrMany::none()).map(|_| ()))
            } else {
                shard.publish(&state);
                drop(state);
                Err(item)
            };
            if !expired.is_empty() {
                self.mail.notify_one();
                self.emit_lost(Reason::Expired, expired.len());
            }
            match done {
                Ok(done) => return Some(done),
                Err(back) => item = back,
            }
        }
        *place = Some(item);
        None
    }

    /// Returns when the next item expires, which makes room.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        match self.stamping.load(Ordering::Relaxed) {
            UNSTAMPED => None,
            // Only of the shards that receive offers: the others make no room.
            _ => (0..self.shard_count()).filter_map(|n| self.shard_at(n).lock().queue.next_expiry()).min(),
        }
    }
}
