//! Counting the outcomes of calls.

use super::live::Flags;
use super::word::{DISABLED, HALF_OPEN, OPEN, PHASE, generation, life};
use super::{CAUSE, MAX_NUMBER, Shared, State};
use crate::machine::{CircuitState, Verdict};
use crate::meter::Fulfilled;
use crate::pass::Pass;
use crate::status::Cause;
use crate::trip::Call;
use plimsoll_core::parts::nanos;
use plimsoll_core::parts::sync::Ordering;
use plimsoll_core::{Event, Instant, Outcome};

impl Shared {
    /// Returns what the end of a call counts as, and the present.
    fn judge(&self, flags: Flags, pass: Pass, outcome: Outcome) -> (Call, Instant) {
        let now = if pass.probe().is_some() { self.clock.now() } else { self.now(flags) };
        // A call that was admitted while calls were not timed has no start.
        let timed = flags.is_timed() && pass.is_timed();
        let elapsed = timed.then(|| now.since(pass.started()));
        let late = timed && self.live.is_late(pass.started(), now);
        let cancelled = outcome == Outcome::Cancelled;
        let outcome = match outcome {
            Outcome::Success | Outcome::Cancelled if late => Outcome::TimedOut,
            Outcome::Cancelled => flags.cancelled(),
            outcome => outcome,
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
        if word as u32 == generation && outcome == Outcome::Success && !flags.has_slow() {
            let now = self.now(flags);
            let timed = flags.is_timed() && started != Pass::UNTIMED;
            if !timed || !self.live.is_late(started, now) {
                if timed {
                    self.in_flight.end(generation, started);
                }
                return self.meters.count_success(flags.kinds(), life(word), now);
            }
        }
        let pass = Pass::new(u64::from(generation), started);
        self.count(word, probe.map_or(pass, |id| pass.probing(id)), outcome);
    }

    /// Counts an outcome in the state of this word.
    pub(crate) fn count(&self, word: u64, pass: Pass, outcome: Outcome) {
        // A call that was admitted in another generation does not count.
        if generation(word) != pass.generation() || word & DISABLED != 0 {
            return;
        }
        let flags = self.live.flags();
        let (call, now) = self.judge(flags, pass, outcome);
        if matches!(word & PHASE, OPEN | HALF_OPEN) {
            return self.count_probe(pass, call);
        }
        if flags.is_timed() && pass.is_timed() {
            if self.in_flight.is_counted(pass.started()) {
                return;
            }
            self.in_flight.end(pass.generation(), pass.started());
        }
        let fulfilled = self.meters.count(flags.kinds(), call, life(word), now);
        if !fulfilled.is_empty() {
            self.trip(word, fulfilled, now);
        }
    }

    /// Counts calls as timed out that are in flight beyond the call time-out, if a look is due.
    #[cold]
    pub(crate) fn count_overdue(&self) {
        let flags = self.live.flags();
        let now = self.now(flags);
        // Acquire: pairs with the Release store in `publish`. A thread that sees a life also sees
        // its trips.
        let word = self.word.load(Ordering::Acquire);
        let Some(overdue) = self.in_flight.look(generation(word), now) else { return };
        if matches!(word & PHASE, OPEN | HALF_OPEN) || word & DISABLED != 0 {
            return;
        }
        let elapsed = self.live.call_timeout();
        let call = Call { outcome: Outcome::TimedOut, cancelled: false, elapsed };
        let count = |_| self.meters.count(flags.kinds(), call, life(word), now);
        let fulfilled = (0..overdue).map(count).fold(Fulfilled::default(), Fulfilled::or);
        if !fulfilled.is_empty() {
            self.trip(word, fulfilled, now);
        }
    }

    /// Opens the breaker because one of these trips is fulfilled.
    ///
    /// While it recovers, a share must also be beyond chance.
    #[cold]
    fn trip(&self, word: u64, fulfilled: Fulfilled, now: Instant) {
        let state = self.lock();
        // Another thread may have changed the state or the trips in the meantime. If the life is
        // the same, all numbers that led here are of one trip, because they change only under the
        // lock.
        let same = state.machine.generation == generation(word) && state.machine.life == life(word);
        if !same {
            return;
        }
        let recovering = now < state.machine.recovering_until;
        let mut fulfilled = self.meters.fulfilled(fulfilled, life(word), now);
        let found = fulfilled.find(|(trip, all, bad)| !recovering || trip.is_beyond_chance(*all, *bad));
        let Some((trip, all, bad)) = found else { return };
        let (bad, allowed) = (bad.min(MAX_NUMBER), trip.allowed(all).min(MAX_NUMBER));
        let seen = bad << 32 | (trip.cause() as u64) << CAUSE | allowed;
        self.seen.store(seen, Ordering::Relaxed);
        self.span.store(nanos(trip.window()), Ordering::Relaxed);
        self.open(state, Cause::Trip(trip));
    }

    /// Counts an outcome while the breaker is half-open.
    #[cold]
    fn count_probe(&self, pass: Pass, call: Call) {
        let now = self.clock.now();
        let mut state = self.lock();
        let State { machine, config, .. } = &mut *state;
        if machine.generation != pass.generation() || machine.phase != CircuitState::HalfOpen {
            return;
        }
        // A hung probe is detected by the next admission or the next outcome, whichever is first.
        if machine.end_hung(now, config) {
            self.open(state, Cause::Hung);
            return;
        }
        let verdict = match pass.probe() {
            Some(id) => machine.free(id).then(|| machine.judge(call, config)).flatten(),
            // An outcome without a probe counts only if it is bad.
            None => machine.judge_bad(call, config).flatten(),
        };
        match verdict {
            Some(Verdict::Healthy) => {
                machine.recover(now, config);
                self.state_changed(state, Cause::Probe);
            }
            Some(Verdict::Bad) => drop(self.open(state, Cause::Probe)),
            Some(Verdict::PushedBack) => drop(self.open(state, Cause::PushedBack)),
            Some(Verdict::Unknown) => drop(self.open(state, Cause::NoVerdict)),
            None => {}
        }
    }

    /// Refunds the pass of a call that never began. A probe frees its place.
    pub(crate) fn refund(&self, pass: Pass) {
        if let Some(id) = pass.probe() {
            let machine = &mut self.lock().machine;
            if machine.generation == pass.generation() {
                machine.free(id);
            }
        } else if pass.is_timed() && !self.in_flight.is_counted(pass.started()) {
            self.in_flight.end(pass.generation(), pass.started());
        }
    }
}
