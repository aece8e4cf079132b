//! The producers' side: what becomes of an offer.

use crate::offer::{Displaced, OfferError};
use crate::shard::{ALONE, FULL, PLAIN, REFUSED, Shard, State};
use crate::shared::{NO_STAMP, ROUGH, Shared};
use plimsoll_core::parts::sync::{MutexGuard, Ordering};
use plimsoll_core::parts::{Bounds, OneOrMany, StripedCounter};
use plimsoll_core::{Event, Instant, Reason, Rejected};

const REFUSES_ALONE: u32 = ALONE | FULL | REFUSED;

impl<T> Shared<T> {
    #[inline]
    fn stamped(&self) -> Instant {
        match self.stamp.load(Ordering::Relaxed) {
            NO_STAMP => Instant::default(),
            ROUGH => self.clock.coarse(),
            _ => self.clock.now(),
        }
    }

    #[inline]
    pub(crate) fn weigh(&self, item: &T) -> u32 {
        self.weigher.as_ref().map_or(0, |weigh| weigh(item))
    }

    #[inline(always)]
    pub(crate) fn offer(&self, item: T) -> Result<Displaced<T>, OfferError<T>> {
        let flags = self.first.flags();
        if flags & PLAIN == 0 {
            return match flags & (ALONE | FULL | REFUSED) {
                REFUSES_ALONE => match self.refuse_full(&self.first, item) {
                    Ok(rejected) => Err(rejected),
                    Err(item) => self.offer_any(item),
                },
                _ => self.offer_any(item),
            };
        }
        let mut state = self.first.lock();
        if !state.plain {
            drop(state);
            return self.offer_any(item);
        }
        let displaced = match state.line.push_plain(item) {
            None => OneOrMany::none(),
            Some(old) => {
                state.losses.lost.evicted += 1;
                if !state.gap_is_open() {
                    state.lose(Reason::Evicted, 0, &self.clock);
                }
                OneOrMany::one((old, Reason::Evicted))
            }
        };
        drop(state);
        self.mail.ring();
        self.tell_kept(&displaced);
        Ok(Displaced(displaced))
    }

    #[inline]
    fn tell_kept(&self, displaced: &OneOrMany<(T, Reason)>) {
        self.observer.emit_all(|tell| {
            tell(Event::enqueued(self.name));
            for (_, reason) in displaced.iter() {
                tell(Event::lost(self.name, *reason, 1));
            }
        });
    }

    /// [`offer`](Self::offer) to a mailbox that does not only count.
    #[inline(never)]
    fn offer_any(&self, item: T) -> Result<Displaced<T>, OfferError<T>> {
        let shard = self.shard();
        let item = if shard.flags() & (FULL | REFUSED) == FULL | REFUSED {
            match self.refuse_full(shard, item) {
                Ok(rejected) => return Err(rejected),
                Err(item) => item,
            }
        } else {
            item
        };
        let weight = self.weigh(&item);
        self.push(shard, item, weight, self.stamped())
    }

    /// A refusal that need only be counted. The item comes back if there is nothing to count it in.
    #[inline(always)]
    fn refuse_full(&self, shard: &Shard<T>, item: T) -> Result<OfferError<T>, T> {
        let Some(refusals) = self.refusals.get() else { return Err(item) };
        refusals.add();
        if shard.flags() & REFUSED == 0 {
            // Told of in between: this one has to be told of again.
            self.note_refusals(shard);
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
        let state = shard.lock();
        self.push_locked(shard, state, item, weight, now)
    }

    #[inline(always)]
    fn push_locked(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        now: Instant,
    ) -> Result<Displaced<T>, OfferError<T>> {
        if state.closed {
            drop(state);
            return Err(self.refuse(item, Rejected::new(self.name, Reason::Closed)));
        }
        let now = if state.line.is_timed() { self.in_time(now) } else { now };
        let mut displaced = OneOrMany::none();
        let State { line, losses, .. } = &mut *state;
        let mut why = None;
        let pushed = line.push(item, weight, now, &mut |item, reason| {
            losses.lost.count(reason, 1);
            why = Some(reason);
            displaced.push((item, reason));
        });
        if let Some(reason) = why
            && !state.gap_is_open()
        {
            state.lose(reason, 0, &self.clock);
        }
        match pushed {
            Ok(_) => {
                shard.measure(&state);
                drop(state);
                self.mail.ring();
                if !displaced.is_empty() {
                    // Heavier ones may have gone for a lighter one.
                    self.space.ring();
                }
                self.tell_kept(&displaced);
                Ok(Displaced(displaced))
            }
            Err((item, reason)) => Err(self.not_kept(shard, state, item, weight, reason, displaced)),
        }
    }

    /// A stamp taken before the lock was right when the settings were others, if it is none.
    #[inline]
    fn in_time(&self, now: Instant) -> Instant {
        if now == Instant::default() { self.clock.now() } else { now }
    }

    #[cold]
    #[inline(never)]
    fn not_kept(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        reason: Reason,
        displaced: OneOrMany<(T, Reason)>,
    ) -> OfferError<T> {
        state.lose(reason, 1, &self.clock);
        let no = Rejected::new(self.name, reason);
        let Bounds { capacity: count, max_weight: most, .. } = state.line.bounds();
        let by_count = reason == Reason::Full && state.line.len() >= count;
        let no = match by_count {
            true => no.numbers(count as u64, state.line.len() as u64),
            false if reason == Reason::Full => no.numbers(most, state.line.weight()),
            false => no.numbers(most, u64::from(weight)),
        };
        shard.measure(&state);
        if shard.flags() & FULL != 0 {
            self.refusals.get_or_init(StripedCounter::default);
            shard.mark_rejected();
        }
        drop(state);
        self.mail.ring();
        for (_, reason) in displaced {
            self.observer.emit(|| Event::lost(self.name, reason, 1));
        }
        self.refuse(item, no)
    }

    fn refuse(&self, item: T, no: Rejected) -> OfferError<T> {
        self.observer.emit(|| Event::rejected(no));
        OfferError::new(item, no)
    }

    #[inline(always)]
    fn full(&self, shard: &Shard<T>) -> Rejected {
        let len = shard.len() as u64;
        Rejected::new(self.name, Reason::Full).numbers(len, len)
    }

    #[cold]
    fn note_refusals(&self, shard: &Shard<T>) {
        let mut state = shard.lock();
        // What counts it is added up when it is told; here is its gap.
        state.lose(Reason::Full, 0, &self.clock);
        shard.mark_rejected();
        drop(state);
        self.mail.ring();
    }

    /// An offer that gave up waiting for room.
    pub(crate) fn give_up(&self, item: T) -> OfferError<T> {
        let shard = self.shard();
        let mut state = shard.lock();
        state.lose(Reason::Full, 1, &self.clock);
        drop(state);
        self.mail.ring();
        self.refuse(item, Rejected::new(self.name, Reason::Expired))
    }

    /// Keeps the item if there is room for it, without anything having to go; it stays in its place if it
    /// has to wait.
    pub(crate) fn offer_if_room(
        &self,
        place: &mut Option<T>,
        weight: u32,
    ) -> Option<Result<(), OfferError<T>>> {
        let mut item = place.take()?;
        let active = self.active();
        let first = if active > 1 { self.dice.below(active as u64) as usize } else { 0 };
        // Precisely: a timer may have told us that room comes about now.
        let now = self.now();
        for n in 0..active {
            let shard = self.at((first + n) % active);
            let mut expired = vec![];
            let mut state = shard.lock();
            if state.line.is_timed() {
                state.expire(self.in_time(now), &mut expired, &self.clock);
            }
            let too_large = self.weigher.is_some() && u64::from(weight) > state.line.bounds().max_weight;
            let done = if state.closed || too_large || state.line.fits(weight) {
                Ok(self.push_locked(shard, state, item, weight, now).map(|_| ()))
            } else {
                shard.measure(&state);
                drop(state);
                Err(item)
            };
            if !expired.is_empty() {
                self.mail.ring();
                self.tell_lost(Reason::Expired, expired.len());
            }
            match done {
                Ok(done) => return Some(done),
                Err(back) => item = back,
            }
        }
        *place = Some(item);
        None
    }

    /// When room may come about because something is too old.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        match self.stamp.load(Ordering::Relaxed) {
            NO_STAMP => None,
            // Of the shards that are offered to: no room comes of the others.
            _ => (0..self.active()).filter_map(|n| self.at(n).lock().line.next_expiry()).min(),
        }
    }
}
