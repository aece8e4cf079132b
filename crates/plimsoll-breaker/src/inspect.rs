//! Reading and changing a breaker by the names of its settings.

use crate::breaker::CircuitBreaker;
use crate::live::{change_setting, read_settings};
use crate::machine::CircuitState;
use plimsoll_core::parts::check;
use plimsoll_core::{ControlError, Inspect};

impl Inspect for CircuitBreaker {
    fn name(&self) -> &'static str {
        CircuitBreaker::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let status = self.status();
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        each("closed", flag(status.state == CircuitState::Closed));
        each("open", flag(status.state == CircuitState::Open));
        each("half_open", flag(status.state == CircuitState::HalfOpen));
        each("ramp", flag(status.state == CircuitState::Ramp));
        each("blocked", flag(status.blocked.is_some()));
        each("disabled", flag(status.disabled));
        // Unlocked before the call, because `each` is foreign code.
        let fault = self.0.lock().fault;
        each("fault", fault);
        let config = self.config();
        read_settings(&config, each);
        each("health_checked", flag(config.health_checked));
    }
    /// Changes `fault` (a share), `open` (1 trips the breaker, 0 resets it), `blocked` and
    /// `disabled` (1 or 0), or a [setting](crate::CircuitBreakerConfig) that is a number.
    ///
    /// These are `open_time.first`, `open_time.max`, `probes.lease`, `ramp.duration` and
    /// `call_timeout` in seconds, where 0 means no call time-out; `open_time.factor`,
    /// `open_time.jitter`, `probes.concurrency`, `probes.successes`, `probes.failures` (0: as many
    /// as the trips tolerate) and `ramp.start`; and `health_checked` (1 or 0).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "fault" => self.set_fault(value)?,
            "open" if check::flag("open", value)? => self.trip("operator"),
            "open" => self.reset(),
            "blocked" if check::flag("blocked", value)? => self.block("operator"),
            "blocked" => self.unblock(),
            "disabled" if check::flag("disabled", value)? => self.disable(),
            "disabled" => self.enable(),
            "health_checked" => self.set_health_checked(check::flag("health_checked", value)?),
            _ => {
                let others = ["fault", "open", "blocked", "disabled", "health_checked"];
                self.0.retune(|config| change_setting(config, setting, value, &others))?;
            }
        }
        Ok(())
    }
}
