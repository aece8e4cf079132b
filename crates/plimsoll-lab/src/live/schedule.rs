//! When requests are due: a Poisson stream from a seed, fixed before the first is sent.
//!
//! The loop is open: the next arrival never waits for an answer. A closed loop slows down with the
//! server it measures, and so hides the very overload it should show.

use std::time::Duration;

use plimsoll::Dice;

/// The arrivals of one row, as offsets from its start.
#[derive(Debug)]
pub(crate) struct Schedule {
    dice: Dice,
    rate: f64,
    at: f64,
    span: f64,
}

impl Schedule {
    /// Creates arrivals at `rate` per second for `span`.
    ///
    /// Seed and rate together choose the stream, so the bare and the guarded row of one load have
    /// the same arrivals.
    pub(crate) fn new(seed: u64, rate: f64, span: Duration) -> Self {
        Self {
            dice: Dice::seeded(seed ^ rate.to_bits().rotate_left(17)),
            rate,
            at: 0.0,
            span: span.as_secs_f64(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // 1 - u is above 0, so its logarithm is finite.
        self.at += -(1.0 - self.dice.uniform()).ln() / self.rate;
        (self.at < self.span).then(|| Duration::from_secs_f64(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(50);

    #[test]
    fn schedule_depends_on_the_seed_alone() {
        let of = |seed| Schedule::new(seed, 400.0, SPAN).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn mean_rate_and_spread_are_poisson() {
        let due: Vec<_> = Schedule::new(3, 400.0, SPAN).collect();
        // 20,000 are expected with a standard deviation of 141. Five deviations are ±707.
        assert!((19_293..=20_707).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        assert!(due.iter().all(|at| *at < SPAN));
        let gaps: Vec<f64> = due.windows(2).map(|w| (w[1] - w[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let var = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = var.sqrt() / mean;
        assert!((0.95..1.05).contains(&variation), "{variation}");
    }
}
