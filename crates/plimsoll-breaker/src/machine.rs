//! The state machine, without a clock, a lock or randomness of its own.
//!
//! ```text
//!            a trip                    open time over, and a call
//!  closed ───────────► open ─────────────────────────────────► half-open
//!    ▲                  ▲ ▲  a probe fails, or exceeds its lease     │
//!    │ time over        │ └──────────────────────────────────────────┤
//!    └────── ramp ──────┘                                            │
//!             ▲   too many calls on the ramp fail                    │
//!             └──────────────────────────────────────────────────────┘
//!                              enough probes succeed
//! ```

use crate::config::{OpenTime, Probes, Ramp};
use crate::state::word::ONE_GENERATION;
use plimsoll_core::Instant;
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
    /// Rejected, because the maximum number of probes is in flight.
    Wait,
    /// Rejected, because a probe has exceeded its lease, which counts as its failure.
    Hung,
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
    /// The numbers of the probes in flight, and when their leases end.
    leases: Vec<(u32, Instant)>,
    /// The number of the next probe.
    next: u32,
    /// The number of probes that have succeeded.
    succeeded: u32,
    /// The number of calls that have ended on the ramp.
    ramped: u64,
    /// The number of those that have failed.
    failed: u64,
    /// The settings of the current ramp. It keeps them until it ends.
    pub(crate) ramp: Ramp,
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
            leases: vec![],
            next: 0,
            succeeded: 0,
            ramped: 0,
            failed: 0,
            ramp: Ramp::NONE,
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
        self.ramped = 0;
        self.failed = 0;
    }

    /// Opens the breaker. `luck` is random, from 0.0 to 1.0, and spreads the open time.
    ///
    /// If an operator opens it, the next open time does not grow: that reveals nothing about the
    /// dependency.
    pub(crate) fn open(&mut self, now: Instant, time: &OpenTime, luck: f64, by_operator: bool) {
        let lasts = time.after(self.opened, luck);
        self.opened = self.opened.saturating_add(u32::from(!by_operator));
        self.enter(CircuitState::Open, now, lasts);
    }

    /// Makes the breaker half-open.
    pub(crate) fn half_open(&mut self, now: Instant) {
        self.enter(CircuitState::HalfOpen, now, Duration::ZERO);
    }

    /// Closes the breaker and begins a life.
    pub(crate) fn close(&mut self, now: Instant) {
        self.opened = 0;
        self.begin_life();
        self.enter(CircuitState::Closed, now, Duration::ZERO);
    }

    /// Begins to count anew.
    pub(crate) fn begin_life(&mut self) {
        self.life = self.life.wrapping_add(1);
    }

    /// Begins the ramp, or closes the breaker if there is none.
    pub(crate) fn recover(&mut self, now: Instant, ramp: &Ramp) {
        if ramp.duration.is_zero() {
            self.close(now);
        } else {
            self.ramp = *ramp;
            self.enter(CircuitState::Ramp, now, ramp.duration);
        }
    }

    /// Returns whether a probe has exceeded its lease.
    pub(crate) fn is_hung(&self, now: Instant) -> bool {
        self.leases.iter().any(|(_, until)| *until <= now)
    }

    /// Decides about a further probe.
    pub(crate) fn probe(&mut self, now: Instant, probes: &Probes) -> Probe {
        if self.is_hung(now) {
            return Probe::Hung;
        }
        if self.leases.len() >= probes.concurrency as usize {
            return Probe::Wait;
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1) & PROBE_IDS;
        self.leases.push((id, now + probes.lease));
        Probe::Go(id)
    }

    /// Returns whether all probes in flight have exceeded their lease, or there are none.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.leases.iter().all(|(_, until)| *until <= now)
    }

    /// Records the end of a probe. `healthy` is `None` if its outcome reveals nothing.
    ///
    /// Returns whether the dependency works, or `None` if that is not known yet.
    pub(crate) fn end_probe(&mut self, id: u32, healthy: Option<bool>, probes: &Probes) -> Option<bool> {
        let at = self.leases.iter().position(|(lease, _)| *lease == id)?;
        self.leases.swap_remove(at);
        match healthy? {
            false => Some(false),
            true => {
                self.succeeded += 1;
                (self.succeeded >= probes.successes).then_some(true)
            }
        }
    }

    /// Records the end of a call on the ramp. Returns whether too many have failed.
    pub(crate) fn end_on_ramp(&mut self, healthy: bool) -> bool {
        self.ramped += 1;
        self.failed += u64::from(!healthy);
        !healthy && self.failed as f64 > self.ramp.tolerance * self.ramped as f64
    }
}

/// A mask for the number of a probe.
pub(crate) const PROBE_IDS: u32 = u32::MAX >> 1;
