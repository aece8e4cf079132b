//! The settings of a rate limiter, and building one.

use super::{Inner, RateLimiter};
use crate::Quota;
use crate::bucket::LiveBucket;
use crate::setup::{Common, MAX_WAIT, QUEUE, queue_setters};
use plimsoll_core::parts::{Setup, check};
use plimsoll_core::{ConfigError, setup_setters};
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`RateLimiter`]. Plain data; validated when a limiter is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RateLimiterConfig {
    /// The name that rejections carry. Default: "limit".
    pub name: String,
    /// The quota. Default: 100 units a second.
    pub quota: Quota,
    /// The maximum number of waiting requests. Default: 1,024. Range: 0 to 2³¹ − 1.
    pub queue: u32,
    /// The longest wait. Default: 10 s. Above 0 if requests may wait.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max_wait: Duration,
}

impl Default for RateLimiterConfig {
    fn default() -> Self {
        let quota = Quota::per_second(100);
        RateLimiterConfig { name: "limit".into(), quota, queue: QUEUE, max_wait: MAX_WAIT }
    }
}

impl RateLimiterConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        self.quota.validate()?;
        check::queue(self.queue, self.max_wait)
    }
}

/// Builds a [`RateLimiter`]. Created by [`RateLimiter::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct RateLimiterBuilder {
    config: RateLimiterConfig,
    setup: Setup,
}

impl RateLimiter {
    /// Creates a limiter with this quota.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::default()
    }
}

impl RateLimiterBuilder {
    /// Sets the quota. Default: 100 units a second.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.config.quota = quota;
        self
    }

    queue_setters!();
    setup_setters!(RateLimiterConfig: clock, observe);

    /// Builds the limiter.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<RateLimiter, ConfigError> {
        self.config.validate()?;
        let RateLimiterConfig { name, quota, queue, max_wait } = self.config;
        let common = Common::new(self.setup.identity(&name), queue, max_wait, 1);
        Ok(RateLimiter(Arc::new(Inner { common, bucket: LiveBucket::new(quota) })))
    }
}
