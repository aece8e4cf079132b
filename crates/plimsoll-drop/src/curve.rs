//! Curves: how much is kept at what load.

use plimsoll_core::ConfigError;
use std::fmt;
use std::sync::Arc;

/// What share is kept at what load: how many wait, or, where only that is known, the delay in seconds.
#[derive(Clone)]
pub struct Curve(Shape);

#[derive(Clone)]
enum Shape {
    Linear { from: f64, to: f64, least: f64 },
    Step { at: f64, keep: f64 },
    Own(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl Curve {
    /// All up to `from`, nothing from `to` on, and evenly less in between: the line of RED (Floyd and Jacobson, 1993).
    pub const fn linear(from: f64, to: f64) -> Self {
        Curve(Shape::Linear { from, to, least: 0.0 })
    }

    /// The same, but from `to` on this share is kept still.
    pub const fn linear_to(from: f64, to: f64, least: f64) -> Self {
        Curve(Shape::Linear { from, to, least })
    }

    /// All below `at`, and from there on this share.
    pub const fn step(at: f64, keep: f64) -> Self {
        Curve(Shape::Step { at, keep })
    }

    /// Your own. What it says is cut to 0.0 to 1.0, and what is not a number is 1.0.
    pub fn new(keep: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Curve(Shape::Own(Arc::new(keep)))
    }

    /// The share that is kept at this load.
    ///
    /// ```
    /// use plimsoll_drop::Curve;
    ///
    /// let red = Curve::linear(50.0, 150.0);
    /// assert_eq!([red.keep(20.0), red.keep(100.0), red.keep(300.0)], [1.0, 0.5, 0.0]);
    /// ```
    pub fn keep(&self, load: f64) -> f64 {
        let keep = match &self.0 {
            Shape::Linear { from, to, least } => {
                if load <= *from {
                    1.0
                } else if load >= *to {
                    *least
                } else {
                    1.0 - (1.0 - least) * (load - from) / (to - from)
                }
            }
            Shape::Step { at, keep } => {
                if load < *at {
                    1.0
                } else {
                    *keep
                }
            }
            Shape::Own(keep) => keep(load),
        };
        if keep.is_nan() { 1.0 } else { keep.clamp(0.0, 1.0) }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match self.0 {
            Shape::Linear { from, to, .. } if !(from < to && from.is_finite() && to.is_finite()) => {
                Err(ConfigError::new("curve", format!("{from} to {to}"), "from a lower load to a higher one"))
            }
            Shape::Linear { least: keep, .. } | Shape::Step { keep, .. } if !(0.0..=1.0).contains(&keep) => {
                Err(ConfigError::new("curve.keep", keep, "0.0 (drop all) to 1.0 (keep all)"))
            }
            Shape::Step { at, .. } if at.is_nan() => Err(ConfigError::new("curve", at, "a number")),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Linear { from, to, least } => write!(f, "Curve(linear {from} to {to}, {least} at least)"),
            Shape::Step { at, keep } => write!(f, "Curve({keep} from {at} on)"),
            Shape::Own(_) => f.write_str("Curve(own)"),
        }
    }
}
