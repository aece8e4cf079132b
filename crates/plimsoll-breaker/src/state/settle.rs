//! Counting how calls end.

use super::Shared;
use super::word::{CLOSED, DISABLED, GENERATION, PHASE, generation};
use crate::machine::CircuitState;
use crate::meter::Meter;
use crate::pass::Pass;
use crate::status::Cause;
use crate::trip::Call;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Event, Instant, Outcome};

impl Shared {
    /// Interprets how a call ended: its outcome as it counts, and the time it took.
    fn judge(&self, pass: Pass, outcome: Outcome) -> (Call, Instant) {
        let probing = pass.probe().is_some();
        let now = if self.timed || self.precise || probing { self.clock.now() } else { self.clock.coarse() };
        let elapsed = (self.timed && !pass.is_reported()).then(|| now.since(pass.started()));
        let late = self.config.call_timeout.is_some_and(|max| elapsed.is_some_and(|took| took >= max));
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
        // The word of a closed breaker without any flag, in the generation that admitted the call.
        let admitted = u64::from(generation) << GENERATION;
        if word == admitted && outcome == Outcome::Success && !self.timed {
            return self.count_success(generation);
        }
        let pass = Pass::new(admitted, started);
        self.count(word, probe.map_or(pass, |id| pass.probing(id)), outcome);
    }

    /// The fast path of [`count`](Self::count): a success of a closed breaker.
    #[inline]
    fn count_success(&self, life: u32) {
        let now = if self.precise { self.clock.now() } else { self.clock.coarse() };
        self.meters.iter().for_each(|meter| meter.count_good(life, now));
    }

    pub(crate) fn count(&self, word: u64, pass: Pass, outcome: Outcome) {
        // A call admitted in an earlier generation says nothing about this one.
        if generation(word) != pass.generation() || word & DISABLED != 0 {
            return;
        }
        let (call, now) = self.judge(pass, outcome);
        if word & PHASE == CLOSED {
            // Every meter counts it. The first one whose trip is fulfilled opens the breaker.
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

    /// Returns whether the end of a call speaks for the dependency, or `None` if it says nothing.
    ///
    /// It is bad if it is bad for a trip. What a closed breaker tolerates must not keep it open.
    fn verdict(&self, call: Call) -> Option<bool> {
        let weighed = || self.config.trips.iter().map(|trip| trip.weighs(call));
        if weighed().any(|bad| bad == Some(true)) {
            return Some(false);
        }
        match call.outcome {
            Outcome::Success => Some(true),
            Outcome::Ignored | Outcome::Cancelled => None,
            // A breaker without trips has only the outcome to go by.
            _ if self.config.trips.is_empty() => Some(false),
            _ => weighed().any(|bad| bad == Some(false)).then_some(true),
        }
    }

    /// Counts the end of a call while the breaker is half-open or on the ramp.
    #[cold]
    fn count_unusual(&self, pass: Pass, call: Call) {
        let now = self.clock.now();
        let well = self.verdict(call);
        let mut state = self.lock();
        if state.machine.generation != pass.generation() {
            return;
        }
        match state.machine.phase {
            // A hung probe is found by whichever comes first: the next admission or the next result.
            CircuitState::HalfOpen if state.machine.is_hung(now) => drop(self.open(state, Cause::Hung)),
            CircuitState::HalfOpen => {
                let known = match pass.probe() {
                    Some(id) => state.machine.proved(id, well, &self.config.probes),
                    // A report without a probe: a failure is enough, a success is not.
                    None => well.filter(|well| !well),
                };
                match known {
                    Some(true) => {
                        state.machine.recover(now, &self.config.ramp);
                        self.state_changed(state, Cause::Probe);
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

    /// Takes back the pass of a call that never began. A probe frees its place.
    pub(crate) fn refund(&self, pass: Pass) {
        if let Some(id) = pass.probe() {
            let mut state = self.lock();
            if state.machine.generation == pass.generation() {
                state.machine.proved(id, None, &self.config.probes);
            }
        }
    }
}
