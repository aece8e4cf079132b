//! The threshold over all priorities and accounts below which requests are dropped.
//!
//! The threshold over (priority, cohort) is that of DAGOR (Zhou et al., *Overload Control for
//! Scaling WeChat Microservices*, SoCC 2018). It is found by a walk down a histogram of the recent
//! arrivals. DAGOR's walk spends a fraction of the arrivals. This one spends a *rate*, because a
//! fraction lags behind a step of the load by the time that the histogram covers.

use super::decayed_rate::DecayedRate;
use crate::level::LEVELS;

/// The number of cohorts into which the accounts of one level are spread.
pub(super) const COHORTS: usize = 128;
/// The number of bins. The bin of a request is `level * COHORTS + cohort`.
pub(super) const BINS: usize = LEVELS * COHORTS;

/// A threshold between kept and dropped requests.
///
/// Requests in higher bins than `bin` are kept, and those in lower bins are dropped. Of those in
/// `bin`, the share `keep_rate` is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Threshold {
    pub(super) bin: usize,
    pub(super) keep_rate: f64,
}

impl Threshold {
    /// Keeps everything.
    pub(super) const KEEP_ALL: Threshold = Threshold { bin: 0, keep_rate: 1.0 };

    /// Drops everything, also in bins in which nothing has arrived yet.
    pub(super) const DROP_ALL: Threshold = Threshold { bin: BINS - 1, keep_rate: 0.0 };
}

/// Counts decay by a factor of e in this time, in seconds.
const MEMORY: f64 = 1.0;

/// The recent arrivals by bin, and their rate by level.
#[derive(Debug)]
pub(super) struct Histogram {
    // Decayed counts, which show how the arrivals of a level are spread over its cohorts.
    bins: Box<[f64]>,
    // The rate of arrivals on each level, which follows a jump at once.
    levels: [DecayedRate; LEVELS],
}

impl Histogram {
    pub(super) fn new() -> Self {
        let bins = vec![0.0; BINS].into();
        Histogram { bins, levels: [DecayedRate::default(); LEVELS] }
    }

    /// Counts the arrivals of the last `dt` seconds, by bin. `tick` is the usual time between
    /// counts.
    pub(super) fn count(&mut self, dt: f64, tick: f64, arrivals: impl Fn(usize) -> f64) {
        let decay = (-dt / MEMORY).exp();
        for (level, (bins, rate)) in self.bins.chunks_mut(COHORTS).zip(&mut self.levels).enumerate() {
            let mut sum = 0.0;
            for (cohort, bin) in bins.iter_mut().enumerate() {
                let n = arrivals(level * COHORTS + cohort);
                *bin = *bin * decay + n;
                sum += n;
            }
            let memory = (64.0 / rate.get().max(1e-9)).clamp(2.0 * tick, (5.0_f64).max(2.0 * tick));
            rate.count_with_jumps(sum, dt, memory);
        }
    }

    /// Returns the rate of arrivals on all levels, a second.
    pub(super) fn total(&self) -> f64 {
        self.levels.iter().map(|level| level.get()).sum()
    }

    /// Returns the lowest level on which more than one in fifty requests arrives.
    pub(super) fn lowest_level(&self) -> usize {
        let few = 0.02 * self.total();
        self.levels.iter().position(|level| level.get() > few).unwrap_or(LEVELS - 1)
    }

    /// Returns the share of the arrivals that are on levels above this one.
    pub(super) fn share_above(&self, level: usize) -> f64 {
        let above: f64 = self.levels.iter().skip(level + 1).map(|level| level.get()).sum();
        above / self.total().max(1e-9)
    }

    /// Returns the threshold at which `rate` requests a second are admitted.
    pub(super) fn threshold(&self, rate: f64) -> Threshold {
        let mut left = rate;
        let lowest = self.levels.iter().position(|level| level.get() > 0.0);
        for (level, arrivals) in self.levels.iter().enumerate().rev() {
            let arrival_rate = arrivals.get();
            if arrival_rate <= 0.0 {
                continue;
            }
            // A level is cut only if its lower bound is too large: two standard deviations below
            // the rate. Thus noise does not cut important requests while less important ones arrive
            // that can be cut in their place.
            let certain = match Some(level) == lowest {
                true => 1.0,
                false => (1.0 - 2.0 / arrivals.events().max(1e-9).sqrt()).max(0.0),
            };
            if arrival_rate * certain <= left {
                left = (left - arrival_rate).max(0.0);
                continue;
            }
            return self.within_level(level, left / arrival_rate);
        }
        Threshold::KEEP_ALL
    }

    /// Returns the threshold at which this share of a level is kept.
    fn within_level(&self, level: usize, share: f64) -> Threshold {
        let first = level * COHORTS;
        let bins = self.bins.get(first..first + COHORTS).unwrap_or_default();
        let mut left = share * bins.iter().sum::<f64>();
        for (cohort, count) in bins.iter().enumerate().rev() {
            if *count > left {
                return Threshold { bin: first + cohort, keep_rate: left / count };
            }
            left -= count;
        }
        Threshold { bin: first, keep_rate: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    /// Creates a histogram after three seconds of these rates in each bin.
    fn counted(rates: &[f64]) -> Histogram {
        let mut histogram = Histogram::new();
        for _ in 0..300 {
            histogram.count(0.01, 0.01, |bin| rates.get(bin).copied().unwrap_or(0.0) * 0.01);
        }
        histogram
    }

    /// Returns the rate at which requests of a level are kept.
    fn kept(threshold: Threshold, rates: &[f64], level: usize) -> f64 {
        let bins = rates.iter().enumerate().skip(level * COHORTS).take(COHORTS);
        bins.map(|(bin, rate)| match bin.cmp(&threshold.bin) {
            std::cmp::Ordering::Greater => *rate,
            std::cmp::Ordering::Equal => rate * threshold.keep_rate,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum()
    }

    /// Rates by bin. A few bins have a dominant account.
    fn loads() -> impl Strategy<Value = Vec<f64>> {
        let bin = prop_oneof![8 => Just(0.0), 8 => 1.0..20.0_f64, 1 => 200.0..5_000.0_f64];
        let level = prop_oneof![
            1 => Just(vec![0.0; COHORTS]),
            3 => prop::collection::vec(bin, COHORTS),
            // A level with a few arrivals a second.
            1 => prop::collection::vec(Just(0.02), COHORTS),
        ];
        prop::collection::vec(level, LEVELS).prop_map(|levels| levels.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn threshold_admits_the_rate_and_cuts_the_least_important(rates in loads(), part in 0.0..1.5_f64) {
            let histogram = counted(&rates);
            let total: f64 = rates.iter().sum();
            prop_assert!((histogram.total() - total).abs() <= 1e-6 * total.max(1.0));
            let rate = part * total;
            let threshold = histogram.threshold(rate);
            prop_assert!(threshold.bin < BINS && (0.0..=1.0).contains(&threshold.keep_rate), "{:?}", threshold);
            let admitted: f64 = (0..LEVELS).map(|level| kept(threshold, &rates, level)).sum();
            // Noise may hide two standard deviations of each level above the lowest.
            let level = threshold.bin / COHORTS;
            let lowest = histogram.levels.iter().position(|l| l.get() > 0.0);
            let noise: f64 = histogram.levels.iter().map(|l| {
                let uncertain = (2.0 / l.events().max(1e-9).sqrt()).min(1.0);
                l.get() * uncertain
            }).sum();
            if total > 0.0 && part < 0.999 {
                prop_assert!(admitted >= rate - 1e-6 * total, "{} for {}", admitted, rate);
                prop_assert!(admitted <= rate + noise + 1e-6 * total, "{} for {}", admitted, rate);
                let has_arrivals = histogram.levels[level].get() > 0.0;
                if lowest == Some(level) && threshold != Threshold::KEEP_ALL && has_arrivals && level == LEVELS - 1 {
                    prop_assert!((admitted - rate).abs() <= 1e-6 * total);
                }
            }
            if part > 1.001 {
                prop_assert_eq!(threshold, Threshold::KEEP_ALL, "the rate exceeds all arrivals");
            }
            // No less important request is kept where a more important one is cut.
            for level in 0..LEVELS {
                let all: f64 = rates[level * COHORTS..][..COHORTS].iter().sum();
                if kept(threshold, &rates, level) < all * (1.0 - 1e-9) {
                    prop_assert!((0..level).all(|lower| kept(threshold, &rates, lower) <= 0.0));
                }
            }
        }
    }

    #[test]
    fn empty_histogram_keeps_all() {
        assert_eq!([0.0, 1.0].map(|rate| Histogram::new().threshold(rate)), [Threshold::KEEP_ALL; 2]);
    }

    #[test]
    fn dominant_account_is_cut_within_its_cohort() {
        let mut rates = vec![0.0; BINS];
        let normal = 4 * COHORTS;
        rates[normal..normal + COHORTS].fill(10.0);
        rates[normal + 60] = 5_000.0;
        let threshold = counted(&rates).threshold(2_000.0);
        assert_eq!(threshold.bin, normal + 60);
        assert!((kept(threshold, &rates, 4) - 2_000.0).abs() < 1e-6, "{threshold:?}");
    }

    /// At two important requests a second, noise is large. Less important requests are cut instead.
    #[test]
    fn noise_does_not_cut_few_important_requests() {
        let mut rates = vec![0.0; BINS];
        rates[..COHORTS].fill(100.0);
        rates[7 * COHORTS] = 2.0;
        let threshold = counted(&rates).threshold(1.0);
        assert!(threshold.bin / COHORTS == 0, "{threshold:?}");
        rates[..COHORTS].fill(0.0);
        let threshold = counted(&rates).threshold(1.0);
        assert!(threshold.bin == 7 * COHORTS && (threshold.keep_rate - 0.5).abs() < 1e-9, "{threshold:?}");
    }
}
