//! The rule of fair shares: a tide line. Numbers in, numbers out.
//!
//! Everyone is measured by a decayed count of what was *admitted* of it. One level, the same for all, says how
//! much of that is fair now. It rises while the bucket of the global rate is more than half full, and sinks while
//! it is emptier; and in between, the fill itself moves the line, so that the last units go to whoever
//! has had least. Demand is never estimated, so that asking more often gains nothing. One level cuts all, so
//! the shares are max-min fair; and where the bucket is nearly full everybody is admitted, so nothing is
//! left lying.
//!
//! It is a controller with a proportional and an integral part, of which the fill is the input and the
//! level the output; usage answers the level with a lead of τ, so it is stable without tuning: the
//! damping is above one wherever the bucket fills faster than τ.
//!
//! The constants were found by simulation on paced and on Poisson arrivals, and then tried on others. What
//! they do is in the crate's documentation, with what they miss.

/// The memory, in seconds: half the time over which shares are judged.
pub(super) const TAU: f64 = 1.0;
/// The level doubles in so many seconds while the bucket is full. 0.01 to 0.1 do as well; 0.3 is slow when accounts join.
const OCTAVE: f64 = 0.03;
/// Between an empty and a full bucket the line moves by so many octaves. 1 is calmer, 4 unfair among many large ones.
const REACH: f64 = 2.0;
/// From this fill on everybody is admitted.
const OPEN: f64 = 0.9;
/// Nobody has to answer for more than so many fair shares: without it, whoever was alone has to wait for
/// seconds when others come.
const FORGIVE: f64 = 2.0;
/// The same, for those with a guaranteed floor.
const FORGIVE_FLOOR: f64 = 1.5;
/// Usage is counted in ticks of 2²⁰ ns, about a millisecond.
const TICK: u32 = 20;
const TICKS_A_SECOND: f64 = 1e9 / (1u64 << TICK) as f64;
/// Who was not seen for so long has nothing left to remember: e⁻⁸ of it.
pub(super) const FORGOTTEN: u32 = (8.0 * TAU * TICKS_A_SECOND) as u32;

/// What an account has used: a decayed count, and when it was last counted. In one word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Used {
    pub(super) units: f32,
    pub(super) seen: u32,
}

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

    /// How long ago it was counted, in ticks: they begin anew after 52 days.
    pub(super) fn age(self, now: u32) -> u32 {
        let age = now.wrapping_sub(self.seen);
        // The time may have been read a little earlier by us than by who was last.
        if age > u32::MAX - FORGOTTEN { 0 } else { age }
    }

    /// What is left of it.
    pub(super) fn at(self, now: u32) -> f64 {
        f64::from(self.units) * decay(f64::from(self.age(now)) / TICKS_A_SECOND)
    }
}

/// e^(−t/τ).
pub(super) fn decay(seconds: f64) -> f64 {
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    exp2(-seconds / TAU * LOG2_E)
}

/// 2^x by a cubic between the powers of two: off by less than a thousandth.
fn exp2(x: f64) -> f64 {
    let whole = x.floor().clamp(-1_000.0, 1_000.0);
    let part = x - whole;
    let power = f64::from_bits(((whole as i64 + 1_023) as u64) << 52);
    power * (1.0 + part * (0.695_976 + part * (0.224_940 + part * 0.079_084)))
}

/// How full the bucket of the global rate is, 0 to 1: with the unit in hand it counts as empty.
pub(super) fn fill(remaining: f64, burst: u32) -> f64 {
    ((remaining - 1.0) / f64::from(burst.max(2) - 1)).clamp(0.0, 1.0)
}

/// The fill as it is for those who share a line. A flood of them asks at every peak of it, and would have by
/// the peaks, more than their part. So the fill may cut them, but lift them only where it opens for all.
pub(super) fn fill_of_many(fill: f64) -> f64 {
    if fill >= OPEN { fill } else { fill.min(0.5) }
}

/// The level after `seconds` more at this fill, for a global `rate`.
pub(super) fn level(level: f64, fill: f64, seconds: f64, rate: f64) -> f64 {
    (level * exp2((2.0 * fill - 1.0) * seconds.min(0.1) / OCTAVE)).clamp(1e-6 * rate, 16.0 * rate)
}

/// How much an account may still answer for when it takes `units` at once.
///
/// Where that is little against the line, the line. Where it is much, so much that on the average of many times it has had
/// what the line says: between two lumps of n the decayed count falls from x + n to x, which takes τ·ln(1 + n/x).
fn threshold_at_once(threshold: f64, units: f64) -> f64 {
    let lumps = units / threshold.max(1e-12);
    if lumps <= 0.1 {
        return threshold;
    }
    let exact = units / (exp2(lumps * std::f64::consts::LOG2_E) - 1.0);
    threshold + ((lumps - 0.1) / 0.2).min(1.0) * (exact - threshold)
}

/// Whether the bucket is so full that everybody is admitted.
pub(super) fn is_open(fill: f64) -> bool {
    fill >= OPEN
}

/// The line of an account with this fair use, at this fill.
pub(super) fn threshold(fair: f64, fill: f64) -> f64 {
    fair * exp2(REACH * (fill - 0.5))
}

/// A smaller burst than this, or one that fills in less time (in seconds), says too little by its fill.
pub(super) const MIN_BURST: u32 = 20;
pub(super) const MIN_FILL_TIME: f64 = 0.01;

/// May an account that has used `used` have `units` more? `Ok`: what it has to answer for. `Err`: for how many
/// seconds not, and what it has to answer for.
pub(super) fn judge(used: f64, units: f64, fair: f64, floor: f64, fill: f64) -> Result<f64, (f64, f64)> {
    // Not less than what it takes at once: who takes much seldom would have it forgiven each time.
    let used = used.min((FORGIVE * fair).max(FORGIVE_FLOOR * floor * TAU).max(units));
    let threshold = threshold_at_once(threshold(fair, fill), units);
    let guaranteed = threshold_at_once(floor * TAU, units);
    if (floor > 0.0 && used <= guaranteed) || fill >= OPEN || (fair > 0.0 && used <= threshold) {
        return Ok(used);
    }
    let threshold = threshold.max(guaranteed).max(1e-9);
    Err(((TAU * (used / threshold).ln()).clamp(0.001, 10.0), used))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who always asks, takes what the line says on the average, be it in lumps larger than that.
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
        // Over the end of the ticks; and from a little before.
        assert_eq!(used.age(100), 294_967_396);
        assert_eq!(used.age(3_999_999_999), 0);
        // Away for a month.
        assert_eq!(used.age(4_000_000_000_u32.wrapping_add(2_500_000_000)), 2_500_000_000);
    }
}
