//! The settings of a valve, and building one.

use crate::Valve;
use plimsoll_core::{ConfigError, semaphore_setup};

semaphore_setup! {
    Valve, ValveConfig, ValveBuilder:
    name "valve", queue 0 "0", discipline KeepOldest "rejects newcomers instead"
}

impl Valve {
    /// Creates a valve that admits `concurrency` requests at once and lets none wait.
    ///
    /// # Errors
    /// Returns an error if `concurrency` is 0 or above 2³¹ − 1.
    pub fn new(concurrency: u32) -> Result<Self, ConfigError> {
        Self::builder().concurrency(concurrency).build()
    }
}
