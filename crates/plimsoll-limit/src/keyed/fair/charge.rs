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
    pub(super) weight: f32,
    pub(super) cap: Option<CapEntry>,
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

/// A weight is no NaN, so the last word is never `u64::MAX`.
impl Pack for FairCharge {
    fn pack(self) -> Words {
        let cap = self.cap.map_or(0, |cap| cap.0.get());
        let charged = u64::from(self.entry) << 32 | u64::from(self.units);
        [charged, self.at, self.interval, u64::from(self.weight.to_bits()) << 32 | u64::from(cap)]
    }
    fn unpack([charged, at, interval, last]: Words) -> Self {
        FairCharge {
            entry: (charged >> 32) as u32,
            units: charged as u32,
            at,
            interval,
            weight: f32::from_bits((last >> 32) as u32),
            cap: NonZeroU32::new(last as u32).map(CapEntry),
        }
    }
}
