//! The decision about a request: all tiers are charged, or none.

use super::Tiered;
use super::caller::{CLASS_LIMIT, Caller, GLOBAL_LIMIT, Limits, Refusal};
use super::charge::{Intervals, TieredCharge};
use super::classes::SharedLimit;
use crate::bucket::Reading;
use crate::quota::gcra::{NEVER, Rate};
use crate::quota::live::LiveQuota;
use crate::setup::rejected;
use crate::table::entry::Taken;
use crate::wait::reserve::Size;
use crate::wait::shared::SharedQueue;
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
        if let Some((limit, offer)) = all {
            match limit.accept(offer, now, units) {
                Some(interval) => intervals.all = interval,
                None => {
                    self.take_back(account, None, units, now);
                    return None;
                }
            }
        }
        if let Some((limit, offer)) = global {
            match limit.accept(offer, now, units) {
                Some(interval) => intervals.global = interval,
                None => {
                    self.take_back(account, all.map(|(limit, _)| limit), units, now);
                    return None;
                }
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
            all.bucket.credit(now, units);
        }
    }

    /// Refunds all but `kept` units of a charge, each tier by the interval by which it was charged.
    pub(super) fn refund_all_but(&self, charge: &TieredCharge, kept: u32) {
        let TieredCharge { hash, at, intervals, units, class } = *charge;
        let limits = self.limits(self.resolve(hash, class));
        let intervals = intervals.restored(limits.intervals());
        // By the same clock as most charges.
        let now = self.common.time(limits.is_exact());
        let units = [units, kept];
        if intervals.each > 0 {
            self.accounts.refund(hash, now, units, at, intervals.each);
        }
        let shared =
            [(self.class(class).all.as_ref(), intervals.all), (self.global.as_ref(), intervals.global)];
        for (limit, interval) in shared {
            if let Some(limit) = limit {
                limit.bucket.refund(now, units, at, interval);
            }
        }
        // The unit may serve a request of another account, which waits for a shared limit.
        self.common.queues.wake(hash);
        self.common.queues.wake_shared(GLOBAL_LIMIT);
        self.common.queues.wake_shared(CLASS_LIMIT + usize::from(class));
    }

    /// Charges all tiers for work that was done, whether or not they have enough units.
    pub(super) fn charge_after(&self, caller: Caller, units: u32) {
        let limits = self.limits(caller);
        let now = self.common.time(limits.is_exact());
        if let Some(rate) = limits.each {
            self.accounts.charge(caller.hash, rate, now, units);
        }
        for (limit, _) in limits.all.into_iter().chain(limits.global) {
            limit.bucket.charge(now, units);
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
            all: class.all.as_ref().map(|limit| (limit, limit.bucket.read())),
            global: self.global.as_ref().map(|limit| (limit, limit.bucket.read())),
        }
    }

    /// Returns the limit that rejects for the longest time, if what is `owed` is charged first, in
    /// nanoseconds. Charges nothing itself.
    ///
    /// `account` returns from when on the account owes nothing, and the reason to reject it. `owed`
    /// is called with the number of a shared limit, or with `None` for that of the account.
    #[inline]
    pub(super) fn refusal(
        &self,
        limits: &Limits<'_>,
        caller: Caller,
        units: u32,
        now: u64,
        account: impl Fn(Rate) -> (u64, Reason),
        owed: impl Fn(Option<usize>, Rate) -> u64,
    ) -> Option<Refusal> {
        let mut longest: Option<Refusal> = None;
        let mut consider = |refusal: Refusal| {
            if longest.is_none_or(|longest| refusal.at > longest.at) {
                longest = Some(refusal);
            }
        };
        if let Some(rate) = limits.each {
            let (free, reason) = account(rate);
            if let Some(at) = rate.not_before(free, owed(None, rate), now, units) {
                consider(Refusal::of_account(limits, rate, reason, at));
            }
        }
        for (index, limit, seen) in limits.shared(caller) {
            if let Some(at) = seen.not_before(owed(Some(index), seen.rate), now, units) {
                consider(Refusal::of_shared(limit, seen.rate, at));
            }
        }
        longest
    }

    /// Returns the limit that has too few units for a waiting request, less what is kept there for
    /// others.
    ///
    /// A request that is not yet the head of any shared limit joins the queue of the first one for
    /// which requests wait, even if there are enough.
    pub(super) fn held_back(
        &self,
        caller: Caller,
        units: u32,
        now: u64,
        standing: Option<(usize, Size)>,
    ) -> Option<Refusal> {
        let (limits, queues) = (self.limits(caller), &self.common.queues);
        let account = |rate| (self.accounts.free(caller.hash, rate, now), Reason::Limited);
        let kept = |index: Option<usize>, rate: Rate| {
            let Some(index) = index else { return 0 };
            let size = match standing {
                None => return 0,
                Some((at, size)) if at == index => size,
                Some(_) => Size::Small,
            };
            queues.occupied(index).map_or(0, |queue| queue.kept_from(size, units, rate, now))
        };
        self.refusal(&limits, caller, units, now, account, kept).or_else(|| {
            let mut shared = limits.shared(caller).filter(|_| standing.is_none());
            let (_, limit, seen) = shared.find(|(index, ..)| queues.occupied(*index).is_some())?;
            Some(Refusal::of_shared(limit, seen.rate, now + 1))
        })
    }

    /// Charges a request that does not wait, from what is kept for such requests where others wait.
    #[cold]
    pub(super) fn pass(&self, caller: Caller, units: u32) -> Result<TieredCharge, Rejected> {
        let (limits, now, queues) = (self.limits(caller), self.common.now(), &self.common.queues);
        let account = |rate| self.accounts.free_or_room(caller.hash, rate, now);
        let refusal = self.refusal(&limits, caller, units, now, account, |_, _| 0);
        // Its own quota rejects it, or any quota for ever: it has no share in what others wait for.
        let is_final = |refusal: &Refusal| refusal.at == NEVER || refusal.by == limits.class.account;
        if let Some(refusal) = refusal.filter(is_final) {
            return Self::charged(caller, units, now, Err(refusal));
        }
        let occupied = || {
            let queue =
                |(index, limit, seen): (_, _, Reading)| Some((queues.occupied(index)?, limit, seen.rate));
            limits.shared(caller).filter_map(queue)
        };
        let return_to = |queues: usize| {
            occupied().take(queues).for_each(|(queue, _, rate): (&SharedQueue, &SharedLimit, Rate)| {
                queue.unpass(units, rate);
            });
        };
        for (n, (queue, limit, rate)) in occupied().enumerate() {
            if let Err(at) = queue.pass(caller.hash, units, rate, now) {
                return_to(n);
                return Self::charged(caller, units, now, Err(Refusal::of_shared(limit, rate, at)));
            }
        }
        self.charge_slow(caller, units).inspect_err(|_| return_to(usize::MAX))
    }

    /// Charges all tiers or none, as of `now`.
    #[inline]
    pub(super) fn take(&self, caller: Caller, units: u32, now: u64) -> Result<Intervals, Refusal> {
        let limits = self.limits(caller);
        // First without charging, so that a rejection writes nothing and has the longest time of
        // all.
        let account = |rate| (self.accounts.free(caller.hash, rate, now), Reason::Limited);
        if let Some(refusal) = self.refusal(&limits, caller, units, now, account, |_, _| 0) {
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
        let mut intervals = limits.intervals();
        if let Some((limit, seen)) = limits.all {
            match limit.bucket.take(seen, now, units) {
                Ok(rate) => intervals.all = rate.interval,
                Err((rate, at)) => {
                    self.take_back(account, None, units, now);
                    return Err(Refusal::of_shared(limit, rate, at));
                }
            }
        }
        if let Some((limit, seen)) = limits.global {
            match limit.bucket.take(seen, now, units) {
                Ok(rate) => intervals.global = rate.interval,
                Err((rate, at)) => {
                    self.take_back(account, limits.all.map(|(limit, _)| limit), units, now);
                    return Err(Refusal::of_shared(limit, rate, at));
                }
            }
        }
        Ok(intervals)
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
