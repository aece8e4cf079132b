//! A quota for each key.

use super::KeyedLimiter;
use super::charge::KeyedCharge;
use super::policy::QuotaPolicy;
use crate::quota::gcra::Rate;
use crate::quota::live::{Change, LiveQuota};
use crate::setup::{
    Common, MAX_KEYS, MAX_WAIT, QUEUE, check_max_keys, is_close, max_keys_setter, queue_setters, rejected,
    when_full_controls, when_full_setter,
};
use crate::table::gcra_table::{GcraTable, NotBefore};
use crate::table::{Crowd, Table};
use crate::wait::reserve::Size;
use crate::{Quota, WhenFull, quota};
use plimsoll_core::parts::{Setup, check};
use plimsoll_core::{Allowance, ConfigError, ControlError, Rejected, setup_setters};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// A quota for each key: `KeyedRateLimiter<str>`, `<u64>`, `<IpAddr>`, or a type of your own.
///
/// See [`KeyedLimiter`] for its methods.
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
/// It takes 24 bytes for each of its [`max_keys`](KeyedRateLimiterBuilder::max_keys). If there is
/// no room for a new account, one is evicted whose quota has fully replenished, which changes
/// nothing for it. If all sixteen that could make room owe units, the one that owes the fewest is
/// evicted, and what it owed is forgotten. [`WhenFull`] has the other choice.
///
/// A rejection by the account's own quota has the reason `Limited`, one for lack of room
/// `Throttled`.
#[doc(alias = "token bucket")]
#[doc(alias = "governor")]
#[doc(alias = "leaky bucket")]
#[doc(alias = "GCRA")]
#[doc(alias = "per-user limit")]
pub type KeyedRateLimiter<K> = KeyedLimiter<PerKey<K>>;

type QuotaOf<K> = Arc<dyn Fn(&K) -> Quota + Send + Sync>;

/// The policy of [`KeyedRateLimiter`].
pub struct PerKey<K: ?Sized> {
    common: Common,
    live: LiveQuota,
    quota_of: Option<QuotaOf<K>>,
    accounts: GcraTable,
}

/// An account by its hash, with the rate that holds for it.
#[derive(Clone, Copy, Debug)]
pub struct PerKeyCaller {
    hash: u64,
    rate: Rate,
}

impl<K: ?Sized> PerKey<K> {
    /// Charges by the precise clock, because a rejection by the coarse one ends soon.
    #[cold]
    #[inline(never)]
    fn take_precisely(&self, caller: PerKeyCaller, units: u32) -> (u64, Result<u32, NotBefore>) {
        let now = self.common.now();
        (now, self.accounts.take(caller.hash, caller.rate, now, units))
    }

    #[inline(always)]
    fn charged(PerKeyCaller { hash, rate }: PerKeyCaller, units: u32, at: u64) -> KeyedCharge {
        KeyedCharge { hash, at, rate, units, is_exact: rate.is_exact() }
    }

    #[inline(always)]
    fn rejected(&self, rate: Rate, units: u32, now: u64, refused: NotBefore) -> Rejected {
        rejected(self.common.name, refused.reason(), rate, units, now, refused.at)
    }

    /// Refunds all but `kept` units of a charge.
    fn refund_all_but(&self, charge: &KeyedCharge, kept: u32) {
        let KeyedCharge { hash, at, rate, units, is_exact } = *charge;
        // By the same clock as the charge.
        let now = self.common.time(is_exact);
        self.accounts.refund(hash, now, [units, kept], at, rate.interval);
        self.common.queues.wake(hash);
    }

    /// Returns the rate of a waiting request. A change of the common quota applies to it, too.
    fn rate_now(&self, caller: PerKeyCaller) -> Rate {
        if self.quota_of.is_some() { caller.rate } else { self.live.rate() }
    }
}

impl<K: ?Sized> QuotaPolicy for PerKey<K> {
    type Key = K;
    type Caller = PerKeyCaller;
    type Charge = KeyedCharge;
    const NAME: &'static str = "KeyedRateLimiter";

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
    fn caller(&self, key: &K) -> PerKeyCaller
    where
        K: Hash,
    {
        let rate = match &self.quota_of {
            None => self.live.rate(),
            Some(quota_of) => quota_of(key).gcra(),
        };
        PerKeyCaller { hash: self.accounts.table.hash(key), rate }
    }
    fn account(caller: PerKeyCaller) -> u64 {
        caller.hash
    }

    #[inline(always)]
    fn charge<T>(
        &self,
        caller: PerKeyCaller,
        units: u32,
        wrap: impl FnOnce(KeyedCharge) -> T,
    ) -> Result<T, Rejected> {
        let mut now = self.common.time_of(caller.rate);
        let mut taken = self.accounts.take(caller.hash, caller.rate, now, units);
        if let Err(NotBefore { at, .. }) = taken
            && is_close(at, now)
        {
            (now, taken) = self.take_precisely(caller, units);
        }
        match taken {
            Ok(_) => Ok(wrap(Self::charged(caller, units, now))),
            Err(refused) => Err(self.rejected(caller.rate, units, now, refused)),
        }
    }

    fn charge_at(
        &self,
        caller: PerKeyCaller,
        units: u32,
        now: u64,
        _: Option<(usize, Size)>,
    ) -> Result<KeyedCharge, Rejected> {
        let (hash, rate) = (caller.hash, self.rate_now(caller));
        match self.accounts.take(hash, rate, now, units) {
            Ok(_) => Ok(Self::charged(PerKeyCaller { hash, rate }, units, now)),
            Err(refused) => Err(self.rejected(rate, units, now, refused)),
        }
    }

    fn refund(&self, charge: KeyedCharge) {
        self.refund_all_but(&charge, 0);
    }

    fn settle_units(&self, charge: &mut KeyedCharge, actual: u32) {
        let units = std::mem::replace(&mut charge.units, actual);
        if actual > units {
            self.debit(PerKeyCaller { hash: charge.hash, rate: charge.rate }, actual - units);
        } else {
            self.refund_all_but(&KeyedCharge { units, ..*charge }, actual);
        }
    }

    fn debit(&self, caller: PerKeyCaller, units: u32) {
        let rate = self.rate_now(caller);
        self.accounts.charge(caller.hash, rate, self.common.time_of(rate), units);
    }

    fn credit(&self, caller: PerKeyCaller, units: u32) {
        self.accounts.credit(caller.hash, self.common.now(), units);
    }

    fn forecast(&self, caller: PerKeyCaller, units: u32, ahead: u64, now: u64) -> Option<Rejected> {
        let rate = self.rate_now(caller);
        let (free, reason) = self.accounts.free_or_room(caller.hash, rate, now);
        let at = rate.not_before(free, rate.interval.saturating_mul(ahead), now, units)?;
        Some(rejected(self.common.name, reason, rate, units, now, at))
    }

    fn rejected_behind(&self, caller: PerKeyCaller, units: u32) -> Rejected {
        let (rate, now) = (caller.rate, self.common.now());
        let behind = || {
            // There are enough units for all of them, but the waiting requests are served first.
            let (_, reason) = self.accounts.free_or_room(caller.hash, rate, now);
            rejected(self.common.name, reason, rate, units, now, now.saturating_add(rate.interval))
        };
        let ahead = self.common.queues.ahead(caller.hash);
        self.forecast(caller, units, ahead, now).unwrap_or_else(behind)
    }

    fn remaining(&self, caller: PerKeyCaller) -> u32 {
        let now = self.common.now();
        caller.rate.remaining(self.accounts.free(caller.hash, caller.rate, now), now)
    }

    fn allowances(&self, charge: &KeyedCharge, each: &mut dyn FnMut(Allowance)) {
        let now = self.common.now();
        if let Some((interval, free)) = self.accounts.state(charge.hash) {
            let own = Rate { interval, ..charge.rate };
            let rate = if self.quota_of.is_some() { own } else { self.live.rate() };
            each(quota::allowance(self.common.name, rate, free, now));
        }
    }

    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        // No key has this quota if a closure states the quotas.
        if self.quota_of.is_none() {
            self.live.quota().read(each);
        }
    }
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        if self.quota_of.is_some() {
            let by_closure = |setting| {
                let allowed = "left unchanged, because a closure states the quotas";
                Err(ControlError::new(setting, value, allowed))
            };
            return match setting {
                "rate" => by_closure("rate"),
                "burst" => by_closure("burst"),
                _ => Err(ControlError::unknown(setting, &["queue", "max_wait"])),
            };
        }
        self.change_quota(|quota| quota.with_setting(setting, value))
    }
}

impl<K: ?Sized> fmt::Debug for PerKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").field("quota", &self.live.quota()).finish()
    }
}

impl<K: ?Sized> PerKey<K> {
    fn change_quota(
        &self,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<(), ControlError> {
        if self.quota_of.is_some() {
            let allowed = "left unchanged, because a closure states the quotas";
            return Err(ControlError::new("quota", self.live.quota(), allowed));
        }
        let now = self.common.now();
        let Change { rate, withheld, raced, .. } = self.live.update(now, change)?;
        self.accounts.table.entries_in_use().for_each(|entry| entry.recount(rate, withheld, raced, now));
        self.common.queues.wake_all();
        Ok(())
    }
}

impl<K: Hash + ?Sized> KeyedRateLimiter<K> {
    /// Creates a limiter with this quota for each key.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> KeyedRateLimiterBuilder<K> {
        KeyedRateLimiterBuilder {
            config: KeyedRateLimiterConfig::default(),
            setup: Setup::default(),
            quota_of: None,
        }
    }
}

impl<K: ?Sized> KeyedRateLimiter<K> {
    /// Changes the quota of every key. Units that are charged stay charged.
    ///
    /// If the new burst is smaller, what an account owes beyond it is forgiven. So no account waits
    /// for longer than the new burst takes to be replenished. If it is larger, the difference can
    /// be taken at once, except what a change has just forgiven. The call visits the whole table
    /// once.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid, or if a
    /// [closure](KeyedRateLimiterBuilder::quota_of) states the quotas. Nothing has changed then.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ControlError> {
        self.0.change_quota(|_| Ok(quota))
    }

    /// Returns the quota of each key, unless a [closure](KeyedRateLimiterBuilder::quota_of) states
    /// the quotas.
    pub fn quota(&self) -> Quota {
        self.0.live.quota()
    }

    when_full_controls!();
}

/// The settings of a [`KeyedRateLimiter`]. Plain data; validated when a limiter is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct KeyedRateLimiterConfig {
    /// The name that rejections carry. Default: "accounts".
    pub name: String,
    /// The quota of each key. Default: 100 units a second.
    pub quota: Quota,
    /// The maximum number of keys that are remembered, rounded up to a multiple of 8.
    /// Default: 262,144. Range: 1 to 2³⁰.
    pub max_keys: usize,
    /// What happens to a new account when the table is full of accounts that owe units. Default:
    /// `Evict`.
    pub when_full: WhenFull,
    /// The maximum number of waiting requests, of all accounts together. Default: 1,024.
    /// Range: 0 to 2³¹ − 1.
    pub queue: u32,
    /// The longest wait. Default: 10 s. Above 0 if requests may wait.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max_wait: Duration,
}

impl Default for KeyedRateLimiterConfig {
    fn default() -> Self {
        KeyedRateLimiterConfig {
            name: "accounts".into(),
            quota: Quota::per_second(100),
            max_keys: MAX_KEYS,
            when_full: WhenFull::default(),
            queue: QUEUE,
            max_wait: MAX_WAIT,
        }
    }
}

impl KeyedRateLimiterConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        self.quota.validate()?;
        check_max_keys(self.max_keys)?;
        check::queue(self.queue, self.max_wait)
    }
}

/// Builds a [`KeyedRateLimiter`]. Created by [`KeyedRateLimiter::builder`](KeyedLimiter::builder).
#[must_use = "a builder does nothing until it is built"]
pub struct KeyedRateLimiterBuilder<K: ?Sized> {
    config: KeyedRateLimiterConfig,
    setup: Setup,
    quota_of: Option<QuotaOf<K>>,
}

impl<K: ?Sized> KeyedRateLimiterBuilder<K> {
    /// Sets the quota of each key. Default: 100 units a second.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.config.quota = quota;
        self
    }

    /// Sets the closure that states the quota of a key, called for each request.
    ///
    /// The quota of a key may change. Units that are charged stay charged, except that what is owed
    /// beyond a smaller burst is forgiven. So let it depend on the account, not on the request: an
    /// account whose quota changes to and fro gets more than either. An invalid quota admits
    /// nothing. Default: all keys have the same quota.
    pub fn quota_of(mut self, quota_of: impl Fn(&K) -> Quota + Send + Sync + 'static) -> Self {
        self.quota_of = Some(Arc::new(quota_of));
        self
    }

    max_keys_setter!();
    when_full_setter!();
    queue_setters!(keyed);
    setup_setters!(KeyedRateLimiterConfig: clock, dice, observe);

    /// Builds the limiter.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<KeyedRateLimiter<K>, ConfigError> {
        self.config.validate()?;
        let KeyedRateLimiterConfig { name, quota, max_keys, when_full, queue, max_wait } = self.config;
        let identity = self.setup.identity(&name);
        let crowd = Crowd::new(identity.name, identity.observer.clone());
        Ok(KeyedLimiter(Arc::new(PerKey {
            live: LiveQuota::new(quota),
            quota_of: self.quota_of,
            accounts: GcraTable::new(max_keys, when_full, &identity.dice, crowd),
            common: Common::new(identity, queue, max_wait, 0),
        })))
    }
}

impl<K: ?Sized> Clone for KeyedRateLimiterBuilder<K> {
    fn clone(&self) -> Self {
        let (config, setup) = (self.config.clone(), self.setup.clone());
        KeyedRateLimiterBuilder { config, setup, quota_of: self.quota_of.clone() }
    }
}

impl<K: ?Sized> fmt::Debug for KeyedRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimiterBuilder")
            .field("config", &self.config)
            .field("setup", &self.setup)
            .finish()
    }
}
