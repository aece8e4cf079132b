//! Changing the settings while the breaker runs.

use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use plimsoll_core::parts::check;
use plimsoll_core::{ConfigError, ControlError};
use std::fmt::Display;

/// Writes the live setters that one breaker and many have in common. `retune` takes a closure that changes
/// the settings of a breaker.
macro_rules! live_setters {
    () => {
        /// Changes the trips. Counting begins anew; the state stays. Range: 0 to 8 trips.
        ///
        /// Calls in flight count for the new trips. A call that was admitted while no call was timed does
        /// not count for a trip of slow calls.
        ///
        /// # Errors
        /// Returns an error if there are more than 8 trips, or a number of one is out of range. Nothing
        /// has changed then.
        pub fn set_trips(
            &self,
            trips: impl IntoIterator<Item = $crate::Trip>,
        ) -> Result<(), plimsoll_core::ControlError> {
            let trips = trips.into_iter().collect();
            self.retune(|config| config.trips = trips)
        }

        /// Changes how long a breaker stays open, from the next time it opens on.
        ///
        /// # Errors
        /// Returns an error if a number is out of range. Nothing has changed then.
        pub fn set_open(&self, open: $crate::OpenTime) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.open = open)
        }

        /// Changes how a half-open breaker finds out whether the dependency works.
        ///
        /// Probes in flight keep their lease.
        ///
        /// # Errors
        /// Returns an error if a number is out of range. Nothing has changed then.
        pub fn set_probes(&self, probes: $crate::Probes) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.probes = probes)
        }

        /// Changes how a breaker admits calls again. A ramp that has begun keeps its duration.
        ///
        /// # Errors
        /// Returns an error if a number is out of range. Nothing has changed then.
        pub fn set_ramp(&self, ramp: $crate::Ramp) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.ramp = ramp)
        }

        /// Changes the time after which a cancelled call counts as timed out.
        ///
        /// It applies to calls in flight, except for those that were admitted while no call was timed.
        ///
        /// # Errors
        /// Returns an error if the time is 0. Nothing has changed then.
        pub fn set_call_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.call_timeout = timeout)
        }

        /// Changes what a call counts as that is cancelled earlier.
        pub fn set_cancelled(&self, outcome: plimsoll_core::Outcome) {
            // Every outcome is valid, and so are the settings that it becomes a part of.
            let _ = self.retune(|config| config.cancelled = outcome);
        }

        /// Changes whether a health check decides that the dependency works again.
        pub fn set_health_checked(&self, health_checked: bool) {
            // As above.
            let _ = self.retune(|config| config.health_checked = health_checked);
        }
    };
}

pub(crate) use live_setters;

impl CircuitBreaker {
    live_setters!();

    /// Replaces all settings. The state stays, and if the trips do, so does what was counted.
    ///
    /// See the setters for what each change means to calls in flight.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid, or if the name is another. Nothing has changed then.
    pub fn set_config(&self, config: CircuitBreakerConfig) -> Result<(), ControlError> {
        config.validate()?;
        check_fixed("name", config.name.as_str(), self.name())?;
        self.retune(|current| *current = config)
    }

    /// Returns the settings.
    pub fn config(&self) -> CircuitBreakerConfig {
        CircuitBreakerConfig::clone(&self.0.lock().config)
    }

    fn retune(&self, change: impl FnOnce(&mut CircuitBreakerConfig)) -> Result<(), ControlError> {
        self.0.retune(|config| {
            change(config);
            Ok(())
        })
    }
}

/// Checks a setting that cannot change.
pub(crate) fn check_fixed<T: PartialEq + Display>(
    setting: &'static str,
    given: T,
    current: T,
) -> Result<(), ConfigError> {
    if given == current {
        return Ok(());
    }
    Err(ConfigError::new(setting, given, format!("{current}, because it cannot change")))
}

/// The settings that are numbers, by the names that errors use.
pub(crate) const SETTINGS: [&str; 12] = [
    "open.first",
    "open.factor",
    "open.max",
    "open.jitter",
    "probes.concurrency",
    "probes.successes",
    "probes.lease",
    "ramp.duration",
    "ramp.start",
    "ramp.tolerance",
    "call_timeout",
    "health_checked",
];

/// Calls `each` with every setting that is a number. Durations are in seconds, and no call time-out is 0.
pub(crate) fn read_settings(config: &CircuitBreakerConfig, each: &mut dyn FnMut(&'static str, f64)) {
    let CircuitBreakerConfig { open, probes, ramp, call_timeout, health_checked, .. } = config;
    let values = [
        open.first.as_secs_f64(),
        open.factor,
        open.max.as_secs_f64(),
        open.jitter,
        f64::from(probes.concurrency),
        f64::from(probes.successes),
        probes.lease.as_secs_f64(),
        ramp.duration.as_secs_f64(),
        ramp.start,
        ramp.tolerance,
        call_timeout.map_or(0.0, |timeout| timeout.as_secs_f64()),
        f64::from(u8::from(*health_checked)),
    ];
    SETTINGS.into_iter().zip(values).for_each(|(name, value)| each(name, value));
}

/// Changes the setting of this name.
///
/// # Errors
/// Returns an error if the value cannot be one of this setting. It may still be out of range. `others` are
/// settings that the guard has besides.
pub(crate) fn change_setting(
    config: &mut CircuitBreakerConfig,
    setting: &str,
    value: f64,
    others: &[&str],
) -> Result<(), ControlError> {
    let CircuitBreakerConfig { open, probes, ramp, call_timeout, health_checked, .. } = config;
    match setting {
        "open.first" => open.first = check::seconds("open.first", value)?,
        "open.factor" => open.factor = value,
        "open.max" => open.max = check::seconds("open.max", value)?,
        "open.jitter" => open.jitter = value,
        "probes.concurrency" => probes.concurrency = check::whole("probes.concurrency", value)?,
        "probes.successes" => probes.successes = check::whole("probes.successes", value)?,
        "probes.lease" => probes.lease = check::seconds("probes.lease", value)?,
        "ramp.duration" => ramp.duration = check::seconds("ramp.duration", value)?,
        "ramp.start" => ramp.start = value,
        "ramp.tolerance" => ramp.tolerance = value,
        "call_timeout" => {
            let timeout = check::seconds("call_timeout", value)?;
            *call_timeout = (!timeout.is_zero()).then_some(timeout);
        }
        "health_checked" => *health_checked = check::flag("health_checked", value)?,
        _ => return Err(ControlError::unknown(setting, &[others, &SETTINGS].concat())),
    }
    Ok(())
}
