//! Counting how calls end.

use super::live::Flags;
use super::word::{CLOSED, DISABLED, PHASE, generation, life};
use super::{Shared, State};
use crate::machine::CircuitState;
use crate::meter::Meter;
use crate::pass::Pass;
use crate::status::Cause;
use crate::trip::{Call, Trip};
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Event, Instant, Outcome};

impl Shared {
    /// Interprets how a call ended: its outcome as it counts, and the time it took.
    fn judge(&self, flags: Flags, pass: Pass, outcome: Outcome) -> (Call, Instant) {
        let precise = flags.is_timed() || flags.is_precise() || pass.probe().is_some();
        let now = if precise { self.clock.now() } else { self.clock.coarse() };
        // A call that was admitted while no call was timed has no start.
        let elapsed = (flags.is_timed() && pass.is_timed()).then(|| now.since(pass.started()));
        let late = elapsed.is_some_and(|took| self.live.is_late(took));
        let cancelled = outcome == Outcome::Cancelled;
        let outcome = match (cancelled, late) {
            (true, true) => Outcome::TimedOut,
            (true, false) => flags.cancelled(),
            (false, _) => outcome,
        };
        (Call { outcome, cancelled, elapsed }, now)
    }

    #[inline(never)]
    pub(crate) fn ended(&self, started: Instant, generation: u32, probe: Option<u32>, outcome: Outcome) {
        self.observer.emit(|| Event::completed(self.name, outcome));
        // Acquire: pairs with the Release store in `publish`. A thread that sees a life also sees the
        // trips that are counted in it.
        let word = self.word.load(Ordering::Acquire);
        let flags = self.live.flags();
        // The lower half of the word of a closed breaker without flags is the generation, here the one
        // that admitted the call.
        if word as u32 == generation && outcome == Outcome::Success && !flags.is_timed() {
            return self.count_success(flags, life(word));
        }
        let pass = Pass::new(u64::from(generation), started);
        self.count(word, probe.map_or(pass, |id| pass.probing(id)), outcome);
    }

    /// The fast path of [`count`](Self::count): a success of a closed breaker.
    #[inline]
    fn count_success(&self, flags: Flags, life: u32) {
        let now = if flags.is_precise() { self.clock.now() } else { self.clock.coarse() };
        self.meters.count_success(flags.kinds(), life, now);
    }

    pub(crate) fn count(&self, word: u64, pass: Pass, outcome: Outcome) {
        // A call admitted in an earlier generation says nothing about this one.
        if generation(word) != pass.generation() || word & DISABLED != 0 {
            return;
        }
        let flags = self.live.flags();
        let (call, now) = self.judge(flags, pass, outcome);
        if word & PHASE != CLOSED {
            self.count_unusual(pass, call);
        } else if let Some(meter) = self.meters.count(flags.kinds(), call, life(word), now) {
            self.trip(word, meter, now);
        }
    }

    #[cold]
    fn trip(&self, word: u64, meter: &Meter, now: Instant) {
        let state = self.lock();
        // Another thread may have changed the state or the trips meanwhile. In the same life all numbers
        // that led here are of one trip, because they change under the lock alone.
        let same = state.machine.generation == generation(word) && state.machine.life == life(word);
        if same {
            let trip = meter.trip();
            let (allowed, bad) = meter.counts(&trip, life(word), now);
            let allowed = allowed.min(u64::from(u32::MAX));
            self.seen.store(bad.min(u64::from(u32::MAX)) << 32 | allowed, Ordering::Relaxed);
            let span = u64::try_from(trip.within.as_nanos()).unwrap_or(u64::MAX);
            self.span.store(span, Ordering::Relaxed);
            self.open(state, Cause::Trip(trip));
        }
    }

    /// Returns whether the end of a call speaks for the dependency, or `None` if it says nothing.
    ///
    /// It is bad if it is bad for a trip. What a closed breaker tolerates must not keep it open.
    fn verdict(trips: &[Trip], call: Call) -> Option<bool> {
        let weighed = || trips.iter().map(|trip| trip.weighs(call));
        if weighed().any(|bad| bad == Some(true)) {
            return Some(false);
        }
        match call.outcome {
            Outcome::Success => Some(true),
            Outcome::Ignored | Outcome::Cancelled => None,
            // A breaker without trips has only the outcome to go by.
            _ if trips.is_empty() => Some(false),
            _ => weighed().any(|bad| bad == Some(false)).then_some(true),
        }
    }

    /// Counts the end of a call while the breaker is half-open or on the ramp.
    #[cold]
    fn count_unusual(&self, pass: Pass, call: Call) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.machine.generation != pass.generation() {
            return;
        }
        let State { machine, config, .. } = &mut *state;
        let well = Self::verdict(&config.trips, call);
        match machine.phase {
            // A hung probe is found by whichever comes first: the next admission or the next result.
            CircuitState::HalfOpen if machine.is_hung(now) => drop(self.open(state, Cause::Hung)),
            CircuitState::HalfOpen => {
                let known = match pass.probe() {
                    Some(id) => machine.proved(id, well, &config.probes),
                    // A report without a probe: a failure is enough, a success is not.
                    None => well.filter(|well| !well),
                };
                match known {
                    Some(true) => {
                        machine.recover(now, &config.ramp);
                        self.state_changed(state, Cause::Probe);
                    }
                    Some(false) => drop(self.open(state, Cause::Probe)),
                    None => {}
                }
            }
            CircuitState::Ramp => {
                if let Some(well) = well
                    && machine.ramped(well, &config.ramp)
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
            let State { machine, config, .. } = &mut *self.lock();
            if machine.generation == pass.generation() {
                machine.proved(id, None, &config.probes);
            }
        }
    }
}
