//! The decision about a request: all tiers are charged, or none.

use super::caller::{Caller, Limits, Refusal};
use super::charge::{Intervals, TieredCharge};
use super::classes::SharedLimit;
use super::{CLASS_QUEUE, GLOBAL_QUEUE, Tiered};
use crate::quota::gcra::Rate;
use crate::quota::live::LiveQuota;
use crate::setup::rejected;
use crate::table::entry::{EMPTY, Taken};
use plimsoll_core::{Reason, Rejected};

impl<K: ?Sized> Tiered<K> {
    /// Fast path: a known account without an override, and every tier has enough. Returns `None`,
    /// having changed nothing, if the slow path must decide.
    ///
    /// Every tier is read before any is charged, as in [`take`](Self::take), and none is read
    /// twice.
    #[inline(always)]
    pub(super) fn take_fast(&self, caller: Caller, units: u32, now: u64) -> Option<Intervals> {
        if caller.own.is_some() {
            return None;
        }
        let class = self.class(caller.class);
        let each = match &class.each {
            None => None,
            Some(live) => {
                let (_, entry) = self.accounts.table.find(caller.hash)?;
                let rate = live.rate();
                if rate.is_exact() {
                    return None;
                }
                Some((entry, rate, entry.offer(caller.hash, rate, now, units)?))
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
        if let Some((entry, rate, (from, to))) = each
            && !entry.exchange(from, to)
            && entry.take(caller.hash, rate, now, units) != Taken::Yes
        {
            return None;
        }
        let account = each.map(|_| caller.hash);
        let mut intervals =
            Intervals { each: each.map_or(0, |(_, rate, _)| rate.interval), all: 0, global: 0 };
        if let Some((limit, (from, to, interval))) = all {
            intervals.all = interval;
            if !limit.entry.exchange(from, to) && limit.take(limit.live.rate(), now, units).is_err() {
                self.take_back(account, None, units, now);
                return None;
            }
        }
        if let Some((limit, (from, to, interval))) = global {
            intervals.global = interval;
            if !limit.entry.exchange(from, to) && limit.take(limit.live.rate(), now, units).is_err() {
                self.take_back(account, all.map(|(limit, _)| limit), units, now);
                return None;
            }
        }
        Some(intervals)
    }

    /// Refunds what was charged at this instant.
    #[cold]
    #[inline(never)]
    fn take_back(&self, account: Option<u64>, all: Option<&SharedLimit>, units: u32, now: u64) {
        if let Some(hash) = account {
            self.accounts.refund(hash, now, [units, 0], now, u64::MAX);
        }
        if let Some(all) = all {
            all.entry.refund(now, [units, 0], now, u64::MAX);
        }
    }

    /// Refunds all but `kept` units of a charge, each tier by the interval by which it was charged.
    pub(super) fn refund_all_but(&self, charge: &TieredCharge, kept: u32) {
        let TieredCharge { hash, at, intervals, units, class } = *charge;
        let limits = self.limits(self.resolve(hash, class));
        let intervals = intervals.restored(limits.intervals());
        // By the same clock as most charges.
        let now = if limits.is_exact() { self.common.now() } else { self.common.clock.coarse().as_nanos() };
        let units = [units, kept];
        if intervals.each > 0 {
            self.accounts.refund(hash, now, units, at, intervals.each);
        }
        let shared =
            [(self.class(class).all.as_ref(), intervals.all), (self.global.as_ref(), intervals.global)];
        for (limit, interval) in shared {
            if let Some(limit) = limit {
                limit.entry.refund(now, units, at, interval);
            }
        }
        // The unit may serve a request of another account, which waits in the queue of a shared
        // limit.
        for queue in [hash, GLOBAL_QUEUE, CLASS_QUEUE + u64::from(class)] {
            self.common.queues.wake(queue);
        }
    }

    /// Charges all tiers for work that was done, whether or not they have enough units.
    pub(super) fn charge_after(&self, caller: Caller, units: u32) {
        let limits = self.limits(caller);
        let now = if limits.is_exact() { self.common.now() } else { self.common.clock.coarse().as_nanos() };
        if let Some(rate) = limits.each {
            self.accounts.charge(caller.hash, rate, now, units);
        }
        for (limit, rate) in limits.all.into_iter().chain(limits.global) {
            limit.entry.charge(EMPTY, rate, now, units);
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
    pub(super) fn take(&self, caller: Caller, units: u32, now: u64) -> Result<Intervals, Refusal> {
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
        if let Some(rate) = limits.each
            && let Err(refused) = self.accounts.take(caller.hash, rate, now, units)
        {
            return Err(Refusal::of_account(&limits, rate, refused.reason(), refused.at));
        }
        let account = limits.each.map(|_| caller.hash);
        if let Some((limit, rate)) = limits.all
            && let Err(at) = limit.take(rate, now, units)
        {
            self.take_back(account, None, units, now);
            return Err(Refusal::of_shared(limit, rate, at));
        }
        if let Some((limit, rate)) = limits.global
            && let Err(at) = limit.take(rate, now, units)
        {
            self.take_back(account, limits.all.map(|(limit, _)| limit), units, now);
            return Err(Refusal::of_shared(limit, rate, at));
        }
        Ok(limits.intervals())
    }

    #[cold]
    #[inline(never)]
    pub(super) fn charge_slow(&self, caller: Caller, units: u32) -> Result<TieredCharge, Rejected> {
        let is_exact = self.limits(caller).is_exact();
        let take = |now| self.take(caller, units, now);
        let (now, taken) = self.common.decide(is_exact, take, |refusal| refusal.at);
        Self::charged(caller, units, now, taken)
    }

    pub(super) fn charged(
        Caller { hash, class, .. }: Caller,
        units: u32,
        now: u64,
        taken: Result<Intervals, Refusal>,
    ) -> Result<TieredCharge, Rejected> {
        match taken {
            Ok(intervals) => Ok(TieredCharge { hash, at: now, intervals, units, class }),
            Err(Refusal { by, reason, rate, at }) => Err(rejected(by, reason, rate, units, now, at)),
        }
    }
}
