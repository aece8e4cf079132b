//! The handle.

use crate::config::{Builder, Config, check_rate};
use crate::machine::{Machine, Phase, Probe};
use crate::pass::Pass;
use crate::status::{Cause, Status};
use crate::trip::{Call, Meter};
use plimsoll_core::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use plimsoll_core::{
    Clock, ConfigError, ControlError, Dice, Event, Gate, Inspect, Instant, Observer, Outcome, Permit, Reason,
    Rejected, Settle,
};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// Asks before each call to a dependency whether it makes sense now. A cheap handle: clones share
/// everything.
///
/// Closed, it lets all pass and counts how they end; as soon as one of its [trips](crate::Trip) says so
/// it opens and refuses all at once; after its open time it lets a few through as probes, and when they
/// succeed it ramps the rest back in.
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) config: Arc<Config>,
    meters: Box<[Meter]>,
    /// Phase, flags and generation in one word: all that an ask of a closed breaker looks at.
    word: AtomicU64,
    /// Of the present phase, in nanoseconds. Written before the word.
    since: AtomicU64,
    until: AtomicU64,
    /// What it opened for: how many bad ones, of how many.
    seen: AtomicU64,
    span: AtomicU64,
    fault: AtomicU64,
    state: Mutex<State>,
    pub(crate) clock: Clock,
    dice: Dice,
    observer: Observer,
    /// Whether calls are timed.
    timed: bool,
    /// Whether the windows are too short for a coarse clock.
    precise: bool,
}

struct State {
    machine: Machine,
    cause: Cause,
    blocked: Option<&'static str>,
    disabled: bool,
    fault: f64,
}

/// A check that is due, of one life of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "its answer is waited for"]
pub struct Check(u32);

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
const RAMP: u64 = 3;
const PHASE: u64 = 3;
const DISABLED: u64 = 4;
const BLOCKED: u64 = 8;
const FAULTY: u64 = 16;
const LOW: u64 = 255;
const GENERATION: u32 = 8;

const fn code(phase: Phase) -> u64 {
    match phase {
        Phase::Closed => CLOSED,
        Phase::Open => OPEN,
        Phase::HalfOpen => HALF_OPEN,
        Phase::Ramp => RAMP,
    }
}

/// A coarse clock may be two ticks behind: a refusal this close to its end is looked at again precisely.
const CLOSE: Duration = Duration::from_millis(20);

impl Breaker {
    /// A breaker with the defaults of [`Config`].
    ///
    /// # Errors
    /// If the name will not do.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder().name(name).build()
    }

    /// Sets everything else.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn of(
        name: &'static str,
        config: Arc<Config>,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> Self {
        let now = clock.now();
        let meters: Box<[Meter]> = config.trips.iter().map(|trip| Meter::new(*trip)).collect();
        let state = State {
            machine: Machine::new(now),
            cause: Cause::Never,
            blocked: None,
            disabled: false,
            fault: 0.0,
        };
        Breaker(Arc::new(Shared {
            name,
            timed: config.call_timeout.is_some() || config.trips.iter().any(|trip| trip.needs_elapsed()),
            precise: config.trips.iter().any(|trip| trip.span() < Duration::from_secs(2)),
            config,
            meters,
            word: AtomicU64::new(CLOSED),
            since: AtomicU64::new(now.as_nanos()),
            until: AtomicU64::new(now.as_nanos()),
            seen: AtomicU64::new(0),
            span: AtomicU64::new(0),
            fault: AtomicU64::new(0),
            state: Mutex::new(state),
            clock,
            dice,
            observer,
        }))
    }

    /// May I, now? The permit is told how the call ended; dropped, it counts as cancelled, or as failed
    /// while the thread unwinds.
    ///
    /// # Errors
    /// `Open`, with the time after which it may be tried again, and the numbers for which it opened.
    #[inline(always)]
    pub fn ask(&self) -> Result<Permit<&Breaker>, Rejected> {
        match self.0.admit_usual() {
            Some(pass) => Ok(Permit::new(self, pass)),
            None => self.0.admit_unusual().map(|pass| Permit::new(self, pass)),
        }
    }

    /// [`ask`](Self::ask), with a permit that owns its handle and may go to another task or thread.
    ///
    /// # Errors
    /// As for `ask`.
    #[inline]
    pub fn ask_owned(&self) -> Result<Permit<Breaker>, Rejected> {
        self.0.admit().map(|pass| Permit::new(self.clone(), pass))
    }

    /// Reports how something ended that nobody asked for: fuse's *melt* is `report(Outcome::Failure)`. Of an
    /// open breaker it changes nothing; a failure sends a half-open one back.
    pub fn report(&self, outcome: Outcome) {
        let word = self.0.word.load(Ordering::Acquire);
        if word & PHASE != OPEN {
            self.0.count(word, Pass::reported(word), outcome);
        }
    }

    /// Opens it now, for its open time. `why` is shown in its [status](Self::status).
    pub fn trip(&self, why: &'static str) {
        let state = self.0.lock();
        self.0.open(state, Cause::Hand(why));
    }

    /// Closes it, and forgets all that was counted and how often it has opened.
    pub fn reset(&self) {
        let mut state = self.0.lock();
        state.machine.close(self.0.clock.now());
        self.0.turned(state, Cause::Hand("reset"));
    }

    /// Refuses all from now on, whatever is counted, until it is [unblocked](Self::unblock); fuse and Klarna's
    /// circuit_breaker call it disabling and blocking. `why` is shown in its [status](Self::status).
    pub fn block(&self, why: &'static str) {
        self.0.set(|state| state.blocked = Some(why));
        self.0.tell("blocked", why);
    }

    /// Ends a [block](Self::block): it is as it was, or would have become.
    pub fn unblock(&self) {
        self.0.set(|state| state.blocked = None);
        self.0.tell("unblocked", "by hand");
    }

    /// Takes it out of action: all pass and nothing is counted, until it is [enabled](Self::enable). This goes
    /// before a block.
    pub fn disable(&self) {
        self.0.set(|state| state.disabled = true);
        self.0.tell("disabled", "by hand");
    }

    /// Puts it back into action: closed, with nothing counted. What was admitted before counts for nothing.
    pub fn enable(&self) {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.disabled) {
            state.machine.close(self.0.clock.now());
            self.0.turned(state, Cause::Hand("enabled"));
        }
    }

    /// Refuses this share of what it would let pass while it is closed, 0.0 to 1.0: for finding out what
    /// callers do about it before they have to. Zero ends it.
    ///
    /// # Errors
    /// If it is not between 0.0 and 1.0; nothing has changed then.
    pub fn set_fault(&self, share: f64) -> Result<(), ControlError> {
        check_rate(share)?;
        let threshold = Dice::threshold(share);
        self.0.set(|state| {
            self.0.fault.store(threshold, Ordering::Relaxed);
            state.fault = share;
        });
        Ok(())
    }

    /// Does what is due by time alone: ends a ramp that is over, and gives up a probe that is. Calls do it as
    /// well; this is for a breaker that nobody calls.
    pub fn tick(&self) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        match state.machine.phase {
            Phase::Ramp if state.machine.until <= now => {
                state.machine.close(now);
                self.0.turned(state, Cause::Ramp);
            }
            Phase::HalfOpen if state.machine.is_hung(now) => {
                self.0.open(state, Cause::Hung);
            }
            _ => {}
        }
    }

    /// Whether nothing is lost with it but what it has counted: it is closed, and nobody has set anything;
    /// or its phase has had its time, and nobody has called since.
    pub(crate) fn may_go(&self, now: Instant) -> bool {
        let over = || Instant::from_nanos(self.0.until.load(Ordering::Relaxed)) <= now;
        match self.0.word.load(Ordering::Acquire) & LOW {
            CLOSED => true,
            OPEN | RAMP => over(),
            HALF_OPEN => self.0.lock().machine.is_idle(now),
            _ => false,
        }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.tick();
        let state = self.0.lock();
        let Machine { phase, since, until, .. } = state.machine;
        let until = (phase == Phase::Open || phase == Phase::Ramp).then_some(until);
        Status { phase, since, until, cause: state.cause, blocked: state.blocked, disabled: state.disabled }
    }

    /// In which phase it is.
    pub fn phase(&self) -> Phase {
        match self.0.word.load(Ordering::Relaxed) & PHASE {
            CLOSED => Phase::Closed,
            OPEN => Phase::Open,
            HALF_OPEN => Phase::HalfOpen,
            _ => Phase::Ramp,
        }
    }

    /// The name its refusals carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Whether a check of yours is due: the breaker is [`checked`](Config::checked), open, and has been
    /// so for its open time.
    pub fn check_due(&self) -> Option<Check> {
        let state = self.0.lock();
        let machine = &state.machine;
        let due =
            self.0.config.checked && machine.phase == Phase::Open && machine.until <= self.0.clock.now();
        due.then_some(Check(machine.generation))
    }

    /// The check's answer: it works again, or it has to stay open, for longer. Changes nothing if the breaker
    /// has turned since the check was [due](Self::check_due).
    pub fn checked(&self, check: Check, works: bool) {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        if state.machine.generation != check.0 {
            return;
        }
        if works {
            state.machine.recover(now, &self.0.config.ramp);
            self.0.turned(state, Cause::Check);
        } else {
            self.0.open(state, Cause::Check);
        }
    }

    /// Looks after a [`checked`](Config::checked) breaker for ever: whenever it has been open for its open
    /// time, runs `check`, and closes it if that answers `true`. A check that takes longer than the
    /// [lease](crate::Probes::lease) counts as `false`. Spawn it, or drive it by [`check_due`](Self::check_due)
    /// and [`checked`](Self::checked) from a loop of your own.
    ///
    /// `every` says how often it looks, a hundred milliseconds or a second; it is a millisecond at least. A
    /// check that panics counts as `false`.
    ///
    /// # Cancel safety
    /// Dropped in the middle of a check, the check is dropped and the breaker stays open.
    pub async fn tend<F: Future<Output = bool>>(&self, every: Duration, mut check: impl FnMut() -> F) {
        let clock = &self.0.clock;
        let every = every.max(Duration::from_millis(1));
        loop {
            clock.sleep_until(clock.now() + every).await;
            if let Some(due) = self.check_due() {
                let mut checking = std::pin::pin!(check());
                let mut late = std::pin::pin!(clock.sleep_until(clock.now() + self.0.config.probes.lease));
                let works = std::future::poll_fn(|cx| {
                    // A panic is told by the panic hook; whoever tends goes on.
                    match catch_unwind(AssertUnwindSafe(|| checking.as_mut().poll(cx))) {
                        Ok(Poll::Ready(works)) => Poll::Ready(works),
                        Ok(Poll::Pending) => late.as_mut().poll(cx).map(|()| false),
                        Err(_) => Poll::Ready(false),
                    }
                });
                let works = works.await;
                self.checked(due, works);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn started(&self) -> Instant {
        if self.timed { self.clock.now() } else { Instant::default() }
    }

    #[inline(always)]
    pub(crate) fn admit(&self) -> Result<Pass, Rejected> {
        match self.admit_usual() {
            Some(pass) => Ok(pass),
            None => self.admit_unusual(),
        }
    }

    /// By a closed breaker.
    #[inline(always)]
    fn admit_usual(&self) -> Option<Pass> {
        // Acquire: whoever sees a phase sees what was written for it.
        let word = self.word.load(Ordering::Acquire);
        (word & LOW == CLOSED).then(|| {
            self.observer.tell(|| Event::Admitted { by: self.name });
            Pass::new(word, self.started())
        })
    }

    #[inline(never)]
    fn admit_unusual(&self) -> Result<Pass, Rejected> {
        let word = self.word.load(Ordering::Acquire);
        if word & LOW == OPEN {
            let again = self.open_for();
            if !again.is_zero() {
                // Made twice where someone listens: each move of a refusal costs more than making it.
                self.observer.tell(|| Event::Refused(self.refuse(again)));
                return Err(self.refuse(again));
            }
        }
        self.admit_rare(word)
    }

    #[cold]
    #[inline(never)]
    fn admit_rare(&self, word: u64) -> Result<Pass, Rejected> {
        let decision = self.decide(word);
        self.observer.decided(self.name, decision)
    }

    /// How long an open breaker has still to be open.
    #[inline]
    fn open_for(&self) -> Duration {
        let until = Instant::from_nanos(self.until.load(Ordering::Relaxed));
        let again = until.since(self.clock.rough());
        if again < CLOSE { until.since(self.clock.now()) } else { again }
    }

    fn decide(&self, word: u64) -> Result<Pass, Rejected> {
        let pass = || Ok(Pass::new(word, self.started()));
        if word & DISABLED != 0 {
            return pass();
        }
        if word & BLOCKED != 0 {
            return Err(Rejected::new(self.name, Reason::Open));
        }
        match word & PHASE {
            CLOSED => {
                if word & FAULTY != 0 && self.dice.under(self.fault.load(Ordering::Relaxed)) {
                    return Err(Rejected::new(self.name, Reason::Open));
                }
                pass()
            }
            OPEN => {
                let again = self.open_for();
                if !again.is_zero() || self.config.checked { Err(self.refuse(again)) } else { self.probe() }
            }
            RAMP => {
                let (since, until) = (self.since.load(Ordering::Relaxed), self.until.load(Ordering::Relaxed));
                let now = self.clock.now();
                let left = Instant::from_nanos(until).since(now);
                if left.is_zero() {
                    return self.ramp_over(word, now);
                }
                let whole = until.saturating_sub(since).max(1) as f64;
                let gone = 1.0 - left.as_nanos() as f64 / whole;
                let share = self.config.ramp.from + (1.0 - self.config.ramp.from) * gone;
                // The next one may pass: nothing to wait for.
                if self.dice.chance(share) { pass() } else { Err(self.refuse(Duration::ZERO)) }
            }
            _ => self.probe(),
        }
    }

    /// A refusal by an open breaker, with the numbers it opened for.
    #[inline]
    fn refuse(&self, again: Duration) -> Rejected {
        let (seen, span) = (self.seen.load(Ordering::Relaxed), self.span.load(Ordering::Relaxed));
        let no = Rejected::new(self.name, Reason::Open);
        let no = if span > 0 {
            no.numbers(seen & u64::from(u32::MAX), seen >> 32).over(Duration::from_nanos(span))
        } else {
            no
        };
        if again.is_zero() { no } else { no.retry_in(again) }
    }

    /// The open time is over, or the breaker is half-open: may one more try?
    fn probe(&self) -> Result<Pass, Rejected> {
        let now = self.clock.now();
        let mut state = self.lock();
        match state.machine.phase {
            Phase::Open if state.machine.until <= now => {
                state.machine.half_open(now);
                let probe = state.machine.probe(now, &self.config.probes);
                let word = self.publish(&state);
                drop(state);
                self.tell(Phase::HalfOpen.as_str(), "open time over");
                match probe {
                    Probe::Go(id) => Ok(Pass::new(word, now).probing(id)),
                    _ => Err(self.refuse(Duration::ZERO)),
                }
            }
            Phase::Open => Err(self.refuse(state.machine.until.since(now))),
            Phase::HalfOpen => match state.machine.probe(now, &self.config.probes) {
                Probe::Go(id) => Ok(Pass::new(self.word_of(&state), now).probing(id)),
                // A probe is back long before its lease is over, as a rule.
                Probe::Wait => Err(self.refuse(Duration::ZERO)),
                Probe::Hung => {
                    self.open(state, Cause::Hung);
                    Err(self.refuse(
                        Duration::from_nanos(self.until.load(Ordering::Relaxed))
                            .saturating_sub(Duration::from_nanos(now.as_nanos())),
                    ))
                }
            },
            Phase::Closed | Phase::Ramp => {
                // It has turned in the meantime.
                let word = self.word_of(&state);
                drop(state);
                self.decide(word)
            }
        }
    }

    fn ramp_over(&self, word: u64, now: Instant) -> Result<Pass, Rejected> {
        let mut state = self.lock();
        if state.machine.generation == generation(word) {
            state.machine.close(now);
            let word = self.turned(state, Cause::Ramp);
            return Ok(Pass::new(word, self.started()));
        }
        drop(state);
        self.decide(self.word.load(Ordering::Acquire))
    }

    /// How a call ended, as it counts.
    fn judge(&self, pass: Pass, outcome: Outcome) -> (Call, Instant) {
        let probing = pass.probe().is_some();
        let now = if self.timed || self.precise || probing { self.clock.now() } else { self.clock.rough() };
        let elapsed = (self.timed && !pass.is_reported()).then(|| now.since(pass.started()));
        let late = self.config.call_timeout.is_some_and(|most| elapsed.is_some_and(|took| took >= most));
        let cancelled = outcome == Outcome::Cancelled;
        let outcome = match (cancelled, late) {
            (true, true) => Outcome::TimedOut,
            (true, false) => self.config.cancelled,
            (false, _) => outcome,
        };
        (Call { outcome, cancelled, elapsed }, now)
    }

    #[inline(never)]
    fn ended(&self, started: Instant, generation: u32, probe: Option<u32>, outcome: Outcome) {
        self.observer.tell(|| Event::Ended { by: self.name, outcome });
        let word = self.word.load(Ordering::Acquire);
        // Closed, without any flag, and still the life of the breaker in which it was admitted: one look.
        let admitted = u64::from(generation) << GENERATION;
        if word == admitted && outcome == Outcome::Success && !self.timed {
            return self.count_success(generation);
        }
        let pass = Pass::new(admitted, started);
        self.count(word, probe.map_or(pass, |id| pass.probing(id)), outcome);
    }

    /// What [`count`](Self::count) comes to for nearly all calls.
    #[inline]
    fn count_success(&self, life: u32) {
        let now = if self.precise { self.clock.now() } else { self.clock.rough() };
        self.meters.iter().for_each(|meter| meter.count_good(life, now));
    }

    fn count(&self, word: u64, pass: Pass, outcome: Outcome) {
        // What was admitted in another life of the breaker says nothing about this one.
        if generation(word) != pass.generation() || word & DISABLED != 0 {
            return;
        }
        let (call, now) = self.judge(pass, outcome);
        if word & PHASE == CLOSED {
            // All of them count it; the first that says so opens.
            let mut tripped = None;
            for (n, meter) in self.meters.iter().enumerate() {
                if meter.count(call, pass.generation(), now) && tripped.is_none() {
                    tripped = Some(n);
                }
            }
            if let Some(meter) = tripped.and_then(|n| self.meters.get(n)) {
                self.trip(pass, meter, now);
            }
        } else {
            self.count_unusual(pass, call);
        }
    }

    #[cold]
    fn trip(&self, pass: Pass, meter: &Meter, now: Instant) {
        let (allowed, bad) = meter.counts(pass.generation(), now);
        let state = self.lock();
        if state.machine.generation == pass.generation() {
            let allowed = allowed.min(u64::from(u32::MAX));
            self.seen.store(bad.min(u64::from(u32::MAX)) << 32 | allowed, Ordering::Relaxed);
            let span = u64::try_from(meter.trip.span().as_nanos()).unwrap_or(u64::MAX);
            self.span.store(span, Ordering::Relaxed);
            self.open(state, Cause::Trip(meter.trip));
        }
    }

    /// Whether a call that ended so speaks for the dependency; `None`: it says nothing.
    ///
    /// It is bad if it is for one of the trips: what a closed breaker bears must not keep it open.
    fn verdict(&self, call: Call) -> Option<bool> {
        let weighed = || self.config.trips.iter().map(|trip| trip.weighs(call));
        if weighed().any(|bad| bad == Some(true)) {
            return Some(false);
        }
        match call.outcome {
            Outcome::Success => Some(true),
            Outcome::Ignored | Outcome::Cancelled => None,
            // Opened by hand alone, it has only the outcome to go by.
            _ if self.config.trips.is_empty() => Some(false),
            _ => weighed().any(|bad| bad == Some(false)).then_some(true),
        }
    }

    #[cold]
    fn count_unusual(&self, pass: Pass, call: Call) {
        let now = self.clock.now();
        let well = self.verdict(call);
        let mut state = self.lock();
        if state.machine.generation != pass.generation() {
            return;
        }
        match state.machine.phase {
            // Whoever comes first finds it out: one who asks, or one who comes back.
            Phase::HalfOpen if state.machine.is_hung(now) => drop(self.open(state, Cause::Hung)),
            Phase::HalfOpen => {
                let known = match pass.probe() {
                    Some(id) => state.machine.proved(id, well, &self.config.probes),
                    // Reported from the side: a bad word is enough, a good one is not.
                    None => well.filter(|well| !well),
                };
                match known {
                    Some(true) => {
                        state.machine.recover(now, &self.config.ramp);
                        self.turned(state, Cause::Probe);
                    }
                    Some(false) => drop(self.open(state, Cause::Probe)),
                    None => {}
                }
            }
            Phase::Ramp => {
                if let Some(well) = well
                    && state.machine.ramped(well, &self.config.ramp)
                {
                    self.open(state, Cause::Ramp);
                }
            }
            Phase::Open | Phase::Closed => {}
        }
    }

    /// It never began: whatever it holds is free again.
    fn refund(&self, pass: Pass) {
        if let Some(id) = pass.probe() {
            let mut state = self.lock();
            if state.machine.generation == pass.generation() {
                state.machine.proved(id, None, &self.config.probes);
            }
        }
    }

    fn open(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        if !matches!(cause, Cause::Trip(_)) {
            self.span.store(0, Ordering::Relaxed);
        }
        let by_hand = matches!(cause, Cause::Hand(_));
        state.machine.open(self.clock.now(), &self.config.open, self.dice.uniform(), by_hand);
        self.turned(state, cause)
    }

    /// After the machine has turned: everyone may know.
    fn turned(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        state.cause = cause;
        let phase = state.machine.phase;
        if phase == Phase::Closed {
            self.meters.iter().for_each(Meter::clear);
        }
        let word = self.publish(&state);
        drop(state);
        self.tell(phase.as_str(), cause.as_str());
        word
    }

    fn tell(&self, to: &'static str, why: &'static str) {
        self.observer.tell(|| Event::Turned { by: self.name, to, why });
    }

    fn word_of(&self, state: &State) -> u64 {
        let flag = |on: bool, flag: u64| if on { flag } else { 0 };
        code(state.machine.phase)
            | flag(state.disabled, DISABLED)
            | flag(state.blocked.is_some(), BLOCKED)
            | flag(state.fault > 0.0, FAULTY)
            | u64::from(state.machine.generation) << GENERATION
    }

    /// Under the lock: what an ask looks at is as the state says.
    fn publish(&self, state: &State) -> u64 {
        let word = self.word_of(state);
        self.since.store(state.machine.since.as_nanos(), Ordering::Relaxed);
        self.until.store(state.machine.until.as_nanos(), Ordering::Relaxed);
        // Release: see `admit`.
        self.word.store(word, Ordering::Release);
        word
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.publish(&state);
    }
}

/// The generation in a word.
pub(crate) const fn generation(word: u64) -> u32 {
    (word >> GENERATION) as u32
}

impl Settle for Breaker {
    type Token = Pass;
    #[inline]
    fn settle(&self, pass: Pass, outcome: Outcome) {
        // Field by field, and as small as this: the permit around it is taken apart in registers then. Put
        // together in memory, and read back in other pieces than it was written in, it costs as much as the rest.
        self.0.ended(pass.started(), pass.generation(), pass.probe(), outcome);
    }
    fn give_back(&self, pass: Pass) {
        self.0.observer.tell(|| Event::GivenBack { by: self.0.name });
        self.0.refund(pass);
    }
}

impl<R: ?Sized> Gate<R> for Breaker {
    #[inline(always)]
    fn admit(&self, _: &R) -> Result<Pass, Rejected> {
        self.0.admit()
    }
}

impl Inspect for Breaker {
    fn name(&self) -> &'static str {
        Breaker::name(self)
    }
    fn look(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let status = self.status();
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        each("closed", flag(status.phase == Phase::Closed));
        each("open", flag(status.phase == Phase::Open));
        each("half_open", flag(status.phase == Phase::HalfOpen));
        each("ramp", flag(status.phase == Phase::Ramp));
        each("blocked", flag(status.blocked.is_some()));
        each("disabled", flag(status.disabled));
        // Unlocked before it is shown: what is shown to is somebody else's code.
        let fault = self.0.lock().fault;
        each("fault", fault);
    }
    /// Knobs: `fault` (a share), `open` (1: trips it; 0: resets it), `blocked` and `disabled` (1 or 0).
    fn turn(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        let flag = |field| match value {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(ControlError::new(field, value, "0 or 1")),
        };
        match knob {
            "fault" => self.set_fault(value)?,
            "open" if flag("open")? => self.trip("by hand"),
            "open" => self.reset(),
            "blocked" if flag("blocked")? => self.block("by hand"),
            "blocked" => self.unblock(),
            "disabled" if flag("disabled")? => self.disable(),
            "disabled" => self.enable(),
            other => return Err(ControlError::new("knob", other, "one of fault, open, blocked, disabled")),
        }
        Ok(())
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.0.name).field("status", &self.status()).finish()
    }
}
