//! The live settings of an adaptive throttle.

use super::AdaptiveThrottle;
use super::config::{check_min_rate, check_multiplier, check_window};
use plimsoll_core::parts::check;
use plimsoll_core::{ControlError, Inspect};
use std::sync::atomic::Ordering;
use std::time::Duration;

// Relaxed: no setting depends on another one, so no store publishes more than its own value.
impl AdaptiveThrottle {
    /// Returns the number of requests that are sent for each one that the server accepts.
    pub fn multiplier(&self) -> f64 {
        f64::from_bits(self.0.multiplier.load(Ordering::Relaxed))
    }

    /// Changes the number of requests that are sent for each one that the server accepts.
    ///
    /// Range: 1 to 1,000,000.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `multiplier` is out of range.
    pub fn set_multiplier(&self, multiplier: f64) -> Result<(), ControlError> {
        check_multiplier(multiplier)?;
        self.0.multiplier.store(multiplier.to_bits(), Ordering::Relaxed);
        self.update_at_once();
        Ok(())
    }

    /// Returns the time over which requests are counted.
    pub fn window(&self) -> Duration {
        self.0.window.length()
    }

    /// Changes the time over which requests are counted. Range: 1 s to 1 h.
    ///
    /// All counts restart at 0. The last probability of a rejection applies until the server has
    /// answered, or until the new window has passed.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `window` is out of range.
    pub fn set_window(&self, window: Duration) -> Result<(), ControlError> {
        check_window(window)?;
        let now = self.0.clock.now();
        // Without this, a change in an outage would send the server everything until it answers.
        self.0.held_until.store((now + window).as_nanos(), Ordering::Relaxed);
        self.0.window.set_length(window, || self.0.clock.now());
        self.update_at_once();
        Ok(())
    }

    /// Returns the number of requests a second that are always sent.
    pub fn min_rate(&self) -> f64 {
        f64::from_bits(self.0.min_rate.load(Ordering::Relaxed))
    }

    /// Changes the number of requests a second that are always sent. Range: 0 to 1,000,000.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `min_rate` is out of range.
    pub fn set_min_rate(&self, min_rate: f64) -> Result<(), ControlError> {
        check_min_rate(min_rate)?;
        self.0.min_rate.store(min_rate.to_bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Returns whether a call that timed out counts as not accepted.
    pub fn count_timeouts(&self) -> bool {
        self.0.count_timeouts.load(Ordering::Relaxed)
    }

    /// Changes whether a call that times out counts as not accepted.
    ///
    /// Calls that have timed out already are not counted again.
    pub fn set_count_timeouts(&self, count_timeouts: bool) {
        self.0.count_timeouts.store(count_timeouts, Ordering::Relaxed);
    }

    /// Makes the next request compute the probability of a rejection.
    fn update_at_once(&self) {
        self.0.due.store(0, Ordering::Relaxed);
    }
}

impl Inspect for AdaptiveThrottle {
    fn name(&self) -> &'static str {
        AdaptiveThrottle::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let (requests, accepts) = self.counts();
        each("rejection_rate", self.rejection_rate());
        each("requests", requests as f64);
        each("accepts", accepts as f64);
        each("multiplier", self.multiplier());
        each("window", self.window().as_secs_f64());
        each("min_rate", self.min_rate());
        each("count_timeouts", f64::from(u8::from(self.count_timeouts())));
    }
    /// Sets `multiplier`, `window` (seconds), `min_rate` (requests a second) or `count_timeouts`
    /// (0 or 1).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "multiplier" => self.set_multiplier(value),
            "window" => self.set_window(check::seconds("window", value)?),
            "min_rate" => self.set_min_rate(value),
            "count_timeouts" => {
                self.set_count_timeouts(check::flag("count_timeouts", value)?);
                Ok(())
            }
            _ => {
                let settings = &["multiplier", "window", "min_rate", "count_timeouts"];
                Err(ControlError::unknown(setting, settings))
            }
        }
    }
}
