//! What an admitted request has spent.

use plimsoll_core::Pack;

/// The units that an admitted request has spent: what a limiter hands out and takes back. Plain data.
///
/// They stay spent however the work ends, unless they are given back; and then as many come back as were
/// not already on their way: of a permit that is held for long, fewer and fewer.
#[derive(Debug)]
#[must_use = "units that are not settled cannot be given back"]
pub struct Charge {
    pub(crate) slot: u32,
    pub(crate) units: u32,
    // Nanoseconds.
    pub(crate) at: u64,
    // Of tiers: 10 bits.
    pub(crate) class: u16,
    // By which the account was counted: a slower one of later, or of who comes after it, gives no more back.
    pub(crate) interval: u64,
    // Of the account's own quota, where that is not one of all; 0: not known.
    pub(crate) burst: u32,
}

/// The slot of an account without one.
pub(crate) const NOWHERE: u32 = u32::MAX;

const CLASS: u64 = 1 << 10;

/// Packed, it forgets the burst of a quota that a closure said, and so no header tells of it; and the interval,
/// so that a quota which is made slower meanwhile gives more back.
impl Pack for Charge {
    fn pack(self) -> [u64; 2] {
        let at = (self.at / CLASS).min(u64::MAX / CLASS - 1);
        // Earlier by up to a microsecond: so much less is given back.
        [u64::from(self.slot) << 32 | u64::from(self.units), at * CLASS + u64::from(self.class)]
    }
    fn unpack([what, when]: [u64; 2]) -> Self {
        let (slot, units) = ((what >> 32) as u32, what as u32);
        Charge {
            slot,
            units,
            at: when / CLASS * CLASS,
            class: (when % CLASS) as u16,
            interval: u64::MAX,
            burst: 0,
        }
    }
}
