//! The controllers, which decide how many requests to admit.

mod log;
mod measurement;
mod pie;
mod rate;

use crate::Curve;
use crate::curve::clamp;
use log::LogController;
pub(super) use measurement::{Admit, Measurement};
use pie::Pie;
use plimsoll_core::ConfigError;
use rate::RateController;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The way in which a [`LoadShedder`](crate::LoadShedder) is steered. Plain data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Control {
    /// Steers the admitted rate. Recommended.
    ///
    /// The measured capacity is fed forward, and a PI controller corrects it by the delay of the
    /// queue. If only a delay is known, a PI controller steers the logarithm of the share that is
    /// kept.
    #[default]
    Rate,
    /// Steers the probability of dropping by PIE (RFC 8033), with the gains of that document.
    ///
    /// It works well a little above the capacity, and loses control far above it.
    Pie,
    /// Keeps the share of a curve over the depth.
    ///
    /// If only a delay is known, the curve is over the delay in seconds.
    Curve(Curve),
    /// Keeps the share of a curve over the average depth of some 500 arrivals, as RED does.
    Red(Curve),
}

impl Control {
    /// Checks the numbers of the curve, if there is one.
    ///
    /// # Errors
    /// Returns an error naming the invalid number and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Control::Rate | Control::Pie => Ok(()),
            Control::Curve(curve) | Control::Red(curve) => curve.validate(),
        }
    }
}

/// A curve, or a function in its place.
#[derive(Clone)]
pub(super) enum CurveSource {
    Plain(Curve),
    Function(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl CurveSource {
    /// Returns the share that is kept at this load, 0.0 to 1.0.
    ///
    /// Returns `None` if the function panics, or returns what is not a number. The panic hook
    /// reports the panic.
    fn keep_rate(&self, load: f64) -> Option<f64> {
        match self {
            CurveSource::Plain(curve) => Some(curve.keep_rate(load)),
            CurveSource::Function(function) => {
                let keep_rate = catch_unwind(AssertUnwindSafe(|| function(load))).ok()?;
                (!keep_rate.is_nan()).then(|| clamp(keep_rate))
            }
        }
    }
}

impl fmt::Debug for CurveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CurveSource::Plain(curve) => curve.fmt(f),
            CurveSource::Function(_) => f.write_str("Curve(own)"),
        }
    }
}

/// A controller and its state.
#[derive(Clone, Debug)]
pub(super) enum Controller {
    /// By the rate, or by the logarithm if only a delay is known.
    Rate(RateController, LogController),
    Pie(Pie),
    Curve(CurveSource),
    /// A curve over the average load.
    Red(CurveSource, f64),
}

impl Controller {
    /// Creates a controller. `target` and `tick`, the usual time between ticks, are in seconds.
    pub(super) fn new(control: Control, target: f64, tick: f64) -> Self {
        match control {
            Control::Rate => {
                Controller::Rate(RateController::new(target, tick), LogController::new(target, tick))
            }
            Control::Pie => Controller::Pie(Pie::new(target)),
            Control::Curve(curve) => Controller::Curve(CurveSource::Plain(curve)),
            Control::Red(curve) => Controller::red(CurveSource::Plain(curve)),
        }
    }

    /// Creates a controller with a curve over the average load.
    pub(super) fn red(curve: CurveSource) -> Self {
        Controller::Red(curve, 0.0)
    }

    /// Returns the control of which this is the state, or `None` if a function steers it.
    pub(super) fn control(&self) -> Option<Control> {
        match self {
            Controller::Rate(..) => Some(Control::Rate),
            Controller::Pie(_) => Some(Control::Pie),
            Controller::Curve(CurveSource::Plain(curve)) => Some(Control::Curve(*curve)),
            Controller::Red(CurveSource::Plain(curve), _) => Some(Control::Red(*curve)),
            Controller::Curve(CurveSource::Function(_)) | Controller::Red(CurveSource::Function(_), _) => {
                None
            }
        }
    }

    /// Changes the target delay and the usual time between ticks.
    pub(super) fn set_target(&mut self, target: f64, tick: f64) {
        match self {
            Controller::Rate(rate, log) => {
                rate.set_target(target, tick);
                log.set_target(target, tick);
            }
            Controller::Pie(pie) => pie.set_target(target),
            Controller::Curve(_) | Controller::Red(..) => {}
        }
    }

    /// Returns whether a capacity steers it, if a depth is known.
    pub(super) fn uses_capacity(&self) -> bool {
        matches!(self, Controller::Rate(..))
    }

    /// Returns the number of waiting requests up to which nothing is dropped.
    pub(super) fn spared(&self) -> u64 {
        if matches!(self, Controller::Pie(_)) { Pie::SPARED } else { 0 }
    }

    /// Decides what to admit until the next tick.
    ///
    /// Returns `None` if a function does not decide.
    pub(super) fn tick(&mut self, at: Measurement) -> Option<Admit> {
        let share = |keep_rate| Admit::share(keep_rate, at.arrival_rate);
        Some(match self {
            Controller::Rate(rate, log) => match (at.depth, at.delay) {
                (None, Some(delay)) => share(log.tick(at.dt, delay, at.arrival_rate)),
                _ => rate.tick(at),
            },
            Controller::Pie(pie) => share(pie.tick(at)),
            Controller::Curve(curve) => share(curve.keep_rate(load(at))?),
            Controller::Red(curve, average) => {
                // The weight of RED: 0.002 for each arrival.
                let old = 0.998_f64.powf(at.arrivals.max(1.0));
                *average = *average * old + load(at) * (1.0 - old);
                share(curve.keep_rate(*average)?)
            }
        })
    }
}

/// Returns the load at which a curve is read.
fn load(at: Measurement) -> f64 {
    at.depth.or(at.delay).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_is_limited_to_shares() {
        let own = CurveSource::Function(Arc::new(|load| load));
        let loads = [-3.0, 0.0, 0.3, 7.0, f64::INFINITY];
        assert_eq!(loads.map(|load| own.keep_rate(load).unwrap()), [0.0, 0.0, 0.3, 1.0, 1.0]);
        assert_eq!(format!("{own:?}"), "Curve(own)");
        assert_eq!(CurveSource::Function(Arc::new(|_| f64::NAN)).keep_rate(1.0), None);
    }
}
