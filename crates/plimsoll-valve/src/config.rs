//! The settings of a valve.

use plimsoll_core::parts::{FixedCapacity, check};
use plimsoll_core::{ConfigError, Discipline};
use std::time::Duration;

/// The settings of a [`Valve`](crate::Valve). Plain data; validated when a valve is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ValveConfig {
    /// The name that rejections carry. Default: "valve".
    pub name: String,
    /// The maximum number of requests in flight. Default: 1. Range: 1 to 2³¹ − 1.
    ///
    /// Set it to the number of requests that the bottleneck serves at once.
    pub concurrency: u32,
    /// The maximum number of waiting requests. Default: 0. Range: 0 to 2³¹ − 1.
    ///
    /// A queue longer than `max_wait × concurrency ÷ service time` only holds requests that will be
    /// rejected anyway.
    pub queue: u32,
    /// The longest wait. Default: 100 ms. Above 0 if requests may wait.
    ///
    /// Choose a fraction of the callers' own time-out, so that enough of it remains for the work.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max_wait: Duration,
    /// The order in which waiting requests are served, and which of them is evicted when the queue
    /// is full. Default: [`KeepOldest`](Discipline::KeepOldest), which rejects newcomers instead.
    pub discipline: Discipline,
}

impl Default for ValveConfig {
    fn default() -> Self {
        ValveConfig {
            name: "valve".into(),
            concurrency: 1,
            queue: 0,
            max_wait: Duration::from_millis(100),
            discipline: Discipline::KeepOldest,
        }
    }
}

impl ValveConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check::within("concurrency", self.concurrency, 1..=FixedCapacity::MAX)?;
        check::queue(self.queue, self.max_wait)?;
        self.discipline.validate()
    }
}
