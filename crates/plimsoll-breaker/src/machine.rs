//! What state a breaker is in and what brings it into another. A machine: no clock, no lock, no dice.
//!
//! ```text
//!            a trip                    open time over, and someone asks
//!  closed ───────────► open ─────────────────────────────────► half-open
//!    ▲                  ▲ ▲  a probe fails, or outlives its lease    │
//!    │ time over        │ └──────────────────────────────────────────┤
//!    └────── ramp ──────┘                                            │
//!             ▲   too many of the calls since it began fail          │
//!             └──────────────────────────────────────────────────────┘
//!                              enough probes succeed
//! ```

use crate::config::{OpenTime, Probes, Ramp};
use crate::state::word::ONE_GENERATION;
use plimsoll_core::Instant;
use std::time::Duration;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// All pass.
    Closed,
    /// None pass.
    Open,
    /// A few pass, to see whether it works again.
    HalfOpen,
    /// A growing share passes.
    Ramp,
}

impl CircuitState {
    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half-open",
            CircuitState::Ramp => "ramp",
        }
    }
}

/// What became of an ask while it is half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Go, as this one.
    Go(u32),
    /// All probes are out.
    Wait,
    /// One has outlived its lease: that is an answer, too.
    Hung,
}

#[derive(Clone, Debug)]
pub(crate) struct CircuitMachine {
    pub(crate) phase: CircuitState,
    /// One more with every change: what was admitted before it concerns the present no more.
    pub(crate) generation: u32,
    /// One more each time that counting begins anew.
    pub(crate) life: u32,
    pub(crate) since: Instant,
    /// When the present phase has had its time: of being open, or of the ramp.
    pub(crate) until: Instant,
    /// How often it has opened since it was last closed.
    opened: u32,
    leases: Vec<(u32, Instant)>,
    next: u32,
    proven: u32,
    ramped: u64,
    failed: u64,
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
            proven: 0,
            ramped: 0,
            failed: 0,
        }
    }

    fn turn(&mut self, to: CircuitState, now: Instant, lasts: Duration) {
        self.phase = to;
        self.generation = self.generation.wrapping_add(ONE_GENERATION);
        self.since = now;
        self.until = now + lasts;
        self.leases.clear();
        self.proven = 0;
        self.ramped = 0;
        self.failed = 0;
    }

    /// `luck` is between 0.0 and 1.0, and spreads the open time. Opening it by hand says nothing about the
    /// dependency, and makes the next time no longer.
    pub(crate) fn open(&mut self, now: Instant, time: &OpenTime, luck: f64, by_operator: bool) {
        let lasts = time.after(self.opened, luck);
        self.opened = self.opened.saturating_add(u32::from(!by_operator));
        self.turn(CircuitState::Open, now, lasts);
    }

    pub(crate) fn half_open(&mut self, now: Instant) {
        self.turn(CircuitState::HalfOpen, now, Duration::ZERO);
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.opened = 0;
        self.begin_life();
        self.turn(CircuitState::Closed, now, Duration::ZERO);
    }

    /// Begins to count anew.
    pub(crate) fn begin_life(&mut self) {
        self.life = self.life.wrapping_add(1);
    }

    /// It works again: ramp up, or close at once where there is no ramp.
    pub(crate) fn recover(&mut self, now: Instant, ramp: &Ramp) {
        if ramp.duration.is_zero() {
            self.close(now);
        } else {
            self.turn(CircuitState::Ramp, now, ramp.duration);
        }
    }

    /// Whether a probe is out that has outlived its lease.
    pub(crate) fn is_hung(&self, now: Instant) -> bool {
        self.leases.iter().any(|(_, until)| *until <= now)
    }

    /// May one more try?
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

    /// Whether no probe is out but such as have outlived their lease.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.leases.iter().all(|(_, until)| *until <= now)
    }

    /// A probe is back; `None`: without a verdict. HttpOptions what is known now: it works, or it does not.
    pub(crate) fn proved(&mut self, id: u32, well: Option<bool>, probes: &Probes) -> Option<bool> {
        let at = self.leases.iter().position(|(lease, _)| *lease == id)?;
        self.leases.swap_remove(at);
        match well? {
            false => Some(false),
            true => {
                self.proven += 1;
                (self.proven >= probes.successes).then_some(true)
            }
        }
    }

    /// A call of the ramp is back; answers whether that is one too many.
    pub(crate) fn ramped(&mut self, well: bool, ramp: &Ramp) -> bool {
        self.ramped += 1;
        self.failed += u64::from(!well);
        !well && self.failed as f64 > ramp.tolerance * self.ramped as f64
    }
}

/// The bits of the number of a probe.
pub(crate) const PROBE_IDS: u32 = u32::MAX >> 1;
