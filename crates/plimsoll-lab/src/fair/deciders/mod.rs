//! Who decides: the real limiters on a manual clock, and the two that they are compared with.

mod csfq;
mod decide;
mod ours;
mod scan;

use plimsoll::ConfigError;

use crate::fair::case::{Case, Policy};
pub(super) use decide::Decide;
use ours::{Naive, PerAccount, Tide};

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
