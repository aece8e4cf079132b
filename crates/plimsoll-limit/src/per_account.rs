//! A limit for each account.

use crate::accounts::GcraTable;
use crate::common::{Common, Setup, controls, is_close, setters};
use crate::gcra::Rate;
use crate::live::LiveQuota;
use crate::spent::Charge;
use crate::wait::{AcquireUnits, Asks};
use crate::{Quota, allowance};
use plimsoll_core::{
    Allowance, By, ByOption, ByOptionRef, ByRef, ConfigError, ControlError, Event, Inspect, Keyed, Outcome,
    Permit, Rejected, RequestInfo, Settle,
};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// A quota for each account. A cheap handle: clones share everything.
///
/// `K` is what an account is asked by: `str`, `u64`, `IpAddr`, a type of your own – whatever can be hashed,
/// borrowed or not. Keys are not kept.
///
/// ```
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
///
/// let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(5).burst(2))?;
/// assert!(limiter.try_acquire("ann").is_ok() && limiter.try_acquire("ann").is_ok());
/// assert!(limiter.try_acquire("ann").is_err());
/// assert!(limiter.try_acquire("bob").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It takes 24 bytes an account, for as many [accounts](KeyedRateLimiterBuilder::accounts) as it was built for,
/// and never more: when there is no room, an account is forgotten whose quota is full again, which changes
/// nothing for it; and while there is none, newcomers share 64 quotas among them, by hash. Those who
/// are known keep their own.
pub struct KeyedRateLimiter<K: ?Sized>(Arc<Inner<K>>);

type QuotaOf<K> = Arc<dyn Fn(&K) -> Quota + Send + Sync>;

struct Inner<K: ?Sized> {
    common: Common,
    live: LiveQuota,
    quota_of: Option<QuotaOf<K>>,
    accounts: GcraTable,
}

impl<K: ?Sized> Inner<K> {
    /// By the precise clock, and when that was: the rough one refuses by a hair.
    #[cold]
    #[inline(never)]
    fn take_precisely(&self, hash: u64, rate: Rate, units: u32) -> (u64, Result<u32, u64>) {
        let now = self.common.clock.now().as_nanos();
        (now, self.accounts.take(hash, rate, now, units))
    }
}

impl<K: Hash + ?Sized> KeyedRateLimiter<K> {
    /// A limiter with this quota for each account.
    ///
    /// # Errors
    /// If the quota will not do.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }

    /// Sets everything else.
    pub fn builder() -> KeyedRateLimiterBuilder<K> {
        KeyedRateLimiterBuilder {
            setup: Setup::new("accounts"),
            quota: Quota::per_second(100),
            quota_of: None,
        }
    }

    #[inline(always)]
    fn rate(&self, key: &K) -> Rate {
        match &self.0.quota_of {
            None => self.0.live.rate(),
            Some(quota_of) => quota_of(key).rule(),
        }
    }

    #[inline(always)]
    fn account(&self, key: &K) -> Account<'_, K> {
        Account { limiter: self, hash: self.0.accounts.table.hash(key), rate: self.rate(key) }
    }

    /// May this account, now? Never waits, and never overtakes those who wait for the same account.
    ///
    /// # Errors
    /// `Limited`, with the time until there is a unit; `Closed` after [`close`](Self::close).
    #[inline]
    pub fn try_acquire(&self, key: &K) -> Result<Permit<&Self>, Rejected> {
        self.try_acquire_n(key, 1)
    }

    /// [`try_acquire`](Self::try_acquire) for several units at once: all or none.
    ///
    /// # Errors
    /// As for `try_acquire`; `TooLarge` if there are never so many.
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
        let account = self.account(key);
        if !self.0.common.is_plain() {
            return match account.take_watched(units) {
                Ok(spent) => Ok(hold(spent)),
                Err(no) => Err(no),
            };
        }
        match account.take(units) {
            Ok(spent) => Ok(hold(spent)),
            Err(no) => Err(no),
        }
    }

    /// Waits until there is a unit for this account, in the order of asking; accounts do not wait for each
    /// other. At most [`max_wait`](Self::max_wait): who would have to wait longer is refused as soon as
    /// it is known.
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
    /// As for `acquire`; `TooLarge` if there are never so many.
    pub async fn acquire_n(&self, key: &K, units: u32) -> Result<Permit<&Self>, Rejected> {
        let spent = AcquireUnits::new(self.account(key), units, Duration::MAX).await?;
        Ok(Permit::new(self, spent))
    }

    /// Waits on the calling thread, no runtime needed: at most `timeout`, and at most the longest wait.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_timeout(&self, key: &K, timeout: Duration) -> Result<Permit<&Self>, Rejected> {
        match self.0.common.clock.block_until(None, AcquireUnits::new(self.account(key), 1, timeout)) {
            Some(spent) => spent.map(|spent| Permit::new(self, spent)),
            None => unreachable!("it blocks until it has been answered"),
        }
    }

    /// How many units this account has left now, if it is remembered; otherwise, all.
    pub fn remaining(&self, key: &K) -> u32 {
        let account = self.account(key);
        let now = self.0.common.clock.now().as_nanos();
        account.rate.remaining(self.0.accounts.free(account.hash, account.rate, now), now)
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

impl<K: ?Sized> KeyedRateLimiter<K> {
    /// Changes the quota of every account. What each owes stays owed. (Where a closure says each account's
    /// quota, that goes on saying it.) It goes once through the whole table.
    ///
    /// # Errors
    /// If the quota will not do; nothing has changed then.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        self.0.live.set(quota);
        if self.0.quota_of.is_none() {
            let (interval, now) = (self.0.live.rate().interval, self.0.common.clock.now().as_nanos());
            self.0.accounts.table.slots_in_use().for_each(|slot| slot.recount(interval, now));
        }
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// The quota of each account.
    pub fn quota(&self) -> Quota {
        self.0.live.quota()
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

/// One account of a limiter, while it is asked.
pub(crate) struct Account<'a, K: ?Sized> {
    limiter: &'a KeyedRateLimiter<K>,
    hash: u64,
    rate: Rate,
}

impl<K: ?Sized> Account<'_, K> {
    fn rate_now(&self) -> Rate {
        // A quota that is changed while one waits counts; what a closure said, it said.
        if self.limiter.0.quota_of.is_some() { self.rate } else { self.limiter.0.live.rate() }
    }

    #[inline(always)]
    fn take_at(&self, rate: Rate, units: u32) -> Result<Charge, Rejected> {
        let its = &*self.limiter.0;
        let mut now = its.common.clock.coarse().as_nanos();
        let mut taken = its.accounts.take(self.hash, rate, now, units);
        if let Err(at) = taken
            && is_close(at, now)
        {
            (now, taken) = its.take_precisely(self.hash, rate, units);
        }
        match taken {
            Ok(slot) => {
                Ok(Charge { slot, units, at: now, class: 0, interval: rate.interval, burst: self.burst() })
            }
            Err(at) => Err(its.common.limited(rate, units, now, at)),
        }
    }

    #[inline(always)]
    fn take(&self, units: u32) -> Result<Charge, Rejected> {
        self.take_at(self.rate, units)
    }

    #[inline(always)]
    fn burst(&self) -> u32 {
        if self.limiter.0.quota_of.is_some() { self.rate.burst } else { 0 }
    }

    /// Somebody waits or listens, or it is closed.
    #[cold]
    #[inline(never)]
    fn take_watched(&self, units: u32) -> Result<Charge, Rejected> {
        let common = &self.limiter.0.common;
        common.told(if common.yard.is_quiet() { self.take(units) } else { self.behind(units) })
    }

    fn behind(&self, units: u32) -> Result<Charge, Rejected> {
        let its = &*self.limiter.0;
        if its.common.yard.is_closed() {
            return Err(its.common.closed());
        }
        if its.common.yard.has(self.hash) {
            let now = its.common.clock.now().as_nanos();
            let free = its.accounts.free(self.hash, self.rate, now);
            let at = self.rate.take(free, now, units).err().unwrap_or(now);
            // They go first, each with one unit at least.
            let ahead = self.rate.interval.saturating_mul(its.common.yard.ahead(self.hash));
            return Err(its.common.limited(self.rate, units, now, at.saturating_add(ahead)));
        }
        self.take(units)
    }
}

impl<K: ?Sized> Asks for Account<'_, K> {
    fn take(&self, units: u32, now: u64) -> Result<Charge, Rejected> {
        let (its, rate) = (&*self.limiter.0, self.rate_now());
        match its.accounts.take(self.hash, rate, now, units) {
            Ok(slot) => {
                Ok(Charge { slot, units, at: now, class: 0, interval: rate.interval, burst: self.burst() })
            }
            Err(at) => Err(its.common.limited(rate, units, now, at)),
        }
    }
    fn account(&self) -> u64 {
        self.hash
    }
    fn common(&self) -> &Common {
        &self.limiter.0.common
    }
}

impl<K: ?Sized> KeyedRateLimiter<K> {
    fn undo(&self, spent: Charge) {
        let its = &*self.0;
        its.accounts.refund(
            spent.slot,
            // By the rough clock, as it was mostly taken.
            its.common.clock.coarse().as_nanos(),
            spent.units,
            spent.at,
            spent.interval,
        );
        if !its.common.yard.is_quiet()
            && let Some(slot) = its.accounts.table.at(spent.slot)
        {
            its.common.yard.rouse(slot.hash());
        }
    }
}

impl<K: ?Sized> Settle for KeyedRateLimiter<K> {
    type Token = Charge;
    #[inline]
    fn settle(&self, _: Charge, outcome: Outcome) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Completed { by: common.name, outcome });
    }
    fn refund(&self, spent: Charge) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Refunded { by: common.name });
        self.undo(spent);
    }
    fn allowances(&self, spent: &Charge, each: &mut dyn FnMut(Allowance)) {
        let its = &*self.0;
        let now = its.common.clock.now().as_nanos();
        let Some((interval, free)) = its.accounts.read(spent.slot) else { return };
        let rate = match (&its.quota_of, spent.burst) {
            (None, _) => its.live.rate(),
            (Some(_), 0) => return,
            (Some(_), burst) => Rate { interval, burst },
        };
        each(allowance(its.common.name, rate, free, now));
    }
}

impl<K: Hash + ?Sized> Keyed<K> for KeyedRateLimiter<K> {
    #[inline]
    fn admit_for(&self, key: &K, facts: RequestInfo) -> Result<Charge, Rejected> {
        self.spend(key, facts.cost, |spent| spent)
    }
}

impl<K: ?Sized> Inspect for KeyedRateLimiter<K> {
    fn name(&self) -> &'static str {
        KeyedRateLimiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let quota = self.quota();
        each("rate", quota.rate());
        each("burst", f64::from(quota.burst_size()));
        each("accounts", self.key_count() as f64);
        each("overflowed", self.overflowed() as f64);
        each("waiting", f64::from(self.waiting()));
    }
    /// Knobs: `rate` (units a second), `burst` (whole units), each account's.
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        self.set_quota(crate::turned(self.quota(), knob, value)?)
    }
}

// Not derived: a key need not be `Clone`.
impl<K: ?Sized> Clone for KeyedRateLimiter<K> {
    fn clone(&self) -> Self {
        KeyedRateLimiter(self.0.clone())
    }
}

impl<K: ?Sized> fmt::Debug for KeyedRateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter")
            .field("name", &self.name())
            .field("quota", &self.quota())
            .field("accounts", &self.key_count())
            .field("most_accounts", &self.max_keys())
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Builds a [`KeyedRateLimiter`]; from [`KeyedRateLimiter::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct KeyedRateLimiterBuilder<K: ?Sized> {
    setup: Setup,
    quota: Quota,
    quota_of: Option<QuotaOf<K>>,
}

impl<K: ?Sized> KeyedRateLimiterBuilder<K> {
    /// How much each account is allowed. Default 100 a second.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// How much this account is allowed, asked each time. It may say something else the next time: what the
    /// account owes stays owed. A quota of 0 units admits nothing.
    pub fn quota_of(mut self, quota_of: impl Fn(&K) -> Quota + Send + Sync + 'static) -> Self {
        self.quota_of = Some(Arc::new(quota_of));
        self
    }

    setters!(accounts);

    /// The limiter.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<KeyedRateLimiter<K>, ConfigError> {
        self.setup.validate()?;
        self.quota.validate()?;
        Ok(KeyedRateLimiter(Arc::new(Inner {
            common: self.setup.common(),
            live: LiveQuota::new(self.quota),
            quota_of: self.quota_of,
            accounts: GcraTable::new(self.setup.accounts, &self.setup.dice),
        })))
    }
}

impl<K: ?Sized> Clone for KeyedRateLimiterBuilder<K> {
    fn clone(&self) -> Self {
        let (setup, quota_of) = (self.setup.clone(), self.quota_of.clone());
        KeyedRateLimiterBuilder { setup, quota: self.quota, quota_of }
    }
}

impl<K: ?Sized> fmt::Debug for KeyedRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiterBuilder").field("setup", &self.setup).field("quota", &self.quota).finish()
    }
}
