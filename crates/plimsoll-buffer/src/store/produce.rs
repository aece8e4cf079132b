//! The producers: offering items.

use super::Store;
use super::shard::{ALONE, FULL, PLAIN, REJECTED, Shard, State};
use super::stamp::{COARSE, UNSTAMPED};
use crate::mailbox::offer::{Displaced, OfferError};
use plimsoll_core::parts::sync::{MutexGuard, Ordering};
use plimsoll_core::parts::{Bounds, OneOrMany, StripedCounter};
use plimsoll_core::{Event, Instant, Reason, Rejected};

/// The only shard is full, and further rejections need only be counted.
const REJECTS_ALONE: u32 = ALONE | FULL | REJECTED;

impl<T> Store<T> {
    /// Returns the arrival time of an item that is offered now.
    #[inline]
    fn stamp_arrival(&self) -> Instant {
        match self.stamping.load(Ordering::Relaxed) {
            UNSTAMPED => Instant::default(),
            COARSE => self.clock.coarse(),
            _ => self.clock.now(),
        }
    }

    /// Returns the weight of an item.
    #[inline]
    pub(crate) fn weigh(&self, item: &T) -> u32 {
        self.weigher.as_ref().map_or(0, |weigh| weigh(item))
    }

    /// Offers an item. Fast path: a single plain shard, or one that is full and rejects.
    #[inline(always)]
    pub(crate) fn offer(&self, item: T) -> Result<Displaced<T>, OfferError<T>> {
        let flags = self.first.flags();
        if flags & PLAIN == 0 {
            return match flags & (ALONE | FULL | REJECTED) {
                REJECTS_ALONE => match self.reject_full(&self.first, item) {
                    Ok(rejected) => Err(rejected),
                    Err(item) => self.offer_any(item),
                },
                _ => self.offer_any(item),
            };
        }
        let mut state = self.first.lock();
        // The free room is that of the waiting producers.
        if !state.plain || self.space.has_waiters() {
            drop(state);
            return self.offer_any(item);
        }
        let evicted = state.queue.push_plain(item);
        if evicted.is_some() {
            self.record_eviction(&mut state);
        }
        drop(state);
        Ok(self.accepted(evicted))
    }

    #[inline(always)]
    fn record_eviction(&self, state: &mut State<T>) {
        state.losses.lost.evicted += 1;
        if !state.gap_is_open() {
            state.record_loss(Reason::Evicted, 0, &self.clock);
        }
    }

    /// Wakes a consumer and emits that an item was accepted, and which one was evicted for it.
    #[inline(always)]
    fn accepted(&self, evicted: Option<T>) -> Displaced<T> {
        self.mail.notify_one();
        let evicts = evicted.is_some();
        self.observer.emit_all(|emit| {
            emit(Event::enqueued(self.name));
            if evicts {
                emit(Event::lost(self.name, Reason::Evicted, 1));
            }
        });
        // Written once, where it is returned. Written earlier and moved, it would be read back in
        // other pieces than it was written in, which stalls the processor for longer than all the
        // rest takes.
        Displaced(match evicted {
            None => OneOrMany::none(),
            Some(old) => OneOrMany::one((old, Reason::Evicted)),
        })
    }

    /// Emits that an item was accepted, and which others were displaced.
    #[inline]
    fn emit_enqueued(&self, displaced: &OneOrMany<(T, Reason)>) {
        self.observer.emit_all(|emit| {
            emit(Event::enqueued(self.name));
            for (_, reason) in displaced.iter() {
                emit(Event::lost(self.name, *reason, 1));
            }
        });
    }

    /// Slow path of [`offer`](Self::offer).
    #[inline(never)]
    fn offer_any(&self, item: T) -> Result<Displaced<T>, OfferError<T>> {
        let shard = self.pick_shard();
        let item = if shard.flags() & (FULL | REJECTED) == FULL | REJECTED {
            match self.reject_full(shard, item) {
                Ok(rejected) => return Err(rejected),
                Err(item) => item,
            }
        } else {
            item
        };
        let weight = self.weigh(&item);
        self.push(shard, item, weight, self.stamp_arrival())
    }

    /// Rejects an offer to a full shard and only counts it. Returns the item as an error if there
    /// is no counter yet.
    #[inline(always)]
    fn reject_full(&self, shard: &Shard<T>, item: T) -> Result<OfferError<T>, T> {
        let Some(rejections) = self.rejections.get() else { return Err(item) };
        rejections.add();
        if shard.flags() & REJECTED == 0 {
            // A report was taken meanwhile, so this rejection opens another gap.
            self.record_rejections(shard);
        }
        self.observer.emit(|| Event::rejected(self.full(shard)));
        Ok(OfferError::new(item, self.full(shard)))
    }

    #[inline(always)]
    fn push(
        &self,
        shard: &Shard<T>,
        item: T,
        weight: u32,
        now: Instant,
    ) -> Result<Displaced<T>, OfferError<T>> {
        let mut state = shard.lock();
        // Under the lock: a producer begins to wait before it looks for room in this shard.
        if self.space.has_waiters() {
            return self.push_behind(shard, state, item, weight, now);
        }
        let stamped = now != Instant::default() || !state.queue.is_timed();
        if state.closed || !stamped {
            return self.push_locked(shard, state, item, weight, now, OneOrMany::none());
        }
        match state.queue.push_for_one(item, weight, now) {
            Ok(evicted) => {
                if evicted.is_some() {
                    self.record_eviction(&mut state);
                }
                shard.publish(&state);
                drop(state);
                if evicted.is_some() {
                    // A lighter item may have evicted a heavier one, which leaves room.
                    self.space.notify_one();
                }
                Ok(self.accepted(evicted))
            }
            Err(item) => self.push_locked(shard, state, item, weight, now, OneOrMany::none()),
        }
    }

    /// Rejects an item, unless the shard is closed only because it is retired.
    #[cold]
    #[inline(never)]
    fn push_closed(
        &self,
        state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        now: Instant,
    ) -> Result<Displaced<T>, OfferError<T>> {
        let retired = state.retired;
        drop(state);
        if retired {
            // The first shard is never retired.
            return self.push(&self.first, item, weight, now);
        }
        Err(self.reject(item, Rejected::new(self.name, Reason::Closed)))
    }

    /// Puts an item into the queue of a locked shard while producers wait: the free room is theirs.
    #[cold]
    #[inline(never)]
    fn push_behind(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        now: Instant,
    ) -> Result<Displaced<T>, OfferError<T>> {
        let mut displaced = OneOrMany::none();
        let too_large = self.weigher.is_some() && u64::from(weight) > state.queue.bounds().max_weight;
        if !state.closed && !too_large {
            let now = self.arrival(now);
            let placed =
                state.queue.make_place(weight, now, &mut |item, reason| displaced.push((item, reason)));
            for (_, reason) in displaced.iter() {
                state.record_loss(*reason, 1, &self.clock);
            }
            if !placed {
                return Err(self.reject_offer(shard, state, item, weight, Reason::Full, displaced));
            }
        }
        self.push_locked(shard, state, item, weight, now, displaced)
    }

    /// Puts an item into the queue of a locked shard, as its discipline permits.
    ///
    /// `displaced` items have left it already, and are counted as lost.
    #[inline(never)]
    pub(super) fn push_locked(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        now: Instant,
        mut displaced: OneOrMany<(T, Reason)>,
    ) -> Result<Displaced<T>, OfferError<T>> {
        if state.closed {
            return self.push_closed(state, item, weight, now);
        }
        let now = if state.queue.is_timed() { self.arrival(now) } else { now };
        let State { queue, losses, .. } = &mut *state;
        let mut last_reason = None;
        let pushed = queue.push(item, weight, now, &mut |item, reason| {
            losses.lost.count(reason, 1);
            last_reason = Some(reason);
            displaced.push((item, reason));
        });
        if let Some(reason) = last_reason
            && !state.gap_is_open()
        {
            state.record_loss(reason, 0, &self.clock);
        }
        match pushed {
            Ok(_) => {
                shard.publish(&state);
                drop(state);
                self.mail.notify_one();
                if !displaced.is_empty() {
                    // A lighter item may have evicted heavier ones, which leaves room.
                    self.space.notify_one();
                }
                self.emit_enqueued(&displaced);
                Ok(Displaced(displaced))
            }
            Err((item, reason)) => Err(self.reject_offer(shard, state, item, weight, reason, displaced)),
        }
    }

    /// Returns a usable arrival time.
    ///
    /// The stamp was taken before the lock. If settings have changed since, there may be none.
    #[inline]
    pub(super) fn arrival(&self, now: Instant) -> Instant {
        if now == Instant::default() { self.clock.now() } else { now }
    }

    /// Rejects an offer that the queue did not accept.
    #[cold]
    #[inline(never)]
    fn reject_offer(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        reason: Reason,
        displaced: OneOrMany<(T, Reason)>,
    ) -> OfferError<T> {
        state.record_loss(reason, 1, &self.clock);
        let rejected = Rejected::new(self.name, reason);
        let Bounds { capacity, max_weight, .. } = state.queue.bounds();
        let len = state.queue.len();
        let by_capacity = reason == Reason::Full && (len >= capacity || max_weight == u64::MAX);
        let rejected = match by_capacity {
            // The room that is free belongs to waiting producers.
            true => rejected.numbers(capacity as u64, capacity.max(len) as u64),
            false if reason == Reason::Full => rejected.numbers(max_weight, state.queue.weight()),
            false => rejected.numbers(max_weight, u64::from(weight)),
        };
        shard.publish(&state);
        if shard.flags() & FULL != 0 {
            self.rejections.get_or_init(StripedCounter::default);
            shard.mark_rejected();
        }
        drop(state);
        self.mail.notify_one();
        for (_, reason) in displaced {
            self.observer.emit(|| Event::lost(self.name, reason, 1));
        }
        self.reject(item, rejected)
    }

    /// Emits the rejection and returns it with the item.
    pub(super) fn reject(&self, item: T, rejected: Rejected) -> OfferError<T> {
        self.observer.emit(|| Event::rejected(rejected));
        OfferError::new(item, rejected)
    }

    /// Returns the rejection by a full shard.
    #[inline(always)]
    fn full(&self, shard: &Shard<T>) -> Rejected {
        let len = shard.len() as u64;
        Rejected::new(self.name, Reason::Full).numbers(len, len)
    }

    /// Opens the gap of rejections that are only counted, and wakes a consumer.
    #[cold]
    fn record_rejections(&self, shard: &Shard<T>) {
        let mut state = shard.lock();
        // The counter is added when losses are reported. Here its gap is opened.
        state.record_loss(Reason::Full, 0, &self.clock);
        shard.mark_rejected();
        drop(state);
        self.mail.notify_one();
    }
}
