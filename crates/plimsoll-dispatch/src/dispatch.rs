//! The handle.

use crate::cell::Cell;
use crate::chunks::Chunks;
use crate::config::{DispatchBuilder, DispatchConfig, check_slots};
use crate::lease::{Checkout, Lease, Vacant};
use crate::slots::{Slot, Slots};
use plimsoll_core::parts::KeyedHashState;
use plimsoll_core::parts::sync::{Mutex, MutexGuard};
use plimsoll_core::{
    Clock, ConfigError, ControlError, Dice, Event, Gate, Inspect, Observer, Outcome, Permit, Reason,
    Rejected, Settle,
};
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// So many slots, granted or busy at once: no queue, no wait. A cheap handle: clones share the slots.
///
/// A slot holds a resource – a connection, a worker – or none yet: then who checks it out makes it, in its own
/// time. `Dispatch<()>` is slots alone.
///
/// | ask by | answers | for |
/// |---|---|---|
/// | [`checkout`](Self::checkout), [`checkout_owned`](Self::checkout_owned) | `Reuse`, `Make` or `Busy` | a slot with its resource |
/// | [`checkout_for`](Self::checkout_for) | the same, by a hash | a key that keeps to its slot |
/// | [`checkout_within`](Self::checkout_within) | the same, tried again for a while | who can wait a little |
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_owned`](Self::try_acquire_owned), the layer | a permit or `Busy` | a seat alone |
pub struct Dispatch<T>(Arc<Inner<T>>);

pub(crate) struct Inner<T> {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    hasher: KeyedHashState,
    observer: Observer,
    slots: Slots,
    cells: Chunks<Cell<T>>,
    max_idle: Option<Duration>,
    pub(crate) keep_dropped: bool,
    // Those who wait for all to be back.
    draining: Mutex<Vec<Waker>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Dispatch<T> {
    /// So many slots.
    ///
    /// # Errors
    /// If `slots` is 0 or above 2²⁰.
    pub fn new(slots: u32) -> Result<Self, ConfigError> {
        Self::builder().slots(slots).build()
    }

    /// Sets everything else.
    pub fn builder() -> DispatchBuilder<T> {
        DispatchBuilder::default()
    }

    pub(crate) fn of(builder: DispatchBuilder<T>) -> Self {
        let (name, observer) = builder.known();
        let DispatchBuilder { config, clock, dice, .. } = builder;
        let DispatchConfig { slots, pick, probes, max_idle, keep_dropped, .. } = config;
        let pool = Dispatch(Arc::new(Inner {
            name,
            clock,
            hasher: dice.hasher(),
            observer,
            slots: Slots::new(slots, pick, probes, dice.clone()),
            dice,
            cells: Chunks::new(),
            max_idle,
            keep_dropped,
            draining: Mutex::default(),
        }));
        pool.0.cells.grow(slots);
        pool
    }

    /// A slot, now, or none.
    #[inline(always)]
    pub fn checkout(&self) -> Checkout<T, &Self> {
        self.answer(self, None)
    }

    /// [`checkout`](Self::checkout), with a lease that owns its handle.
    pub fn checkout_owned(&self) -> Checkout<T, Self> {
        self.answer(self.clone(), None)
    }

    /// The slot that `key` names, or one of those after it: what has
    /// the same key meets the same resource, as long as the number of slots stays the same and it is free.
    pub fn checkout_for<K: Hash + ?Sized>(&self, key: &K) -> Checkout<T, &Self> {
        self.answer(self, Some(self.0.hasher.hash_one(key)))
    }

    /// [`checkout`](Self::checkout), tried again and again until a slot is free or `longest` is over. There is no
    /// line: who comes when a slot is free has it.
    ///
    /// Between two tries it sleeps 0.1 ms at first, twice as long each time, up to 10 ms, by chance a little less.
    ///
    /// # Cancel safety
    /// It holds nothing while it waits.
    ///
    /// # Panics
    /// When it has to wait inside a tokio runtime that was built without a timer.
    pub async fn checkout_within(&self, longest: Duration) -> Checkout<T, &Self> {
        let until = self.0.clock.now() + longest;
        let mut pause = Duration::from_micros(100);
        loop {
            let found = self.0.slots.take(None);
            let now = self.0.clock.now();
            if !matches!(found, Err(Reason::Busy)) || now >= until {
                return self.answered(self, found);
            }
            let nap = pause - self.0.dice.jitter(pause / 4);
            self.0.clock.sleep_until((now + nap).min(until)).await;
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    #[inline(always)]
    fn answer<H: AsRef<Dispatch<T>>>(&self, handle: H, hash: Option<u64>) -> Checkout<T, H> {
        self.answered(handle, self.0.slots.take(hash))
    }

    #[inline(always)]
    fn answered<H: AsRef<Dispatch<T>>>(&self, handle: H, found: Result<Slot, Reason>) -> Checkout<T, H> {
        let its = &*self.0;
        let seat = match found {
            Ok(seat) => seat,
            Err(reason) => return Checkout::Busy(its.rejected(reason)),
        };
        its.observer.emit(|| Event::admitted(its.name));
        let cell = its.cells.get(seat.slot);
        match cell.and_then(Cell::take) {
            Some(resource) if !cell.is_some_and(|cell| its.is_stale(cell)) => {
                Checkout::Reuse(Lease::new(handle, seat, resource))
            }
            stale => {
                let vacant = Vacant::new(handle, seat);
                // What was idle for too long goes by the way, and if that panics, so does the slot.
                drop(stale);
                Checkout::Make(vacant)
            }
        }
    }

    /// A seat, now: a slot without what is in it.
    ///
    /// # Errors
    /// `Busy` if none of those that were tried is free, `Closed` after [`close`](Self::close).
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.seat().map(|seat| Permit::new(self, seat))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle.
    ///
    /// # Errors
    /// As for `try_acquire`.
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.seat().map(|seat| Permit::new(self.clone(), seat))
    }

    #[inline(always)]
    fn seat(&self) -> Result<Slot, Rejected> {
        let its = &*self.0;
        match its.slots.take(None) {
            Ok(seat) => {
                its.observer.emit(|| Event::admitted(its.name));
                Ok(seat)
            }
            Err(reason) => Err(its.rejected(reason)),
        }
    }

    /// Changes how many slots there are. More: at once. Fewer: who has one beyond the limit keeps it, and it is
    /// not given again; resources that lie idle beyond the limit are dropped.
    ///
    /// # Errors
    /// If `slots` is 0 or above 2²⁰; nothing has changed then.
    pub fn set_slots(&self, slots: u32) -> Result<(), ControlError> {
        check_slots(slots)?;
        // The cells first: who gets a new slot finds one.
        self.0.cells.grow(slots);
        self.0.slots.resize(slots);
        drop(self.clear_out(slots));
        Ok(())
    }

    /// Grants nothing from now on. What is out comes back in peace and is dropped then; what lies idle is handed
    /// over. [`drained`](Self::drained) waits for the rest.
    pub fn close(&self) -> Vec<T> {
        self.0.slots.close();
        let idle = self.clear_out(0);
        self.0.tell_drained();
        idle
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.slots.is_closed()
    }

    /// Waits until it is closed and nothing is out any more.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn drained(&self) {
        poll_fn(|cx| {
            let mut waiting = lock(&self.0.draining);
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            drop(waiting);
            // After it can be woken: what comes back from now on wakes it.
            if self.is_closed() && self.0.slots.all_back() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Drops what has lain idle for longer than it may; answers how much that was. It would go at its next
    /// checkout anyway: for those who want connections closed in time.
    pub fn sweep(&self) -> usize {
        let its = &*self.0;
        let mut out = vec![];
        for (slot, cell) in (0..its.slots.limit()).zip(its.cells.iter()) {
            // The seat is taken for that moment, and of those only whose time seems to be over.
            if its.slots.is_filled(slot)
                && its.is_stale(cell)
                && let Some(seat) = its.slots.seize(slot)
            {
                if its.is_stale(cell) {
                    out.extend(cell.take());
                    its.release(seat, false);
                } else {
                    its.release(seat, true);
                }
            }
        }
        out.len()
    }

    /// Takes out what lies idle in this slot and those after it. It is dropped, or used, when all is out.
    fn clear_out(&self, from: u32) -> Vec<T> {
        let mut out = vec![];
        for (slot, cell) in (0..).zip(self.0.cells.iter()).skip(from as usize) {
            out.extend(cell.take().map(|resource| *resource));
            self.0.slots.emptied(slot);
        }
        out
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.0.slots.limit()
    }

    /// How many are out. Looks at each.
    pub fn in_use(&self) -> u32 {
        self.0.slots.taken()
    }

    /// How many resources lie idle, in slots that nobody has. Looks at each.
    pub fn idle(&self) -> usize {
        self.0.slots.idle()
    }

    /// The name that refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// A layer that takes a seat for each call, or refuses it as busy.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> plimsoll_core::GateLayer<Self> {
        plimsoll_core::layer(self.clone())
    }

    pub(crate) fn inner(&self) -> &Inner<T> {
        &self.0
    }
}

impl<T> Inner<T> {
    #[inline(always)]
    fn is_stale(&self, cell: &Cell<T>) -> bool {
        self.max_idle.is_some_and(|longest| self.clock.coarse().since(cell.since()) > longest)
    }

    #[inline(always)]
    fn rejected(&self, reason: Reason) -> Rejected {
        if reason != Reason::Busy || self.slots.is_closed() {
            return self.closed();
        }
        let limit = u64::from(self.slots.limit());
        if self.observer.is_listening() {
            self.tell_busy(limit);
        }
        // All that were tried were busy: to count the others would take longer than all else. Made again rather than
        // kept for the observer: it is written where the caller reads it.
        Rejected::new(self.name, Reason::Busy).numbers(limit, limit)
    }

    #[cold]
    #[inline(never)]
    fn tell_busy(&self, limit: u64) {
        self.observer.emit(|| Event::rejected(Rejected::new(self.name, Reason::Busy).numbers(limit, limit)));
    }

    #[cold]
    #[inline(never)]
    fn closed(&self) -> Rejected {
        // A slot that we took for a moment, until we saw that it was closed, may be the last that was waited for.
        self.tell_drained();
        let no = Rejected::new(self.name, Reason::Closed);
        self.observer.emit(|| Event::rejected(no));
        no
    }

    /// A slot comes back, with its resource or without.
    #[inline(always)]
    pub(crate) fn put_back(&self, seat: Slot, resource: Option<Box<T>>, event: Event) {
        self.observer.emit(|| event);
        let slot = seat.slot;
        let mut gone = None;
        let mut filled = false;
        match (resource, self.cells.get(slot)) {
            (Some(resource), Some(cell)) if !self.slots.is_over_now(slot) => {
                // Before the seat: who takes that finds it.
                if self.max_idle.is_some() {
                    cell.is_since(self.clock.coarse());
                }
                gone = cell.put(resource);
                filled = true;
            }
            (Some(resource), _) => gone = Some(resource),
            (None, _) => {}
        }
        self.release(seat, filled);
        // Somebody's code, after all of ours.
        drop(gone);
    }

    /// After a slot is free: was it closed, or made smaller, meanwhile?
    #[inline(always)]
    fn came_back(&self, slot: u32, filled: bool) {
        if self.slots.is_over(slot) {
            self.came_back_late(slot, filled);
        }
    }

    #[cold]
    fn came_back_late(&self, slot: u32, filled: bool) {
        let gone = if filled { self.cells.get(slot).and_then(Cell::take) } else { None };
        self.slots.emptied(slot);
        self.tell_drained();
        drop(gone);
    }

    #[cold]
    fn tell_drained(&self) {
        if self.slots.is_closed() && self.slots.all_back() {
            let wakers = std::mem::take(&mut *lock(&self.draining));
            wakers.into_iter().for_each(plimsoll_core::parts::wake);
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Settle for Dispatch<T> {
    type Token = Slot;
    #[inline]
    fn settle(&self, seat: Slot, outcome: Outcome) {
        self.0.end(seat, Event::completed(self.0.name, outcome));
    }
    #[inline]
    fn refund(&self, seat: Slot) {
        self.0.end(seat, Event::refunded(self.0.name));
    }
}

impl<T> Inner<T> {
    /// A seat comes back; what is in the slot, if anything, was not touched.
    #[inline(always)]
    fn end(&self, seat: Slot, event: Event) {
        self.observer.emit(|| event);
        let filled = self.slots.is_filled(seat.slot);
        self.release(seat, filled);
    }

    #[inline(always)]
    fn release(&self, seat: Slot, filled: bool) {
        let slot = seat.slot;
        if self.slots.free(seat, filled) {
            self.came_back(slot, filled);
        }
    }
}

impl<R: ?Sized, T> Gate<R> for Dispatch<T> {
    #[inline]
    fn admit(&self, _: &R) -> Result<Slot, Rejected> {
        self.seat()
    }
}

impl<T: Send> Inspect for Dispatch<T> {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("slots", f64::from(self.slots()));
        each("taken", f64::from(self.in_use()));
        each("idle", self.idle() as f64);
    }
    /// Knob: `slots` (whole slots).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        match knob {
            "slots" if value.fract() == 0.0 && (1.0..=f64::from(crate::slots::MOST)).contains(&value) => {
                self.set_slots(value as u32)
            }
            "slots" => Err(ControlError::new("slots", value, "a whole number from 1 to 1048576")),
            other => Err(ControlError::new("knob", other, "slots")),
        }
    }
}

impl<T> AsRef<Dispatch<T>> for Dispatch<T> {
    fn as_ref(&self) -> &Dispatch<T> {
        self
    }
}

impl<T> Clone for Dispatch<T> {
    fn clone(&self) -> Self {
        Dispatch(self.0.clone())
    }
}

impl<T> fmt::Debug for Dispatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("name", &self.name())
            .field("slots", &self.slots())
            .field("taken", &self.in_use())
            .field("closed", &self.is_closed())
            .finish()
    }
}
