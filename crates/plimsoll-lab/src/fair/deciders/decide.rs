//! The interface of all policies.

use plimsoll::ConfigError;

use crate::fair::share::Entitlement;

/// Decides about requests.
pub(in crate::fair) trait Decide {
    /// Returns whether a request of this account at `at` nanoseconds is admitted. `at` never
    /// decreases.
    fn admits(&mut self, at: u64, key: u64, entitlement: &Entitlement) -> bool;

    /// Changes the rate from now on.
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError>;
}
