//! Curves: the share that is kept at each load.

use plimsoll_core::ConfigError;
use plimsoll_core::parts::check;
use std::fmt;

/// A curve: the share that is kept at each load. Plain data.
///
/// The load is the number of waiting requests. If only the delay is known, it is the delay in
/// seconds.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Curve(Shape);

#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
enum Shape {
    Linear {
        from: f64,
        to: f64,
        #[cfg_attr(feature = "serde", serde(default))]
        keep_rate: f64,
    },
    Step {
        at: f64,
        keep_rate: f64,
    },
}

impl Curve {
    /// Creates a curve that falls linearly from 1.0 at `from` to 0.0 at `to`.
    ///
    /// RED uses this shape (Floyd and Jacobson, 1993).
    pub const fn linear(from: f64, to: f64) -> Self {
        Self::linear_to(from, to, 0.0)
    }

    /// Creates a curve that falls linearly to `keep_rate` and stays there.
    ///
    /// It is 1.0 up to the load `from` and reaches `keep_rate` at the load `to`.
    pub const fn linear_to(from: f64, to: f64, keep_rate: f64) -> Self {
        Curve(Shape::Linear { from, to, keep_rate })
    }

    /// Creates a curve that is 1.0 below the load `at`, and `keep_rate` from there on.
    pub const fn step(at: f64, keep_rate: f64) -> Self {
        Curve(Shape::Step { at, keep_rate })
    }

    /// Returns the share that is kept at this load, from 0.0 to 1.0.
    ///
    /// A load that is not a number drops nothing.
    ///
    /// ```
    /// use plimsoll_drop::Curve;
    ///
    /// let red = Curve::linear(50.0, 150.0);
    /// assert_eq!([20.0, 100.0, 300.0].map(|load| red.keep_rate(load)), [1.0, 0.5, 0.0]);
    /// ```
    pub fn keep_rate(&self, load: f64) -> f64 {
        clamp(match self.0 {
            Shape::Linear { from, .. } if load <= from => 1.0,
            Shape::Linear { to, keep_rate, .. } if load >= to => keep_rate,
            Shape::Linear { from, to, keep_rate } => 1.0 - (1.0 - keep_rate) * (load - from) / (to - from),
            Shape::Step { at, keep_rate } if load >= at => keep_rate,
            Shape::Step { .. } => 1.0,
        })
    }

    /// Checks the numbers of the curve.
    ///
    /// # Errors
    /// Returns an error naming the invalid number and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.0 {
            Shape::Linear { from, to, .. } if !(from < to && from.is_finite() && to.is_finite()) => {
                Err(ConfigError::new("curve", format!("{from} to {to}"), "from a lower load to a higher one"))
            }
            Shape::Linear { keep_rate, .. } | Shape::Step { keep_rate, .. }
                if !(0.0..=1.0).contains(&keep_rate) =>
            {
                check::share("curve.keep_rate", keep_rate)
            }
            Shape::Step { at, .. } if at.is_nan() => Err(ConfigError::new("curve", at, "a number")),
            _ => Ok(()),
        }
    }
}

/// Limits a keep rate to the range from 0.0 to 1.0. NaN becomes 1.0, which drops nothing.
pub(crate) fn clamp(keep_rate: f64) -> f64 {
    if keep_rate.is_nan() { 1.0 } else { keep_rate.clamp(0.0, 1.0) }
}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Linear { from, to, keep_rate } => {
                write!(f, "Curve(linear {from} to {to}, {keep_rate} at least)")
            }
            Shape::Step { at, keep_rate } => write!(f, "Curve({keep_rate} from {at} on)"),
        }
    }
}
