//! What all handles of a breaker share, and what they do to it.

use crate::config::CircuitBreakerConfig;
use crate::machine::{CircuitState, Machine, Probe};
use crate::pass::Pass;
use crate::status::Cause;
use crate::trip::{Call, Meter};
use plimsoll_core::parts::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use plimsoll_core::{Clock, Dice, Event, Instant, Observer, Outcome, Reason, Rejected};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) config: Arc<CircuitBreakerConfig>,
    pub(crate) meters: Box<[Meter]>,
    /// Phase, flags and generation in one word: all that an ask of a closed breaker looks at.
    pub(crate) word: AtomicU64,
    /// Of the present phase, in nanoseconds. Written before the word.
    pub(crate) since: AtomicU64,
    pub(crate) until: AtomicU64,
    /// What it opened for: how many bad ones, of how many.
    pub(crate) seen: AtomicU64,
    pub(crate) span: AtomicU64,
    pub(crate) fault: AtomicU64,
    pub(crate) state: Mutex<State>,
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    pub(crate) observer: Observer,
    /// Whether calls are timed.
    pub(crate) timed: bool,
    /// Whether the windows are too short for a coarse clock.
    pub(crate) precise: bool,
}

pub(crate) struct State {
    pub(crate) machine: Machine,
    pub(crate) cause: Cause,
    pub(crate) blocked: Option<&'static str>,
    pub(crate) disabled: bool,
    pub(crate) fault: f64,
}

pub(crate) const CLOSED: u64 = 0;
pub(crate) const OPEN: u64 = 1;
pub(crate) const HALF_OPEN: u64 = 2;
pub(crate) const RAMP: u64 = 3;
pub(crate) const PHASE: u64 = 3;
const DISABLED: u64 = 4;
const BLOCKED: u64 = 8;
const FAULTY: u64 = 16;
pub(crate) const LOW: u64 = 255;
const GENERATION: u32 = 8;

const fn code(phase: CircuitState) -> u64 {
    match phase {
        CircuitState::Closed => CLOSED,
        CircuitState::Open => OPEN,
        CircuitState::HalfOpen => HALF_OPEN,
        CircuitState::Ramp => RAMP,
    }
}

/// A coarse clock may be two ticks behind: a refusal this close to its end is looked at again precisely.
const CLOSE: Duration = Duration::from_millis(20);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
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
    pub(crate) fn admit_usual(&self) -> Option<Pass> {
        // Acquire: whoever sees a phase sees what was written for it.
        let word = self.word.load(Ordering::Acquire);
        (word & LOW == CLOSED).then(|| {
            self.observer.emit(|| Event::admitted(self.name));
            Pass::new(word, self.started())
        })
    }

    #[inline(never)]
    pub(crate) fn admit_unusual(&self) -> Result<Pass, Rejected> {
        let word = self.word.load(Ordering::Acquire);
        if word & LOW == OPEN {
            let again = self.open_for();
            if !again.is_zero() {
                // Made twice where someone listens: each move of a refusal costs more than making it.
                self.observer.emit(|| Event::rejected(self.refuse(again)));
                return Err(self.refuse(again));
            }
        }
        self.admit_rare(word)
    }

    #[cold]
    #[inline(never)]
    fn admit_rare(&self, word: u64) -> Result<Pass, Rejected> {
        let decision = self.decide(word);
        self.observer.emit_decision(self.name, decision)
    }

    /// How long an open breaker has still to be open.
    #[inline]
    fn open_for(&self) -> Duration {
        let until = Instant::from_nanos(self.until.load(Ordering::Relaxed));
        let again = until.since(self.clock.coarse());
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
                if !again.is_zero() || self.config.health_checked {
                    Err(self.refuse(again))
                } else {
                    self.probe()
                }
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
                let share = self.config.ramp.start + (1.0 - self.config.ramp.start) * gone;
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
            CircuitState::Open if state.machine.until <= now => {
                state.machine.half_open(now);
                let probe = state.machine.probe(now, &self.config.probes);
                let word = self.publish(&state);
                drop(state);
                self.tell(CircuitState::HalfOpen.as_str(), "open time over");
                match probe {
                    Probe::Go(id) => Ok(Pass::new(word, now).probing(id)),
                    _ => Err(self.refuse(Duration::ZERO)),
                }
            }
            CircuitState::Open => Err(self.refuse(state.machine.until.since(now))),
            CircuitState::HalfOpen => match state.machine.probe(now, &self.config.probes) {
                Probe::Go(id) => Ok(Pass::new(self.word_of(&state), now).probing(id)),
                // A probe is back long before its lease is over, as a rule.
                Probe::Wait => Err(self.refuse(Duration::ZERO)),
                Probe::Hung => {
                    self.open(state, Cause::Hung);
                    Err(self.refuse(self.open_for()))
                }
            },
            CircuitState::Closed | CircuitState::Ramp => {
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
        let now = if self.timed || self.precise || probing { self.clock.now() } else { self.clock.coarse() };
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
    pub(crate) fn ended(&self, started: Instant, generation: u32, probe: Option<u32>, outcome: Outcome) {
        self.observer.emit(|| Event::completed(self.name, outcome));
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
        let now = if self.precise { self.clock.now() } else { self.clock.coarse() };
        self.meters.iter().for_each(|meter| meter.count_good(life, now));
    }

    pub(crate) fn count(&self, word: u64, pass: Pass, outcome: Outcome) {
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
            CircuitState::HalfOpen if state.machine.is_hung(now) => drop(self.open(state, Cause::Hung)),
            CircuitState::HalfOpen => {
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
            CircuitState::Ramp => {
                if let Some(well) = well
                    && state.machine.ramped(well, &self.config.ramp)
                {
                    self.open(state, Cause::Ramp);
                }
            }
            CircuitState::Open | CircuitState::Closed => {}
        }
    }

    /// It never began: whatever it holds is free again.
    pub(crate) fn refund(&self, pass: Pass) {
        if let Some(id) = pass.probe() {
            let mut state = self.lock();
            if state.machine.generation == pass.generation() {
                state.machine.proved(id, None, &self.config.probes);
            }
        }
    }

    pub(crate) fn open(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        if !matches!(cause, Cause::Trip(_)) {
            self.span.store(0, Ordering::Relaxed);
        }
        let by_hand = matches!(cause, Cause::Operator(_));
        state.machine.open(self.clock.now(), &self.config.open, self.dice.uniform(), by_hand);
        self.turned(state, cause)
    }

    /// After the machine has turned: everyone may know.
    pub(crate) fn turned(&self, mut state: MutexGuard<'_, State>, cause: Cause) -> u64 {
        state.cause = cause;
        let phase = state.machine.phase;
        if phase == CircuitState::Closed {
            self.meters.iter().for_each(Meter::clear);
        }
        let word = self.publish(&state);
        drop(state);
        self.tell(phase.as_str(), cause.as_str());
        word
    }

    pub(crate) fn tell(&self, to: &'static str, why: &'static str) {
        self.observer.emit(|| Event::state_changed(self.name, to, why));
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

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.publish(&state);
    }
}

/// The generation in a word.
pub(crate) const fn generation(word: u64) -> u32 {
    (word >> GENERATION) as u32
}
