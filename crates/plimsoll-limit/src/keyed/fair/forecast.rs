//! When a waiting request is served at the earliest.

use super::tide::{self, TAU, Used, ticks};
use super::{Bucket, Fair, Sharer};
use crate::quota::gcra::Rate;
use crate::setup::rejected;
use plimsoll_core::{Reason, Rejected};

impl<K: ?Sized> Fair<K> {
    /// Returns the rejection that holds until the quota or the account's cap has enough for
    /// `units`, after the units `ahead`.
    pub(super) fn earliest(&self, caller: Sharer, units: u32, ahead: u64, now: u64) -> Option<Rejected> {
        let Sharer { hash, share } = caller;
        let bucket = self.read_bucket(now);
        let owed = |rate: Rate| rate.interval.saturating_mul(ahead);
        let by_cap = share.cap().and_then(|cap| {
            let rate = cap.gcra();
            let free = self.caps.get().map_or(now, |caps| caps.free(hash, rate, now));
            let at = rate.not_before(free, owed(rate), now, units)?;
            Some((at, rejected(self.cap_name, Reason::Limited, rate, units, now, at)))
        });
        let by_quota = bucket.seen.not_before(owed(bucket.seen.rate), now, units).map(|at| {
            // Requests wait for the shared quota, unless the account has used up its share.
            let is_over = self.is_over_share(caller, units, bucket);
            let reason = if is_over { Reason::Limited } else { Reason::Throttled };
            (at, self.rejected(self.common.name, reason, bucket, units, at))
        });
        let longest = by_cap.into_iter().chain(by_quota).max_by_key(|(at, _)| *at);
        longest.map(|(_, rejected)| rejected)
    }

    /// Creates the rejection of a request that would overtake waiting requests of the account.
    pub(super) fn behind(&self, caller: Sharer, units: u32) -> Rejected {
        let bucket = self.read_bucket(self.common.now());
        let behind = || {
            // There are enough units for all of them, but the waiting requests are served first.
            if self.is_over_share(caller, units, bucket) {
                // Without numbers: those of the shared quota are not the caller's.
                let limited = Rejected::new(self.common.name, Reason::Limited);
                return limited.retry_in_nanos(bucket.seen.rate.interval);
            }
            let at = bucket.now.saturating_add(bucket.seen.rate.interval);
            self.rejected(self.common.name, Reason::Throttled, bucket, units, at)
        };
        let ahead = self.common.queues.ahead(caller.hash);
        self.earliest(caller, units, ahead, bucket.now).unwrap_or_else(behind)
    }

    /// Returns whether the account's own cap or share rejects the units now. Changes nothing.
    fn is_over_share(&self, Sharer { hash, share }: Sharer, units: u32, bucket: Bucket) -> bool {
        let Bucket { now, fill, level, .. } = bucket;
        let over_cap = share.cap().is_some_and(|cap| {
            let rate = cap.gcra();
            let free = self.caps.get().map_or(now, |caps| caps.free(hash, rate, now));
            rate.take(free, now, units).is_err()
        });
        let own = self.table.find(hash).and_then(|(_, entry)| entry.read(hash));
        over_cap
            || own.is_some_and(|(_, word)| {
                let used = Used::unpack(word).at(ticks(now));
                let fair = level * share.clamped_weight() * TAU;
                tide::judge(used, f64::from(units), fair, share.clamped_floor(), fill).is_err()
            })
    }
}
