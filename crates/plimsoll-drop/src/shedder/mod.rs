//! The handle of a load shedder.

mod capacity;
mod config;
mod controllers;
mod controls;
mod counters;
mod decayed_rate;
mod held;
mod items;
mod machine;
mod published;
mod signal;
mod threshold;
mod trust;

pub use config::{LoadShedderBuilder, LoadShedderConfig};
pub use controllers::Control;
pub use signal::{InFlight, Signal, SignalReading};

use crate::level::level;
use counters::Counters;
use machine::{Sample, Steering};
use plimsoll_core::parts::KeyedHashState;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::{
    Account, By, Clock, Dice, Event, Gate, Instant, Keyed, Observer, Outcome, Permit, Priority, Reason,
    Rejected, RequestInfo, Settle,
};
use published::Published;
use signal::SignalFn;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use threshold::COHORTS;

/// Drops the least important requests, so that the queue behind it has the target delay. A cheap
/// handle: clones share everything.
///
/// Less important requests are dropped before more important ones. Within one priority, accounts
/// are spread over 128 cohorts. The requests of one account are therefore kept or dropped together,
/// until the next [reshuffle](LoadShedderBuilder::reshuffle_every) spreads the accounts again.
///
/// It needs to know how long the queue is. `S` states how it does: by its own permits
/// ([`InFlight`]), or by a [`Signal`]. Only the latter can [`keep`](Self::keep) items, because
/// without permits nothing would be in flight.
///
/// ```
/// use plimsoll_drop::{LoadShedder, SignalReading};
/// use plimsoll_core::Priority;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
///
/// let waiting = Arc::new(AtomicU64::new(0)); // the length of your queue
/// let depth = waiting.clone();
/// let shedder = LoadShedder::builder()
///     .signal(move || SignalReading::new().depth(depth.load(Ordering::Relaxed)))
///     .build()?;
/// if shedder.keep(Priority::NORMAL) {
///     // build the item only now, and queue it
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It ticks on the threads of its callers. If long pauses between requests are expected, spawn
/// [`run`](Self::run), or call [`tick`](Self::tick).
///
#[doc = include_str!("controller.md")]
#[doc(alias = "load shedding")]
#[doc(alias = "overload control")]
#[doc(alias = "DAGOR")]
#[doc(alias = "PIE")]
#[doc(alias = "RED")]
pub struct LoadShedder<S = InFlight>(Arc<Inner>, PhantomData<fn() -> S>);

struct Inner {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    hasher: KeyedHashState,
    observer: Observer,
    // If there is none, the permits in flight are the signal.
    signal: Option<SignalFn>,
    // The wall-clock time in nanoseconds at which the clock began.
    epoch: u64,
    // The settings: two times in nanoseconds, and the bits of a rate, which is 0 if it is not set.
    target: AtomicU64,
    reshuffle_every: AtomicU64,
    capacity_hint: AtomicU64,
    counters: Counters,
    published: Published,
    // One thread ticks at a time. The others skip the tick. No lock is held while the signal is
    // read.
    is_ticking: AtomicBool,
    steering: Mutex<Steering>,
}

/// The layer that [`LoadShedder::layer`] creates.
#[cfg(feature = "tower")]
pub type LoadShedderLayer<S = InFlight> = plimsoll_core::GateLayer<LoadShedder<S>>;

/// The key of a request without an account. Each of these requests is kept or dropped on its own.
#[derive(Clone, Copy, Debug)]
pub struct NoAccount;

impl<S> Clone for LoadShedder<S> {
    fn clone(&self) -> Self {
        LoadShedder(self.0.clone(), PhantomData)
    }
}

impl<S> LoadShedder<S> {
    /// Admits or drops a request of this priority.
    ///
    /// A permit counts as in flight until it is released or dropped.
    ///
    /// # Errors
    /// `Dropped` if the request is dropped.
    #[inline]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self, priority: Priority) -> Result<Permit<&Self>, Rejected> {
        self.decide(self.random_bin(priority), || None).map(|generation| Permit::new(self, generation))
    }

    /// Admits or drops a request of this priority and account.
    ///
    /// The requests of an account are admitted or dropped together until the next reshuffle.
    ///
    /// # Errors
    /// `Dropped` if the request is dropped.
    pub fn try_acquire_for<K: Hash + ?Sized>(
        &self,
        priority: Priority,
        account: &K,
    ) -> Result<Permit<&Self>, Rejected> {
        self.decide_for(priority, account).map(|generation| Permit::new(self, generation))
    }

    /// Admits or drops a request like [`try_acquire`](Self::try_acquire), with a permit that owns
    /// its handle.
    ///
    /// # Errors
    /// `Dropped` if the request is dropped.
    pub fn try_acquire_owned(&self, priority: Priority) -> Result<Permit<Self>, Rejected> {
        self.decide(self.random_bin(priority), || None)
            .map(|generation| Permit::new(self.clone(), generation))
    }

    fn decide_for<K: Hash + ?Sized>(&self, priority: Priority, account: &K) -> Result<u8, Rejected> {
        self.decide(self.account_bin(priority, account), || Some(self.account(account)))
    }

    /// Returns the generation of the permit.
    fn decide(&self, bin: usize, account: impl Fn() -> Option<Account>) -> Result<u8, Rejected> {
        let inner = &*self.0;
        let permit = inner.decide(bin).then(|| inner.counters.start());
        inner.observer.emit(|| inner.decision(permit.is_some(), account()));
        permit.ok_or_else(|| inner.rejection())
    }

    /// Returns the bin of a request without an account: a random cohort.
    #[inline]
    fn random_bin(&self, priority: Priority) -> usize {
        level(priority) * COHORTS + (self.0.dice.bits() >> 57) as usize
    }

    /// Returns the bin of an account. Its cohort changes at each reshuffle.
    #[inline]
    fn account_bin<K: Hash + ?Sized>(&self, priority: Priority, account: &K) -> usize {
        let every = self.0.reshuffle_every.load(Ordering::Relaxed);
        let now = self.0.clock.coarse().as_nanos().saturating_add(self.0.epoch);
        let shuffle = now.checked_div(every);
        let cohort = self.0.hasher.hash_one((shuffle.unwrap_or(0), account)) >> 57;
        level(priority) * COHORTS + cohort as usize
    }

    /// Returns the account as events carry it.
    #[cold]
    fn account<K: Hash + ?Sized>(&self, account: &K) -> Account {
        let mut hasher = self.0.hasher.build_hasher();
        // As `dyn`, so that the hash of the cohort stays the only one of its type and is inlined.
        account.hash(&mut (&mut hasher as &mut dyn Hasher));
        Account::new(hasher.finish())
    }

    /// Reads the signal and computes the next decision, if a tick is due.
    ///
    /// Each request does the same, so this is needed only while no requests arrive.
    pub fn tick(&self) {
        self.0.tick_if_due();
    }

    /// Ticks for ever. Spawn it beside the work, and abort it when it is no longer needed.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time. No tick is left half done.
    pub async fn run(&self) {
        loop {
            // Callers may bring the next tick forward. They tick themselves then.
            let due = Instant::from_nanos(self.0.published.due());
            let now = self.0.clock.now();
            self.0.clock.sleep_until(due.max(now + Duration::from_millis(1))).await;
            self.0.tick_if_due();
        }
    }

    /// Returns the share of all arrivals that is kept now.
    pub fn keep_rate(&self) -> f64 {
        self.0.published.keep_rate()
    }

    /// Returns the capacity of the bottleneck in requests a second, if it is known.
    ///
    /// It is the rate at which requests leave the queue while it is not empty. Until that has been
    /// measured, it is the [`capacity_hint`](LoadShedderBuilder::capacity_hint), if there is one.
    /// Saved at a shutdown, it can be the hint after the restart.
    ///
    /// Returns `None` unless the capacity steers the shedder. It does so only under
    /// [`Control::Rate`] with a depth: that of a signal, or the permits in flight. A signal has to
    /// be read once before that is known.
    pub fn capacity(&self) -> Option<f64> {
        self.0.published.capacity()
    }

    /// Returns the number of requests in flight: those that hold a permit or are in a layer.
    pub fn in_flight(&self) -> u64 {
        self.0.counters.in_flight()
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Returns a gate that reads the priority of a request by `info`, and no account.
    pub fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(&self, info: P) -> By<Self, fn(&R) -> NoAccount, P> {
        By::new(self.clone(), (|_| NoAccount) as fn(&R) -> NoAccount).info(info)
    }

    /// Creates a layer that drops calls before they reach the inner service.
    ///
    /// All calls have normal priority.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> LoadShedderLayer<S> {
        plimsoll_core::layer(self.clone())
    }
}

impl Inner {
    fn steering(&self) -> MutexGuard<'_, Steering> {
        recover(self.steering.lock())
    }

    fn rejection(&self) -> Rejected {
        Rejected::new(self.name, Reason::Dropped)
    }

    fn decision(&self, keep: bool, account: Option<Account>) -> Event {
        let event = if keep { Event::admitted(self.name) } else { Event::rejected(self.rejection()) };
        account.map_or(event, |account| event.account(account))
    }

    #[inline]
    fn decide(&self, bin: usize) -> bool {
        let now = self.clock.coarse().as_nanos();
        if self.published.is_due_at(now) || self.published.is_due_after(self.counters.admitted()) {
            self.tick_if_due();
        }
        self.counters.arrive(bin);
        let mut keep = self.keeps(bin);
        if !keep && self.published.hasten(now) {
            self.tick_if_due();
            keep = self.keeps(bin);
        }
        if keep {
            self.counters.admit();
        }
        keep
    }

    #[inline]
    fn keeps(&self, bin: usize) -> bool {
        let threshold = self.published.threshold();
        (threshold.keeps(bin, &self.dice) && !self.is_over_ceiling(bin)) || self.is_spared()
    }

    /// Returns whether more requests wait than the ceiling allows, as far as is known between
    /// ticks.
    #[inline]
    fn is_over_ceiling(&self, bin: usize) -> bool {
        let ceiling = self.published.ceiling(bin);
        ceiling != u64::MAX && self.is_queue_over(ceiling)
    }

    fn is_queue_over(&self, depth: u64) -> bool {
        if self.signal.is_none() {
            return self.counters.queued() > depth;
        }
        let max_depth = self.published.max_depth(self.counters.admitted());
        if max_depth <= depth {
            return false;
        }
        max_depth.saturating_sub(self.published.departures(self.clock.now().as_nanos())) > depth
    }

    /// Returns whether a request is kept although it would be dropped.
    ///
    /// A short queue is spared by PIE. A few requests show whether a signal moves.
    #[cold]
    fn is_spared(&self) -> bool {
        let spared = self.published.spared();
        (spared > 0 && !self.is_queue_over(spared))
            || self.published.is_spared_after(self.counters.admitted())
    }

    #[cold]
    #[inline(never)]
    fn tick_if_due(&self) {
        // Acquire: pairs with the Release store below. A tick sees all that the last one wrote.
        if self.is_ticking.swap(true, Ordering::Acquire) {
            return;
        }
        let now = self.clock.now().as_nanos();
        let (since, admitted) = (self.published.since(now), self.counters.admitted());
        let is_early = self.published.is_due_after(admitted) && since >= 100_000;
        let change = match since > 0 && (self.published.is_due_at(now) || is_early) {
            true => self.tick(now, since, admitted),
            false => None,
        };
        self.is_ticking.store(false, Ordering::Release);
        if let Some((to, why)) = change {
            self.observer.emit(|| Event::state_changed(self.name, to, why));
        }
    }

    /// Decides until the next tick. Returns the new state and its cause, if the state has changed.
    fn tick(&self, now: u64, since: u64, admitted: u64) -> Option<(&'static str, &'static str)> {
        // A signal may panic, which the panic hook reports. No lock is held while it is read.
        let signal = self.signal.as_ref().map(|read| catch_unwind(AssertUnwindSafe(|| read())).ok());
        let mut steering = self.steering();
        let decision = steering.tick(Sample {
            now,
            since,
            arrivals: &self.counters.take_arrivals(),
            admitted,
            completed: self.counters.completed(),
            reading: signal.unwrap_or_else(|| Some(self.counters.reading())),
            is_in_flight: self.signal.is_none(),
        });
        self.published.store(&decision);
        decision.change
    }

    fn end(&self, event: Event, generation: u8, is_finished: bool) {
        self.observer.emit(|| event);
        self.counters.end(generation, is_finished);
    }
}

impl<S> Settle for LoadShedder<S> {
    /// The generation of the permit.
    type Token = u8;
    fn settle(&self, generation: u8, outcome: Outcome) {
        // A call that timed out or was cancelled does not show what the server can do.
        let is_finished = matches!(outcome, Outcome::Success | Outcome::Failure);
        self.0.end(Event::completed(self.0.name, outcome), generation, is_finished);
    }
    fn refund(&self, generation: u8) {
        // The request was in flight, but has not used the capacity.
        self.0.end(Event::refunded(self.0.name), generation, false);
    }
}

impl<R: ?Sized, S> Gate<R> for LoadShedder<S> {
    fn admit(&self, _: &R) -> Result<u8, Rejected> {
        self.decide(self.random_bin(Priority::NORMAL), || None)
    }
}

impl<K: Hash + ?Sized, S> Keyed<K> for LoadShedder<S> {
    fn admit_for(&self, key: &K, info: RequestInfo) -> Result<u8, Rejected> {
        self.decide_for(info.priority, key)
    }
    fn pass_without_key(&self) {
        self.0.observer.emit(|| Event::unguarded(self.0.name));
    }
    fn reject_without_key(&self) -> Rejected {
        self.0.observer.emit_rejection(Rejected::new(self.0.name, Reason::Unidentified))
    }
}

impl<S> Keyed<NoAccount> for LoadShedder<S> {
    fn admit_for(&self, _: &NoAccount, info: RequestInfo) -> Result<u8, Rejected> {
        self.decide(self.random_bin(info.priority), || None)
    }
}

impl<S> fmt::Debug for LoadShedder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedder")
            .field("name", &self.name())
            .field("target", &self.target())
            .field("keep_rate", &self.keep_rate())
            .field("capacity", &self.capacity())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}
