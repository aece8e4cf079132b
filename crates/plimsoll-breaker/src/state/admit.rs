//! Admitting and rejecting calls.

use super::live::Flags;
use super::word::{BLOCKED, CLOSED, DISABLED, FAULTY, LOW, OPEN, PHASE, RAMP, generation};
use super::{CAUSE, MAX_NUMBER, Shared, State};
use crate::machine::{CircuitState, Probe};
use crate::pass::Pass;
use crate::status::Cause;
use plimsoll_core::parts::TWO_TICKS;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Event, Instant, OpenCause, Reason, Rejected};
use std::time::Duration;

impl Shared {
    /// Admits a call in the state of this word, or returns `None` if calls that are overdue must be
    /// counted first.
    #[inline(always)]
    fn begin(&self, word: u64) -> Option<Pass> {
        let flags = self.live.flags();
        if !flags.is_timed() {
            return Some(Pass::new(word, Pass::UNTIMED));
        }
        let now = self.now(flags);
        self.in_flight.start(generation(word), now).then(|| Pass::new(word, now))
    }

    /// Returns the present, by the coarse clock if that is precise enough for the settings.
    #[inline]
    pub(super) fn now(&self, flags: Flags) -> Instant {
        if flags.is_precise() { self.clock.now() } else { self.clock.coarse() }
    }

    /// Admits or rejects a call.
    #[inline(always)]
    pub(crate) fn admit(&self) -> Result<Pass, Rejected> {
        match self.admit_usual() {
            Some(pass) => Ok(pass),
            None => self.admit_unusual(),
        }
    }

    /// Admits a call if the breaker is closed.
    #[inline(always)]
    pub(crate) fn admit_usual(&self) -> Option<Pass> {
        // Acquire: pairs with the Release store in `publish`. A thread that sees a life also sees
        // its settings.
        let word = self.word.load(Ordering::Acquire);
        let pass = if word & LOW == CLOSED { self.begin(word) } else { None };
        if pass.is_some() {
            self.emit(|| Event::admitted(self.name));
        }
        pass
    }

    /// Decides about a call to a breaker that is not closed, has a flag, or must look for overdue
    /// calls.
    #[inline(never)]
    pub(crate) fn admit_unusual(&self) -> Result<Pass, Rejected> {
        // Acquire: pairs with the Release store in `publish`. A thread that sees a phase also sees
        // its bounds and counts.
        let word = self.word.load(Ordering::Acquire);
        if word & LOW == OPEN {
            let again = self.open_for();
            if again > 0 {
                // Created twice if there is an observer: moving a rejection costs more than
                // creating it.
                self.emit(|| Event::rejected(self.rejected(again)));
                return Err(self.rejected(again));
            }
        }
        self.admit_rare(word)
    }

    /// Decides about a call in the rare cases, and emits the event.
    #[cold]
    #[inline(never)]
    fn admit_rare(&self, word: u64) -> Result<Pass, Rejected> {
        let decision = self.decide(word);
        self.emit(|| match &decision {
            Ok(_) => Event::admitted(self.name),
            Err(rejected) => Event::rejected(*rejected),
        });
        decision
    }

    /// Returns the remaining open time in nanoseconds.
    #[inline]
    fn open_for(&self) -> u64 {
        let until = self.until.load(Ordering::Relaxed);
        let again = until.saturating_sub(self.clock.coarse().as_nanos());
        // If the open time ends within the lag of the coarse clock, the precise one decides.
        if again < TWO_TICKS { until.saturating_sub(self.clock.now().as_nanos()) } else { again }
    }

    /// Decides about a call by this word.
    fn decide(&self, word: u64) -> Result<Pass, Rejected> {
        let rejected = |cause| Err(Rejected::new(self.name, Reason::Open).because(cause));
        let pass = || match self.begin(word) {
            Some(pass) => Ok(pass),
            None => {
                self.count_overdue();
                self.decide(self.word.load(Ordering::Acquire))
            }
        };
        if word & DISABLED != 0 {
            return Ok(Pass::new(word, Pass::UNTIMED));
        }
        if word & BLOCKED != 0 {
            return rejected(OpenCause::Blocked);
        }
        match word & PHASE {
            CLOSED => {
                if word & FAULTY != 0 && self.dice.under(self.fault.load(Ordering::Relaxed)) {
                    return rejected(OpenCause::InjectedFault);
                }
                pass()
            }
            OPEN => {
                let again = self.open_for();
                if again > 0 || self.is_awaiting_check() { Err(self.rejected(again)) } else { self.probe() }
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
                let start = f64::from_bits(self.ramp_start.load(Ordering::Relaxed));
                let share = start + (1.0 - start) * gone;
                if self.dice.chance(share) { pass() } else { Err(self.later(OpenCause::Ramp, left)) }
            }
            _ => self.probe(),
        }
    }

    /// Returns whether a health check may still decide, so that no call is a probe.
    fn is_awaiting_check(&self) -> bool {
        let delay = self.live.probe_delay();
        let until = self.until.load(Ordering::Relaxed).saturating_add(delay);
        delay > 0 && self.clock.coarse().as_nanos() < until
    }

    /// Creates a rejection for the rest of a phase that ends in `left`.
    ///
    /// It states half of that time. So callers that were rejected throughout the phase do not all
    /// return at its end.
    fn later(&self, cause: OpenCause, left: Duration) -> Rejected {
        Rejected::new(self.name, Reason::Open).because(cause).retry_in(left / 2)
    }

    /// Creates a rejection with the counts that opened the breaker, for `again` nanoseconds.
    #[inline]
    fn rejected(&self, again: u64) -> Rejected {
        let (seen, span) = (self.seen.load(Ordering::Relaxed), self.span.load(Ordering::Relaxed));
        let rejected = Rejected::new(self.name, Reason::Open).because_number(seen >> CAUSE);
        let rejected = if span > 0 {
            rejected.numbers(seen & MAX_NUMBER, seen >> 32).over_nanos(span)
        } else {
            rejected
        };
        if again == 0 { rejected } else { rejected.retry_in_nanos(again) }
    }

    /// Decides about a probe, after the open time or while half-open.
    fn probe(&self) -> Result<Pass, Rejected> {
        let now = self.clock.now();
        let mut state = self.lock();
        let probes = state.config.probes;
        match state.machine.phase {
            CircuitState::Open if state.machine.until <= now => {
                state.machine.half_open(now);
                let probe = state.machine.probe(now, &probes);
                let word = self.publish(&mut state);
                let why = if state.config.health_checked { "no health check" } else { "open time over" };
                drop(state);
                self.emit_state(CircuitState::HalfOpen.as_str(), why);
                self.go(word, probe, now)
            }
            CircuitState::Open => {
                Err(self.rejected(state.machine.until.as_nanos().saturating_sub(now.as_nanos())))
            }
            CircuitState::HalfOpen => {
                let State { machine, config, .. } = &mut *state;
                if machine.end_hung(now, config) {
                    self.open(state, Cause::Hung);
                    return Err(self.rejected(self.open_for()));
                }
                let probe = machine.probe(now, &probes);
                self.go(self.word_of(&state), probe, now)
            }
            CircuitState::Closed | CircuitState::Ramp => {
                // Another thread has changed the state in the meantime.
                let word = self.word_of(&state);
                drop(state);
                self.decide(word)
            }
        }
    }

    /// Admits or rejects a call as a probe.
    fn go(&self, word: u64, probe: Probe, now: Instant) -> Result<Pass, Rejected> {
        match probe {
            Probe::Go(id) => Ok(Pass::new(word, now).probing(id)),
            Probe::Wait(until) => Err(self.later(OpenCause::Probing, until.since(now))),
        }
    }

    /// Admits a call after the end of the ramp, and closes the breaker.
    fn ramp_over(&self, word: u64, now: Instant) -> Result<Pass, Rejected> {
        let mut state = self.lock();
        if state.machine.generation == generation(word) {
            state.machine.end_ramp(now);
            self.state_changed(state, Cause::Ramp);
        } else {
            drop(state);
        }
        self.decide(self.word.load(Ordering::Acquire))
    }
}
