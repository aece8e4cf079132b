//! The share of an account in a fair limiter.

use crate::Quota;

/// The weight, the floor and the cap of an account in a
/// [`FairRateLimiter`](crate::FairRateLimiter).
///
/// ```
/// use plimsoll_limit::{Quota, Share};
///
/// // Twice as much as other accounts, at least 100 a second, and never more than 500 a second.
/// let share = Share::weight(2.0).at_least(100.0).at_most(Quota::per_second(500));
/// # let _ = share;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    weight: f64,
    floor: f64,
    cap: Option<Quota>,
}

impl Default for Share {
    fn default() -> Self {
        Share::weight(1.0)
    }
}

impl Share {
    /// Creates a share of `weight` times that of an account of weight 1. Range: 0 to 10⁹.
    ///
    /// An account of weight 0 gets only what no other account requests.
    pub const fn weight(weight: f64) -> Self {
        Share { weight, floor: 0.0, cap: None }
    }

    /// Guarantees this many units a second, ahead of all shares.
    ///
    /// The guarantees of all active accounts together should not exceed the shared rate. If they
    /// do, the shared rate is still not exceeded.
    #[must_use]
    pub const fn at_least(mut self, units_per_second: f64) -> Self {
        self.floor = units_per_second;
        self
    }

    /// Limits the account to this quota, even if no other account requests the rest.
    #[must_use]
    pub const fn at_most(mut self, quota: Quota) -> Self {
        self.cap = Some(quota);
        self
    }

    pub(super) fn clamped_weight(&self) -> f64 {
        clamped(self.weight)
    }

    pub(super) fn clamped_floor(&self) -> f64 {
        clamped(self.floor)
    }

    pub(super) fn cap(&self) -> Option<Quota> {
        self.cap
    }
}

/// Clamps a number to 0 to 10⁹. NaN becomes 0.
fn clamped(number: f64) -> f64 {
    if number > 0.0 { number.min(1e9) } else { 0.0 }
}
