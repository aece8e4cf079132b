//! Reading and changing the settings of all breakers.

use super::lru::{KeyShard, RemovedEntry};
use super::{KeyedCircuitBreaker, KeyedCircuitBreakerConfig, Registry};
use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use crate::live::{change_setting, check_name, live_settings, read_settings};
use crate::machine::CircuitState;
use plimsoll_core::parts::check;
use plimsoll_core::parts::sync::{MutexGuard, Ordering, recover};
use plimsoll_core::{ConfigError, ControlError, Inspect};
use std::hash::Hash;
use std::sync::{Arc, RwLock};

/// The setters apply to existing and future breakers. They replace settings that were changed on a
/// single breaker.
impl<K> KeyedCircuitBreaker<K> {
    live_settings!();

    /// Returns the settings.
    pub fn config(&self) -> KeyedCircuitBreakerConfig {
        let (config, max_keys) = self.0.config_and_max_keys();
        KeyedCircuitBreakerConfig::new(CircuitBreakerConfig::clone(&config), max_keys)
    }

    fn setting<T>(&self, read: impl FnOnce(&CircuitBreakerConfig) -> T) -> T {
        let config = recover(self.0.config.lock());
        read(&config)
    }

    fn retune(&self, change: impl FnOnce(&mut CircuitBreakerConfig)) -> Result<(), ControlError> {
        self.0.retune(|config| {
            change(config);
            Ok(())
        })
    }

    /// Returns the number of breakers in this state.
    fn count(&self, state: CircuitState) -> usize {
        let count = |breaker: &CircuitBreaker| usize::from(breaker.state() == state);
        let shards = self.0.shards.iter();
        shards
            .map(|shard| recover(shard.read()).iter().map(|(_, breaker)| count(breaker)).sum::<usize>())
            .sum()
    }
}

impl<K: Hash + Eq + Clone> KeyedCircuitBreaker<K> {
    /// Changes the maximum number of keys that have a breaker. Range: the number of shards (1, or
    /// up to 16 if it was built for 2,048 keys and more) to 2³² − 1.
    ///
    /// Breakers above a lower bound are evicted. A breaker stays that is open within its open time,
    /// on a ramp, or half-open with a probe in flight. Once that is over, a new key evicts it. A
    /// blocked or disabled breaker, or one with a [fault](CircuitBreaker::set_fault), always stays.
    /// The number of shards stays, too.
    ///
    /// # Errors
    /// Returns an error if the number is out of range. Nothing has changed then.
    pub fn set_max_keys(&self, max_keys: usize) -> Result<(), ControlError> {
        self.0.check_max_keys(max_keys)?;
        let current = recover(self.0.config.lock());
        let evicted = self.0.resize(max_keys);
        drop(current);
        drop(evicted);
        Ok(())
    }

    /// Replaces all settings. States stay, and what was counted stays unless the trips change.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or the name differs. Nothing has changed then.
    pub fn set_config(&self, config: KeyedCircuitBreakerConfig) -> Result<(), ControlError> {
        config.validate()?;
        check_name(&config.name, self.name())?;
        self.0.check_max_keys(config.max_keys)?;
        let current = recover(self.0.config.lock());
        let evicted = self.0.resize(config.max_keys);
        self.0.replace(current, config.breaker());
        drop(evicted);
        Ok(())
    }
}

impl<K> Registry<K> {
    /// Returns the settings of each breaker, and the maximum number of keys of the same moment.
    fn config_and_max_keys(&self) -> (Arc<CircuitBreakerConfig>, usize) {
        let config = recover(self.config.lock());
        (config.clone(), self.max_keys.load(Ordering::Relaxed))
    }

    /// Applies `change` to the settings, or nothing if the result is invalid.
    fn retune(
        &self,
        change: impl FnOnce(&mut CircuitBreakerConfig) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        let current = recover(self.config.lock());
        let mut config = CircuitBreakerConfig::clone(&current);
        change(&mut config)?;
        config.validate()?;
        self.replace(current, config);
        Ok(())
    }

    /// Replaces the settings of all breakers. They must be valid.
    ///
    /// `current` stays locked until the end, so that two changes reach all breakers in the same
    /// order.
    fn replace(&self, mut current: MutexGuard<'_, Arc<CircuitBreakerConfig>>, config: CircuitBreakerConfig) {
        *current = Arc::new(config);
        for shard in &self.shards {
            let breakers: Vec<_> = {
                let mut shard = recover(shard.write());
                shard.config = current.clone();
                shard.iter().map(|(_, breaker)| breaker.clone()).collect()
            };
            breakers.iter().for_each(|breaker| breaker.0.apply(current.clone()));
        }
    }

    /// Checks that each shard has room for a key.
    fn check_max_keys(&self, max_keys: usize) -> Result<(), ConfigError> {
        check::within("max_keys", max_keys, self.shards.len()..=u32::MAX as usize)
    }
}

impl<K: Hash + Eq + Clone> Registry<K> {
    /// Changes the bound. The caller holds the lock of the settings, so that the shards agree.
    ///
    /// Drop the result without that lock, because the `Drop` of a key is foreign code.
    fn resize(&self, max_keys: usize) -> Vec<RemovedEntry<K>> {
        self.max_keys.store(max_keys, Ordering::Relaxed);
        let now = self.identity.clock.now();
        let resize = |(n, shard): (usize, &RwLock<KeyShard<K>>)| {
            recover(shard.write()).resize(super::part_of(max_keys, self.shards.len(), n), now)
        };
        self.shards.iter().enumerate().flat_map(resize).collect()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync> Inspect for KeyedCircuitBreaker<K> {
    fn name(&self) -> &'static str {
        KeyedCircuitBreaker::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("key_count", self.key_count() as f64);
        // Unlocked before the call, because `each` is foreign code.
        let (config, max_keys) = self.0.config_and_max_keys();
        each("max_keys", max_keys as f64);
        each("open", self.count(CircuitState::Open) as f64);
        read_settings(&config, each);
    }
    /// Changes `max_keys`, or a [setting](KeyedCircuitBreakerConfig) that is a number, by the same
    /// names as for a single [breaker](CircuitBreaker).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "max_keys" => self.set_max_keys(check::whole("max_keys", value)?),
            _ => self.0.retune(|config| change_setting(config, setting, value, &["max_keys"])),
        }
    }
}
