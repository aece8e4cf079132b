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
pub(crate) struct Line {
    pub(crate) bin: usize,
    pub(crate) share: f64,
}

/// Everybody is kept.
pub(crate) const OPEN: Line = Line { bin: 0, share: 1.0 };

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
    pub(crate) fn line(&self, rate: f64) -> Line {
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
    fn within(&self, level: usize, share: f64) -> Line {
        let first = level * COHORTS;
        let bins = self.bins.get(first..first + COHORTS).unwrap_or_default();
        let mut left = share * bins.iter().sum::<f64>();
        for (cohort, n) in bins.iter().enumerate().rev() {
            if *n > left {
                return Line { bin: first + cohort, share: left / n };
            }
            left -= n;
        }
        Line { bin: first, share: 1.0 }
    }
}
