//! What may befall the server for a while: it fails, is slow, or hangs.

use std::time::Duration;

/// From one time to another the server is not well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// When it begins.
    pub from: Duration,
    /// When it ends, and all is as before.
    pub until: Duration,
    /// In which way it is not well.
    pub kind: FaultKind,
}

/// In which way a server is not well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// Who comes is answered with failure, and takes no slot. Who was there before is served.
    Fails {
        /// How long such an answer takes.
        after: Duration,
    },
    /// All work takes so many times as long, what is under way as well.
    Slow {
        /// How many times, above 0.
        factor: f64,
    },
    /// Nothing gets done. When it ends, the server goes on where it stood.
    Hangs {
        /// Or begins anew, as after a restart: who is in it when it ends is never answered, and leaves when the
        /// clients' deadline says so. Without a deadline nobody would.
        forgets: bool,
    },
}

impl Fault {
    /// The share of its capacity that the server has left.
    pub(crate) fn leaves(&self) -> f64 {
        match self.kind {
            FaultKind::Fails { .. } | FaultKind::Hangs { .. } => 0.0,
            FaultKind::Slow { factor } => 1.0 / factor,
        }
    }
}

impl FaultKind {
    /// What the server does, in a word.
    pub fn as_str(&self) -> &'static str {
        match self {
            FaultKind::Fails { .. } => "fails",
            FaultKind::Slow { .. } => "slow",
            FaultKind::Hangs { .. } => "hangs",
        }
    }
}

/// What one fault met with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Attempts that were sent while it lasted.
    pub sent: u64,
    /// Calls that reached the server while it lasted: the policy let them pass. Where callers wait, some of them
    /// were sent before.
    pub reached: u64,
}
