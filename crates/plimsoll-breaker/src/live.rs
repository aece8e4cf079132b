//! Changing the settings while the breaker runs.

use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use plimsoll_core::parts::check;
use plimsoll_core::{ConfigError, ControlError};

/// Writes the getters and live setters that one breaker and many have in common. `setting` reads
/// the settings and `retune` changes them.
macro_rules! live_settings {
    () => {
        /// Returns the trips.
        pub fn trips(&self) -> Vec<$crate::Trip> {
            self.setting(|config| config.trips.clone())
        }

        /// Changes the trips. If they differ, counting begins anew. The state stays. Range: 0 to 8
        /// trips.
        ///
        /// Calls in flight count for the new trips. A call that was admitted while no call was
        /// timed does not count for a trip of slow calls.
        ///
        /// # Errors
        /// Returns an error if there are more than 8 trips or a number is out of range. Nothing has
        /// changed then.
        pub fn set_trips(
            &self,
            trips: impl IntoIterator<Item = $crate::Trip>,
        ) -> Result<(), plimsoll_core::ControlError> {
            let trips = trips.into_iter().collect();
            self.retune(|config| config.trips = trips)
        }

        /// Returns how long a breaker stays open.
        pub fn open_time(&self) -> $crate::OpenTime {
            self.setting(|config| config.open_time)
        }

        /// Changes how long a breaker stays open.
        ///
        /// An open breaker stays so no longer than it would have by the new times. Longer ones
        /// apply from the next opening on.
        ///
        /// # Errors
        /// Returns an error if a number is out of range. Nothing has changed then.
        pub fn set_open_time(&self, open_time: $crate::OpenTime) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.open_time = open_time)
        }

        /// Returns how a half-open breaker probes the dependency.
        pub fn probes(&self) -> $crate::Probes {
            self.setting(|config| config.probes)
        }

        /// Changes how a half-open breaker probes the dependency.
        ///
        /// A shorter lease applies to probes in flight, too, from now on.
        ///
        /// # Errors
        /// Returns an error if a number is out of range. Nothing has changed then.
        pub fn set_probes(&self, probes: $crate::Probes) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.probes = probes)
        }

        /// Returns how a breaker ramps up after its probes have succeeded.
        pub fn ramp(&self) -> $crate::Ramp {
            self.setting(|config| config.ramp)
        }

        /// Changes how a breaker ramps up. Applies from the next ramp on.
        ///
        /// A ramp that has begun keeps its duration and its start.
        /// [`reset`](crate::CircuitBreaker::reset) ends it.
        ///
        /// # Errors
        /// Returns an error if a number is out of range. Nothing has changed then.
        pub fn set_ramp(&self, ramp: $crate::Ramp) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.ramp = ramp)
        }

        /// Returns the time after which a call counts as timed out.
        pub fn call_timeout(&self) -> Option<std::time::Duration> {
            self.setting(|config| config.call_timeout)
        }

        /// Changes the time after which a call counts as timed out.
        ///
        /// Calls in flight count when they end, except for those admitted while no call was timed.
        /// Later calls count in flight, too.
        ///
        /// # Errors
        /// Returns an error if the time is 0. Nothing has changed then.
        pub fn set_call_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> Result<(), plimsoll_core::ControlError> {
            self.retune(|config| config.call_timeout = timeout)
        }

        /// Returns what a call counts as that is cancelled before the call time-out.
        pub fn cancelled(&self) -> plimsoll_core::Outcome {
            self.setting(|config| config.cancelled)
        }

        /// Changes what a call counts as that is cancelled before the call time-out.
        pub fn set_cancelled(&self, outcome: plimsoll_core::Outcome) {
            // Cannot fail: every outcome is valid, and the other settings stay as they are.
            let _ = self.retune(|config| config.cancelled = outcome);
        }
    };
}

pub(crate) use live_settings;

impl CircuitBreaker {
    live_settings!();

    /// Returns whether health checks decide that the dependency works again.
    pub fn health_checked(&self) -> bool {
        self.setting(|config| config.health_checked)
    }

    /// Changes whether health checks decide that the dependency works again.
    pub fn set_health_checked(&self, health_checked: bool) {
        // Cannot fail: both values are valid, and the other settings stay as they are.
        let _ = self.retune(|config| config.health_checked = health_checked);
    }

    /// Returns the settings.
    pub fn config(&self) -> CircuitBreakerConfig {
        self.setting(CircuitBreakerConfig::clone)
    }

    /// Replaces all settings. The state stays, and what was counted stays unless the trips change.
    ///
    /// The setters document what each change means for calls in flight.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or the name differs. Nothing has changed then.
    pub fn set_config(&self, config: CircuitBreakerConfig) -> Result<(), ControlError> {
        check_name(&config.name, self.name())?;
        self.retune(|current| *current = config)
    }

    fn setting<T>(&self, read: impl FnOnce(&CircuitBreakerConfig) -> T) -> T {
        read(&self.0.lock().config)
    }

    fn retune(&self, change: impl FnOnce(&mut CircuitBreakerConfig)) -> Result<(), ControlError> {
        self.0.retune(|config| {
            change(config);
            Ok(())
        })
    }
}

/// Checks that the name stays the same, because it cannot change.
pub(crate) fn check_name(given: &str, current: &str) -> Result<(), ConfigError> {
    if given == current {
        return Ok(());
    }
    Err(ConfigError::new("name", given, format!("{current}, because it cannot change")))
}

/// The names of the settings that are numbers, as in errors.
pub(crate) const SETTINGS: [&str; 11] = [
    "open_time.first",
    "open_time.factor",
    "open_time.max",
    "open_time.jitter",
    "probes.concurrency",
    "probes.successes",
    "probes.failures",
    "probes.lease",
    "ramp.duration",
    "ramp.start",
    "call_timeout",
];

/// Calls `each` with every setting that is a number. Durations are in seconds. Without a call
/// time-out, or a number of bad probes, the value is 0. The default of the ramp is shown as the
/// duration that it has.
pub(crate) fn read_settings(config: &CircuitBreakerConfig, each: &mut dyn FnMut(&'static str, f64)) {
    let CircuitBreakerConfig { open_time, probes, ramp, call_timeout, .. } = config;
    let values = [
        open_time.first.as_secs_f64(),
        open_time.factor,
        open_time.max.as_secs_f64(),
        open_time.jitter,
        f64::from(probes.concurrency),
        f64::from(probes.successes),
        f64::from(probes.failures.unwrap_or(0)),
        probes.lease.as_secs_f64(),
        config.ramp_duration().as_secs_f64(),
        ramp.start,
        call_timeout.map_or(0.0, |timeout| timeout.as_secs_f64()),
    ];
    SETTINGS.into_iter().zip(values).for_each(|(name, value)| each(name, value));
}

/// Changes the setting of this name. The result still has to be validated.
///
/// `others` are the names of further settings of the guard, for the error.
///
/// # Errors
/// Returns an error if the setting is unknown or the value has the wrong type.
pub(crate) fn change_setting(
    config: &mut CircuitBreakerConfig,
    setting: &str,
    value: f64,
    others: &[&str],
) -> Result<(), ControlError> {
    let CircuitBreakerConfig { open_time, probes, ramp, call_timeout, .. } = config;
    match setting {
        "open_time.first" => {
            let first = check::seconds("open_time.first", value)?;
            if first > open_time.max {
                let allowed = format!("at most open_time.max ({:?})", open_time.max);
                return Err(ControlError::new("open_time.first", value, allowed));
            }
            open_time.first = first;
        }
        "open_time.factor" => open_time.factor = value,
        "open_time.max" => open_time.max = check::seconds("open_time.max", value)?,
        "open_time.jitter" => open_time.jitter = value,
        "probes.concurrency" => probes.concurrency = check::whole("probes.concurrency", value)?,
        "probes.successes" => probes.successes = check::whole("probes.successes", value)?,
        "probes.failures" => {
            let failures = check::whole("probes.failures", value)?;
            probes.failures = (failures > 0).then_some(failures);
        }
        "probes.lease" => probes.lease = check::seconds("probes.lease", value)?,
        "ramp.duration" => ramp.duration = Some(check::seconds("ramp.duration", value)?),
        "ramp.start" => ramp.start = value,
        "call_timeout" => {
            let timeout = check::seconds("call_timeout", value)?;
            *call_timeout = (!timeout.is_zero()).then_some(timeout);
        }
        _ => return Err(ControlError::unknown(setting, &[others, &SETTINGS].concat())),
    }
    Ok(())
}
