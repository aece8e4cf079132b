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
use crate::table::gcra_table::GcraTable;
use crate::table::sparse::Overrides;
use crate::wait::reserve::Size;
use crate::{Quota, quota};
use caller::{CLASS_LIMIT, Caller, GLOBAL_LIMIT, Refusal};
use classes::{ClassLimits, SharedLimit};
use plimsoll_core::parts::intern;
use plimsoll_core::{Allowance, ControlError, Event, Reason, Rejected};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    // The classes after the first few, by name.
    further: HashMap<&'static str, u16>,
    class_of: ClassOf<K>,
    // Whether the closure has named a class that does not exist.
    named_unknown: AtomicBool,
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
/// The number of classes that are found without a map.
const FEW: usize = 8;

impl<K: ?Sized> Tiered<K> {
    #[inline(always)]
    fn class(&self, class: u16) -> &ClassLimits {
        match self.classes.get(usize::from(class)).or(self.classes.first()) {
            Some(class) => class,
            None => unreachable!("there is at least one class"),
        }
    }

    /// Returns the class of this name. The first few are compared, which is faster than a map.
    #[inline(always)]
    fn class_named(&self, name: &str) -> Option<u16> {
        match self.classes.iter().take(FEW).position(|class| class.name == name) {
            Some(at) => Some(at as u16),
            None => self.further.get(name).copied(),
        }
    }

    /// Returns the first class for a name that no class has. Emits an event, once.
    #[cold]
    fn unknown_class(&self, name: &str) -> u16 {
        if !self.named_unknown.swap(true, Ordering::Relaxed) {
            let common = &self.common;
            common.observer.emit(|| {
                let advice = "add the class, or correct class_of: it names an unknown class, for which the first one stands:";
                Event::misconfigured(common.name, intern(&format!("{advice} {name:?}")))
            });
        }
        0
    }

    #[inline]
    fn resolve(&self, hash: u64, stated: u16) -> Caller {
        let Assigned { class, quota } = self.assigned.get(hash).unwrap_or_default();
        Caller { hash, stated, class: class.unwrap_or(stated), own: quota }
    }

    /// Returns the class that the closure states.
    #[inline(always)]
    fn stated(&self, key: &K) -> u16 {
        let Some(class_of) = &self.class_of else { return 0 };
        let name = class_of(key);
        self.class_named(name).unwrap_or_else(|| self.unknown_class(name))
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
        if let Some(intervals) = self.take_fast(caller, units, now) {
            let Caller { hash, class, .. } = caller;
            return Ok(wrap(TieredCharge { hash, at: now, intervals, units, class }));
        }
        match self.charge_slow(caller, units) {
            Ok(charge) => Ok(wrap(charge)),
            Err(rejected) => Err(rejected),
        }
    }

    fn charge_past(&self, caller: Caller, units: u32) -> Result<TieredCharge, Rejected> {
        self.pass(self.resolve(caller.hash, caller.stated), units)
    }

    fn charge_at(
        &self,
        caller: Caller,
        units: u32,
        now: u64,
        standing: Option<(usize, Size)>,
    ) -> Result<TieredCharge, Rejected> {
        let caller = self.resolve(caller.hash, caller.stated);
        let taken = match self.held_back(caller, units, now, standing) {
            Some(refusal) => Err(refusal),
            None => self.take(caller, units, now),
        };
        Self::charged(caller, units, now, taken)
    }

    fn refund(&self, charge: TieredCharge) {
        self.refund_all_but(&charge, 0);
    }

    fn settle_units(&self, charge: &mut TieredCharge, actual: u32) {
        let units = std::mem::replace(&mut charge.units, actual);
        if actual > units {
            self.charge_after(self.resolve(charge.hash, charge.class), actual - units);
        } else {
            self.refund_all_but(&TieredCharge { units, ..*charge }, actual);
        }
    }

    fn debit(&self, caller: Caller, units: u32) {
        self.charge_after(caller, units);
    }

    fn credit(&self, caller: Caller, units: u32) {
        self.accounts.credit(caller.hash, self.common.now(), units);
    }

    fn forecast(&self, caller: Caller, units: u32, ahead: u64, now: u64) -> Option<Rejected> {
        let caller = self.resolve(caller.hash, caller.stated);
        let (limits, queues) = (self.limits(caller), &self.common.queues);
        let account = |rate| self.accounts.free_or_room(caller.hash, rate, now);
        let owed = |index: Option<usize>, rate: Rate| {
            // A small request waits for a turn of each account that waits for the limit already.
            // One of them may be of the same account, and is counted there.
            let turns = index.and_then(|index| queues.occupied(index)).map_or(0, |queue| {
                match Size::of(units, rate) {
                    Size::Small => queue.small().saturating_sub(u64::from(ahead > 0)),
                    Size::Large => 0,
                }
            });
            rate.interval.saturating_mul(ahead + turns)
        };
        let Refusal { by, reason, rate, at } = self.refusal(&limits, caller, units, now, account, owed)?;
        Some(rejected(by, reason, rate, units, now, at))
    }

    fn rejected_behind(&self, caller: Caller, units: u32) -> Rejected {
        let (limits, now) = (self.limits(caller), self.common.now());
        // If there are enough units for all of them, the waiting requests are still served first.
        let behind = || {
            let rate = limits.each.unwrap_or(Rate { interval: 1_000_000, burst: u32::MAX, at_most: 0 });
            let account = |rate| self.accounts.free_or_room(caller.hash, rate, now).1;
            let reason = limits.each.map_or(Reason::Limited, account);
            rejected(limits.class.account, reason, rate, units, now, now.saturating_add(rate.interval))
        };
        let ahead = self.common.queues.ahead(caller.hash);
        self.forecast(caller, units, ahead, now).unwrap_or_else(behind)
    }

    fn shared_limit(&self, units: u32, rejected: &Rejected) -> Option<(usize, Size)> {
        let is_by = |limit: &&SharedLimit| limit.name == rejected.by();
        let class = |(n, class): (usize, &'_ ClassLimits)| {
            let limit = class.all.as_ref().filter(is_by)?;
            Some((CLASS_LIMIT + n, Size::of(units, limit.bucket.read().rate)))
        };
        match self.global.as_ref().filter(is_by) {
            Some(limit) => Some((GLOBAL_LIMIT, Size::of(units, limit.bucket.read().rate))),
            None => self.classes.iter().enumerate().find_map(class),
        }
    }

    fn remaining(&self, caller: Caller) -> u32 {
        let (limits, now) = (self.limits(caller), self.common.now());
        let own = limits.each.map(|rate| rate.remaining(self.accounts.free(caller.hash, rate, now), now));
        let shared = [limits.all, limits.global].into_iter().flatten().map(|(_, seen)| seen.remaining(now));
        own.into_iter().chain(shared).min().unwrap_or(u32::MAX)
    }

    fn allowances(&self, charge: &TieredCharge, each: &mut dyn FnMut(Allowance)) {
        let (class, now) = (self.class(charge.class), self.common.now());
        if charge.intervals.each > 0
            && let Some((_, free)) = self.accounts.state(charge.hash)
            && let own = self.resolve(charge.hash, charge.class).own.map(|own| own.gcra())
            && let Some(rate) = own.or_else(|| class.each.as_ref().map(LiveQuota::rate))
        {
            each(quota::allowance(class.account, rate, free, now));
        }
        for limit in class.all.iter().chain(self.global.as_ref()) {
            each(limit.bucket.read().allowance(limit.name, now));
        }
    }

    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        if let Some(limit) = &self.global {
            limit.bucket.quota().read(each);
            each("remaining", f64::from(limit.bucket.read().remaining(self.common.now())));
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
        let global = self.global.as_ref().map(|limit| limit.bucket.quota());
        f.debug_struct("Tiered").field("global", &global).field("classes", &self.classes).finish()
    }
}
