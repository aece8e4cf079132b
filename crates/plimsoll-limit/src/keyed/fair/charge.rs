//! What a fair limiter has charged.

use plimsoll_core::{Pack, Words};
use std::num::NonZeroU32;

/// The units that a [`FairRateLimiter`](crate::FairRateLimiter) has charged. Plain data.
#[derive(Debug)]
#[must_use = "a charge that is not settled cannot be refunded"]
pub struct FairCharge {
    pub(super) entry: u32,
    pub(super) units: u32,
    // Nanoseconds.
    pub(super) at: u64,
    // The interval of the shared quota.
    pub(super) interval: u64,
    pub(super) weight: Rounded,
    pub(super) floor: Rounded,
    pub(super) cap: Option<CapEntry>,
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

/// The entry of the account's cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CapEntry(NonZeroU32);

impl CapEntry {
    pub(super) fn new(entry: u32) -> Option<Self> {
        NonZeroU32::new(entry.wrapping_add(1)).map(CapEntry)
    }

    pub(super) fn get(self) -> u32 {
        self.0.get() - 1
    }
}

/// The weight and the floor take 44 bits: twelve beside the interval, which has at most 52, and the
/// rest beside the cap. A cap's entry has a number below 2³¹, so the last word is never `u64::MAX`.
impl Pack for FairCharge {
    fn pack(self) -> Words {
        let cap = self.cap.map_or(0, |cap| cap.0.get());
        let charged = u64::from(self.entry) << 32 | u64::from(self.units);
        let share = u64::from(self.weight.0) << ROUNDED | u64::from(self.floor.0);
        [charged, self.at, self.interval << 12 | share >> 32, share << 32 | u64::from(cap)]
    }
    fn unpack([charged, at, interval, last]: Words) -> Self {
        let share = interval << 32 | last >> 32;
        let rounded = |bits: u64| Rounded(bits as u32 & ((1 << ROUNDED) - 1));
        FairCharge {
            entry: (charged >> 32) as u32,
            units: charged as u32,
            at,
            interval: interval >> 12,
            weight: rounded(share >> ROUNDED),
            floor: rounded(share),
            cap: NonZeroU32::new(last as u32).map(CapEntry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charge_survives_packing() {
        for (entry, units, at, interval, cap) in [
            (0, 1, 0, 1, None),
            ((1 << 30) + 71, u32::MAX, u64::MAX, (1 << 52) - 1, CapEntry::new((1 << 30) + 71)),
        ] {
            for (weight, floor) in [(0.0, 0.0), (1.0, 0.0), (0.5, 300.0), (0.0, 1e9), (1e9, 1e9), (1e9, 0.0)]
            {
                let charge = || FairCharge {
                    entry,
                    units,
                    at,
                    interval,
                    weight: Rounded::new(weight),
                    floor: Rounded::new(floor),
                    cap,
                };
                let words = charge().pack();
                assert_ne!(words[3], u64::MAX);
                assert_eq!(format!("{:?}", FairCharge::unpack(words)), format!("{:?}", charge()));
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
