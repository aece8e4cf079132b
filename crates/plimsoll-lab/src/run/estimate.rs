//! A mean over the seeds and its confidence interval.

use plimsoll::Dice;
use serde::Serialize;

/// The mean over the seeds and its 95 % interval, by bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// With this many resamples the ends of the interval are accurate to about a hundredth of its
/// width.
const RESAMPLES: usize = 2_000;

impl Estimate {
    /// Estimates from one value per seed. `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean_of = |sum: f64| sum / n as f64;
        // The dice are always the same, so that an estimate depends on its values alone.
        let dice = Dice::seeded(n as u64);
        let draw = || values.get(dice.below(n as u64) as usize).copied().unwrap_or_default();
        let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean_of((0..n).map(|_| draw()).sum())).collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means.get((share * RESAMPLES as f64) as usize).copied().unwrap_or_default();
        Some(Estimate { mean: mean_of(values.iter().sum()), low: at(0.025), high: at(0.975) })
    }

    /// Returns half the width of the interval.
    pub fn half(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_matches_the_standard_error() {
        let dice = Dice::seeded(3);
        let values: Vec<f64> = (0..100).map(|_| dice.uniform()).collect();
        let estimate = Estimate::of(&values).unwrap();
        // The standard error of a hundred uniform draws is 0.0289, and the interval is ±1.96 of it.
        assert!((0.045..0.068).contains(&estimate.half()), "{estimate:?}");
        assert!(estimate.low < 0.5 && estimate.high > 0.5, "{estimate:?}");
        assert_eq!(Estimate::of(&values), Some(estimate));
        assert_eq!(Estimate::of(&[2.0]), Some(Estimate { mean: 2.0, low: 2.0, high: 2.0 }));
        assert_eq!(Estimate::of(&[]), None);
    }
}
