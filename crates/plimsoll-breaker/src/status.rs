//! The state of a breaker and its cause.

use crate::machine::CircuitState;
use crate::trip::Trip;
use plimsoll_core::{Instant, OpenCause};
use std::fmt;

/// Why a breaker entered its state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The state has not changed yet.
    Never,
    /// This trip was fulfilled.
    Trip(Trip),
    /// Enough probes succeeded, or too many consecutive ones were bad.
    Probe,
    /// The dependency rejected a probe, and may still work. The open time is the first one.
    PushedBack,
    /// Too many consecutive probes ended without a verdict.
    NoVerdict,
    /// Too many consecutive probes were bad, and the last one exceeded its lease.
    Hung,
    /// The time of the ramp was over.
    Ramp,
    /// A health check succeeded or failed.
    HealthCheck,
    /// An operator changed the state for this reason.
    Operator(&'static str),
}

impl Cause {
    /// Returns one or two words, for labels.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Cause::Never => "never",
            Cause::Trip(trip) => trip.as_str(),
            Cause::Probe => "probe",
            Cause::PushedBack => "push-back",
            Cause::NoVerdict => "no verdict",
            Cause::Hung => "hung probe",
            Cause::Ramp => "ramp",
            Cause::HealthCheck => "health check",
            Cause::Operator(why) => why,
        }
    }
}

impl Cause {
    /// Returns the cause that rejections of the open breaker carry.
    pub(crate) const fn of_rejections(&self) -> OpenCause {
        match self {
            Cause::Trip(trip) => trip.cause(),
            Cause::HealthCheck => OpenCause::HealthCheckFailed,
            Cause::Operator(_) => OpenCause::Operator,
            _ => OpenCause::ProbesFailed,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Trip(trip) => trip.fmt(f),
            other => f.pad(other.as_str()),
        }
    }
}

/// The state of a breaker and its cause. Its `Display` is one line for operators.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The state.
    pub state: CircuitState,
    /// When the state began.
    pub since: Instant,
    /// When the open time or the ramp ends. `None` in other states.
    pub until: Option<Instant>,
    /// Why the state began.
    pub cause: Cause,
    /// Why the breaker is blocked, or `None` if it is not.
    pub blocked: Option<&'static str>,
    /// Whether the breaker is disabled.
    pub disabled: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.disabled {
            return f.write_str("disabled");
        }
        if let Some(why) = self.blocked {
            return write!(f, "blocked: {why}");
        }
        f.write_str(self.state.as_str())?;
        match self.cause {
            Cause::Never => Ok(()),
            cause => write!(f, " ({cause})"),
        }
    }
}
