//! A quota for all accounts, for each class of accounts, and for each account, charged as one.

mod caller;
mod charge;
mod classes;
mod config;
mod controls;
mod decision;

pub use charge::TieredCharge;
pub use classes::Class;
pub use config::{TieredRateLimiterBuilder, TieredRateLimiterConfig};

use super::KeyedLimiter;
use super::policy::QuotaPolicy;
use crate::quota::gcra::Rate;
use crate::quota::live::LiveQuota;
use crate::setup::{Common, rejected};
use crate::table::Table;
use crate::table::entry::Entry;
use crate::table::gcra_table::GcraTable;
use crate::table::sparse::Overrides;
use crate::{Quota, quota};
use caller::{Caller, Refusal};
use charge::tag;
use classes::{ClassLimits, SharedLimit};
use plimsoll_core::{Allowance, ControlError, Reason, Rejected};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// Limits all accounts together, each class of them, and each account: all or nothing.
///
/// See [`KeyedLimiter`] for its methods.
///
/// If a tier rejects a request, nothing stays charged in any tier. The rejection is that of the
/// tier that rejects for the longest time. It carries the name of that tier and its reason:
///
/// | tier | name | reason |
/// |---|---|---|
/// | the account | "api/free/account" | `Limited` |
/// | all accounts in the class | "api/free" | `Throttled` |
/// | all accounts | "api/global" | `Throttled` |
///
/// No limit is ever exceeded. If two requests for the last unit arrive at the same instant, both
/// may be rejected.
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
/// let rejected = limits.try_acquire("ann").unwrap_err();
/// assert_eq!(rejected.by(), "api/free/account");
/// assert!((0..10).all(|_| limits.try_acquire("p-bob").is_ok()));
///
/// limits.assign("ann", "premium")?; // while it runs; the units that ann was charged stay charged
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The global quota serves the request that arrives first. To share it fairly, put a
/// [`FairRateLimiter`](crate::FairRateLimiter) in its place:
/// `layer((tiers.by_ref(account), fair.by_ref(account)))`.
#[doc(alias = "token bucket")]
#[doc(alias = "hierarchical token bucket")]
#[doc(alias = "plan")]
pub type TieredRateLimiter<K> = KeyedLimiter<Tiered<K>>;

type ClassOf<K> = Option<Arc<dyn Fn(&K) -> &'static str + Send + Sync>>;

/// The policy of [`TieredRateLimiter`].
pub struct Tiered<K: ?Sized> {
    common: Common,
    global: Option<SharedLimit>,
    classes: Vec<ClassLimits>,
    class_of: ClassOf<K>,
    assigned: Overrides<Assigned>,
    accounts: GcraTable,
}

/// The class and the quota that an operator has assigned to an account.
#[derive(Clone, Copy, Default)]
struct Assigned {
    class: Option<u16>,
    quota: Option<Quota>,
}

/// The maximum number of classes.
pub(super) const MAX_CLASSES: usize = 511;

/// The queue of the global limit, and that of class 0; class `n` adds `n`. An account has one of
/// these numbers as its hash with a probability of one in 2⁵⁵.
const GLOBAL_QUEUE: u64 = 1;
const CLASS_QUEUE: u64 = 2;

impl<K: ?Sized> Tiered<K> {
    #[inline(always)]
    fn class(&self, class: u16) -> &ClassLimits {
        match self.classes.get(usize::from(class)).or(self.classes.first()) {
            Some(class) => class,
            None => unreachable!("there is at least one class"),
        }
    }

    fn class_named(&self, name: &str) -> Option<u16> {
        let at = self.classes.iter().position(|class| class.name == name)?;
        u16::try_from(at).ok()
    }

    #[inline]
    fn resolve(&self, hash: u64, stated: u16) -> Caller {
        let Assigned { class, quota } = self.assigned.get(hash).unwrap_or_default();
        Caller { hash, stated, class: class.unwrap_or(stated), own: quota }
    }

    /// Returns the class that the closure states.
    #[inline(always)]
    fn stated(&self, key: &K) -> u16 {
        self.class_of.as_ref().and_then(|class_of| self.class_named(class_of(key))).unwrap_or(0)
    }
}

impl<K: ?Sized> QuotaPolicy for Tiered<K> {
    type Key = K;
    type Caller = Caller;
    type Charge = TieredCharge;
    const NAME: &'static str = "TieredRateLimiter";

    #[inline(always)]
    fn common(&self) -> &Common {
        &self.common
    }
    fn table(&self) -> &Table {
        &self.accounts.table
    }
    fn key_count(&self) -> usize {
        self.accounts.count(self.common.now())
    }

    #[inline(always)]
    fn caller(&self, key: &K) -> Caller
    where
        K: Hash,
    {
        let hash = self.accounts.table.hash(key);
        match self.assigned.get(hash) {
            None => {
                let stated = self.stated(key);
                Caller { hash, stated, class: stated, own: None }
            }
            Some(_) => self.resolve(hash, self.stated(key)),
        }
    }
    fn account(caller: Caller) -> u64 {
        caller.hash
    }

    #[inline(always)]
    fn charge<T>(
        &self,
        caller: Caller,
        units: u32,
        wrap: impl FnOnce(TieredCharge) -> T,
    ) -> Result<T, Rejected> {
        let now = self.common.clock.coarse().as_nanos();
        if let Some((entry, interval)) = self.take_fast(caller, units, now) {
            let class = caller.class;
            let tag = tag(caller.hash);
            return Ok(wrap(TieredCharge { entry, units, at: now, interval, class, own_burst: None, tag }));
        }
        match self.charge_slow(caller, units) {
            Ok(charge) => Ok(wrap(charge)),
            Err(rejected) => Err(rejected),
        }
    }

    fn charge_at(&self, caller: Caller, units: u32, now: u64) -> Result<TieredCharge, Rejected> {
        let caller = self.resolve(caller.hash, caller.stated);
        Self::charged(caller, units, now, self.take(caller, units, now))
    }

    fn refund(&self, charge: TieredCharge) {
        // By the coarse clock, as most charges are.
        let now = self.common.clock.coarse().as_nanos();
        let TieredCharge { entry, units, at, interval, class, tag: charge_tag, .. } = charge;
        self.accounts.refund(entry, |hash| tag(hash) == charge_tag, now, units, at, interval);
        let all = self.class(class).all.as_ref();
        for limit in all.into_iter().chain(self.global.as_ref()) {
            limit.entry.refund(now, units, at, u64::MAX);
        }
        // The unit may serve a request of another account, which waits in the queue of a shared
        // limit.
        let own = self.accounts.table.at(entry).map_or(0, Entry::hash);
        for queue in [own, GLOBAL_QUEUE, CLASS_QUEUE + u64::from(class)] {
            self.common.queues.wake(queue);
        }
    }

    /// Returns whether requests wait for the same account, or for a limit that it shares.
    fn is_behind(&self, caller: Caller) -> bool {
        let Caller { hash, class, .. } = self.resolve(caller.hash, caller.stated);
        let queues = &self.common.queues;
        queues.has(hash) || queues.has(GLOBAL_QUEUE) || queues.has(CLASS_QUEUE + u64::from(class))
    }

    fn rejected_behind(&self, caller: Caller, units: u32) -> Rejected {
        let (limits, now, queues) = (self.limits(caller), self.common.now(), &self.common.queues);
        let account = |rate| self.accounts.free_or_room(caller.hash, rate, now);
        let refusal = self.refusal(&limits, caller, units, now, account, |queue| queues.ahead(queue));
        // If there are enough units for all of them, the waiting requests are still served first.
        let behind = || {
            let queued = [(limits.global, GLOBAL_QUEUE), (limits.all, CLASS_QUEUE + u64::from(caller.class))];
            match queued.into_iter().find_map(|(limit, queue)| limit.filter(|_| queues.has(queue))) {
                Some((limit, rate)) => Refusal::of_shared(limit, rate, now.saturating_add(rate.interval)),
                None => {
                    let rate = limits.each.unwrap_or(Rate { interval: 1_000_000, burst: u32::MAX });
                    let (_, reason) = limits.each.map_or((now, Reason::Limited), account);
                    Refusal::of_account(&limits, rate, reason, now.saturating_add(rate.interval))
                }
            }
        };
        let Refusal { by, reason, rate, at } = refusal.unwrap_or_else(behind);
        rejected(by, reason, rate, units, now, at)
    }

    fn shared_queue(&self, rejected: &Rejected) -> Option<u64> {
        let is_by = |limit: &SharedLimit| limit.name == rejected.by();
        if self.global.as_ref().is_some_and(is_by) {
            return Some(GLOBAL_QUEUE);
        }
        let class = self.classes.iter().position(|class| class.all.as_ref().is_some_and(is_by))?;
        Some(CLASS_QUEUE + class as u64)
    }

    fn remaining(&self, caller: Caller) -> u32 {
        let (limits, now) = (self.limits(caller), self.common.now());
        let own = limits.each.map(|rate| rate.remaining(self.accounts.free(caller.hash, rate, now), now));
        let shared = [limits.all, limits.global].into_iter().flatten().map(|(limit, _)| limit.remaining(now));
        own.into_iter().chain(shared).min().unwrap_or(u32::MAX)
    }

    fn allowances(&self, charge: &TieredCharge, each: &mut dyn FnMut(Allowance)) {
        let (class, now) = (self.class(charge.class), self.common.now());
        if let Some((interval, free)) = self.accounts.read(charge.entry, |hash| tag(hash) == charge.tag) {
            let own = charge.own_burst.map(|burst| Rate { interval, burst: burst.get() });
            if let Some(rate) = own.or_else(|| class.each.as_ref().map(LiveQuota::rate)) {
                each(quota::allowance(class.account, rate, free, now));
            }
        }
        for limit in class.all.iter().chain(self.global.as_ref()) {
            let rate = limit.live.rate();
            each(quota::allowance(limit.name, rate, limit.free(rate, now), now).shared(true));
        }
    }

    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        if let Some(limit) = &self.global {
            limit.live.quota().read(each);
            each("remaining", f64::from(limit.remaining(self.common.now())));
        }
        each("assigned", self.assigned.len() as f64);
    }
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match &self.global {
            Some(limit) => self.change_shared(limit, |quota| quota.with_setting(setting, value)),
            None => Err(ControlError::unknown(setting, &["queue", "max_wait"])),
        }
    }
}

impl<K: ?Sized> fmt::Debug for Tiered<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let global = self.global.as_ref().map(|limit| limit.live.quota());
        f.debug_struct("Tiered").field("global", &global).field("classes", &self.classes).finish()
    }
}
