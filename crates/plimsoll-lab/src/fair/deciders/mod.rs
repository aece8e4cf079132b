//! The policies: the real limiters on a manual clock, and two algorithms to compare with.

mod csfq;
mod decide;
mod limiters;
mod water_filling;

use plimsoll::ConfigError;

use crate::fair::case::{Case, Policy};
pub(super) use decide::Decide;
use limiters::{FairLimit, GlobalLimit, KeyedLimit};

/// Builds the policy for a case.
pub(super) fn decider(policy: Policy, case: &Case, seed: u64) -> Result<Box<dyn Decide>, ConfigError> {
    Ok(match policy {
        Policy::FairRateLimiter => Box::new(FairLimit::new(case, seed)?),
        Policy::WaterFilling => Box::new(water_filling::WaterFilling::new(case)?),
        Policy::Csfq => Box::new(csfq::Csfq::new(case, seed)?),
        Policy::KeyedRateLimiter => Box::new(KeyedLimit::new(case, seed)?),
        Policy::RateLimiter => Box::new(GlobalLimit::new(case)?),
    })
}
