//! Who goes first: one line over all priorities and cohorts.
//!
//! A machine. The idea is DAGOR's (Zhou et al., *Overload Control for Scaling WeChat Microservices*, SoCC 2018): one
//! threshold over (priority, cohort), found by walking down a histogram of what came lately. Here the
//! walk spends a *rate* rather than a fraction: a fraction lags behind a step of the load by the window.

use crate::keep::Rate;
use plimsoll_core::Priority;

pub(crate) const LEVELS: usize = 8;
/// Of 32 priorities each.
#[inline]
pub(crate) fn level(priority: Priority) -> usize {
    usize::from(priority.0) * LEVELS / 256
}

pub(crate) const COHORTS: usize = 128;
pub(crate) const BINS: usize = LEVELS * COHORTS;

/// Those above `bin` are kept, those below are not, those in it by this share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) bin: usize,
    pub(crate) share: f64,
}

/// Everybody is kept.
pub(crate) const OPEN: Threshold = Threshold { bin: 0, share: 1.0 };

/// Nobody is kept, not even of those who were never seen.
pub(crate) const SHUT: Threshold = Threshold { bin: BINS - 1, share: 0.0 };

/// Counts decay over a second.
const MEMORY: f64 = 1.0;

#[derive(Debug)]
pub(crate) struct Histogram {
    // Decayed counts, for how a level is spread over its cohorts.
    bins: Box<[f64]>,
    // For how much there is of each level: these see a jump at once.
    levels: [Rate; LEVELS],
}

impl Histogram {
    pub(crate) fn new() -> Self {
        let bins = vec![0.0; BINS].into();
        Histogram { bins, levels: [Rate::default(); LEVELS] }
    }

    /// So many came in each bin, in `dt` seconds. `tick` is the usual time between two counts.
    pub(crate) fn count(&mut self, dt: f64, tick: f64, mut came: impl FnMut(usize) -> f64) {
        let a = (-dt / MEMORY).exp();
        for (level, (bins, rate)) in self.bins.chunks_mut(COHORTS).zip(&mut self.levels).enumerate() {
            let mut sum = 0.0;
            for (cohort, bin) in bins.iter_mut().enumerate() {
                let n = came(level * COHORTS + cohort);
                *bin = *bin * a + n;
                sum += n;
            }
            let memory = (64.0 / rate.get().max(1e-9)).clamp(2.0 * tick, (5.0_f64).max(2.0 * tick));
            rate.count_jumps(sum, dt, memory);
        }
    }

    /// How much there is of all levels, a second.
    pub(crate) fn total(&self) -> f64 {
        self.levels.iter().map(|level| level.get()).sum()
    }

    /// The line under which `rate` a second is admitted.
    pub(crate) fn line(&self, rate: f64) -> Threshold {
        let mut left = rate;
        let last = self.levels.iter().position(|level| level.get() > 0.0);
        for level in (0..LEVELS).rev() {
            let Some(rate) = self.levels.get(level) else { continue };
            let (its, seen) = (rate.get(), rate.seen());
            if its <= 0.0 {
                continue;
            }
            // A lower bound, so that noise never cuts the important – unless nobody less important is there to be
            // cut for it.
            let sure = if Some(level) == last { 1.0 } else { (1.0 - 2.0 / seen.max(1e-9).sqrt()).max(0.0) };
            if its * sure <= left {
                left = (left - its).max(0.0);
                continue;
            }
            return self.within(level, left / its);
        }
        OPEN
    }

    /// The line in one level, of which this share is kept.
    fn within(&self, level: usize, share: f64) -> Threshold {
        let first = level * COHORTS;
        let bins = self.bins.get(first..first + COHORTS).unwrap_or_default();
        let mut left = share * bins.iter().sum::<f64>();
        for (cohort, n) in bins.iter().enumerate().rev() {
            if *n > left {
                return Threshold { bin: first + cohort, share: left / n };
            }
            left -= n;
        }
        Threshold { bin: first, share: 1.0 }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// So many a second in each bin, for three seconds.
    fn seen(rates: &[f64]) -> Histogram {
        let mut histogram = Histogram::new();
        for _ in 0..300 {
            histogram.count(0.01, 0.01, |bin| rates.get(bin).copied().unwrap_or(0.0) * 0.01);
        }
        histogram
    }

    /// How many a second of a level get over the line.
    fn kept(line: Threshold, rates: &[f64], level: usize) -> f64 {
        let bins = rates.iter().enumerate().skip(level * COHORTS).take(COHORTS);
        bins.map(|(bin, rate)| match bin.cmp(&line.bin) {
            std::cmp::Ordering::Greater => *rate,
            std::cmp::Ordering::Equal => rate * line.share,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum()
    }

    /// Levels of some accounts each, with an elephant now and then.
    fn loads() -> impl Strategy<Value = Vec<f64>> {
        let bin = prop_oneof![8 => Just(0.0), 8 => 1.0..20.0_f64, 1 => 200.0..5_000.0_f64];
        let level = prop_oneof![
            1 => Just(vec![0.0; COHORTS]),
            3 => prop::collection::vec(bin, COHORTS),
            // Of a few events a second.
            1 => prop::collection::vec(Just(0.02), COHORTS),
        ];
        prop::collection::vec(level, LEVELS).prop_map(|levels| levels.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_asked_for_is_admitted_and_the_least_important_go(rates in loads(), part in 0.0..1.5_f64) {
            let histogram = seen(&rates);
            let total: f64 = rates.iter().sum();
            prop_assert!((histogram.total() - total).abs() <= 1e-6 * total.max(1.0));
            let asked = part * total;
            let line = histogram.line(asked);
            prop_assert!(line.bin < BINS && (0.0..=1.0).contains(&line.share), "{:?}", line);
            let admitted: f64 = (0..LEVELS).map(|level| kept(line, &rates, level)).sum();
            // What noise may hide: two deviations of the level in which the line is, and nothing in the last.
            let level = line.bin / COHORTS;
            let (its, last) = (&histogram.levels[level], histogram.levels.iter().position(|l| l.get() > 0.0));
            let noise: f64 = histogram.levels.iter().map(|l| {
                let unsure = (2.0 / l.seen().max(1e-9).sqrt()).min(1.0);
                l.get() * unsure
            }).sum();
            if total > 0.0 && part < 0.999 {
                prop_assert!(admitted >= asked - 1e-6 * total, "{} of {} asked", admitted, asked);
                prop_assert!(admitted <= asked + noise + 1e-6 * total, "{} of {} asked", admitted, asked);
                if last == Some(level) && line != OPEN && its.get() > 0.0 && level == LEVELS - 1 {
                    prop_assert!((admitted - asked).abs() <= 1e-6 * total);
                }
            }
            if part > 1.001 {
                prop_assert_eq!(line, OPEN, "all fit");
            }
            // Nobody less important is kept where somebody more important is cut.
            for level in 0..LEVELS {
                let all: f64 = rates[level * COHORTS..][..COHORTS].iter().sum();
                if kept(line, &rates, level) < all * (1.0 - 1e-9) {
                    prop_assert!((0..level).all(|lower| kept(line, &rates, lower) <= 0.0));
                }
            }
        }
    }

    #[test]
    fn nothing_seen_cuts_nobody() {
        assert_eq!([0.0, 1.0].map(|rate| Histogram::new().line(rate)), [OPEN, OPEN]);
    }

    #[test]
    fn an_elephant_is_cut_within_its_cohort() {
        let mut rates = vec![0.0; BINS];
        let normal = 4 * COHORTS;
        rates[normal..normal + COHORTS].fill(10.0);
        rates[normal + 60] = 5_000.0;
        let line = seen(&rates).line(2_000.0);
        assert_eq!(line.bin, normal + 60);
        assert!((kept(line, &rates, 4) - 2_000.0).abs() < 1e-6, "{line:?}");
    }

    /// Two a second of those who are important are no ground to cut them, while there are others.
    #[test]
    fn a_few_important_are_not_cut_for_noise() {
        let mut rates = vec![0.0; BINS];
        rates[..COHORTS].fill(100.0);
        rates[7 * COHORTS] = 2.0;
        let line = seen(&rates).line(1.0);
        assert!(line.bin / COHORTS == 0, "{line:?}");
        rates[..COHORTS].fill(0.0);
        let line = seen(&rates).line(1.0);
        assert!(line.bin == 7 * COHORTS && (line.share - 0.5).abs() < 1e-9, "alone they are: {line:?}");
    }
}
