//! Admitting and rejecting calls.

use super::Shared;
use super::word::{BLOCKED, CLOSED, DISABLED, FAULTY, LOW, OPEN, PHASE, RAMP, generation};
use crate::machine::{CircuitState, Probe};
use crate::pass::Pass;
use crate::status::Cause;
use plimsoll_core::parts::TWO_TICKS;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Event, Instant, Reason, Rejected};

impl Shared {
    /// Returns the start of a call, if calls are timed.
    #[inline]
    fn started(&self) -> Instant {
        if self.live.flags().is_timed() { self.clock.now() } else { Pass::UNTIMED }
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
        (word & LOW == CLOSED).then(|| {
            self.emit(|| Event::admitted(self.name));
            Pass::new(word, self.started())
        })
    }

    /// Decides about a call to a breaker that is not closed or has a flag.
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
                if again > 0 || self.live.flags().is_health_checked() {
                    Err(self.rejected(again))
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
                let start = f64::from_bits(self.ramp_start.load(Ordering::Relaxed));
                let share = start + (1.0 - start) * gone;
                // The next call may be admitted, so the rejection states no time.
                if self.dice.chance(share) { pass() } else { Err(self.rejected(0)) }
            }
            _ => self.probe(),
        }
    }

    /// Creates a rejection with the counts that opened the breaker, for `again` nanoseconds.
    #[inline]
    fn rejected(&self, again: u64) -> Rejected {
        let (seen, span) = (self.seen.load(Ordering::Relaxed), self.span.load(Ordering::Relaxed));
        let rejected = Rejected::new(self.name, Reason::Open);
        let rejected = if span > 0 {
            rejected.numbers(seen & u64::from(u32::MAX), seen >> 32).over_nanos(span)
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
                let word = self.publish(&state);
                drop(state);
                self.emit_state(CircuitState::HalfOpen.as_str(), "open time over");
                match probe {
                    Probe::Go(id) => Ok(Pass::new(word, now).probing(id)),
                    _ => Err(self.rejected(0)),
                }
            }
            CircuitState::Open => {
                Err(self.rejected(state.machine.until.as_nanos().saturating_sub(now.as_nanos())))
            }
            CircuitState::HalfOpen => match state.machine.probe(now, &probes) {
                Probe::Go(id) => Ok(Pass::new(self.word_of(&state), now).probing(id)),
                // A probe usually ends long before its lease does, so the rejection states no time.
                Probe::Wait => Err(self.rejected(0)),
                Probe::Hung => {
                    self.open(state, Cause::Hung);
                    Err(self.rejected(self.open_for()))
                }
            },
            CircuitState::Closed | CircuitState::Ramp => {
                // Another thread has changed the state in the meantime.
                let word = self.word_of(&state);
                drop(state);
                self.decide(word)
            }
        }
    }

    /// Admits a call after the end of the ramp, and closes the breaker.
    fn ramp_over(&self, word: u64, now: Instant) -> Result<Pass, Rejected> {
        let mut state = self.lock();
        if state.machine.generation == generation(word) {
            state.machine.close(now);
            let word = self.state_changed(state, Cause::Ramp);
            return Ok(Pass::new(word, self.started()));
        }
        drop(state);
        self.decide(self.word.load(Ordering::Acquire))
    }
}
