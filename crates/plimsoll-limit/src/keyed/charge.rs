//! What a keyed limiter has charged.

use crate::quota::gcra::Rate;
use plimsoll_core::{Pack, Words};

/// The units that a [`KeyedRateLimiter`](crate::KeyedRateLimiter) has charged. Plain data.
#[derive(Debug)]
#[must_use = "a charge that is not settled cannot be refunded"]
pub struct KeyedCharge {
    pub(super) hash: u64,
    // Nanoseconds.
    pub(super) at: u64,
    // The rate by which the account was charged.
    pub(super) rate: Rate,
    pub(super) units: u32,
    // Whether the precise clock was read.
    pub(super) is_exact: bool,
}

const IS_EXACT: u64 = 1 << 54;
const AT_MOST: u32 = 55;

/// The interval has at most 54 bits. The units of any window are packed if they are about twice the
/// burst, which is the default. Otherwise a packed charge states the burst.
impl Pack for KeyedCharge {
    fn pack(self) -> Words {
        let Rate { interval, burst, at_most } = self.rate;
        let twice = u64::from(burst) * 2;
        let at_most = match twice.checked_sub(u64::from(at_most)) {
            Some(less @ 0..=1) => 1 + less,
            _ => 0,
        };
        let exact = u64::from(self.is_exact) * IS_EXACT;
        let charged = u64::from(burst) << 32 | u64::from(self.units);
        [charged, self.at, self.hash, interval | exact | at_most << AT_MOST]
    }
    fn unpack([charged, at, hash, interval]: Words) -> Self {
        let burst = (charged >> 32) as u32;
        let at_most = match interval >> AT_MOST {
            0 => 0,
            n => (u64::from(burst) * 2 + 1 - n) as u32,
        };
        let rate = Rate { interval: interval & (IS_EXACT - 1), burst, at_most };
        KeyedCharge { hash, at, rate, units: charged as u32, is_exact: interval & IS_EXACT != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charge_survives_packing() {
        for (hash, burst, at_most) in
            [(1, 1, 0), (u64::MAX, u32::MAX, 0), (u64::MAX, 1 << 31, u32::MAX), (1 << 32, 9, 18), (7, 9, 17)]
        {
            for flag in [false, true] {
                let rate = Rate { interval: (1 << 54) - 1, burst, at_most };
                let charge = || KeyedCharge { hash, at: u64::MAX, rate, units: u32::MAX, is_exact: flag };
                let packed = Some(charge()).pack();
                assert_eq!(
                    format!("{:?}", Option::<KeyedCharge>::unpack(packed)),
                    format!("{:?}", Some(charge()))
                );
            }
        }
    }
}
