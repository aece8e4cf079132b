//! The rule of fair shares. Numbers in, numbers out.
//!
//! The usage of an account is a decayed count of the units that it was *admitted*. One level, the
//! same for all accounts, states how much usage is fair now. It rises while the bucket of the
//! shared rate is more than half full, and falls while the bucket is emptier. The fill also moves
//! the threshold of each account directly, so that accounts with the least usage get the last
//! units.
//!
//! Demand is never estimated, so sending more requests gains nothing. One level for all makes the
//! shares max-min fair. While the bucket is nearly full every request is admitted, so no unit is
//! wasted.
//!
//! It is a controller with a proportional and an integral part. Its input is the fill, its output
//! the level. Usage responds to the level with a lead of τ, so it is stable without tuning. Its
//! damping is above one if the bucket fills faster than τ.
//!
//! The constants were found by simulation of paced and of Poisson arrivals, and then checked with
//! other arrivals. The documentation of [`FairRateLimiter`](crate::FairRateLimiter) states the
//! results, and what the rule misses.

/// The time constant by which usage decays, in seconds: half the time over which shares are judged.
pub(super) const TAU: f64 = 1.0;
/// The time in which the level doubles while the bucket is full, in seconds. 0.01 to 0.1 work as
/// well. 0.3 is slow when accounts join.
const OCTAVE: f64 = 0.03;
/// The octaves by which the threshold rises between an empty and a full bucket. 1 is calmer, 4 is
/// unfair among many large accounts.
const REACH: f64 = 2.0;
/// From this fill on, every request is admitted.
const OPEN: f64 = 0.9;
/// The cap on usage, in fair shares. Without it, an account that was alone would have to wait for
/// seconds when others join.
const FORGIVE: f64 = 2.0;
/// The same cap, in guaranteed floors.
const FORGIVE_FLOOR: f64 = 1.5;
/// Usage is counted in ticks of 2²⁰ ns, about a millisecond.
const TICK: u32 = 20;
const TICKS_A_SECOND: f64 = 1e9 / (1u64 << TICK) as f64;
/// The number of ticks after which an account that was not seen has nothing left to remember: e⁻⁸
/// of its usage.
pub(super) const FORGOTTEN: u32 = (8.0 * TAU * TICKS_A_SECOND) as u32;

/// The usage of an account: a decayed count, and the tick at which it was stored. It fits in one
/// word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Used {
    pub(super) units: f32,
    pub(super) seen: u32,
}

/// Converts nanoseconds into ticks, which start over after 52 days.
pub(super) fn ticks(now: u64) -> u32 {
    (now >> TICK) as u32
}

impl Used {
    pub(super) fn pack(self) -> u64 {
        u64::from(self.units.to_bits()) << 32 | u64::from(self.seen)
    }

    pub(super) fn unpack(word: u64) -> Self {
        Used { units: f32::from_bits((word >> 32) as u32), seen: word as u32 }
    }

    /// Returns the number of ticks since the count was stored.
    pub(super) fn age(self, now: u32) -> u32 {
        let age = now.wrapping_sub(self.seen);
        // The thread that stored it may have read a slightly later time than this one.
        if age > u32::MAX - FORGOTTEN { 0 } else { age }
    }

    /// Returns the count as of `now`.
    pub(super) fn at(self, now: u32) -> f64 {
        let units = f64::from(self.units);
        match self.age(now) {
            0 => units,
            age => units * decay(f64::from(age) / TICKS_A_SECOND),
        }
    }
}

/// Returns e^(−t/τ).
pub(super) fn decay(seconds: f64) -> f64 {
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    exp2(-seconds / TAU * LOG2_E)
}

/// Returns 2^x, by a cubic between the powers of two. The error is below a thousandth.
fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1_000.0, 1_000.0);
    // `floor` would be a call of the C library.
    let cut = x as i64;
    let whole = if cut as f64 > x { cut - 1 } else { cut };
    let part = x - whole as f64;
    let power = f64::from_bits(((whole + 1_023) as u64) << 52);
    power * (1.0 + part * (0.695_976 + part * (0.224_940 + part * 0.079_084)))
}

/// Returns how full the bucket of the shared rate is, 0 to 1. The requested unit counts as taken.
pub(super) fn fill(remaining: f64, burst: u32) -> f64 {
    ((remaining - 1.0) / f64::from(burst.max(2) - 1)).clamp(0.0, 1.0)
}

/// Returns the fill for accounts that share one usage.
///
/// A flood of such accounts has a request ready at every peak of the fill, and would get more than
/// its part by these peaks. So the fill may lower their threshold, but raise it only when all
/// requests are admitted.
pub(super) fn fill_of_many(fill: f64) -> f64 {
    if fill >= OPEN { fill } else { fill.min(0.5) }
}

/// Returns the level after `seconds` more at this fill, for a shared `rate`.
pub(super) fn level(level: f64, fill: f64, seconds: f64, rate: f64) -> f64 {
    (level * exp2((2.0 * fill - 1.0) * seconds.min(0.1) / OCTAVE)).clamp(1e-6 * rate, 16.0 * rate)
}

/// Returns the usage up to which `units` are admitted at once.
///
/// For a request that is small against the threshold, this is the threshold. For a large one it is
/// lower, so that many such requests get on average what the threshold states. Between two requests
/// of n units the usage falls from x + n to x, which takes τ·ln(1 + n/x).
fn threshold_at_once(threshold: f64, units: f64) -> f64 {
    let lumps = units / threshold.max(1e-12);
    if lumps <= 0.1 {
        return threshold;
    }
    let exact = units / (exp2(lumps * std::f64::consts::LOG2_E) - 1.0);
    threshold + ((lumps - 0.1) / 0.2).min(1.0) * (exact - threshold)
}

/// Returns whether the bucket is so full that every request is admitted.
pub(super) fn is_open(fill: f64) -> bool {
    fill >= OPEN
}

/// Returns the threshold of an account with this fair usage, at this fill.
pub(super) fn threshold(fair: f64, fill: f64) -> f64 {
    fair * exp2(REACH * (fill - 0.5))
}

/// The burst, and the time in seconds in which it is replenished, below which the fill says too
/// little.
pub(super) const MIN_BURST: u32 = 20;
pub(super) const MIN_FILL_TIME: f64 = 0.01;

/// Decides whether an account with the usage `used` is admitted `units` more.
///
/// Returns its usage, capped. If it is rejected, returns the seconds until it is admitted as well.
pub(super) fn judge(used: f64, units: f64, fair: f64, floor: f64, fill: f64) -> Result<f64, (f64, f64)> {
    // The cap is at least `units`. Otherwise rare but large requests would be forgiven each time.
    let used = used.min((FORGIVE * fair).max(FORGIVE_FLOOR * floor * TAU).max(units));
    if fill >= OPEN {
        return Ok(used);
    }
    let threshold = threshold_at_once(threshold(fair, fill), units);
    let guaranteed = threshold_at_once(floor * TAU, units);
    if (floor > 0.0 && used <= guaranteed) || (fair > 0.0 && used <= threshold) {
        return Ok(used);
    }
    let threshold = threshold.max(guaranteed).max(1e-9);
    Err(((TAU * (used / threshold).ln()).clamp(0.001, 10.0), used))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account that always has a request ready gets what the threshold states on average, even
    /// if its requests are larger than that.
    #[test]
    fn large_requests_gain_nothing_over_single_units() {
        for (threshold, units) in [(20.0, 1.0), (5.0, 30.0), (0.1, 1.0), (300.0, 1.0)] {
            let (mut used, mut taken, step) = (0.0, 0.0, 1e-3);
            let seconds = 600.0;
            for _ in 0..(seconds / step) as u64 {
                used *= f64::exp(-step / TAU);
                if let Ok(counted) = judge(used, units, threshold, 0.0, 0.5) {
                    used = counted + units;
                    taken += units;
                }
            }
            let rate = taken / seconds / threshold;
            assert!((0.9..1.1).contains(&rate), "{units} at once at {threshold}: {rate}");
        }
    }

    #[test]
    fn weight_zero_is_admitted_only_when_the_bucket_is_full() {
        assert!(judge(0.0, 1.0, 0.0, 0.0, 0.5).is_err());
        assert!(judge(7.0, 1.0, 0.0, 0.0, OPEN).is_ok());
        assert!(judge(0.0, 1.0, 0.0, 10.0, 0.0).is_ok());
    }

    /// An account of weight 0 that came back after 12 minutes had a negative usage, and the time
    /// until it would be admitted was not a number: the limiter panicked.
    #[test]
    fn usage_of_an_account_that_was_long_idle_is_not_negative() {
        for age in [FORGOTTEN, 662_903, 700_000, u32::MAX / 2] {
            let used = Used { units: 1e6, seen: 0 }.at(age);
            assert!((0.0..1e3).contains(&used), "{used} after {age} ticks");
            let (seconds, _) = judge(used, 1.0, 0.0, 0.0, 0.5).unwrap_err();
            assert!((0.001..=10.0).contains(&seconds), "{seconds} after {age} ticks");
        }
    }

    #[test]
    fn exp2_is_accurate_to_a_thousandth() {
        for n in -4_000..=400 {
            let x = f64::from(n) / 100.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-3, "2^{x}: {} {}", exp2(x), x.exp2());
        }
    }

    #[test]
    fn used_survives_packing_and_wrapping_ticks() {
        let used = Used { units: 17.25, seen: 4_000_000_000 };
        assert_eq!(Used::unpack(used.pack()), used);
        // Beyond the end of the ticks, and a little before the update.
        assert_eq!(used.age(100), 294_967_396);
        assert_eq!(used.age(3_999_999_999), 0);
        // Not seen for a month.
        assert_eq!(used.age(4_000_000_000_u32.wrapping_add(2_500_000_000)), 2_500_000_000);
    }
}
