//! The decision about a request: all tiers are charged, or none.

use super::caller::{Caller, Limits, Refusal};
use super::charge::{TieredCharge, tag};
use super::classes::SharedLimit;
use super::{CLASS_QUEUE, GLOBAL_QUEUE, Tiered};
use crate::quota::gcra::Rate;
use crate::quota::live::LiveQuota;
use crate::setup::rejected;
use crate::table::entry::Taken;
use plimsoll_core::{Reason, Rejected};
use std::num::NonZeroU32;

/// The entry of an account that has no quota of its own.
const NO_ENTRY: u32 = u32::MAX;

/// The entry that an admitted request was charged to, and the interval by which it is counted.
type Charged = (u32, u64);

impl<K: ?Sized> Tiered<K> {
    /// Fast path: a known account without an override, and every tier has enough. Returns `None`,
    /// having changed nothing, if the slow path must decide.
    ///
    /// Every tier is read before any is charged, as in [`take`](Self::take), and none is read
    /// twice.
    #[inline(always)]
    pub(super) fn take_fast(&self, caller: Caller, units: u32, now: u64) -> Option<Charged> {
        if caller.own.is_some() {
            return None;
        }
        let class = self.class(caller.class);
        let each = match &class.each {
            None => None,
            Some(live) => {
                let (n, entry) = self.accounts.table.find(caller.hash)?;
                let rate = live.rate();
                Some((n, entry, rate, entry.offer(caller.hash, rate, now, units)?))
            }
        };
        let all = match &class.all {
            None => None,
            Some(limit) => Some((limit, limit.offer(now, units)?)),
        };
        let global = match &self.global {
            None => None,
            Some(limit) => Some((limit, limit.offer(now, units)?)),
        };
        // If another thread was faster, the state has changed, and is read again.
        if let Some((_, entry, rate, (from, to))) = each
            && !entry.exchange(from, to)
            && entry.take(caller.hash, rate, now, units) != Taken::Yes
        {
            return None;
        }
        let (entry, interval) = each.map_or((NO_ENTRY, u64::MAX), |(n, _, rate, _)| (n, rate.interval));
        if let Some((limit, (from, to))) = all
            && !limit.entry.exchange(from, to)
            && limit.take(limit.live.rate(), now, units).is_err()
        {
            self.take_back(caller.hash, entry, None, units, now);
            return None;
        }
        if let Some((limit, (from, to))) = global
            && !limit.entry.exchange(from, to)
            && limit.take(limit.live.rate(), now, units).is_err()
        {
            self.take_back(caller.hash, entry, all.map(|(limit, _)| limit), units, now);
            return None;
        }
        Some((entry, interval))
    }

    /// Refunds what was charged at this instant.
    #[cold]
    #[inline(never)]
    fn take_back(&self, hash: u64, entry: u32, all: Option<&SharedLimit>, units: u32, now: u64) {
        self.accounts.refund(entry, |owner| owner == hash, now, units, now, u64::MAX);
        if let Some(all) = all {
            all.entry.refund(now, units, now, u64::MAX);
        }
    }

    /// Reads the limits that apply to a caller.
    #[inline]
    pub(super) fn limits(&self, caller: Caller) -> Limits<'_> {
        let class = self.class(caller.class);
        let own = caller.own.map(|own| own.gcra());
        Limits {
            class,
            each: own.or_else(|| class.each.as_ref().map(LiveQuota::rate)),
            all: class.all.as_ref().map(|limit| (limit, limit.live.rate())),
            global: self.global.as_ref().map(|limit| (limit, limit.live.rate())),
        }
    }

    /// Returns the limit that rejects for the longest time, if the requests `ahead` in each queue
    /// are charged a unit first. Charges nothing itself.
    ///
    /// `account` returns from when on the account owes nothing, and the reason to reject it.
    #[inline]
    pub(super) fn refusal(
        &self,
        limits: &Limits<'_>,
        caller: Caller,
        units: u32,
        now: u64,
        account: impl Fn(Rate) -> (u64, Reason),
        ahead: impl Fn(u64) -> u64,
    ) -> Option<Refusal> {
        let mut longest: Option<Refusal> = None;
        let mut consider = |refusal: Refusal| {
            if longest.is_none_or(|longest| refusal.at > longest.at) {
                longest = Some(refusal);
            }
        };
        let take = |rate: Rate, free: u64, queue: u64| match ahead(queue) {
            0 => rate.take(free, now, units),
            n => rate.take(free.max(now).saturating_add(rate.interval.saturating_mul(n)), now, units),
        };
        if let Some(rate) = limits.each {
            let (free, reason) = account(rate);
            if let Err(at) = take(rate, free, caller.hash) {
                consider(Refusal::of_account(limits, rate, reason, at));
            }
        }
        let queues = [CLASS_QUEUE + u64::from(caller.class), GLOBAL_QUEUE];
        for (shared, queue) in [limits.all, limits.global].into_iter().zip(queues) {
            if let Some((limit, rate)) = shared
                && let Err(at) = take(rate, limit.free(rate, now), queue)
            {
                consider(Refusal::of_shared(limit, rate, at));
            }
        }
        longest
    }

    /// Charges all tiers or none, as of `now`.
    #[inline]
    pub(super) fn take(&self, caller: Caller, units: u32, now: u64) -> Result<Charged, Refusal> {
        let limits = self.limits(caller);
        // First without charging, so that a rejection writes nothing and has the longest time of
        // all.
        let account = |rate| (self.accounts.free(caller.hash, rate, now), Reason::Limited);
        if let Some(refusal) = self.refusal(&limits, caller, units, now, account, |_| 0) {
            if refusal.reason == Reason::Limited {
                self.accounts.reject(caller.hash);
            }
            return Err(refusal);
        }
        // Then for good, with a refund if another thread was faster.
        let entry = match limits.each {
            Some(rate) => self
                .accounts
                .take(caller.hash, rate, now, units)
                .map_err(|refused| Refusal::of_account(&limits, rate, refused.reason(), refused.at))?,
            None => NO_ENTRY,
        };
        if let Some((limit, rate)) = limits.all
            && let Err(at) = limit.take(rate, now, units)
        {
            self.take_back(caller.hash, entry, None, units, now);
            return Err(Refusal::of_shared(limit, rate, at));
        }
        if let Some((limit, rate)) = limits.global
            && let Err(at) = limit.take(rate, now, units)
        {
            self.take_back(caller.hash, entry, limits.all.map(|(limit, _)| limit), units, now);
            return Err(Refusal::of_shared(limit, rate, at));
        }
        Ok((entry, limits.each.map_or(u64::MAX, |rate| rate.interval)))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn charge_slow(&self, caller: Caller, units: u32) -> Result<TieredCharge, Rejected> {
        let (now, taken) = self.common.decide(|now| self.take(caller, units, now), |refusal| refusal.at);
        Self::charged(caller, units, now, taken)
    }

    pub(super) fn charged(
        caller: Caller,
        units: u32,
        now: u64,
        taken: Result<Charged, Refusal>,
    ) -> Result<TieredCharge, Rejected> {
        match taken {
            Ok((entry, interval)) => {
                let own_burst = caller.own.and_then(|own| NonZeroU32::new(own.burst_size()));
                Ok(TieredCharge {
                    entry,
                    units,
                    at: now,
                    interval,
                    class: caller.class,
                    own_burst,
                    tag: tag(caller.hash),
                })
            }
            Err(Refusal { by, reason, rate, at }) => Err(rejected(by, reason, rate, units, now, at)),
        }
    }
}
