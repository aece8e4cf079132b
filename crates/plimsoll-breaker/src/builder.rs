//! Building a breaker.

use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use plimsoll_core::ConfigError;
use plimsoll_core::parts::Setup;
use std::sync::Arc;

/// Writes the setters that the builders of one breaker and of many have in common. The builder has
/// the fields `config` and `setup`.
macro_rules! breaker_setters {
    ($config:ty) => {
        /// Replaces all settings by those of `config`.
        pub fn config(mut self, config: $config) -> Self {
            self.config = config;
            self
        }

        /// Adds a trip to those that are set, at first the default ones. Range: 0 to 8 trips.
        pub fn trip(mut self, trip: $crate::Trip) -> Self {
            self.config.trips.push(trip);
            self
        }

        /// Replaces the trips, also the default ones.
        ///
        /// Default, each of at least 20 calls within 10 s: half of them fail, the dependency
        /// rejects 90 % itself, or calls are cancelled and none succeeds. Range: 0 to 8 trips.
        pub fn trips(mut self, trips: impl IntoIterator<Item = $crate::Trip>) -> Self {
            self.config.trips = trips.into_iter().collect();
            self
        }

        /// Sets how long the breaker stays open.
        ///
        /// Default: 5 s at first, twice as long each time it opens again, at most 60 s.
        #[doc(alias = "reset timeout")]
        #[doc(alias = "wait duration")]
        pub fn open_time(mut self, open_time: $crate::OpenTime) -> Self {
            self.config.open_time = open_time;
            self
        }

        /// Sets how a half-open breaker probes the dependency. Default: one probe.
        pub fn probes(mut self, probes: $crate::Probes) -> Self {
            self.config.probes = probes;
            self
        }

        /// Sets how the breaker ramps up after that.
        ///
        /// Default: from 10 % to all calls over the first open time, at most 5 s.
        pub fn ramp(mut self, ramp: $crate::Ramp) -> Self {
            self.config.ramp = ramp;
            self
        }

        /// Sets the time after which a call counts as timed out, even while it is in flight.
        ///
        /// Default: 10 s. Range: above 0, or `None`.
        pub fn call_timeout(mut self, timeout: impl Into<Option<std::time::Duration>>) -> Self {
            self.config.call_timeout = timeout.into();
            self
        }

        /// Sets what a call counts as that is cancelled before the call time-out.
        ///
        /// Default: [`Ignored`](plimsoll_core::Outcome::Ignored).
        pub fn cancelled(mut self, outcome: plimsoll_core::Outcome) -> Self {
            self.config.cancelled = outcome;
            self
        }

        plimsoll_core::setup_setters!(@name);
        plimsoll_core::setup_setters!(@clock);
        plimsoll_core::setup_setters!(@dice);
        plimsoll_core::setup_setters!(@observe);
    };
}

pub(crate) use breaker_setters;

/// Builds a [`CircuitBreaker`]. Created by [`CircuitBreaker::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct CircuitBreakerBuilder {
    config: CircuitBreakerConfig,
    setup: Setup,
}

impl CircuitBreaker {
    /// Creates a breaker with the default [settings](CircuitBreakerConfig).
    ///
    /// # Errors
    /// Returns an error if the name is empty.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder().name(name).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::default()
    }
}

impl CircuitBreakerBuilder {
    breaker_setters!(CircuitBreakerConfig);

    /// Lets health checks decide that the dependency works again. Default: probes decide.
    ///
    /// See [`run_health_checks`](CircuitBreaker::run_health_checks). If no check ends within two
    /// leases of the open time's end, calls probe the dependency after all.
    pub fn health_checked(mut self) -> Self {
        self.config.health_checked = true;
        self
    }

    /// Builds the breaker.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        self.config.validate()?;
        let identity = self.setup.identity(&self.config.name);
        Ok(CircuitBreaker::from_parts(Arc::new(self.config), identity, None))
    }
}
