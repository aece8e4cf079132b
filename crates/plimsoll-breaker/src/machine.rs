//! The state machine, without a clock, a lock or randomness of its own.
//!
//! ```text
//!            a trip                    open time over, and a call
//!  closed ───────────► open ─────────────────────────────────► half-open
//!    ▲                  ▲ ▲  too many probes fail, or hang           │
//!    │ time over        │ └──────────────────────────────────────────┤
//!    └────── ramp ──────┘                                            │
//!             ▲   a trip                                             │
//!             └──────────────────────────────────────────────────────┘
//!                              enough probes succeed
//! ```

use crate::config::{CircuitBreakerConfig, OpenTime, Probes};
use crate::meter::MAX_TRIPS;
use crate::state::word::ONE_GENERATION;
use crate::trip::{Call, MAX_PROBES, Trip};
use plimsoll_core::{Instant, Outcome};
use std::time::Duration;

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// All calls are admitted.
    Closed,
    /// All calls are rejected.
    Open,
    /// A few calls are admitted as probes.
    HalfOpen,
    /// A growing share of the calls is admitted.
    Ramp,
}

impl CircuitState {
    /// Returns the name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half-open",
            CircuitState::Ramp => "ramp",
        }
    }
}

/// The decision about a call while the breaker is half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Admitted as the probe with this number.
    Go(u32),
    /// Rejected, because the maximum number of probes is in flight. The lease of the first one ends
    /// then.
    Wait(Instant),
}

/// What the probes have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Enough have succeeded.
    Healthy,
    /// Too many consecutive ones were bad.
    Bad,
    /// The dependency rejected one, and may still work.
    PushedBack,
    /// Too many consecutive ones ended without a verdict.
    Unknown,
}

/// What an opening does to the open time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// The next one is longer.
    Longer,
    /// The next one is as long.
    Same,
    /// This one is the first one, and the next one is as long as without it.
    First,
}

/// The consecutive probes that have not succeeded.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    /// Those that were bad for each trip. Without trips, the first number counts failures.
    bad: [u32; MAX_TRIPS],
    unknown: u32,
}

/// The state, and what leads to the next one.
#[derive(Clone, Debug)]
pub(crate) struct CircuitMachine {
    pub(crate) phase: CircuitState,
    /// Changes with each phase. Outcomes of calls of an earlier generation are ignored.
    pub(crate) generation: u32,
    /// Changes each time that counting begins anew.
    pub(crate) life: u32,
    pub(crate) since: Instant,
    /// The end of the open time or of the ramp.
    pub(crate) until: Instant,
    /// How often the breaker has opened since it was last closed, without operators.
    opened: u32,
    /// The number of earlier openings by which the last open time was computed.
    step: u32,
    /// The consecutive probes that the dependency rejected, over all openings.
    pushed_back: u32,
    /// The numbers of the probes in flight, and when their leases end.
    leases: Vec<(u32, Instant)>,
    /// The number of the next probe.
    next: u32,
    /// The number of probes that have succeeded.
    succeeded: u32,
    runs: Runs,
    /// The share of calls that is admitted at the start of the current ramp.
    pub(crate) ramp_start: f64,
    /// Until then, a share of bad calls opens the breaker only if it is beyond chance.
    pub(crate) recovering_until: Instant,
}

impl CircuitMachine {
    pub(crate) fn new(now: Instant) -> Self {
        CircuitMachine {
            phase: CircuitState::Closed,
            generation: 0,
            life: 0,
            since: now,
            until: now,
            opened: 0,
            step: 0,
            pushed_back: 0,
            leases: vec![],
            next: 0,
            succeeded: 0,
            runs: Runs::default(),
            ramp_start: 1.0,
            recovering_until: now,
        }
    }

    /// Enters a phase and begins a generation.
    fn enter(&mut self, to: CircuitState, now: Instant, lasts: Duration) {
        self.phase = to;
        self.generation = self.generation.wrapping_add(ONE_GENERATION);
        self.since = now;
        self.until = now + lasts;
        self.leases.clear();
        self.succeeded = 0;
        self.runs = Runs::default();
    }

    /// Opens the breaker. `luck` is random, from 0.0 to 1.0, and spreads the open time.
    ///
    /// The open time grows only if the dependency was bad. An operator, or a probe without a
    /// verdict, reveals nothing about it.
    pub(crate) fn open(&mut self, now: Instant, time: &OpenTime, luck: f64, growth: Growth) {
        self.step = if growth == Growth::First { 0 } else { self.opened };
        self.opened = self.opened.saturating_add(u32::from(growth == Growth::Longer));
        self.enter(CircuitState::Open, now, time.after(self.step, luck));
    }

    /// Ends the open time and the leases no later than they would have ended by these settings.
    pub(crate) fn shorten(&mut self, now: Instant, config: &CircuitBreakerConfig) {
        if self.phase == CircuitState::Open {
            self.until = self.until.min(self.since + config.open_time.after(self.step, 0.0));
        }
        for (_, until) in &mut self.leases {
            *until = (*until).min(now + config.probes.lease);
        }
    }

    /// Makes the breaker half-open.
    pub(crate) fn half_open(&mut self, now: Instant) {
        self.enter(CircuitState::HalfOpen, now, Duration::ZERO);
    }

    /// Closes the breaker and begins a life.
    pub(crate) fn close(&mut self, now: Instant) {
        self.begin_life();
        self.recovering_until = now;
        self.end_ramp(now);
    }

    /// Closes the breaker after a ramp. The counts of the ramp stay.
    pub(crate) fn end_ramp(&mut self, now: Instant) {
        self.opened = 0;
        self.pushed_back = 0;
        self.enter(CircuitState::Closed, now, Duration::ZERO);
    }

    /// Begins to count anew.
    pub(crate) fn begin_life(&mut self) {
        self.life = self.life.wrapping_add(1);
    }

    /// Begins the ramp, or closes the breaker if there is none.
    pub(crate) fn recover(&mut self, now: Instant, config: &CircuitBreakerConfig) {
        let duration = config.ramp_duration();
        let window = config.trips.iter().map(Trip::window).max().unwrap_or_default();
        self.recovering_until = now + duration + window;
        self.begin_life();
        if duration.is_zero() {
            self.end_ramp(now);
        } else {
            self.ramp_start = config.ramp.start;
            self.enter(CircuitState::Ramp, now, duration);
        }
    }

    /// Decides about a further probe.
    pub(crate) fn probe(&mut self, now: Instant, probes: &Probes) -> Probe {
        let first = self.leases.iter().map(|(_, until)| *until).min();
        match first.filter(|_| self.leases.len() >= probes.concurrency as usize) {
            Some(first) => Probe::Wait(first),
            None => {
                let id = self.next;
                self.next = self.next.wrapping_add(1) & PROBE_IDS;
                self.leases.push((id, now + probes.lease));
                Probe::Go(id)
            }
        }
    }

    /// Returns whether all probes in flight have exceeded their lease, or there are none.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.leases.iter().all(|(_, until)| *until <= now)
    }

    /// Ends the probes that have exceeded their lease. Each counts as bad. Returns whether they are
    /// too many.
    pub(crate) fn end_hung(&mut self, now: Instant, config: &CircuitBreakerConfig) -> bool {
        let in_flight = self.leases.len();
        self.leases.retain(|(_, until)| *until > now);
        let hung = in_flight - self.leases.len();
        (0..hung).any(|_| self.count_bad(None, config) == Some(true))
    }

    /// Frees the place of a probe. Returns whether it was in flight.
    pub(crate) fn free(&mut self, id: u32) -> bool {
        let at = self.leases.iter().position(|(lease, _)| *lease == id);
        at.map(|at| self.leases.swap_remove(at)).is_some()
    }

    /// Records how a probe ended. Returns what all of them together show, or `None` if that is not
    /// known yet.
    pub(crate) fn judge(&mut self, call: Call, config: &CircuitBreakerConfig) -> Option<Verdict> {
        if let Some(verdict) = self.judge_bad(call, config) {
            return verdict;
        }
        let CircuitBreakerConfig { trips, probes, .. } = config;
        if call.outcome == Outcome::Success || trips.iter().any(|trip| trip.weighs(call) == Some(false)) {
            self.runs = Runs::default();
            self.pushed_back = 0;
            self.succeeded += 1;
            return (self.succeeded >= probes.successes).then_some(Verdict::Healthy);
        }
        self.runs.unknown += 1;
        (self.runs.unknown >= MAX_PROBES).then_some(Verdict::Unknown)
    }

    /// Records a call of a half-open breaker if it was bad. Returns what it shows, if anything, or
    /// `None` if it was not bad.
    pub(crate) fn judge_bad(&mut self, call: Call, config: &CircuitBreakerConfig) -> Option<Option<Verdict>> {
        match self.judge_push_back(call, config) {
            Some(verdict) => Some(Some(verdict)),
            None => Some(self.count_bad(Some(call), config)?.then_some(Verdict::Bad)),
        }
    }

    /// Records a call that the dependency rejected, if that is bad for a trip.
    ///
    /// One opens the breaker again, because such a dependency asks for fewer calls. But it may
    /// work, as one does that sheds load. So the open time is the first one, until there are more
    /// in a row than a closed breaker tolerates.
    fn judge_push_back(&mut self, call: Call, config: &CircuitBreakerConfig) -> Option<Verdict> {
        let CircuitBreakerConfig { trips, probes, .. } = config;
        if call.outcome != Outcome::Overloaded || probes.failures.is_some() {
            return None;
        }
        let bad = trips.iter().filter(|trip| trip.weighs(call) == Some(true));
        let most = bad.map(Trip::max_bad_probes).min()?;
        self.pushed_back = self.pushed_back.saturating_add(1);
        Some(if self.pushed_back < most { Verdict::PushedBack } else { Verdict::Bad })
    }

    /// Counts a call of a half-open breaker if it was bad. Returns whether there were too many in a
    /// row. `None` as a call is a probe that hung, which is bad for every trip.
    ///
    /// A call is bad if it is bad for a trip. As many as a closed breaker tolerates do not open it
    /// again.
    fn count_bad(&mut self, call: Option<Call>, config: &CircuitBreakerConfig) -> Option<bool> {
        use Outcome::{Cancelled, Ignored, Success};
        let CircuitBreakerConfig { trips, probes, .. } = config;
        let weigh = |trip: &Trip| call.map_or(Some(true), |call| trip.weighs(call)) == Some(true);
        let (mut bad, mut too_many) = (false, false);
        for (trip, run) in trips.iter().zip(&mut self.runs.bad).filter(|(trip, _)| weigh(trip)) {
            bad = true;
            *run += 1;
            too_many |= *run >= probes.failures.unwrap_or(trip.max_bad_probes());
        }
        // Without trips, the outcome alone decides.
        if trips.is_empty() && !call.is_some_and(|call| matches!(call.outcome, Success | Ignored | Cancelled))
        {
            let [run, ..] = &mut self.runs.bad;
            bad = true;
            *run += 1;
            too_many = *run >= probes.failures.unwrap_or(1);
        }
        if bad {
            self.runs.unknown = 0;
        }
        bad.then_some(too_many)
    }
}

/// A mask for the number of a probe.
pub(crate) const PROBE_IDS: u32 = u32::MAX >> 1;
