//! Random drop that steers itself: the handle.

use crate::Curve;
use crate::cursor::{BINS, COHORTS, Histogram, OPEN, SHUT, Threshold, level};
use crate::keep::{LogController, Pie, RateController, Tick};
use crate::signal::{Signal, SignalReading, SignalSource};
use plimsoll_core::parts::{KeyedHashState, intern};
use plimsoll_core::{
    By, ByRef, Clock, ConfigError, ControlError, Dice, Event, Gate, Inspect, Instant, Keyed, Observe,
    Observer, Outcome, Permit, Priority, Reason, Rejected, RequestInfo, Settle,
};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a [`LoadShedder`] is steered.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Control {
    /// By the admitted rate: feed-forward of the capacity, and PI on the queue's delay. Where only a delay is known,
    /// PI on the logarithm of the share that is kept. The one to take.
    #[default]
    Rate,
    /// PIE (RFC 8033), with the gains of that document: good a little above the capacity, lost far above it.
    Pie,
    /// A curve over the depth, or, where only that is known, over the delay in seconds.
    Curve(Curve),
    /// A curve over the depth averaged as RED does it, over some 500 arrivals.
    Red(Curve),
}

/// Random drop that steers itself so that the queue behind it has the delay that is wanted, and that drops the
/// least important first. A cheap handle: clones share everything.
///
/// What is less important is dropped before anything more important is; within one priority the accounts
/// are spread over 128 cohorts, so that one account's requests are kept or dropped together, for a while:
/// after each [reshuffle_every](LoadShedderBuilder::reshuffle_every) they are spread anew.
///
/// ```
/// use plimsoll_drop::{SignalReading, LoadShedder, Signal};
/// use plimsoll_core::Priority;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
///
/// let waiting = Arc::new(AtomicU64::new(0)); // the length of your queue
/// let depth = waiting.clone();
/// let shedder = LoadShedder::builder()
///     .signal(Signal::new(move || SignalReading::new().depth(depth.load(Ordering::Relaxed))))
///     .build()?;
/// if shedder.keep(Priority::NORMAL) {
///     // build the item only now, and queue it
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It ticks by itself, on whoever asks; where long pauses between asks are to be expected, let
/// [`tend`](Self::run) run beside, or call [`tick`](Self::tick).
///
#[doc = include_str!("controller.md")]
#[derive(Clone)]
pub struct LoadShedder(Arc<Inner>);

struct Inner {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    hasher: KeyedHashState,
    observer: Observer,
    signal: Signal,
    turnover: u64,
    target: AtomicU64,
    // The line: the bin, and above it the share as a threshold.
    line: AtomicU64,
    came: Box<[AtomicU32]>,
    admitted: AtomicU64,
    // Of the permits: how many are out, and how many have ended.
    inside: AtomicU64,
    ended: AtomicU64,
    // Somebody ended and left a worker idle.
    idle: AtomicBool,
    // As of the last tick: when, how many had been admitted, how many waited, how many may, and how fast they leave.
    ticked: AtomicU64,
    admitted_then: AtomicU64,
    depth_then: AtomicU64,
    ceiling: AtomicU64,
    capacity: AtomicU64,
    // When the next tick is due, by the clock and by what has been admitted.
    due: AtomicU64,
    due_after: AtomicU64,
    keep: AtomicU64,
    // One ticks, and the others go on: no lock is held while somebody's closures are called.
    ticking: AtomicBool,
    machine: Mutex<Machine>,
}

struct Machine {
    steered: Steered,
    histogram: Histogram,
    ended: u64,
    departed: Option<u64>,
    depth: f64,
    // Of a signal that knows nothing else, for when it has none to tell.
    delay: Option<f64>,
    average: f64,
}

enum Steered {
    Rate(RateController, LogController),
    Pie(Pie),
    Curve(Curve, bool),
}

/// Aims at nobody at all.
const NOTHING: f64 = f64::NEG_INFINITY;

const BIN_BITS: u32 = 10;

fn packed(line: Threshold) -> u64 {
    Dice::threshold(line.share) << BIN_BITS | line.bin as u64
}

/// A request of nobody in particular.
#[derive(Clone, Copy, Debug)]
pub struct NoAccount;

impl LoadShedder {
    /// One that keeps the delay behind it at 5 ms, by how many are in flight through it: `workers` are served
    /// at once.
    ///
    /// # Errors
    /// If `workers` is 0.
    pub fn new(workers: u32) -> Result<Self, ConfigError> {
        Self::builder().signal(Signal::in_flight(workers)).build()
    }

    /// Sets everything else.
    pub fn builder() -> LoadShedderBuilder {
        LoadShedderBuilder::default()
    }

    /// Rolls the dice for something of this priority: `true` means go on. Ask before the item is built.
    #[inline]
    pub fn keep(&self, priority: Priority) -> bool {
        self.kept(self.anyone(priority))
    }

    /// [`keep`](Self::keep), for an account: what it asks is kept or dropped together, for a while.
    #[inline]
    pub fn keep_for<K: Hash + ?Sized>(&self, priority: Priority, account: &K) -> bool {
        self.kept(self.of_account(priority, account))
    }

    /// Builds the item only if it is kept.
    #[inline]
    pub fn keep_with<T>(&self, priority: Priority, build: impl FnOnce() -> T) -> Option<T> {
        self.keep(priority).then(build)
    }

    fn kept(&self, bin: usize) -> bool {
        let its = &*self.0;
        let keep = its.decide(bin);
        its.observer.emit_all(|tell| {
            if keep {
                tell(Event::admitted(its.name));
                // Nothing will come back for it.
                tell(Event::completed(its.name, Outcome::Ignored));
            } else {
                tell(Event::rejected(its.refusal()));
            }
        });
        keep
    }

    /// [`keep`](Self::keep) as a gate answers. The permit counts as in flight until it ends.
    ///
    /// # Errors
    /// `Dropped`.
    #[inline]
    pub fn try_acquire(&self, priority: Priority) -> Result<Permit<&Self>, Rejected> {
        self.admit_bin(self.anyone(priority)).map(|()| Permit::new(self, ()))
    }

    /// [`try_acquire`](Self::try_acquire), for an account.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn try_acquire_for<K: Hash + ?Sized>(
        &self,
        priority: Priority,
        account: &K,
    ) -> Result<Permit<&Self>, Rejected> {
        self.admit_bin(self.of_account(priority, account)).map(|()| Permit::new(self, ()))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn try_acquire_owned(&self, priority: Priority) -> Result<Permit<Self>, Rejected> {
        self.admit_bin(self.anyone(priority)).map(|()| Permit::new(self.clone(), ()))
    }

    fn admit_bin(&self, bin: usize) -> Result<(), Rejected> {
        let its = &*self.0;
        let kept = its.decide(bin);
        if kept {
            its.inside.fetch_add(1, Ordering::Relaxed);
        }
        its.observer.emit_decision(its.name, if kept { Ok(()) } else { Err(its.refusal()) })
    }

    #[inline]
    fn anyone(&self, priority: Priority) -> usize {
        level(priority) * COHORTS + (self.0.dice.bits() >> 57) as usize
    }

    #[inline]
    fn of_account<K: Hash + ?Sized>(&self, priority: Priority, account: &K) -> usize {
        let turn = self.0.clock.coarse().as_nanos() / self.0.turnover;
        let cohort = self.0.hasher.hash_one((turn, account)) >> 57;
        level(priority) * COHORTS + cohort as usize
    }

    /// Reads the signal and steers, if it is time. Those who ask do so themselves.
    pub fn tick(&self) {
        self.0.tick_if_due();
    }

    /// Ticks for ever, beside the work: to be spawned, and aborted when it is not needed any more.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn run(&self) {
        loop {
            let due = Instant::from_nanos(self.0.due.load(Ordering::Relaxed));
            // Somebody else's tick may move it to an eighth of that.
            let (now, often) = (self.0.clock.now(), tick_of(self.target()) / 8);
            self.0.clock.sleep_until(due.min(now + often).max(now + Duration::from_millis(1))).await;
            self.0.tick_if_due();
        }
    }

    /// The share that is kept now, of all that comes.
    pub fn keep_rate(&self) -> f64 {
        f64::from_bits(self.0.keep.load(Ordering::Relaxed))
    }

    /// How many a second leave the queue when it is never empty, as far as is known. To be given as
    /// [`capacity_hint`](LoadShedderBuilder::capacity_hint) after a restart.
    pub fn capacity(&self) -> Option<f64> {
        match f64::from_bits(self.0.capacity.load(Ordering::Relaxed)) {
            none if none <= 0.0 => None,
            some => Some(some),
        }
    }

    /// The delay that is wanted.
    pub fn target(&self) -> Duration {
        Duration::from_nanos(self.0.target.load(Ordering::Relaxed))
    }

    /// Changes the delay that is wanted, 1 µs to 1 h.
    ///
    /// # Errors
    /// If it is not in that range; nothing has changed then.
    pub fn set_target(&self, target: Duration) -> Result<(), ControlError> {
        check_target(target)?;
        let (seconds, tick) = (target.as_secs_f64(), tick_of(target).as_secs_f64());
        let mut machine = self.0.lock();
        match &mut machine.steered {
            Steered::Rate(keep, log) => {
                keep.set_target(seconds, tick);
                log.set_target(seconds, tick);
            }
            Steered::Pie(pie) => pie.set_target(seconds),
            Steered::Curve(..) => {}
        }
        self.0.target.store(target.as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// How many are in flight: were admitted by [`try_acquire`](Self::try_acquire) or the layer, and have not ended.
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight()
    }

    /// The name that refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// A gate that asks with the account that `key` makes of a request.
    pub fn by<R: ?Sized, K, F: Fn(&R) -> K>(&self, key: F) -> By<Self, F> {
        By::new(self.clone(), key)
    }

    /// A gate that asks with the account that `key` finds in a request.
    pub fn by_ref<R: ?Sized, Q: ?Sized, F: Fn(&R) -> &Q>(&self, key: F) -> ByRef<Self, F, Q> {
        ByRef::new(self.clone(), key)
    }

    /// A gate that reads the priority of a request by `facts`.
    pub fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(&self, facts: P) -> By<Self, fn(&R) -> NoAccount, P> {
        By::new(self.clone(), (|_| NoAccount) as fn(&R) -> NoAccount).info(facts)
    }

    /// A layer that drops before the inner service is called: all of normal priority.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> plimsoll_core::GateLayer<Self> {
        plimsoll_core::layer(self.clone())
    }
}

/// Once in the time that is wanted, but not more often than each 10 ms nor more seldom than each 100 ms.
fn tick_of(target: Duration) -> Duration {
    target.clamp(Duration::from_millis(10), Duration::from_millis(100))
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self) -> Rejected {
        Rejected::new(self.name, Reason::Dropped)
    }

    fn in_flight(&self) -> u64 {
        self.inside.load(Ordering::Relaxed)
    }

    #[inline]
    fn decide(&self, bin: usize) -> bool {
        let now = self.clock.coarse().as_nanos();
        if now >= self.due.load(Ordering::Relaxed)
            || self.admitted.load(Ordering::Relaxed) >= self.due_after.load(Ordering::Relaxed)
        {
            self.tick_if_due();
        }
        if let Some(came) = self.came.get(bin) {
            // Relaxed: a count, read at the next tick.
            came.fetch_add(1, Ordering::Relaxed);
        }
        let line = self.line.load(Ordering::Relaxed);
        let at = (line & (BINS as u64 - 1)) as usize;
        let keep = match bin.cmp(&at) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => self.dice.under(line >> BIN_BITS),
        };
        // Those more important than whom the line cuts are not held back by how many wait.
        let cut = line != packed(OPEN) && bin / COHORTS == at / COHORTS;
        let keep = keep && !(cut && self.is_over_ceiling());
        if keep {
            self.admitted.fetch_add(1, Ordering::Relaxed);
        }
        keep
    }

    /// Whether more wait than ever should, as far as that is known between two ticks.
    fn is_over_ceiling(&self) -> bool {
        let ceiling = self.ceiling.load(Ordering::Relaxed);
        let depth = match &self.signal.0 {
            SignalSource::InFlight(workers) => self.in_flight().saturating_sub(*workers),
            SignalSource::Own(_) => {
                let then = self.admitted_then.load(Ordering::Relaxed);
                let came = self.admitted.load(Ordering::Relaxed).saturating_sub(then);
                let most = self.depth_then.load(Ordering::Relaxed).saturating_add(came);
                if most <= ceiling {
                    return false;
                }
                let since = self.clock.now().as_nanos().saturating_sub(self.ticked.load(Ordering::Relaxed));
                let left = f64::from_bits(self.capacity.load(Ordering::Relaxed)) * since as f64 / 1e9;
                most.saturating_sub(left as u64)
            }
        };
        depth > ceiling
    }

    #[cold]
    #[inline(never)]
    fn tick_if_due(&self) {
        // Somebody else is at it: fine.
        if self.ticking.swap(true, Ordering::Acquire) {
            return;
        }
        let now = self.clock.now().as_nanos();
        let since = now.saturating_sub(self.ticked.load(Ordering::Relaxed));
        let admitted = self.admitted.load(Ordering::Relaxed);
        let early = admitted >= self.due_after.load(Ordering::Relaxed) && since >= 100_000;
        if since > 0 && (now >= self.due.load(Ordering::Relaxed) || early) {
            // A signal or a curve may panic: that is told by the panic hook, and the line stays where it is.
            let ticked = catch_unwind(AssertUnwindSafe(|| {
                let reading = self.read();
                self.tick(&mut self.lock(), now, since, admitted, reading);
            }));
            if ticked.is_err() {
                self.due.store(now.saturating_add(since.max(10_000_000)), Ordering::Relaxed);
            }
        }
        self.ticking.store(false, Ordering::Release);
    }

    fn tick(&self, machine: &mut Machine, now: u64, since: u64, admitted: u64, reading: SignalReading) {
        let dt = since as f64 / 1e9;
        let target = self.target.load(Ordering::Relaxed);
        let usual = tick_of(Duration::from_nanos(target));
        let mut arrivals = 0.0;
        let came = |bin: usize| {
            let Some(came) = self.came.get(bin).filter(|came| came.load(Ordering::Relaxed) > 0) else {
                return 0.0;
            };
            let n = f64::from(came.swap(0, Ordering::Relaxed));
            arrivals += n;
            n
        };
        machine.histogram.count(dt, usual.as_secs_f64(), came);
        let ended = self.ended.load(Ordering::Relaxed);
        let depth = reading.depth.map(|depth| depth as f64);
        let newly = admitted.saturating_sub(self.admitted_then.load(Ordering::Relaxed)) as f64;
        let departures = match (reading.departed, depth, &self.signal.0) {
            // The first says nothing: what left before is not of this tick.
            (Some(departed), _, _) => machine.departed.map_or(0, |then| departed.saturating_sub(then)) as f64,
            (None, Some(depth), SignalSource::Own(_)) => (newly - (depth - machine.depth)).max(0.0),
            _ => ended.saturating_sub(machine.ended) as f64,
        };
        let busy = reading.busy.unwrap_or(depth.unwrap_or(0.0) > 0.0 && machine.depth > 0.0);
        let (aim, hot, capacity) = machine.steer(dt, arrivals, departures, depth, reading.delay, busy);
        machine.departed = reading.departed.or(machine.departed);
        (machine.ended, machine.depth) = (ended, depth.unwrap_or(0.0));
        let total = machine.histogram.total();
        let (line, keep) = match aim {
            NOTHING => (SHUT, 0.0),
            aim if !aim.is_finite() => (OPEN, 1.0),
            aim => (machine.histogram.line(aim), if total > 0.0 { (aim / total).min(1.0) } else { 1.0 }),
        };
        self.keep.store(keep.to_bits(), Ordering::Relaxed);
        // Relaxed, all of them: hints until the next tick, read one by one.
        self.line.store(packed(line), Ordering::Relaxed);
        self.ticked.store(now, Ordering::Relaxed);
        self.admitted_then.store(admitted, Ordering::Relaxed);
        self.depth_then.store(depth.unwrap_or(0.0) as u64, Ordering::Relaxed);
        let per_tick = capacity.unwrap_or(arrivals / dt) * usual.as_secs_f64();
        let burst = if capacity.is_some() { 1.5 } else { 2.0 } * per_tick + 6.0 * per_tick.sqrt() + 16.0;
        self.due_after.store(admitted.saturating_add(burst as u64), Ordering::Relaxed);
        let ceiling = capacity.map_or(u64::MAX, |rate| (4.0 * rate * target as f64 / 1e9) as u64);
        self.ceiling.store(ceiling, Ordering::Relaxed);
        self.capacity.store(capacity.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
        let next = usual.as_nanos() as u64 / if hot { 8 } else { 1 };
        self.due.store(now.saturating_add(next), Ordering::Relaxed);
    }

    fn read(&self) -> SignalReading {
        match &self.signal.0 {
            SignalSource::Own(read) => read(),
            SignalSource::InFlight(workers) => {
                let inside = self.in_flight();
                let was_idle = self.idle.swap(inside < *workers, Ordering::Relaxed);
                let depth = inside.saturating_sub(*workers);
                SignalReading::new().depth(depth).busy(!was_idle && inside >= *workers)
            }
        }
    }

    fn end(&self, event: Event, done: bool) {
        self.observer.emit(|| event);
        let inside = self.inside.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        if done {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
        if let SignalSource::InFlight(workers) = self.signal.0
            && inside < workers
            && !self.idle.load(Ordering::Relaxed)
        {
            self.idle.store(true, Ordering::Relaxed);
        }
    }
}

impl Machine {
    /// The rate to admit, whether it is much too late, and what is known of the capacity.
    fn steer(
        &mut self,
        dt: f64,
        arrivals: f64,
        departures: f64,
        depth: Option<f64>,
        delay: Option<Duration>,
        busy: bool,
    ) -> (f64, bool, Option<f64>) {
        let lambda = self.histogram.total();
        let share = |keep: f64| match keep {
            keep if keep >= 1.0 => f64::INFINITY,
            // A share of those seen would let through who was not.
            keep if keep <= 0.0 => NOTHING,
            keep => keep * lambda,
        };
        let seconds = delay.map(|delay| delay.as_secs_f64());
        // A signal that knows a delay alone, and nothing began: it is still what it was.
        let seconds = if depth.is_none() { seconds.or(self.delay) } else { seconds };
        self.delay = if depth.is_none() { seconds } else { None };
        match &mut self.steered {
            Steered::Rate(keep, log) => match (depth, seconds) {
                (None, Some(delay)) => (share(log.tick(dt, delay)), false, None),
                _ => {
                    let depth = depth.unwrap_or(0.0);
                    let delay = seconds.or_else(|| keep.capacity().map(|rate| depth / rate)).unwrap_or(0.0);
                    let aim = keep.tick(Tick { dt, arrivals, departures, depth, delay, busy });
                    (if aim.keep < 1.0 { aim.rate } else { f64::INFINITY }, aim.overloaded, aim.capacity)
                }
            },
            Steered::Pie(pie) => {
                let by_depth = depth.map(|depth| pie.delay(dt, departures, depth, busy));
                (share(pie.tick(dt, seconds.or(by_depth).unwrap_or(0.0))), false, None)
            }
            Steered::Curve(curve, averaged) => {
                let load = depth.or(seconds).unwrap_or(0.0);
                if *averaged {
                    // RED's weight of 0.002 an arrival.
                    let old = 0.998_f64.powf(arrivals.max(1.0));
                    self.average = self.average * old + load * (1.0 - old);
                }
                (share(curve.keep(if *averaged { self.average } else { load })), false, None)
            }
        }
    }
}

impl Settle for LoadShedder {
    type Token = ();
    fn settle(&self, (): (), outcome: Outcome) {
        self.0.end(Event::completed(self.0.name, outcome), true);
    }
    fn refund(&self, (): ()) {
        // It was in flight, but nothing was done for it.
        self.0.end(Event::refunded(self.0.name), false);
    }
}

impl<R: ?Sized> Gate<R> for LoadShedder {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.admit_bin(self.anyone(Priority::NORMAL))
    }
}

impl<K: Hash + ?Sized> Keyed<K> for LoadShedder {
    fn admit_for(&self, key: &K, facts: RequestInfo) -> Result<(), Rejected> {
        self.admit_bin(self.of_account(facts.priority, key))
    }
}

impl Keyed<NoAccount> for LoadShedder {
    fn admit_for(&self, _: &NoAccount, facts: RequestInfo) -> Result<(), Rejected> {
        self.admit_bin(self.anyone(facts.priority))
    }
}

impl Inspect for LoadShedder {
    fn name(&self) -> &'static str {
        self.0.name
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("keep", self.keep_rate());
        each("target", self.target().as_secs_f64());
        each("in_flight", self.in_flight() as f64);
        each("capacity", self.capacity().unwrap_or(0.0));
    }
    /// Knob: `target` (seconds).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        match knob {
            "target" => match Duration::try_from_secs_f64(value) {
                Ok(target) => self.set_target(target),
                Err(_) => Err(ControlError::new("target", value, TARGETS)),
            },
            other => Err(ControlError::new("knob", other, "target")),
        }
    }
}

impl fmt::Debug for LoadShedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shedder")
            .field("name", &self.name())
            .field("target", &self.target())
            .field("keep", &self.keep_rate())
            .field("capacity", &self.capacity())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}

/// Builds a [`LoadShedder`]; from [`LoadShedder::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct LoadShedderBuilder {
    name: String,
    target: Duration,
    control: Control,
    signal: Signal,
    capacity: Option<f64>,
    turnover: Duration,
    clock: Clock,
    dice: Dice,
    observer: Option<Arc<dyn Observe>>,
}

impl Default for LoadShedderBuilder {
    fn default() -> Self {
        LoadShedderBuilder {
            name: "shedder".into(),
            target: Duration::from_millis(5),
            control: Control::Rate,
            signal: Signal::in_flight(1),
            capacity: None,
            turnover: Duration::from_secs(3_600),
            clock: Clock::system(),
            dice: Dice::thread(),
            observer: None,
        }
    }
}

const TARGETS: &str = "1 microsecond to 1 hour";

fn check_target(target: Duration) -> Result<(), ConfigError> {
    if target < Duration::from_micros(1) || target > Duration::from_secs(3_600) {
        return Err(ConfigError::new("target", format!("{target:?}"), TARGETS));
    }
    Ok(())
}

impl LoadShedderBuilder {
    /// The name that refusals carry. Default "shedder". See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The delay that is wanted behind it, 1 µs to 1 h. Default 5 ms. Five times what one piece of work takes is a
    /// good choice, and as much as it takes the least that makes sense: a queue that is held shorter than
    /// the work varies lets workers idle.
    pub fn target(mut self, target: Duration) -> Self {
        self.target = target;
        self
    }

    /// How it is steered. Default [`Control::Rate`].
    pub fn control(mut self, control: Control) -> Self {
        self.control = control;
        self
    }

    /// What it steers by. Default: how many are in flight through it, one served at once.
    pub fn signal(mut self, signal: Signal) -> Self {
        self.signal = signal;
        self
    }

    /// How many a second the bottleneck can do, about: so that the first overload after a start is met at once.
    /// It is measured from then on. Default: not known.
    pub fn capacity_hint(mut self, a_second: f64) -> Self {
        self.capacity = Some(a_second);
        self
    }

    /// How long an account stays in its cohort, 1 s and more. Default 1 h.
    pub fn reshuffle_every(mut self, turnover: Duration) -> Self {
        self.turnover = turnover;
        self
    }

    /// The clock; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The dice; the thread's unless set.
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` each decision.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The shedder.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<LoadShedder, ConfigError> {
        plimsoll_core::parts::check::name(&self.name)?;
        check_target(self.target)?;
        if let Some(capacity) = self.capacity.filter(|a_second| !(*a_second > 0.0 && *a_second <= 1e9)) {
            return Err(ConfigError::new("capacity_hint", capacity, "above 0, at most 1e9 a second"));
        }
        if self.turnover < Duration::from_secs(1) {
            return Err(ConfigError::new("turnover", format!("{:?}", self.turnover), "1 s or more"));
        }
        if let SignalSource::InFlight(0) = self.signal.0 {
            return Err(ConfigError::new("signal.workers", 0, "1 or more"));
        }
        let (target, tick) = (self.target.as_secs_f64(), tick_of(self.target).as_secs_f64());
        let steered = match self.control {
            Control::Rate => Steered::Rate(
                RateController::new(target, tick, self.capacity),
                LogController::new(target, tick),
            ),
            Control::Pie => Steered::Pie(Pie::new(target)),
            Control::Curve(curve) => curve.validate().map(|()| Steered::Curve(curve, false))?,
            Control::Red(curve) => curve.validate().map(|()| Steered::Curve(curve, true))?,
        };
        let name = intern(&self.name);
        let now = self.clock.now().as_nanos();
        let machine = Machine {
            steered,
            histogram: Histogram::new(),
            ended: 0,
            departed: None,
            depth: 0.0,
            delay: None,
            average: 0.0,
        };
        Ok(LoadShedder(Arc::new(Inner {
            name,
            hasher: self.dice.hasher(),
            observer: self.observer.map_or(Observer::none(), |o| Observer::new(o, name)),
            signal: self.signal,
            turnover: u64::try_from(self.turnover.as_nanos()).unwrap_or(u64::MAX),
            target: AtomicU64::new(self.target.as_nanos() as u64),
            line: AtomicU64::new(packed(OPEN)),
            came: (0..BINS).map(|_| AtomicU32::new(0)).collect(),
            admitted: AtomicU64::new(0),
            inside: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            idle: AtomicBool::new(false),
            ticked: AtomicU64::new(now),
            admitted_then: AtomicU64::new(0),
            depth_then: AtomicU64::new(0),
            ceiling: AtomicU64::new(u64::MAX),
            capacity: AtomicU64::new(self.capacity.unwrap_or(0.0).to_bits()),
            due: AtomicU64::new(now + tick_of(self.target).as_nanos() as u64),
            due_after: AtomicU64::new(64),
            keep: AtomicU64::new(1.0_f64.to_bits()),
            ticking: AtomicBool::new(false),
            machine: Mutex::new(machine),
            clock: self.clock,
            dice: self.dice,
        })))
    }
}

impl fmt::Debug for LoadShedderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShedderBuilder")
            .field("name", &self.name)
            .field("target", &self.target)
            .field("control", &self.control)
            .field("signal", &self.signal)
            .field("capacity_hint", &self.capacity)
            .field("turnover", &self.turnover)
            .finish()
    }
}
