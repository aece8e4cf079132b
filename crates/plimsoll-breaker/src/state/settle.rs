//! Counting the outcomes of calls.

use super::live::Flags;
use super::word::{CLOSED, DISABLED, PHASE, generation, life};
use super::{Shared, State};
use crate::machine::CircuitState;
use crate::meter::Meter;
use crate::pass::Pass;
use crate::status::Cause;
use crate::trip::{Call, Trip};
use plimsoll_core::parts::nanos;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Event, Instant, Outcome};

impl Shared {
    /// Returns what the end of a call counts as, and the present.
    fn judge(&self, flags: Flags, pass: Pass, outcome: Outcome) -> (Call, Instant) {
        let precise = flags.is_timed() || flags.is_precise() || pass.probe().is_some();
        let now = if precise { self.clock.now() } else { self.clock.coarse() };
        // A call that was admitted while calls were not timed has no start.
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

    /// Records the outcome of a call.
    #[inline(never)]
    pub(crate) fn ended(&self, started: Instant, generation: u32, probe: Option<u32>, outcome: Outcome) {
        self.observer.emit(|| Event::completed(self.name, outcome));
        // Acquire: pairs with the Release store in `publish`. A thread that sees a life also sees
        // its trips.
        let word = self.word.load(Ordering::Acquire);
        let flags = self.live.flags();
        // Equal only if the breaker is closed without flags and in the generation that admitted the
        // call.
        if word as u32 == generation && outcome == Outcome::Success && !flags.is_timed() {
            return self.count_success(flags, life(word));
        }
        let pass = Pass::new(u64::from(generation), started);
        self.count(word, probe.map_or(pass, |id| pass.probing(id)), outcome);
    }

    /// Counts a success of a closed breaker. The fast path of [`count`](Self::count).
    #[inline]
    fn count_success(&self, flags: Flags, life: u32) {
        let now = if flags.is_precise() { self.clock.now() } else { self.clock.coarse() };
        self.meters.count_success(flags.kinds(), life, now);
    }

    /// Counts an outcome in the state of this word.
    pub(crate) fn count(&self, word: u64, pass: Pass, outcome: Outcome) {
        // A call that was admitted in another generation does not count.
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

    /// Opens the breaker because the trip of this meter is fulfilled.
    #[cold]
    fn trip(&self, word: u64, meter: &Meter, now: Instant) {
        let state = self.lock();
        // Another thread may have changed the state or the trips in the meantime. If the life is
        // the same, all numbers that led here are of one trip, because they change only under the
        // lock.
        let same = state.machine.generation == generation(word) && state.machine.life == life(word);
        if same {
            let trip = meter.trip();
            let (allowed, bad) = meter.counts(&trip, life(word), now);
            let allowed = allowed.min(u64::from(u32::MAX));
            self.seen.store(bad.min(u64::from(u32::MAX)) << 32 | allowed, Ordering::Relaxed);
            self.span.store(nanos(trip.within), Ordering::Relaxed);
            self.open(state, Cause::Trip(trip));
        }
    }

    /// Returns whether a call shows that the dependency works, or `None` if it shows nothing.
    ///
    /// A call is bad if it is bad for a trip. Calls that a closed breaker tolerates must not keep
    /// it open.
    fn verdict(trips: &[Trip], call: Call) -> Option<bool> {
        let weighed = || trips.iter().map(|trip| trip.weighs(call));
        if weighed().any(|bad| bad == Some(true)) {
            return Some(false);
        }
        match call.outcome {
            Outcome::Success => Some(true),
            Outcome::Ignored | Outcome::Cancelled => None,
            // Without trips, the outcome alone decides.
            _ if trips.is_empty() => Some(false),
            _ => weighed().any(|bad| bad == Some(false)).then_some(true),
        }
    }

    /// Counts an outcome while the breaker is half-open or on the ramp.
    #[cold]
    fn count_unusual(&self, pass: Pass, call: Call) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.machine.generation != pass.generation() {
            return;
        }
        let State { machine, config, .. } = &mut *state;
        let healthy = Self::verdict(&config.trips, call);
        match machine.phase {
            // A hung probe is detected by the next admission or the next outcome, whichever is
            // first.
            CircuitState::HalfOpen if machine.is_hung(now) => drop(self.open(state, Cause::Hung)),
            CircuitState::HalfOpen => {
                let known = match pass.probe() {
                    Some(id) => machine.end_probe(id, healthy, &config.probes),
                    // An outcome without a probe: a failure opens the breaker, a success is
                    // ignored.
                    None => healthy.filter(|healthy| !healthy),
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
                if let Some(healthy) = healthy
                    && machine.end_on_ramp(healthy)
                {
                    self.open(state, Cause::Ramp);
                }
            }
            CircuitState::Open | CircuitState::Closed => {}
        }
    }

    /// Refunds the pass of a call that never began. A probe frees its place.
    pub(crate) fn refund(&self, pass: Pass) {
        if let Some(id) = pass.probe() {
            let State { machine, config, .. } = &mut *self.lock();
            if machine.generation == pass.generation() {
                machine.end_probe(id, None, &config.probes);
            }
        }
    }
}
