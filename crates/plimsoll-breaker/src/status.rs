//! How a breaker stands, and why.

use crate::machine::CircuitState;
use crate::trip::Trip;
use plimsoll_core::Instant;
use std::fmt;

/// Why a breaker turned to where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// It has not turned yet.
    Never,
    /// This was too much.
    Trip(Trip),
    /// What probes have shown.
    Probe,
    /// A probe was not back within its lease.
    Hung,
    /// The ramp: it has come to its end, or too many failed on it.
    Ramp,
    /// A health check has succeeded or failed.
    HealthCheck,
    /// An operator has changed the state, for this reason.
    Operator(&'static str),
}

impl Cause {
    /// In a word or two, for labels.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Cause::Never => "never",
            Cause::Trip(trip) => trip.as_str(),
            Cause::Probe => "probe",
            Cause::Hung => "hung probe",
            Cause::Ramp => "ramp",
            Cause::HealthCheck => "health check",
            Cause::Operator(why) => why,
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

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// In which phase it is.
    pub state: CircuitState,
    /// Since when.
    pub since: Instant,
    /// Until when, if it is open or ramps.
    pub until: Option<Instant>,
    /// Why.
    pub cause: Cause,
    /// Why it is blocked, if it is.
    pub blocked: Option<&'static str>,
    /// Whether it is out of action.
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
