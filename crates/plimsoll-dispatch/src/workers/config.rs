//! The settings of a group of workers.

use crate::slots::MAX_SLOTS;
use plimsoll_core::ConfigError;
use plimsoll_core::parts::check;

/// The settings of [`Workers`](crate::Workers). Plain data; validated when they are built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct WorkersConfig {
    /// The name that rejections carry. Default: "workers".
    pub name: String,
    /// The number of workers. Default: 10. Range: 1 to 2²⁰.
    pub workers: u32,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        WorkersConfig { name: "workers".into(), workers: 10 }
    }
}

impl WorkersConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check::within("workers", self.workers, 1..=MAX_SLOTS)
    }
}
