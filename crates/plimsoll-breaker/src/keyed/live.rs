//! Reading and changing the settings of all breakers.

use super::{KeyedCircuitBreaker, KeyedCircuitBreakerConfig};
use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use crate::live::{change_setting, check_fixed, live_setters, read_settings};
use crate::machine::CircuitState;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::{ControlError, Inspect};
use std::sync::Arc;

/// The setters apply to the breakers that exist and to those to come. They replace the settings that a
/// breaker was given by itself.
impl<K> KeyedCircuitBreaker<K> {
    live_setters!();

    /// Replaces all settings. States stay, and if the trips do, so does what was counted.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid, or if the name or `max_keys` is another. Nothing has
    /// changed then.
    pub fn set_config(&self, config: KeyedCircuitBreakerConfig) -> Result<(), ControlError> {
        config.validate()?;
        check_fixed("name", config.name.as_str(), self.name())?;
        check_fixed("max_keys", config.max_keys, self.max_keys())?;
        self.retune(|current| *current = config.breaker())
    }

    /// Returns the settings.
    pub fn config(&self) -> KeyedCircuitBreakerConfig {
        let config = recover(self.0.config.lock()).clone();
        KeyedCircuitBreakerConfig::new(CircuitBreakerConfig::clone(&config), self.max_keys())
    }

    fn retune(&self, change: impl FnOnce(&mut CircuitBreakerConfig)) -> Result<(), ControlError> {
        self.try_retune(|config| {
            change(config);
            Ok(())
        })
    }

    fn try_retune(
        &self,
        change: impl FnOnce(&mut CircuitBreakerConfig) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        // Locked throughout, so that two changes reach all breakers in the same order.
        let mut current = recover(self.0.config.lock());
        let mut config = CircuitBreakerConfig::clone(&current);
        change(&mut config)?;
        config.validate()?;
        *current = Arc::new(config);
        for shard in &self.0.shards {
            let breakers: Vec<_> = {
                let mut shard = recover(shard.lock());
                shard.config = current.clone();
                shard.iter().map(|(_, breaker)| breaker.clone()).collect()
            };
            breakers.iter().for_each(|breaker| breaker.0.apply(current.clone()));
        }
        Ok(())
    }

    fn count(&self, state: CircuitState) -> usize {
        let count = |breaker: &CircuitBreaker| usize::from(breaker.state() == state);
        let shards = self.0.shards.iter();
        shards
            .map(|shard| recover(shard.lock()).iter().map(|(_, breaker)| count(breaker)).sum::<usize>())
            .sum()
    }
}

impl<K: Send> Inspect for KeyedCircuitBreaker<K> {
    fn name(&self) -> &'static str {
        KeyedCircuitBreaker::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("key_count", self.key_count() as f64);
        each("max_keys", self.max_keys() as f64);
        each("open", self.count(CircuitState::Open) as f64);
        let config = recover(self.0.config.lock()).clone();
        read_settings(&config, each);
    }
    /// Settings: those of the [configuration](KeyedCircuitBreakerConfig) that are numbers, by the same
    /// names as for one [breaker](CircuitBreaker).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        self.try_retune(|config| change_setting(config, setting, value, &[]))
    }
}
