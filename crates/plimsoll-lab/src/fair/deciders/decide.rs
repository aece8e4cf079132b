//! The question that every policy answers.

use plimsoll::ConfigError;

use crate::fair::share::Entitlement;

/// May this account, now?
pub(in crate::fair) trait Decide {
    /// Asked at `at` nanoseconds, which never go back, for an account with this claim.
    fn admits(&mut self, at: u64, key: u64, entitlement: &Entitlement) -> bool;

    /// Another rate from now on.
    fn set_rate(&mut self, at: u64, rate: u32) -> Result<(), ConfigError>;
}
