//! Limits within limits, asked as one.

use crate::accounts::GcraTable;
use crate::common::{Common, Setup, controls, refusal, setters};
use crate::gcra::Rate;
use crate::keyed::Overrides;
use crate::live::LiveQuota;
use crate::slot::{EMPTY, Entry, Taken};
use crate::spent::{Charge, NOWHERE};
use crate::wait::{AcquireUnits, Asks};
use crate::{Quota, allowance};
use plimsoll_core::{
    Allowance, By, ByOption, ByOptionRef, ByRef, ConfigError, ControlError, Event, Inspect, Keyed, Outcome,
    Permit, Rejected, RequestInfo, Settle, intern,
};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// One class of accounts: free, premium.
///
/// ```
/// use plimsoll_limit::{Class, Quota};
///
/// // Each free account 5 a second, and all of them together no more than 300.
/// let free = Class::new("free").each(Quota::per_second(5).burst(10)).all(Quota::per_second(300));
/// # let _ = free;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Class {
    name: String,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    each: Option<Quota>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    all: Option<Quota>,
}

impl Class {
    /// A class without a limit of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Class { name: name.into(), each: None, all: None }
    }

    /// What each of its accounts is allowed.
    #[must_use]
    pub fn each(mut self, quota: Quota) -> Self {
        self.each = Some(quota);
        self
    }

    /// What all of its accounts together are allowed.
    #[must_use]
    pub fn all(mut self, quota: Quota) -> Self {
        self.all = Some(quota);
        self
    }
}

/// A limit for all, for each class of accounts, and for each account: asked as one, all or nothing. A cheap
/// handle: clones share everything.
///
/// If any refuses, nothing stays spent anywhere, and the refusal carries the longest time of those that
/// refuse, and the name of that one: "api/free", "api/free/account", "api/global". Nothing is ever admitted over
/// any limit; of two who ask in the same instant for the last unit, both may be refused.
///
/// ```
/// use plimsoll_limit::{Class, Quota, TieredRateLimiter};
///
/// let limits = TieredRateLimiter::<str>::builder()
///     .name("api")
///     .global(Quota::per_second(1_000).burst(100))
///     .class(Class::new("free").each(Quota::per_second(5).burst(2)))
///     .class(Class::new("premium").each(Quota::per_second(50).burst(100)))
///     .class_of(|account| if account.starts_with("p-") { "premium" } else { "free" })
///     .build()?;
/// assert!(limits.try_acquire("ann").is_ok() && limits.try_acquire("ann").is_ok());
/// let no = limits.try_acquire("ann").unwrap_err();
/// assert_eq!(no.by(), "api/free/account");
/// assert!((0..10).all(|_| limits.try_acquire("p-bob").is_ok()));
///
/// limits.assign("ann", "premium")?; // while it runs; what ann owes stays owed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What is left of the global limit goes to whoever comes first. To share it fairly, put a
/// [`FairRateLimiter`](crate::FairRateLimiter) in its place: `layer((tiers.by_ref(account), fair.by_ref(account)))`.
pub struct TieredRateLimiter<K: ?Sized>(Arc<Inner>, PhantomData<fn(&K)>, ClassOf<K>);

type ClassOf<K> = Option<Arc<dyn Fn(&K) -> &'static str + Send + Sync>>;

struct Inner {
    common: Common,
    global: Option<Tier>,
    classes: Vec<ClassLimits>,
    // Class and own quota of those who were named.
    named: Overrides<(Option<u16>, Option<Quota>)>,
    accounts: GcraTable,
}

/// One limit of many accounts.
struct Tier {
    name: &'static str,
    live: LiveQuota,
    slot: Entry,
}

struct ClassLimits {
    name: &'static str,
    account: &'static str,
    each: Option<LiveQuota>,
    all: Option<Tier>,
}

impl Tier {
    fn new(name: &str, quota: Quota) -> Self {
        Tier { name: intern(name), live: LiveQuota::new(quota), slot: Entry::counting(quota.rule().interval) }
    }

    fn set(&self, quota: Quota, now: u64) {
        self.live.set(quota);
        self.slot.recount(self.live.rate().interval, now);
    }

    fn free(&self, rate: Rate, now: u64) -> u64 {
        self.slot.free(EMPTY, rate.interval, now).unwrap_or(now)
    }

    #[inline(always)]
    fn offer(&self, now: u64, units: u32) -> Option<(u64, u64)> {
        self.slot.offer(EMPTY, self.live.rate(), now, units)
    }

    #[inline(never)]
    fn take(&self, rate: Rate, now: u64, units: u32) -> Result<(), u64> {
        match self.slot.take(EMPTY, rate, now, units) {
            Taken::Yes => Ok(()),
            Taken::NotBefore(at) => Err(at),
            Taken::Gone => unreachable!("nobody moves in here"),
        }
    }
}

/// Of a token: the account had a quota of its own.
const OWN: u16 = 1 << 9;
/// So that a token holds the class and that.
const CLASSES: usize = OWN as usize - 1;

/// Whose turn it is, worked out once.
#[derive(Clone, Copy)]
struct Caller {
    hash: u64,
    class: u16,
    own: Option<Quota>,
}

/// What holds for one who asks, read once.
struct Rates<'a> {
    kind: &'a ClassLimits,
    each: Option<Rate>,
    all: Option<(&'a Tier, Rate)>,
    global: Option<(&'a Tier, Rate)>,
}

/// The tier that refuses for longest.
#[derive(Clone, Copy)]
struct Refusal {
    by: &'static str,
    rate: Rate,
    at: u64,
}

impl Inner {
    #[inline(always)]
    fn kind(&self, class: u16) -> &ClassLimits {
        match self.classes.get(usize::from(class & !OWN)).or(self.classes.first()) {
            Some(kind) => kind,
            None => unreachable!("there is at least one class"),
        }
    }

    fn class(&self, name: &str) -> Option<u16> {
        let at = self.classes.iter().position(|kind| kind.name == name)?;
        u16::try_from(at).ok()
    }

    /// What most are asked: an account that is known, of a class, and all have enough. `None` says nothing, and has taken
    /// nothing. Every tier is read before anything is taken, as in [`take`](Self::take), and nothing is read twice.
    #[inline(always)]
    fn take_usual(&self, who: Caller, units: u32, now: u64) -> Option<(u32, u64)> {
        if who.own.is_some() {
            return None;
        }
        let kind = self.kind(who.class);
        let each = match &kind.each {
            None => None,
            Some(live) => {
                let (n, slot) = self.accounts.table.find(who.hash)?;
                let rate = live.rate();
                Some((n, slot, rate, slot.offer(who.hash, rate, now, units)?))
            }
        };
        let all = match &kind.all {
            None => None,
            Some(tier) => Some((tier, tier.offer(now, units)?)),
        };
        let global = match &self.global {
            None => None,
            Some(tier) => Some((tier, tier.offer(now, units)?)),
        };
        // Whoever was faster has changed what was read: then it is read again.
        if let Some((_, slot, rate, (from, to))) = each
            && !slot.exchange(from, to)
            && slot.take(who.hash, rate, now, units) != Taken::Yes
        {
            return None;
        }
        let (taken, interval) = each.map_or((NOWHERE, u64::MAX), |(n, _, rate, _)| (n, rate.interval));
        if let Some((tier, (from, to))) = all
            && !tier.slot.exchange(from, to)
            && tier.take(tier.live.rate(), now, units).is_err()
        {
            self.back(taken, None, units, now);
            return None;
        }
        if let Some((tier, (from, to))) = global
            && !tier.slot.exchange(from, to)
            && tier.take(tier.live.rate(), now, units).is_err()
        {
            self.back(taken, all.map(|(tier, _)| tier), units, now);
            return None;
        }
        Some((taken, interval))
    }

    /// What was taken in this instant.
    #[cold]
    #[inline(never)]
    fn back(&self, slot: u32, all: Option<&Tier>, units: u32, now: u64) {
        self.accounts.refund(slot, now, units, now, u64::MAX);
        if let Some(all) = all {
            all.slot.refund(now, units, now, u64::MAX);
        }
    }

    #[inline]
    fn who(&self, hash: u64, said: impl FnOnce() -> u16) -> Caller {
        let (class, own) = self.named.get(hash).unwrap_or((None, None));
        Caller { hash, class: class.unwrap_or_else(said), own }
    }

    /// The quotas that hold for one who asks.
    #[inline]
    fn rates(&self, who: Caller) -> Rates<'_> {
        let kind = self.kind(who.class);
        let own = who.own.map(|own| own.rule());
        Rates {
            kind,
            each: own.or_else(|| kind.each.as_ref().map(LiveQuota::rate)),
            all: kind.all.as_ref().map(|tier| (tier, tier.live.rate())),
            global: self.global.as_ref().map(|tier| (tier, tier.live.rate())),
        }
    }

    /// Who refuses for longest. Takes nothing.
    #[inline]
    fn refuses(&self, rates: &Rates<'_>, hash: u64, units: u32, now: u64) -> Option<Refusal> {
        let mut no: Option<Refusal> = None;
        let mut see = |by, rate: Rate, free| {
            if let Err(at) = rate.take(free, now, units)
                && no.is_none_or(|no| at > no.at)
            {
                no = Some(Refusal { by, rate, at });
            }
        };
        if let Some(rate) = rates.each {
            see(rates.kind.account, rate, self.accounts.free(hash, rate, now));
        }
        for (tier, rate) in [rates.all, rates.global].into_iter().flatten() {
            see(tier.name, rate, tier.free(rate, now));
        }
        no
    }

    /// All or nothing, as of `now`.
    #[inline]
    fn take(&self, who: Caller, units: u32, now: u64) -> Result<(u32, u64), Refusal> {
        let rates = self.rates(who);
        // First without taking anything: whoever refuses has written nothing, and all say how long.
        if let Some(no) = self.refuses(&rates, who.hash, units, now) {
            return Err(no);
        }
        let Rates { kind, each, all, global } = rates;
        // Then for good, and back if somebody else was faster.
        let slot = match each {
            Some(rate) => self.accounts.take(who.hash, rate, now, units).map_err(|at| Refusal {
                by: kind.account,
                rate,
                at,
            })?,
            None => NOWHERE,
        };
        if let Some((tier, rate)) = all
            && let Err(at) = tier.take(rate, now, units)
        {
            self.back(slot, None, units, now);
            return Err(Refusal { by: tier.name, rate, at });
        }
        if let Some((tier, rate)) = global
            && let Err(at) = tier.take(rate, now, units)
        {
            self.back(slot, all.map(|(tier, _)| tier), units, now);
            return Err(Refusal { by: tier.name, rate, at });
        }
        Ok((slot, each.map_or(u64::MAX, |rate| rate.interval)))
    }

    #[cold]
    #[inline(never)]
    fn spend(&self, who: Caller, units: u32) -> Result<Charge, Rejected> {
        let (now, taken) = self.common.decide(|now| self.take(who, units, now), |no| no.at);
        self.spent(who, units, now, taken)
    }

    fn spent(
        &self,
        who: Caller,
        units: u32,
        now: u64,
        taken: Result<(u32, u64), Refusal>,
    ) -> Result<Charge, Rejected> {
        match taken {
            Ok((slot, interval)) => {
                let (burst, class) =
                    who.own.map_or((0, who.class), |own| (own.burst_size(), who.class | OWN));
                Ok(Charge { slot, units, at: now, class, interval, burst })
            }
            Err(Refusal { by, rate, at }) => Err(refusal(by, rate, units, now, at)),
        }
    }

    /// Somebody waits or listens, or it is closed.
    #[cold]
    #[inline(never)]
    fn spend_watched(&self, who: Caller, units: u32) -> Result<Charge, Rejected> {
        let quiet = self.common.yard.is_quiet();
        self.common.told(if quiet { self.spend(who, units) } else { self.behind(who, units) })
    }

    /// The line of those who wait for a limit of many: numbers that no account's hash is likely to be.
    fn line_of(&self, by: &str) -> Option<u64> {
        let global = self.global.iter().find(|tier| tier.name == by).map(|_| 1);
        global.or_else(|| {
            let class =
                self.classes.iter().position(|kind| kind.all.as_ref().is_some_and(|all| all.name == by))?;
            Some(class as u64 + 2)
        })
    }

    /// Whether somebody waits for the same account, or for one of the limits of many.
    fn is_behind(&self, who: Caller) -> bool {
        let yard = &self.common.yard;
        yard.has(who.hash) || yard.has(1) || yard.has(u64::from(who.class) + 2)
    }

    fn undo(&self, spent: &Charge) {
        // By the rough clock, as it was mostly taken.
        let now = self.common.clock.coarse().as_nanos();
        self.accounts.refund(spent.slot, now, spent.units, spent.at, spent.interval);
        let all = self.kind(spent.class).all.as_ref();
        for tier in all.into_iter().chain(self.global.as_ref()) {
            tier.slot.refund(now, spent.units, spent.at, u64::MAX);
        }
        // Who waits for a limit of many is the head of its line; the unit may be another account's.
        let own = self.accounts.table.at(spent.slot).map_or(0, |slot| slot.hash());
        for line in [own, 1, u64::from(spent.class & !OWN) + 2] {
            self.common.yard.rouse(line);
        }
    }

    fn behind(&self, who: Caller, units: u32) -> Result<Charge, Rejected> {
        if self.common.yard.is_closed() {
            return Err(self.common.closed());
        }
        if self.is_behind(who) {
            let (rates, now) = (self.rates(who), self.common.clock.now().as_nanos());
            let known = [rates.all, rates.global].into_iter().flatten().map(|(_, rate)| rate).next();
            let rate = rates.each.or(known).unwrap_or(Rate { interval: 1_000_000, burst: u32::MAX });
            // They go first, whatever there is.
            let ahead = rate.interval.saturating_mul(self.common.yard.ahead(who.hash).max(1));
            let first = Refusal { by: rates.kind.account, rate, at: now.saturating_add(ahead) };
            let no = self.refuses(&rates, who.hash, units, now);
            let Refusal { by, rate, at } = no.filter(|no| no.at > first.at).unwrap_or(first);
            return Err(refusal(by, rate, units, now, at));
        }
        self.spend(who, units)
    }
}

impl<K: Hash + ?Sized> TieredRateLimiter<K> {
    #[inline(always)]
    fn who(&self, key: &K) -> Caller {
        let hash = self.0.accounts.table.hash(key);
        self.0.who(hash, || self.said(key))
    }

    fn said(&self, key: &K) -> u16 {
        self.2.as_ref().and_then(|of| self.0.class(of(key))).unwrap_or(0)
    }

    fn member(&self, key: &K) -> Member<'_> {
        Member { its: &self.0, hash: self.0.accounts.table.hash(key), said: self.said(key) }
    }

    /// May this account, now? Never waits, and never overtakes those who wait for the same account.
    ///
    /// # Errors
    /// `Limited`, with the time until all tiers have a unit; `Closed` after [`close`](Self::close).
    #[inline]
    pub fn try_acquire(&self, key: &K) -> Result<Permit<&Self>, Rejected> {
        self.try_acquire_n(key, 1)
    }

    /// [`try_acquire`](Self::try_acquire) for several units at once: all or none.
    ///
    /// # Errors
    /// As for `try_acquire`; `TooLarge` if one of the tiers never has so many.
    #[inline]
    pub fn try_acquire_n(&self, key: &K, units: u32) -> Result<Permit<&Self>, Rejected> {
        self.spend(key, units, |spent| Permit::new(self, spent))
    }

    /// [`try_acquire`](Self::try_acquire), for those who need no permit: the units stay spent.
    ///
    /// # Errors
    /// As for `try_acquire`.
    pub fn check(&self, key: &K) -> Result<(), Rejected> {
        self.try_acquire(key).map(|permit| permit.done(Outcome::Ignored))
    }

    /// [`try_acquire_n`](Self::try_acquire_n), for those who need no permit: the units stay spent.
    ///
    /// # Errors
    /// As for `try_acquire`.
    pub fn check_n(&self, key: &K, units: u32) -> Result<(), Rejected> {
        self.try_acquire_n(key, units).map(|permit| permit.done(Outcome::Ignored))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle.
    ///
    /// # Errors
    /// As for `try_acquire`.
    #[inline]
    pub fn try_acquire_owned(&self, key: &K) -> Result<Permit<Self>, Rejected> {
        self.spend(key, 1, |spent| Permit::new(self.clone(), spent))
    }

    /// May so many? `hold` makes of what is spent what the caller is handed, in here: put together in memory first, it
    /// would take longer to read than to decide.
    #[inline(always)]
    fn spend<T>(&self, key: &K, units: u32, hold: impl FnOnce(Charge) -> T) -> Result<T, Rejected> {
        let (who, its) = (self.who(key), &*self.0);
        let plain = its.common.is_plain();
        if plain {
            let now = its.common.clock.coarse().as_nanos();
            if let Some((slot, interval)) = its.take_usual(who, units, now) {
                return Ok(hold(Charge { slot, units, at: now, class: who.class, interval, burst: 0 }));
            }
        }
        match if plain { its.spend(who, units) } else { its.spend_watched(who, units) } {
            Ok(spent) => Ok(hold(spent)),
            Err(no) => Err(no),
        }
    }

    /// Waits until all tiers have a unit for this account, in the order of asking; accounts do not stand in
    /// each other's line. At most [`max_wait`](Self::max_wait): who would have to wait longer is refused
    /// as soon as it is known.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the line and has spent nothing.
    ///
    /// # Errors
    /// `Limited` if it would take too long, `Full` if too many wait (all accounts together), `Expired` after the
    /// longest wait, `Closed` if closed.
    ///
    /// # Panics
    /// When it has to wait inside a tokio runtime that was built without a timer.
    pub async fn acquire(&self, key: &K) -> Result<Permit<&Self>, Rejected> {
        self.acquire_n(key, 1).await
    }

    /// [`acquire`](Self::acquire) for several units at once.
    ///
    /// # Cancel safety
    /// As for `acquire`.
    ///
    /// # Errors
    /// As for `acquire`; `TooLarge` if one of the tiers never has so many.
    pub async fn acquire_n(&self, key: &K, units: u32) -> Result<Permit<&Self>, Rejected> {
        let asks = self.member(key);
        let spent = AcquireUnits::new(asks, units, Duration::MAX).await?;
        Ok(Permit::new(self, spent))
    }

    /// Waits on the calling thread, no runtime needed: at most `timeout`, and at most the longest wait.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_timeout(&self, key: &K, timeout: Duration) -> Result<Permit<&Self>, Rejected> {
        let asks = self.member(key);
        match self.0.common.clock.block_until(None, AcquireUnits::new(asks, 1, timeout)) {
            Some(spent) => spent.map(|spent| Permit::new(self, spent)),
            None => unreachable!("it blocks until it has been answered"),
        }
    }

    /// Puts this account into a class by hand, whatever [`class_of`](TieredRateLimiterBuilder::class_of) says. What it owes
    /// stays owed. Each account that is named takes some memory until it is [forgotten](Self::forget).
    ///
    /// # Errors
    /// If there is no such class; nothing has changed then.
    pub fn assign(&self, key: &K, class: &str) -> Result<(), ControlError> {
        let class = self.check_class(class)?;
        self.0.named.alter(self.0.accounts.table.hash(key), |named| (Some(class), named.and_then(|n| n.1)));
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// Gives this account a quota of its own, in place of its class's `each`.
    ///
    /// # Errors
    /// If the quota will not do; nothing has changed then.
    pub fn assign_quota(&self, key: &K, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        self.0.named.alter(self.0.accounts.table.hash(key), |named| (named.and_then(|n| n.0), Some(quota)));
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// Forgets what was said of this account by hand.
    pub fn unassign(&self, key: &K) {
        self.0.named.forget(self.0.accounts.table.hash(key));
        self.0.common.yard.rouse_all();
    }

    /// A gate that asks with what `key` makes of a request.
    pub fn by<R: ?Sized, F: Fn(&R) -> K>(&self, key: F) -> By<Self, F>
    where
        K: Sized,
    {
        By::new(self.clone(), key)
    }

    /// A gate that asks with what `key` finds in a request.
    pub fn by_ref<R: ?Sized, F: Fn(&R) -> &K>(&self, key: F) -> ByRef<Self, F, K> {
        ByRef::new(self.clone(), key)
    }

    /// A gate for the requests of which `key` makes something; the others pass unasked.
    pub fn by_option<R: ?Sized, F: Fn(&R) -> Option<K>>(&self, key: F) -> ByOption<Self, F>
    where
        K: Sized,
    {
        ByOption::new(self.clone(), key)
    }

    /// A gate for the requests in which `key` finds something; the others pass unasked.
    pub fn by_option_ref<R: ?Sized, F: Fn(&R) -> Option<&K>>(&self, key: F) -> ByOptionRef<Self, F, K> {
        ByOptionRef::new(self.clone(), key)
    }
}

impl<K: ?Sized> TieredRateLimiter<K> {
    /// Sets everything.
    pub fn builder() -> TieredRateLimiterBuilder<K> {
        TieredRateLimiterBuilder { setup: Setup::new("tiers"), global: None, classes: vec![], class_of: None }
    }

    fn check_class(&self, class: &str) -> Result<u16, ControlError> {
        self.0.class(class).ok_or_else(|| ControlError::new("class", class, "one of those it was built with"))
    }

    /// Changes the limit for all. What is owed stays owed.
    ///
    /// # Errors
    /// If the quota will not do, or it was built without such a limit; nothing has changed then.
    pub fn set_global(&self, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let Some(tier) = &self.0.global else {
            return Err(ControlError::new("global", quota, "set only where one was built in"));
        };
        tier.set(quota, self.0.common.clock.now().as_nanos());
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// Changes what each account of a class is allowed. What each owes stays owed; until it asks next, that comes
    /// back as it did before.
    ///
    /// # Errors
    /// If the quota will not do, or there is no such class, or it was built without; nothing has changed then.
    pub fn set_each(&self, class: &str, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let Some(live) = &self.0.kind(self.check_class(class)?).each else {
            return Err(ControlError::new("each", quota, "set only where one was built in"));
        };
        live.set(quota);
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// Changes what all accounts of a class are allowed together. What is owed stays owed.
    ///
    /// # Errors
    /// If the quota will not do, or there is no such class, or it was built without; nothing has changed then.
    pub fn set_all(&self, class: &str, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let Some(tier) = &self.0.kind(self.check_class(class)?).all else {
            return Err(ControlError::new("all", quota, "set only where one was built in"));
        };
        tier.set(quota, self.0.common.clock.now().as_nanos());
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// How many accounts are remembered.
    pub fn key_count(&self) -> usize {
        self.0.accounts.table.len()
    }

    /// How many can be.
    pub fn max_keys(&self) -> usize {
        self.0.accounts.table.room()
    }

    /// How often there was no room for a newcomer, who shared a quota then.
    pub fn overflowed(&self) -> u64 {
        self.0.accounts.table.overflowed()
    }

    controls!();
}

struct Member<'a> {
    its: &'a Inner,
    hash: u64,
    // The class, but for what is said by hand: that may change while one waits.
    said: u16,
}

impl Asks for Member<'_> {
    fn take(&self, units: u32, now: u64) -> Result<Charge, Rejected> {
        let who = self.its.who(self.hash, || self.said);
        self.its.spent(who, units, now, self.its.take(who, units, now))
    }
    fn shared(&self, no: &Rejected) -> Option<u64> {
        self.its.line_of(no.by())
    }
    fn is_behind(&self) -> bool {
        self.its.is_behind(self.its.who(self.hash, || self.said))
    }
    fn account(&self) -> u64 {
        self.hash
    }
    fn common(&self) -> &Common {
        &self.its.common
    }
}

impl<K: ?Sized> Settle for TieredRateLimiter<K> {
    type Token = Charge;
    #[inline]
    fn settle(&self, _: Charge, outcome: Outcome) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Completed { by: common.name, outcome });
    }
    fn refund(&self, spent: Charge) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Refunded { by: common.name });
        self.0.undo(&spent);
    }
    fn allowances(&self, spent: &Charge, each: &mut dyn FnMut(Allowance)) {
        let its = &*self.0;
        let now = its.common.clock.now().as_nanos();
        let kind = its.kind(spent.class);
        if let Some((interval, free)) = its.accounts.read(spent.slot) {
            let own = (spent.burst > 0).then_some(Rate { interval, burst: spent.burst });
            // A quota of its own that is not known any more is not told as that of its class.
            let of_class =
                if spent.class & OWN == 0 { kind.each.as_ref().map(LiveQuota::rate) } else { None };
            if let Some(rate) = own.or(of_class) {
                each(allowance(kind.account, rate, free, now));
            }
        }
        for tier in kind.all.iter().chain(its.global.as_ref()) {
            let rate = tier.live.rate();
            each(allowance(tier.name, rate, tier.free(rate, now), now));
        }
    }
}

impl<K: Hash + ?Sized> Keyed<K> for TieredRateLimiter<K> {
    #[inline]
    fn admit_for(&self, key: &K, facts: RequestInfo) -> Result<Charge, Rejected> {
        self.spend(key, facts.cost, |spent| spent)
    }
}

impl<K: ?Sized> Inspect for TieredRateLimiter<K> {
    fn name(&self) -> &'static str {
        TieredRateLimiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        if let Some(tier) = &self.0.global {
            let (quota, rate) = (tier.live.quota(), tier.live.rate());
            let now = self.0.common.clock.now().as_nanos();
            each("rate", quota.rate());
            each("burst", f64::from(quota.burst_size()));
            each("left", f64::from(rate.remaining(tier.free(rate, now), now)));
        }
        each("accounts", self.key_count() as f64);
        each("named", self.0.named.len() as f64);
        each("overflowed", self.overflowed() as f64);
        each("waiting", f64::from(self.waiting()));
    }
    /// Knobs: `rate` (units a second), `burst` (whole units), of the limit for all.
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        match &self.0.global {
            Some(tier) => self.set_global(crate::turned(tier.live.quota(), knob, value)?),
            None => Err(ControlError::new("knob", knob, "none: there is no limit for all")),
        }
    }
}

impl<K: ?Sized> Clone for TieredRateLimiter<K> {
    fn clone(&self) -> Self {
        TieredRateLimiter(self.0.clone(), PhantomData, self.2.clone())
    }
}

impl<K: ?Sized> fmt::Debug for TieredRateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = |tier: &Option<Tier>| tier.as_ref().map(|tier| tier.live.quota());
        let mut debug = f.debug_struct("Tiers");
        debug.field("name", &self.name()).field("global", &quota(&self.0.global));
        for kind in &self.0.classes {
            let each = kind.each.as_ref().map(LiveQuota::quota);
            debug.field(kind.name, &format_args!("each {each:?}, all {:?}", quota(&kind.all)));
        }
        debug.field("accounts", &self.key_count()).field("waiting", &self.waiting()).finish()
    }
}

/// Builds [`TieredRateLimiter`]; from [`TieredRateLimiter::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct TieredRateLimiterBuilder<K: ?Sized> {
    setup: Setup,
    global: Option<Quota>,
    classes: Vec<Class>,
    class_of: ClassOf<K>,
}

impl<K: ?Sized> TieredRateLimiterBuilder<K> {
    /// What all together are allowed. Default: no limit.
    pub fn global(mut self, quota: Quota) -> Self {
        self.global = Some(quota);
        self
    }

    /// Adds a class, up to 511 of them. The first is that of all who are in no other.
    pub fn class(mut self, class: Class) -> Self {
        self.classes.push(class);
        self
    }

    /// In which class an account is, by name, asked each time; a name that is no class is the first. `K` may be
    /// a type of your own that knows it – a user with a plan – as long as only what names the account is hashed.
    pub fn class_of(mut self, class_of: impl Fn(&K) -> &'static str + Send + Sync + 'static) -> Self {
        self.class_of = Some(Arc::new(class_of));
        self
    }

    setters!(accounts);

    /// The tiers.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<TieredRateLimiter<K>, ConfigError> {
        self.setup.validate()?;
        let quotas = self.classes.iter().flat_map(|class| [&class.each, &class.all]);
        quotas.flatten().chain(&self.global).try_for_each(Quota::validate)?;
        if self.classes.is_empty() || self.classes.len() > CLASSES {
            return Err(ConfigError::new("classes", self.classes.len(), "1 to 511 of them"));
        }
        for (n, class) in self.classes.iter().enumerate() {
            if class.name.is_empty() || class.name == "global" {
                return Err(ConfigError::new(
                    "class.name",
                    format!("{:?}", class.name),
                    "a name other than \"global\"",
                ));
            }
            if self.classes.iter().take(n).any(|other| other.name == class.name) {
                return Err(ConfigError::new(
                    "class.name",
                    format!("{:?}", class.name),
                    "given to one class only",
                ));
            }
        }
        let name = &self.setup.name;
        let kind = |class: &Class| ClassLimits {
            name: intern(&class.name),
            account: intern(&format!("{name}/{}/account", class.name)),
            each: class.each.map(LiveQuota::new),
            all: class.all.map(|quota| Tier::new(&format!("{name}/{}", class.name), quota)),
        };
        let inner = Inner {
            common: self.setup.common(),
            global: self.global.map(|quota| Tier::new(&format!("{name}/global"), quota)),
            classes: self.classes.iter().map(kind).collect(),
            named: Overrides::new(),
            accounts: GcraTable::new(self.setup.accounts, &self.setup.dice),
        };
        Ok(TieredRateLimiter(Arc::new(inner), PhantomData, self.class_of))
    }
}

impl<K: ?Sized> Clone for TieredRateLimiterBuilder<K> {
    fn clone(&self) -> Self {
        TieredRateLimiterBuilder {
            setup: self.setup.clone(),
            global: self.global,
            classes: self.classes.clone(),
            class_of: self.class_of.clone(),
        }
    }
}

impl<K: ?Sized> fmt::Debug for TieredRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TiersBuilder")
            .field("setup", &self.setup)
            .field("global", &self.global)
            .field("classes", &self.classes)
            .finish()
    }
}
