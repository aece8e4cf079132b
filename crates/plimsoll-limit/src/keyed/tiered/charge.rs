//! What a tiered limiter has charged.

use plimsoll_core::{Pack, Words};
use std::num::NonZeroU32;

/// The units that a [`TieredRateLimiter`](crate::TieredRateLimiter) has charged. Plain data.
#[derive(Debug)]
#[must_use = "a charge that is not settled cannot be refunded"]
pub struct TieredCharge {
    pub(super) entry: u32,
    pub(super) units: u32,
    // Nanoseconds.
    pub(super) at: u64,
    // The interval by which the account was charged.
    pub(super) interval: u64,
    pub(super) class: u16,
    // The burst of the account's own quota, if it has one.
    pub(super) own_burst: Option<NonZeroU32>,
    // A part of the account's hash. The entry may have another owner later.
    pub(super) tag: u16,
}

/// The part of a hash that a charge stores.
#[inline(always)]
pub(super) fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16
}

impl Pack for TieredCharge {
    fn pack(self) -> Words {
        let charged = u64::from(self.entry) << 32 | u64::from(self.units);
        let burst = self.own_burst.map_or(0, NonZeroU32::get);
        let account = u64::from(self.tag) << 48 | u64::from(self.class) << 32 | u64::from(burst);
        [charged, self.at, self.interval, account]
    }
    fn unpack([charged, at, interval, account]: Words) -> Self {
        let (entry, units) = ((charged >> 32) as u32, charged as u32);
        let (class, own_burst) = ((account >> 32) as u16, NonZeroU32::new(account as u32));
        TieredCharge { entry, units, at, interval, class, own_burst, tag: (account >> 48) as u16 }
    }
}
