//! What a tiered limiter has charged.

use crate::quota::packed::{packed, restored, unpacked};
use plimsoll_core::{Pack, Words};

/// The units that a [`TieredRateLimiter`](crate::TieredRateLimiter) has charged. Plain data.
#[derive(Debug)]
#[must_use = "a charge that is not settled cannot be refunded"]
pub struct TieredCharge {
    pub(super) hash: u64,
    // Nanoseconds.
    pub(super) at: u64,
    pub(super) intervals: Intervals,
    pub(super) units: u32,
    pub(super) class: u16,
}

/// The intervals by which the account, its class and all accounts were charged, or 0 for a tier
/// without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) each: u64,
    pub(super) all: u64,
    pub(super) global: u64,
}

impl Intervals {
    /// Returns the intervals of a charge that was unpacked, exactly where they are the present
    /// ones.
    pub(super) fn restored(self, present: Intervals) -> Intervals {
        Intervals {
            each: restored(self.each, present.each, EACH),
            all: restored(self.all, present.all, SHARED),
            global: restored(self.global, present.global, SHARED),
        }
    }
}

/// The leading bits of the intervals that are packed. Six more count the others.
const EACH: u32 = 27;
const SHARED: u32 = 20;

/// A packed refund of a limit with a long interval may lack a millionth of its units, if the quota
/// was changed meanwhile. The last word is never `u64::MAX`, because its last two bits are zero.
impl Pack for TieredCharge {
    fn pack(self) -> Words {
        let Intervals { each, all, global } = self.intervals;
        let (each, all, global) = (packed(each, EACH), packed(all, SHARED), packed(global, SHARED));
        let class = u64::from(self.class);
        let charged = u64::from(self.units) << 32 | all << 6 | class & 63;
        [charged, self.at, self.hash, each << 31 | global << 5 | class >> 6 << 2]
    }
    fn unpack([charged, at, hash, last]: Words) -> Self {
        let each = unpacked(last >> 31, EACH);
        let (all, global) = (unpacked(charged >> 6, SHARED), unpacked(last >> 5, SHARED));
        let class = (charged & 63 | (last >> 2 & 7) << 6) as u16;
        let intervals = Intervals { each, all, global };
        TieredCharge { hash, at, intervals, units: (charged >> 32) as u32, class }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long intervals lose what is below a millionth. They are never longer than before.
    #[test]
    fn charge_survives_packing() {
        for interval in [0, 1, 1_000_000, 1_000_000_000, 86_400_000_000_007, (1 << 54) - 1] {
            for class in [0, 63, 64, 510] {
                let (each, all, global) = (interval, interval / 3, interval / 7);
                let intervals = Intervals { each, all, global };
                let (hash, at, units) = (u64::MAX, u64::MAX, u32::MAX);
                let words = Some(TieredCharge { hash, at, intervals, units, class }).pack();
                let charge = Option::<TieredCharge>::unpack(words).unwrap();
                assert_eq!((charge.hash, charge.at, charge.units, charge.class), (hash, at, units, class));
                assert_eq!(charge.intervals.restored(intervals), intervals);
                let Intervals { each: one, all: two, global: three } = charge.intervals;
                for (before, after) in [(each, one), (all, two), (global, three)] {
                    let lost = before.checked_sub(after).unwrap();
                    assert!(lost <= before >> 19, "{before}: {after}");
                }
            }
        }
    }
}
