//! The handle.

use crate::chunks::Chunks;
use crate::config::{Builder, Config, check_slots};
use crate::lease::{Answer, Vacant};
use crate::slots::{Seat, Slots};
use plimsoll_core::{
    Clock, ConfigError, ControlError, Dice, Event, Gate, Inspect, Instant, Observer, Outcome, Permit, Reason,
    Rejected, Seeded, Settle,
};
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// | [`ask`](Self::ask), [`ask_owned`](Self::ask_owned), the layer | a permit or `Busy` | a seat alone |
pub struct Dispatch<T>(Arc<Inner<T>>);

pub(crate) struct Inner<T> {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    hasher: Seeded,
    observer: Observer,
    slots: Slots,
    cells: Chunks<Cell<T>>,
    max_idle: Option<Duration>,
    pub(crate) keep_dropped: bool,
    // Those who wait for all to be back.
    draining: Mutex<Vec<Waker>>,
}

/// The resource of a slot while nobody has it, and since when. Only who has the seat, or clears out, opens it.
type Cell<T> = Mutex<Option<(T, Instant)>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Dispatch<T> {
    /// So many slots.
    ///
    /// # Errors
    /// If `slots` is 0 or above 2³¹ − 1.
    pub fn new(slots: u32) -> Result<Self, ConfigError> {
        Self::builder().slots(slots).build()
    }

    /// Sets everything else.
    pub fn builder() -> Builder<T> {
        Builder::default()
    }

    pub(crate) fn of(builder: Builder<T>) -> Self {
        let (name, observer) = builder.known();
        let Builder { config, clock, dice, .. } = builder;
        let Config { slots, pick, probes, max_idle, keep_dropped, .. } = config;
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
    #[inline]
    pub fn checkout(&self) -> Answer<T, &Self> {
        self.answer(self, None)
    }

    /// [`checkout`](Self::checkout), with a lease that owns its handle.
    pub fn checkout_owned(&self) -> Answer<T, Self> {
        self.answer(self.clone(), None)
    }

    /// The slot that `key` names, with [`Pick::Hash`](crate::Pick::Hash), or one of those after it: what has
    /// the same key meets the same resource, as long as the number of slots stays the same and it is free.
    pub fn checkout_for<K: Hash + ?Sized>(&self, key: &K) -> Answer<T, &Self> {
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
    pub async fn checkout_within(&self, longest: Duration) -> Answer<T, &Self> {
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

    #[inline]
    fn answer<H: AsRef<Dispatch<T>>>(&self, handle: H, hash: Option<u64>) -> Answer<T, H> {
        self.answered(handle, self.0.slots.take(hash))
    }

    #[inline]
    fn answered<H: AsRef<Dispatch<T>>>(&self, handle: H, found: Result<Seat, Reason>) -> Answer<T, H> {
        let its = &*self.0;
        let seat = match found {
            Ok(seat) => seat,
            Err(reason) => return Answer::Busy(its.refused(reason)),
        };
        its.observer.tell(|| Event::Admitted { by: its.name });
        // Held by its slot's own lock for no longer than it takes to move it out.
        let kept = its.cells.get(seat.slot).and_then(|cell| lock(cell).take());
        let vacant = Vacant::new(handle, seat);
        match kept {
            Some((resource, since)) if !its.is_stale(since) => Answer::Reuse(vacant.fill_with(resource)),
            // What was idle for too long is dropped here, by the way.
            _ => Answer::Make(vacant),
        }
    }

    /// A seat, now: a slot without what is in it.
    ///
    /// # Errors
    /// `Busy` if none of those that were tried is free, `Closed` after [`close`](Self::close).
    #[inline]
    pub fn ask(&self) -> Result<Permit<&Self>, Rejected> {
        self.seat().map(|seat| Permit::new(self, seat))
    }

    /// [`ask`](Self::ask), with a permit that owns its handle.
    ///
    /// # Errors
    /// As for `ask`.
    pub fn ask_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.seat().map(|seat| Permit::new(self.clone(), seat))
    }

    #[inline]
    fn seat(&self) -> Result<Seat, Rejected> {
        let its = &*self.0;
        match its.slots.take(None) {
            Ok(seat) => {
                its.observer.tell(|| Event::Admitted { by: its.name });
                Ok(seat)
            }
            Err(reason) => Err(its.refused(reason)),
        }
    }

    /// Changes how many slots there are. More: at once. Fewer: who has one beyond the limit keeps it, and it is
    /// not given again; resources that lie idle beyond the limit are dropped.
    ///
    /// # Errors
    /// If `slots` is 0 or above 2³¹ − 1; nothing has changed then.
    pub fn resize(&self, slots: u32) -> Result<(), ControlError> {
        check_slots(slots)?;
        // The cells first: who gets a new slot finds one.
        self.0.cells.grow(slots);
        self.0.slots.resize(slots);
        drop(self.clear_out(|slot, _| slot >= slots));
        Ok(())
    }

    /// Grants nothing from now on. What is out comes back in peace and is dropped then; what lies idle is handed
    /// over. [`drained`](Self::drained) waits for the rest.
    pub fn close(&self) -> Vec<T> {
        self.0.slots.close();
        let idle = self.clear_out(|_, _| true);
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
            if self.is_closed() && self.taken() == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Drops what has lain idle for longer than it may; answers how much that was. It would go at its next
    /// checkout anyway: for those who want connections closed in time.
    pub fn sweep(&self) -> usize {
        self.clear_out(|_, since| self.0.is_stale(since)).len()
    }

    /// Takes idle resources out. They are dropped, or used, when no lock is held.
    fn clear_out(&self, which: impl Fn(u32, Instant) -> bool) -> Vec<T> {
        let mut out = vec![];
        for (slot, cell) in (0..).zip(self.0.cells.iter()) {
            let mut kept = lock(cell);
            if kept.as_ref().is_some_and(|(_, since)| which(slot, *since)) {
                out.extend(kept.take().map(|(resource, _)| resource));
            }
        }
        out
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.0.slots.limit()
    }

    /// How many are out. Looks at each.
    pub fn taken(&self) -> u32 {
        self.0.slots.taken()
    }

    /// How many resources lie idle. Looks at each.
    pub fn idle(&self) -> usize {
        self.0.cells.iter().filter(|cell| lock(cell).is_some()).count()
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
    fn is_stale(&self, since: Instant) -> bool {
        self.max_idle.is_some_and(|longest| self.clock.rough().since(since) > longest)
    }

    #[cold]
    #[inline(never)]
    fn refused(&self, reason: Reason) -> Rejected {
        let limit = u64::from(self.slots.limit());
        let no = Rejected::new(self.name, reason);
        // All that were tried were busy: to count the others would take longer than all else.
        let no = if reason == Reason::Busy { no.numbers(limit, limit) } else { no };
        self.observer.tell(|| Event::Refused(no));
        no
    }

    /// A slot comes back, with its resource or without.
    pub(crate) fn put_back(&self, seat: Seat, resource: Option<T>, event: Event) {
        self.observer.tell(|| event);
        let keep = seat.slot < self.slots.limit() && !self.slots.is_closed();
        let (kept, gone) = if keep { (resource, None) } else { (None, resource) };
        let slot = seat.slot;
        let filled = kept.is_some();
        if let (Some(resource), Some(cell)) = (kept, self.cells.get(slot)) {
            // Before the seat: who takes that finds it.
            let since = if self.max_idle.is_some() { self.clock.rough() } else { Instant::default() };
            *lock(cell) = Some((resource, since));
        }
        self.slots.free(seat, filled);
        // Somebody's code.
        drop(gone);
        self.came_back(slot, filled);
    }

    /// After a slot is free: was it closed, or made smaller, meanwhile?
    #[inline]
    fn came_back(&self, slot: u32, filled: bool) {
        if self.slots.is_over(slot) {
            self.came_back_late(slot, filled);
        }
    }

    #[cold]
    fn came_back_late(&self, slot: u32, filled: bool) {
        if filled && let Some(cell) = self.cells.get(slot) {
            let gone = lock(cell).take();
            drop(gone);
        }
        self.tell_drained();
    }

    fn tell_drained(&self) {
        if self.slots.is_closed() && self.slots.taken() == 0 {
            let wakers = std::mem::take(&mut *lock(&self.draining));
            wakers.into_iter().for_each(plimsoll_core::wake);
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Settle for Dispatch<T> {
    type Token = Seat;
    #[inline]
    fn settle(&self, seat: Seat, outcome: Outcome) {
        self.0.release(seat, Event::Ended { by: self.0.name, outcome });
    }
    #[inline]
    fn give_back(&self, seat: Seat) {
        self.0.release(seat, Event::GivenBack { by: self.0.name });
    }
}

impl<T> Inner<T> {
    /// A seat comes back; what is in the slot, if anything, was not touched.
    #[inline]
    fn release(&self, seat: Seat, event: Event) {
        self.observer.tell(|| event);
        let slot = seat.slot;
        let filled = self.slots.is_filled(slot);
        self.slots.free(seat, filled);
        self.came_back(slot, filled);
    }
}

impl<R: ?Sized, T> Gate<R> for Dispatch<T> {
    #[inline]
    fn admit(&self, _: &R) -> Result<Seat, Rejected> {
        self.seat()
    }
}

impl<T: Send> Inspect for Dispatch<T> {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn look(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("slots", f64::from(self.slots()));
        each("taken", f64::from(self.taken()));
        each("idle", self.idle() as f64);
    }
    /// Knob: `slots` (whole slots).
    fn turn(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        match knob {
            "slots" if value.fract() == 0.0 && (1.0..=f64::from(crate::slots::MOST)).contains(&value) => {
                self.resize(value as u32)
            }
            "slots" => Err(ControlError::new("slots", value, "a whole number from 1 to 2147483647")),
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
            .field("taken", &self.taken())
            .field("closed", &self.is_closed())
            .finish()
    }
}
