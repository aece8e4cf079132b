//! What a fair limiter charges and refunds after its decision.

use super::Fair;
use super::charge::FairCharge;
use super::tide::{self, Used, ticks};
use crate::quota::gcra::Rate;

impl<K: ?Sized> Fair<K> {
    /// Refunds all but `kept` of the units that the cap was charged.
    pub(super) fn refund_cap(&self, charge: &FairCharge, kept: u32, now: u64) {
        let FairCharge { hash, at, units, .. } = *charge;
        if let (Some(caps), Some(cap)) = (self.caps.get(), self.cap_now(charge)) {
            caps.refund(hash, now, [units, kept], at, cap.interval);
        }
    }

    /// Returns the cap of a charge. The interval of one that was unpacked is restored.
    pub(super) fn cap_now(&self, charge: &FairCharge) -> Option<Rate> {
        let state = self.caps.get().and_then(|caps| caps.state(charge.hash));
        let interval = |cap| charge.cap_interval(cap, state.map(|(interval, _)| interval));
        charge.cap.map(|cap| Rate { interval: interval(cap), ..cap })
    }

    /// Refunds all but `kept` units of a charge.
    pub(super) fn refund_all_but(&self, charge: &FairCharge, kept: u32) {
        let FairCharge { hash, at, units, by_common, .. } = *charge;
        let now = self.common.now();
        self.bucket.refund(now, [units, kept], at, charge.interval(self.bucket.read().rate.interval));
        if let Some(n) = self.usage_of(hash, by_common) {
            self.undo_usage(n, units - kept, now, at);
        }
        self.refund_cap(charge, kept, now);
        self.common.queues.wake_all();
    }

    /// Returns the entry in which an account's usage was counted, unless it was evicted since.
    fn usage_of(&self, hash: u64, by_common: bool) -> Option<u32> {
        // An account that was charged without an entry, and had none afterwards, had no room.
        let entry = if by_common { Some(self.table.overflow_entry(hash)) } else { self.table.find(hash) };
        entry.map(|(n, _)| n)
    }

    /// Charges the shared quota, the account's share and its cap for work that was done.
    pub(super) fn charge_after(&self, hash: u64, cap: Option<Rate>, units: u32) {
        let now = self.common.now();
        self.bucket.charge(now, units);
        let n = self.usage_of(hash, self.table.find(hash).is_none());
        n.into_iter().for_each(|n| self.add_usage(n, f64::from(units), now));
        if let Some(rate) = cap {
            self.caps().charge(hash, rate, now, units);
        }
    }

    /// Subtracts units from a usage to which they were added at `at`.
    pub(super) fn undo_usage(&self, n: u32, units: u32, now: u64, at: u64) {
        let decayed = tide::decay(now.saturating_sub(at) as f64 / 1e9);
        self.add_usage(n, -f64::from(units) * decayed, now);
    }

    /// Adds units to a usage, which is never below zero.
    pub(super) fn add_usage(&self, n: u32, units: f64, now: u64) {
        let Some(entry) = self.table.at(n) else { return };
        while let Some((_, word)) = entry.read(entry.hash()) {
            let units = (Used::unpack(word).at(ticks(now)) + units).max(0.0) as f32;
            if entry.exchange(word, Used { units, seen: ticks(now) }.pack()) {
                return;
            }
        }
    }
}
