//! Faults of the server: for a while it fails, is slow, or hangs.

use std::time::Duration;

/// A fault of the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// When it begins.
    pub from: Duration,
    /// When it ends. The server is then as before.
    pub until: Duration,
    /// The kind of the fault.
    pub kind: FaultKind,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// Requests are answered with failure and take no slot. Requests that arrived earlier are
    /// served.
    Fails {
        /// The time that such an answer takes.
        after: Duration,
    },
    /// All work takes `factor` times as long, work in progress included.
    Slow {
        /// The factor, above 0.
        factor: f64,
    },
    /// No work is done. When the fault ends, the server continues where it stopped.
    Hangs {
        /// Whether the server restarts at the end and loses its requests. A lost request is never
        /// answered, so its client waits until the deadline.
        forgets: bool,
    },
}

impl Fault {
    /// Returns the share of its capacity that the server has left.
    pub(crate) fn leaves(&self) -> f64 {
        match self.kind {
            FaultKind::Fails { .. } | FaultKind::Hangs { .. } => 0.0,
            FaultKind::Slow { factor } => 1.0 / factor,
        }
    }
}

impl FaultKind {
    /// Returns the kind as one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            FaultKind::Fails { .. } => "fails",
            FaultKind::Slow { .. } => "slow",
            FaultKind::Hangs { .. } => "hangs",
        }
    }
}

/// The counts of one fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Attempts sent during the fault.
    pub sent: u64,
    /// Calls that the policy admitted to the server during the fault. Where callers queue, some
    /// were sent before it.
    pub reached: u64,
}
