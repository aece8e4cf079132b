//! What a fair limiter has charged.

use crate::quota::gcra::Rate;
use crate::quota::packed::{packed, restored, unpacked};
use plimsoll_core::{Pack, Words};

/// The units that a [`FairRateLimiter`](crate::FairRateLimiter) has charged. Plain data.
#[derive(Debug)]
#[must_use = "a charge that is not settled cannot be refunded"]
pub struct FairCharge {
    pub(super) hash: u64,
    // Nanoseconds.
    pub(super) at: u64,
    // The interval of the shared quota.
    pub(super) interval: u64,
    // The account's cap.
    pub(super) cap: Option<Rate>,
    pub(super) units: u32,
    pub(super) weight: Rounded,
    pub(super) floor: Rounded,
    // Whether the usage that accounts without an entry share was charged.
    pub(super) by_common: bool,
}

/// A number of at least 0, rounded down to five digits: the sign and the last nine bits of its
/// 32-bit float are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounded(u32);

const ROUNDED: u32 = 22;

impl Rounded {
    pub(super) fn new(number: f64) -> Self {
        Rounded((number as f32).to_bits() >> (31 - ROUNDED))
    }

    pub(super) fn get(self) -> f64 {
        f64::from(f32::from_bits(self.0 << (31 - ROUNDED)))
    }
}

/// The leading bits of the intervals that are packed. Six more count the others.
const SHARED: u32 = 26;
const CAP: u32 = 12;

impl FairCharge {
    /// Returns the interval of the shared quota, exactly if it is still the present one.
    pub(super) fn interval(&self, present: u64) -> u64 {
        restored(self.interval, present, SHARED)
    }

    /// Returns the interval of the cap, exactly if it is still the present one.
    pub(super) fn cap_interval(&self, cap: Rate, present: Option<u64>) -> u64 {
        present.map_or(cap.interval, |present| restored(cap.interval, present, CAP))
    }
}

/// Intervals are rounded down, so that a refund is never too large. If the quota was changed
/// meanwhile, it may lack a ten-millionth of its units, and a thousandth in the cap. The burst of
/// the cap is not packed. The last word is never `u64::MAX`, because no share is infinite.
impl Pack for FairCharge {
    fn pack(self) -> Words {
        let share = u64::from(self.weight.0) << ROUNDED | u64::from(self.floor.0);
        let cap = packed(self.cap.map_or(0, |cap| cap.interval), CAP);
        let charged = u64::from(self.units) << 32 | packed(self.interval, SHARED);
        [charged, self.at, self.hash, u64::from(self.by_common) << 62 | cap << 44 | share]
    }
    fn unpack([charged, at, hash, last]: Words) -> Self {
        let rounded = |bits: u64| Rounded(bits as u32 & ((1 << ROUNDED) - 1));
        let units = (charged >> 32) as u32;
        let cap = Rate { interval: unpacked(last >> 44, CAP), burst: u32::MAX, at_most: 0 };
        FairCharge {
            hash,
            at,
            interval: unpacked(charged, SHARED),
            cap: (cap.interval > 0).then_some(cap),
            units,
            weight: rounded(last >> ROUNDED),
            floor: rounded(last),
            by_common: last >> 62 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long intervals are rounded down.
    #[test]
    fn charge_survives_packing() {
        for interval in [0, 1, 4_095, 1_000_000, 30_000_000, 86_400_000_000_007, (1 << 55) - 1] {
            for (weight, floor) in [(0.0, 0.0), (1.0, 0.0), (0.5, 300.0), (0.0, 1e9), (1e9, 1e9), (1e9, 0.0)]
            {
                for flag in [false, true] {
                    let (weight, floor) = (Rounded::new(weight), Rounded::new(floor));
                    let words = FairCharge {
                        hash: u64::MAX,
                        at: u64::MAX,
                        interval,
                        cap: Some(Rate { interval: interval / 3, burst: u32::MAX, at_most: 0 }),
                        units: u32::MAX,
                        weight,
                        floor,
                        by_common: flag,
                    }
                    .pack();
                    assert_ne!(words[3], u64::MAX);
                    let charge = FairCharge::unpack(words);
                    assert_eq!((charge.hash, charge.at, charge.units), (u64::MAX, u64::MAX, u32::MAX));
                    assert_eq!((charge.weight, charge.floor), (weight, floor));
                    assert_eq!(charge.by_common, flag);
                    let lost = interval.checked_sub(charge.interval).unwrap();
                    assert!(lost <= interval >> 25, "{interval}: {charge:?}");
                    let cap = charge.cap.map_or(0, |cap| cap.interval);
                    let lost = (interval / 3).checked_sub(cap).unwrap();
                    assert!(lost <= (interval / 3) >> 11, "{interval}: {charge:?}");
                }
            }
        }
    }

    #[test]
    fn rounded_numbers_have_five_digits() {
        for number in [0.0, 1.0, 0.1, 7.3, 300.0, 12_345.0, 123_456.0, 1e9] {
            let rounded = Rounded::new(number).get();
            assert!(
                (number * (1.0 - 7e-5)..=number * (1.0 + 1e-7)).contains(&rounded),
                "{number}: {rounded}"
            );
        }
    }
}
