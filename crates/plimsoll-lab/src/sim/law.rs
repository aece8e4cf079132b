//! The time that a request holds its slot.

use std::f64::consts::TAU;
use std::time::Duration;

use plimsoll::Dice;

/// A distribution of service times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Always the same.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Lognormal: most are short, some are long.
    Lognormal {
        /// The mean.
        mean: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Pareto: a heavy tail.
    Pareto {
        /// The mean.
        mean: Duration,
        /// The exponent of the tail, above 1. At 2 and below the variance is infinite.
        shape: f64,
    },
    /// Two kinds of requests.
    Bimodal {
        /// The time of most requests.
        short: Duration,
        /// The time of the others.
        long: Duration,
        /// The share of the others.
        share: f64,
    },
}

impl Law {
    /// Returns the mean.
    pub fn mean(&self) -> Duration {
        match *self {
            Law::Constant(time) => time,
            Law::Exponential(mean) | Law::Lognormal { mean, .. } | Law::Pareto { mean, .. } => mean,
            Law::Bimodal { short, long, share } => short.mul_f64(1.0 - share) + long.mul_f64(share),
        }
    }

    /// Draws one service time, in nanoseconds.
    pub(crate) fn draw(&self, dice: &Dice) -> u64 {
        // Above 0 and at most 1, so that its logarithm and its roots are finite.
        let u = || 1.0 - dice.uniform();
        let nanos = |time: Duration| time.as_nanos() as f64;
        let drawn = match *self {
            Law::Constant(time) => nanos(time),
            Law::Exponential(mean) => -u().ln() * nanos(mean),
            Law::Lognormal { mean, sigma } => {
                // Box and Muller. The second value of the pair is not used: one draw serves one
                // request.
                let normal = (-2.0 * u().ln()).sqrt() * (TAU * u()).cos();
                nanos(mean) * (sigma * normal - sigma * sigma / 2.0).exp()
            }
            Law::Pareto { mean, shape } => nanos(mean) * (shape - 1.0) / shape * u().powf(-1.0 / shape),
            Law::Bimodal { short, long, share } => nanos(if dice.chance(share) { long } else { short }),
        };
        ((drawn + 0.5) as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_law_has_its_mean() {
        let ms = Duration::from_millis(10);
        for law in [
            Law::Constant(ms),
            Law::Exponential(ms),
            Law::Lognormal { mean: ms, sigma: 1.0 },
            Law::Pareto { mean: ms, shape: 3.0 },
            Law::Bimodal { short: ms / 10, long: 10 * ms, share: 0.1 },
        ] {
            let dice = Dice::seeded(1);
            let n = 200_000;
            let sum: f64 = (0..n).map(|_| law.draw(&dice) as f64).sum();
            let of_mean = sum / f64::from(n) / law.mean().as_nanos() as f64;
            assert!((of_mean - 1.0).abs() < 0.02, "{law:?}: {of_mean}");
        }
    }
}
