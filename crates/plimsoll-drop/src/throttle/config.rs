//! The settings of an adaptive throttle, and its builder.

use super::recovery::Recovery;
use super::window::Window;
use super::{AdaptiveThrottle, Inner, NEVER};
use plimsoll_core::parts::{Identity, Setup, check};
use plimsoll_core::{ConfigError, setup_setters};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// The settings of an [`AdaptiveThrottle`]. Plain data; validated when one is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct AdaptiveThrottleConfig {
    /// The name that rejections carry. Default: "throttle".
    pub name: String,
    /// The number of requests that are sent for each one that the server accepts, K in the book.
    /// Default: 2. Range: 1 to 1,000,000.
    ///
    /// A lower multiplier spares the server more, but recovers later.
    pub multiplier: f64,
    /// The time over which requests are counted. Default: 30 s. Range: 1 s to 1 h.
    ///
    /// Half of it passes before a server that fails altogether is spared. The book counts two
    /// minutes, in which such a server would be sent everything for the first one.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub window: Duration,
    /// The number of requests a second that are always sent. Default: 1. Range: 0 to 1,000,000.
    ///
    /// Without these, a client with few requests would not notice that the server has recovered.
    pub min_rate: f64,
    /// Whether a call that timed out counts as not accepted. Default: `false`.
    pub count_timeouts: bool,
}

impl Default for AdaptiveThrottleConfig {
    fn default() -> Self {
        AdaptiveThrottleConfig {
            name: "throttle".into(),
            multiplier: 2.0,
            window: Duration::from_secs(30),
            min_rate: 1.0,
            count_timeouts: false,
        }
    }
}

impl AdaptiveThrottleConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check_multiplier(self.multiplier)?;
        check_window(self.window)?;
        check_min_rate(self.min_rate)
    }
}

pub(super) fn check_multiplier(multiplier: f64) -> Result<(), ConfigError> {
    check::within("multiplier", multiplier, 1.0..=1e6)
}

pub(super) fn check_window(window: Duration) -> Result<(), ConfigError> {
    check::within("window", window, Duration::from_secs(1)..=Duration::from_secs(3_600))
}

pub(super) fn check_min_rate(min_rate: f64) -> Result<(), ConfigError> {
    check::within("min_rate", min_rate, 0.0..=1e6)
}

/// Builds an [`AdaptiveThrottle`]. Created by [`AdaptiveThrottle::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct AdaptiveThrottleBuilder {
    config: AdaptiveThrottleConfig,
    setup: Setup,
}

impl AdaptiveThrottle {
    /// Creates a throttle with the default settings.
    ///
    /// The multiplier is 2 over half a minute, and one request a second is always sent.
    ///
    /// # Errors
    /// Never fails.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> AdaptiveThrottleBuilder {
        AdaptiveThrottleBuilder::default()
    }
}

impl AdaptiveThrottleBuilder {
    /// Sets the number of requests that are sent for each one that the server accepts.
    ///
    /// A lower multiplier spares the server more, but recovers later. Default: 2. Range: 1 to
    /// 1,000,000.
    #[doc(alias = "K")]
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.config.multiplier = multiplier;
        self
    }

    /// Sets the time over which requests are counted. Default: 30 s. Range: 1 s to 1 h.
    ///
    /// Half of it passes before a server that fails altogether is spared.
    pub fn window(mut self, window: Duration) -> Self {
        self.config.window = window;
        self
    }

    /// Sets the number of requests a second that are always sent.
    ///
    /// Without these, a client with few requests would not notice that the server has recovered.
    /// Default: 1. Range: 0 to 1,000,000.
    pub fn min_rate(mut self, min_rate: f64) -> Self {
        self.config.min_rate = min_rate;
        self
    }

    /// Sets whether a call that timed out counts as not accepted. Default: `false`.
    pub fn count_timeouts(mut self, count_timeouts: bool) -> Self {
        self.config.count_timeouts = count_timeouts;
        self
    }

    setup_setters!(AdaptiveThrottleConfig: clock, dice, observe);

    /// Builds the throttle.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<AdaptiveThrottle, ConfigError> {
        self.config.validate()?;
        let AdaptiveThrottleConfig { name, multiplier, window, min_rate, count_timeouts } = self.config;
        let Identity { name, clock, dice, observer } = self.setup.identity(&name);
        Ok(AdaptiveThrottle(Arc::new(Inner {
            name,
            clock,
            dice,
            observer,
            multiplier: AtomicU64::new(multiplier.to_bits()),
            min_rate: AtomicU64::new(min_rate.to_bits()),
            count_timeouts: AtomicBool::new(count_timeouts),
            window: Window::new(window),
            recovery: Recovery::new(),
            rejection: AtomicU64::new(0),
            last_rate: AtomicU64::new(0),
            held_until: AtomicU64::new(0),
            due: AtomicU64::new(0),
            last_free: AtomicU64::new(NEVER),
        })))
    }
}
