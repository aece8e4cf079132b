//! The live settings of a load shedder.

use super::LoadShedder;
use super::config::{check_capacity_hint, check_reshuffle_every, check_target, check_workers};
use super::controllers::{Control, Controller};
use super::machine::tick_interval;
use plimsoll_core::parts::{check, nanos};
use plimsoll_core::{ControlError, Inspect};
use std::sync::atomic::Ordering;
use std::time::Duration;

// Relaxed: no setting depends on another one, so no store publishes more than its own value.
impl<S> LoadShedder<S> {
    /// Returns the target delay.
    pub fn target(&self) -> Duration {
        Duration::from_nanos(self.0.target.load(Ordering::Relaxed))
    }

    /// Changes the target delay. Range: 1 µs to 1 h.
    ///
    /// A known capacity stays known.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `target` is out of range.
    pub fn set_target(&self, target: Duration) -> Result<(), ControlError> {
        check_target(target)?;
        let mut steering = self.0.steering();
        steering.set_target(target);
        self.0.target.store(target.as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the way in which the shedder is steered, or `None` if a function steers it.
    pub fn control(&self) -> Option<Control> {
        self.0.steering().controller().control()
    }

    /// Changes the way in which the shedder is steered, from the next tick on.
    ///
    /// The known capacity stays known, and the new controller starts afresh. It also replaces a
    /// function.
    ///
    /// # Errors
    /// Returns an error and changes nothing if a number of the curve is out of range.
    pub fn set_control(&self, control: Control) -> Result<(), ControlError> {
        control.validate()?;
        let mut steering = self.0.steering();
        let target = self.target();
        let (seconds, tick) = (target.as_secs_f64(), tick_interval(target).as_secs_f64());
        steering.set_controller(Controller::new(control, seconds, tick));
        Ok(())
    }

    /// Returns the capacity hint, in requests a second, if there is one.
    pub fn capacity_hint(&self) -> Option<f64> {
        Some(f64::from_bits(self.0.capacity_hint.load(Ordering::Relaxed))).filter(|hint| *hint > 0.0)
    }

    /// Changes the capacity hint, in requests a second. Range: above 0, at most 10⁹.
    ///
    /// It replaces the capacity measured so far. `None` removes the hint and keeps the measured
    /// capacity. Only [`Control::Rate`] uses the hint, and only if a depth is known. Under another
    /// control, the hint has no effect until [`set_control`](Self::set_control) changes to that
    /// one.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `hint` is out of range.
    pub fn set_capacity_hint(&self, hint: Option<f64>) -> Result<(), ControlError> {
        check_capacity_hint(hint)?;
        self.0.capacity_hint.store(hint.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
        if let Some(capacity) = hint {
            let mut steering = self.0.steering();
            if steering.set_capacity(capacity) {
                self.0.published.set_capacity(hint);
            }
        }
        Ok(())
    }

    /// Returns the time for which an account stays in its cohort.
    pub fn reshuffle_every(&self) -> Duration {
        Duration::from_nanos(self.0.reshuffle_every.load(Ordering::Relaxed))
    }

    /// Changes the time for which an account stays in its cohort. Range: 1 s or more.
    ///
    /// The accounts are reshuffled at multiples of this time since 1970, so a change usually
    /// reshuffles them at once.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `reshuffle_every` is out of range.
    pub fn set_reshuffle_every(&self, reshuffle_every: Duration) -> Result<(), ControlError> {
        check_reshuffle_every(reshuffle_every)?;
        let nanos = nanos(reshuffle_every);
        self.0.reshuffle_every.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the number of requests that are served at once.
    ///
    /// Returns `None` if the shedder has a [signal](super::LoadShedderBuilder::signal).
    pub fn workers(&self) -> Option<u32> {
        self.0.signal.is_none().then(|| self.0.counters.workers())
    }

    /// Changes the number of requests that are served at once. Range: 1 to 2³² − 1.
    ///
    /// # Errors
    /// Returns an error and changes nothing if `workers` is 0, or if the shedder has a
    /// [signal](super::LoadShedderBuilder::signal).
    pub fn set_workers(&self, workers: u32) -> Result<(), ControlError> {
        check_workers(workers)?;
        if self.0.signal.is_some() {
            return Err(ControlError::new("workers", workers, "unset for a shedder with a signal"));
        }
        self.0.counters.set_workers(workers);
        Ok(())
    }
}

impl<S> Inspect for LoadShedder<S> {
    fn name(&self) -> &'static str {
        LoadShedder::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("keep_rate", self.keep_rate());
        each("in_flight", self.in_flight() as f64);
        each("capacity", self.capacity().unwrap_or(0.0));
        each("target", self.target().as_secs_f64());
        each("capacity_hint", self.capacity_hint().unwrap_or(0.0));
        each("reshuffle_every", self.reshuffle_every().as_secs_f64());
        if let Some(workers) = self.workers() {
            each("workers", f64::from(workers));
        }
    }
    /// Sets `target` or `reshuffle_every` (seconds), `capacity_hint` (requests a second, 0 for
    /// none) or `workers` (requests).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "target" => self.set_target(check::seconds("target", value)?),
            "capacity_hint" => self.set_capacity_hint(Some(value).filter(|hint| *hint != 0.0)),
            "reshuffle_every" => self.set_reshuffle_every(check::seconds("reshuffle_every", value)?),
            "workers" => self.set_workers(check::whole("workers", value)?),
            _ => {
                let settings = &["target", "capacity_hint", "reshuffle_every", "workers"];
                Err(ControlError::unknown(setting, settings))
            }
        }
    }
}
