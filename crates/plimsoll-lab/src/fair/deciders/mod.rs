//! Who decides: the real limiters on a manual clock, and the two that they are compared with.

mod csfq;
mod ours;
mod scan;

use plimsoll::ConfigError;

use crate::fair::case::{Case, Policy};
use crate::fair::share::Claim;
use ours::{Naive, PerAccount, Tide};

/// May this account, now?
pub(super) trait Decide {
    /// Asked at `at` nanoseconds, which never go back, for an account with this claim.
    fn admits(&mut self, at: u64, who: u64, claim: &Claim) -> bool;

    /// Another rate from now on.
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError>;
}

/// The policy, for a case.
pub(super) fn decider(policy: Policy, case: &Case, seed: u64) -> Result<Box<dyn Decide>, ConfigError> {
    Ok(match policy {
        Policy::Tide => Box::new(Tide::new(case, seed)?),
        Policy::Scan => Box::new(scan::Scan::new(case)?),
        Policy::Csfq => Box::new(csfq::Csfq::new(case, seed)?),
        Policy::PerAccount => Box::new(PerAccount::new(case, seed)?),
        Policy::Naive => Box::new(Naive::new(case)?),
    })
}
