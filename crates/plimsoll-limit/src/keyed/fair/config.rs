//! The settings of a fair limiter, and building one.

use super::tide::{MIN_BURST, MIN_FILL_TIME};
use super::{Fair, FairRateLimiter, Share, ShareOf};
use crate::Quota;
use crate::bucket::LiveBucket;
use crate::keyed::KeyedLimiter;
use crate::setup::{Common, MAX_KEYS, MAX_WAIT, QUEUE, check_max_keys, max_keys_setter, queue_setters};
use crate::table::{Crowd, Table};
use plimsoll_core::parts::sync::AtomicU64;
use plimsoll_core::parts::{Setup, check, intern};
use plimsoll_core::{ConfigError, Event, setup_setters};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The settings of a [`FairRateLimiter`]. Plain data; validated when a limiter is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct FairRateLimiterConfig {
    /// The name that rejections carry. Default: "fair".
    pub name: String,
    /// The quota that is shared. Default: 1,000 units a second with a burst of 100. Range: a burst
    /// of at least 2.
    pub quota: Quota,
    /// The share of the quota that accounts without an entry get together while the quota is
    /// contended. Default: 0.05. Range: above 0.0, at most 1.0.
    pub tail: f64,
    /// The maximum number of keys that are remembered, rounded up to a multiple of 8.
    /// Default: 262,144. Range: 1 to 2³⁰.
    pub max_keys: usize,
    /// The maximum number of waiting requests, of all accounts together. Default: 1,024.
    /// Range: 0 to 2³¹ − 1.
    pub queue: u32,
    /// The longest wait. Default: 10 s. Above 0 if requests may wait.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max_wait: Duration,
}

impl Default for FairRateLimiterConfig {
    fn default() -> Self {
        FairRateLimiterConfig {
            name: "fair".into(),
            quota: Quota::per_second(1_000).burst(100),
            tail: 0.05,
            max_keys: MAX_KEYS,
            queue: QUEUE,
            max_wait: MAX_WAIT,
        }
    }
}

impl FairRateLimiterConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check_quota(&self.quota)?;
        check_tail(self.tail)?;
        check_max_keys(self.max_keys)?;
        check::queue(self.queue, self.max_wait)
    }
}

/// Checks a quota that is shared. Its burst is at least 2, because the fill of a bucket of one unit
/// says nothing.
pub(super) fn check_quota(quota: &Quota) -> Result<(), ConfigError> {
    quota.validate()?;
    if quota.burst_size() < 2 {
        return Err(ConfigError::new("quota.burst", quota.burst_size(), "2 or more where it is shared"));
    }
    Ok(())
}

/// Checks the share of accounts without an entry.
pub(super) fn check_tail(tail: f64) -> Result<(), ConfigError> {
    match tail > 0.0 && tail <= 1.0 {
        true => Ok(()),
        false => Err(ConfigError::new("tail", tail, "above 0.0, at most 1.0")),
    }
}

/// Emits an event if the burst is too small for even shares.
pub(super) fn advise(common: &Common, quota: &Quota) {
    let enough = (quota.rate() * MIN_FILL_TIME).max(f64::from(MIN_BURST));
    if f64::from(quota.burst_size()) < enough {
        const ADVICE: &str =
            "set a burst of at least 20 units and 10 ms of the rate: below that, shares are uneven";
        common.observer.emit(|| Event::misconfigured(common.name, ADVICE));
    }
}

/// Builds a [`FairRateLimiter`]. Created by [`FairRateLimiter::builder`](KeyedLimiter::builder).
#[must_use = "a builder does nothing until it is built"]
pub struct FairRateLimiterBuilder<K: ?Sized> {
    config: FairRateLimiterConfig,
    setup: Setup,
    share_of: Option<ShareOf<K>>,
}

impl<K: Hash + ?Sized> FairRateLimiter<K> {
    /// Creates a limiter that shares this quota evenly.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid, or its burst is below 2.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }
}

impl<K: ?Sized> FairRateLimiter<K> {
    /// Returns a builder with the default settings.
    pub fn builder() -> FairRateLimiterBuilder<K> {
        let config = FairRateLimiterConfig::default();
        FairRateLimiterBuilder { config, setup: Setup::default(), share_of: None }
    }
}

impl<K: ?Sized> FairRateLimiterBuilder<K> {
    /// Sets the quota that is shared. Default: 1,000 units a second with a burst of 100.
    ///
    /// The burst is at least 2. Choose at least 20 units and 10 ms of the rate.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.config.quota = quota;
        self
    }

    /// Sets the closure that states the share of a key, called for each request.
    ///
    /// It may return a different share each time. Default: all keys have the same share.
    pub fn share_of(mut self, share_of: impl Fn(&K) -> Share + Send + Sync + 'static) -> Self {
        self.share_of = Some(Arc::new(share_of));
        self
    }

    /// Sets the share of the quota that new accounts get together. Default: 0.05.
    ///
    /// It applies while the quota is contended, to all accounts without an entry. An account gets
    /// an entry when it is first admitted. With a tail of 0.1 this takes half as long, and a flood
    /// of new accounts costs the others twice as much. Use a larger tail if more new accounts
    /// arrive a second than it admits. Range: above 0.0, at most 1.0.
    pub fn tail(mut self, tail: f64) -> Self {
        self.config.tail = tail;
        self
    }

    max_keys_setter!();
    queue_setters!(keyed);
    setup_setters!(FairRateLimiterConfig: clock, dice, observe);

    /// Builds the limiter.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<FairRateLimiter<K>, ConfigError> {
        self.config.validate()?;
        let FairRateLimiterConfig { name, quota, tail, max_keys, queue, max_wait } = self.config;
        let identity = self.setup.identity(&name);
        let dice = identity.dice.clone();
        let crowd = Crowd::new(identity.name, identity.observer.clone());
        let common = Common::new(identity, queue, max_wait, 0);
        advise(&common, &quota);
        Ok(KeyedLimiter(Arc::new(Fair {
            cap_name: intern(&format!("{name}/cap")),
            level: AtomicU64::new(quota.rate().to_bits()),
            moved: AtomicU64::new(common.now()),
            common,
            bucket: LiveBucket::new(quota),
            table: Table::new(max_keys, &dice, crowd),
            caps: OnceLock::new(),
            dice,
            share_of: self.share_of,
            tail: AtomicU64::new(tail.to_bits()),
        })))
    }
}

impl<K: ?Sized> Clone for FairRateLimiterBuilder<K> {
    fn clone(&self) -> Self {
        let (config, setup) = (self.config.clone(), self.setup.clone());
        FairRateLimiterBuilder { config, setup, share_of: self.share_of.clone() }
    }
}

impl<K: ?Sized> fmt::Debug for FairRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairRateLimiterBuilder")
            .field("config", &self.config)
            .field("setup", &self.setup)
            .finish()
    }
}
