//! The settings and the builder of a keyed breaker.

use super::KeyedCircuitBreaker;
use crate::builder::breaker_setters;
use crate::config::{CircuitBreakerConfig, OpenTime, Probes, Ramp};
use crate::trip::Trip;
use plimsoll_core::parts::{Setup, check};
use plimsoll_core::{ConfigError, Outcome};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`KeyedCircuitBreaker`]: the maximum number of keys, and those of each
/// breaker.
///
/// Plain data. It is validated when the keyed breaker is built or changed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct KeyedCircuitBreakerConfig {
    /// The name that rejections carry. Default: "breakers".
    pub name: String,
    /// The maximum number of keys that have a breaker. Default: 1,024. Range: 1 to 2³² − 1.
    pub max_keys: usize,
    /// The trips, as in [`CircuitBreakerConfig::trips`].
    pub trips: Vec<Trip>,
    /// How long a breaker stays open.
    pub open_time: OpenTime,
    /// How a half-open breaker probes its dependency.
    pub probes: Probes,
    /// How a breaker ramps up after its probes have succeeded.
    pub ramp: Ramp,
    /// The time after which a call counts as timed out, as in
    /// [`CircuitBreakerConfig::call_timeout`].
    #[cfg_attr(feature = "serde", serde(with = "crate::config::zero_is_none"))]
    pub call_timeout: Option<Duration>,
    /// What a call counts as that is cancelled before the call time-out. Default:
    /// [`Outcome::Ignored`].
    pub cancelled: Outcome,
}

impl Default for KeyedCircuitBreakerConfig {
    fn default() -> Self {
        Self::new(CircuitBreakerConfig { name: "breakers".into(), ..CircuitBreakerConfig::default() }, 1_024)
    }
}

impl KeyedCircuitBreakerConfig {
    /// Creates the settings of at most `max_keys` breakers, each with the settings of `breaker`.
    ///
    /// Probes decide that a dependency works again, even if `breaker` is
    /// [`health_checked`](CircuitBreakerConfig::health_checked): nothing would run checks for every
    /// key.
    pub fn new(breaker: CircuitBreakerConfig, max_keys: usize) -> Self {
        let CircuitBreakerConfig { name, trips, open_time, probes, ramp, call_timeout, cancelled, .. } =
            breaker;
        KeyedCircuitBreakerConfig { name, max_keys, trips, open_time, probes, ramp, call_timeout, cancelled }
    }

    /// Returns the settings of each breaker.
    pub fn breaker(&self) -> CircuitBreakerConfig {
        CircuitBreakerConfig {
            name: self.name.clone(),
            trips: self.trips.clone(),
            open_time: self.open_time,
            probes: self.probes,
            ramp: self.ramp,
            call_timeout: self.call_timeout,
            cancelled: self.cancelled,
            health_checked: false,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::within("max_keys", self.max_keys, 1..=u32::MAX as usize)?;
        self.breaker().validate()
    }
}

/// Builds a [`KeyedCircuitBreaker`]. Created by [`KeyedCircuitBreaker::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct KeyedCircuitBreakerBuilder<K> {
    config: KeyedCircuitBreakerConfig,
    setup: Setup,
    keys: PhantomData<fn(K)>,
}

impl<K: Hash + Eq + Clone> KeyedCircuitBreaker<K> {
    /// Creates a keyed breaker with the default [settings](KeyedCircuitBreakerConfig).
    ///
    /// # Errors
    /// Returns an error if the name is empty.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder().name(name).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> KeyedCircuitBreakerBuilder<K> {
        KeyedCircuitBreakerBuilder {
            config: KeyedCircuitBreakerConfig::default(),
            setup: Setup::default(),
            keys: PhantomData,
        }
    }
}

impl<K> KeyedCircuitBreakerBuilder<K> {
    /// Sets the maximum number of keys that have a breaker.
    ///
    /// Choose more than are in use at the same time. A breaker is created, and takes
    /// [memory](KeyedCircuitBreaker#memory), when its key is first used. Default: 1,024. Range: 1
    /// to 2³² − 1.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.config.max_keys = max_keys;
        self
    }

    breaker_setters!(KeyedCircuitBreakerConfig);
}

impl<K: Hash + Eq + Clone> KeyedCircuitBreakerBuilder<K> {
    /// Builds the keyed breaker.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<KeyedCircuitBreaker<K>, ConfigError> {
        self.config.validate()?;
        let identity = self.setup.identity(&self.config.name);
        let config = Arc::new(self.config.breaker());
        Ok(KeyedCircuitBreaker::from_parts(config, self.config.max_keys, identity))
    }
}

// Not derived: a key need not be `Clone` for a builder to be.
impl<K> Clone for KeyedCircuitBreakerBuilder<K> {
    fn clone(&self) -> Self {
        let (config, setup) = (self.config.clone(), self.setup.clone());
        KeyedCircuitBreakerBuilder { config, setup, keys: PhantomData }
    }
}

impl<K> fmt::Debug for KeyedCircuitBreakerBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCircuitBreakerBuilder")
            .field("config", &self.config)
            .field("setup", &self.setup)
            .finish()
    }
}
