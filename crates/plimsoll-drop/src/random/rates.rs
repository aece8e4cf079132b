//! The keep rates of a random drop.

use crate::level::LEVELS;

/// A base rate, and the rates of the levels that have their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepRates {
    pub(super) base: f64,
    pub(super) own: [Option<f64>; LEVELS],
}

impl KeepRates {
    /// Returns the rate that applies to each level.
    pub(super) fn levels(&self) -> [f64; LEVELS] {
        self.own.map(|own| own.unwrap_or(self.base))
    }

    /// Gives a level its own rate, or the base rate.
    pub(super) fn set_own(&mut self, level: usize, keep_rate: Option<f64>) {
        if let Some(own) = self.own.get_mut(level) {
            *own = keep_rate;
        }
    }
}
