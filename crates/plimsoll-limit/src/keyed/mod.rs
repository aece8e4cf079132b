//! The handle of every keyed limiter.

pub(crate) mod charge;
pub(crate) mod fair;
#[cfg(feature = "tower")]
pub(crate) mod layer;
pub(crate) mod per_key;
pub(crate) mod policy;
pub(crate) mod tiered;

use crate::setup::{Common, queue_controls};
use crate::wait::acquire::{AcquireUnits, Attempt};
use crate::wait::reserve::Size;
use plimsoll_core::{
    Account, Allowance, ControlError, Event, Inspect, Keyed, Outcome, Permit, Reason, Rejected, RequestInfo,
    Settle,
};
use policy::QuotaPolicy;
use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// A rate limit by key: the handle that [`KeyedRateLimiter`](crate::KeyedRateLimiter),
/// [`TieredRateLimiter`](crate::TieredRateLimiter) and [`FairRateLimiter`](crate::FairRateLimiter)
/// share.
///
/// A cheap handle: clones share everything. Keys are hashed and never stored.
///
/// | method | waits | where |
/// |---|---|---|
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_n`](Self::try_acquire_n), [`try_acquire_owned`](Self::try_acquire_owned), [`check`](Self::check) | never | anywhere |
/// | [`acquire`](Self::acquire), [`acquire_n`](Self::acquire_n), [`acquire_owned`](Self::acquire_owned) | in the account's queue | in async code |
/// | [`blocking_acquire`](Self::blocking_acquire), [`blocking_acquire_timeout`](Self::blocking_acquire_timeout) | in the same queue | on a plain thread |
/// | [`by`](plimsoll_core::KeyedExt::by), [`by_ref`](plimsoll_core::KeyedExt::by_ref), [`by_option`](plimsoll_core::KeyedExt::by_option) … | never | as a gate or a layer |
///
/// A permit may be dropped at once: the units stay charged unless they are
/// [refunded](Permit::refund).
#[doc(alias = "rate_limit")]
#[doc(alias = "throttle")]
pub struct KeyedLimiter<P: QuotaPolicy>(pub(crate) Arc<P>);

impl<P: QuotaPolicy> KeyedLimiter<P>
where
    P::Key: Hash,
{
    /// Charges one unit to this account if one remains. Never waits.
    ///
    /// It never overtakes waiting requests of the same account. While requests wait for a limit
    /// that the account shares in a [`TieredRateLimiter`](crate::TieredRateLimiter), it is admitted
    /// from the share of those that do not wait: see [Waiting](crate#waiting).
    ///
    /// # Errors
    /// - `Limited` if the account's own quota is used up.
    /// - `Throttled` if a quota that it shares is used up.
    /// - `Closed` after [`close`](Self::close).
    ///
    /// The first two carry the time until a unit is replenished.
    #[inline]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self, key: &P::Key) -> Result<Permit<&Self>, Rejected> {
        self.try_acquire_n(key, 1)
    }

    /// Charges `units` to this account, all of them or none. Never waits.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire); `TooLarge` if `units` is above the burst.
    #[inline]
    pub fn try_acquire_n(&self, key: &P::Key, units: u32) -> Result<Permit<&Self>, Rejected> {
        self.charge(key, units, |charge| Permit::new(self, charge))
    }

    /// Charges one unit and returns a permit that owns its handle. Never waits.
    ///
    /// # Errors
    /// As for `try_acquire`.
    #[inline]
    pub fn try_acquire_owned(&self, key: &P::Key) -> Result<Permit<Self>, Rejected> {
        self.charge(key, 1, |charge| Permit::new(self.clone(), charge))
    }

    /// Charges one unit to this account without a permit. The unit stays charged.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[doc(alias = "check_key")]
    pub fn check(&self, key: &P::Key) -> Result<(), Rejected> {
        self.check_n(key, 1)
    }

    /// Charges `units` to this account without a permit, all of them or none. They stay charged.
    ///
    /// # Errors
    /// As for [`try_acquire_n`](Self::try_acquire_n).
    pub fn check_n(&self, key: &P::Key, units: u32) -> Result<(), Rejected> {
        self.try_acquire_n(key, units).map(|permit| permit.done(Outcome::Ignored))
    }

    #[inline(always)]
    fn charge<T>(&self, key: &P::Key, units: u32, wrap: impl FnOnce(P::Charge) -> T) -> Result<T, Rejected> {
        let policy = &*self.0;
        let caller = policy.caller(key);
        if policy.common().is_plain() {
            return policy.charge(caller, units, wrap);
        }
        match self.charge_watched(caller, units) {
            Ok(charge) => Ok(wrap(charge)),
            Err(rejected) => Err(rejected),
        }
    }

    /// Charges units while requests wait, an observer listens, or the limiter is closed.
    #[cold]
    #[inline(never)]
    fn charge_watched(&self, caller: P::Caller, units: u32) -> Result<P::Charge, Rejected> {
        let (policy, common) = (&*self.0, self.0.common());
        let decision = if common.queues.is_closed() {
            Err(common.closed())
        } else if common.queues.is_quiet() {
            policy.charge(caller, units, |charge| charge)
        } else if common.queues.has(P::account(caller)) {
            Err(policy.rejected_behind(caller, units))
        } else {
            policy.charge_past(caller, units)
        };
        common.emit(Some(Account::new(P::account(caller))), decision)
    }

    /// Waits for one unit of this account, for at most [`max_wait`](Self::max_wait).
    ///
    /// Requests of one account are served in order. Accounts do not wait for each other, except for
    /// the limits that they share in a [`TieredRateLimiter`](crate::TieredRateLimiter). A request
    /// that cannot be served in time is rejected on arrival, with the time until it could be: see
    /// [Waiting](crate#waiting).
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future leaves the queue and has charged nothing.
    ///
    /// # Errors
    /// - `Limited` or `Throttled` if it would wait too long.
    /// - `Full` if the queue is full, and no account has more waiting requests than this one.
    /// - `Evicted` if the queue is full, and a request of an account with fewer arrives.
    /// - `Expired` after the longest wait.
    /// - `Closed` after [`close`](Self::close).
    #[doc(alias = "until_key_ready")]
    pub async fn acquire(&self, key: &P::Key) -> Result<Permit<&Self>, Rejected> {
        self.acquire_n(key, 1).await
    }

    /// Waits for `units` of this account, and charges all of them or none.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for `acquire`; `TooLarge` if `units` is above the burst.
    pub async fn acquire_n(&self, key: &P::Key, units: u32) -> Result<Permit<&Self>, Rejected> {
        let charge = AcquireUnits::new(self.attempt(self, key), units, Duration::MAX).await?;
        Ok(Permit::new(self, charge))
    }

    /// Waits for one unit of this account, with a future and a permit that own their handle.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for `acquire`.
    pub fn acquire_owned(
        &self,
        key: &P::Key,
    ) -> impl Future<Output = Result<Permit<Self>, Rejected>> + use<P> {
        let limiter = self.clone();
        let acquire = AcquireUnits::new(self.attempt(self.clone(), key), 1, Duration::MAX);
        async move { Ok(Permit::new(limiter, acquire.await?)) }
    }

    /// Waits for one unit of this account on the calling thread. Needs no runtime.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire(&self, key: &P::Key) -> Result<Permit<&Self>, Rejected> {
        self.blocking_acquire_timeout(key, Duration::MAX)
    }

    /// Waits for one unit of this account on the calling thread, for at most `timeout`.
    ///
    /// The wait is never longer than [`max_wait`](Self::max_wait).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_timeout(
        &self,
        key: &P::Key,
        timeout: Duration,
    ) -> Result<Permit<&Self>, Rejected> {
        let acquire = AcquireUnits::new(self.attempt(self, key), 1, timeout);
        let charge = self.0.common().clock.block_on(acquire)?;
        Ok(Permit::new(self, charge))
    }

    /// Charges this account for work that was done, whether or not it has enough units.
    ///
    /// For costs that are known only afterwards, where no [permit](Permit::settle_units) is at
    /// hand, such as the bytes of a response behind a layer. What is missing becomes debt, of at
    /// most one burst, which later requests of the account wait for. Quotas that the account shares
    /// are charged, too.
    ///
    /// ```
    /// use plimsoll_limit::{KeyedRateLimiter, Quota};
    ///
    /// let bytes = KeyedRateLimiter::<str>::new(Quota::per_second(1_000))?;
    /// bytes.check_n("ann", 400)?;
    /// bytes.debit("ann", 1_100); // the response was larger than expected
    /// let rejected = bytes.check("ann").unwrap_err();
    /// assert!(rejected.retry_after().unwrap().as_millis() >= 450);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn debit(&self, key: &P::Key, units: u32) {
        self.0.debit(self.0.caller(key), units);
    }

    /// Gives this account up to `units`, so that it can take them at once.
    ///
    /// The burst is never exceeded. Only the account's own quota, share or cap is credited, not
    /// what it shares with others.
    pub fn credit(&self, key: &P::Key, units: u32) {
        let caller = self.0.caller(key);
        self.0.credit(caller, units);
        self.0.common().queues.wake(P::account(caller));
    }

    /// Forgives all that this account owes: it can take the whole burst of its quota at once.
    ///
    /// What it shares with others stays charged. An account without an entry of its own shares an
    /// overflow quota, and is not changed.
    pub fn reset(&self, key: &P::Key) {
        self.credit(key, u32::MAX);
    }

    /// Returns the number of units that remain to this account.
    ///
    /// If several limits apply, it is the smallest number. An account that is not remembered has
    /// its whole quota. For a [`FairRateLimiter`](crate::FairRateLimiter) the number is an
    /// estimate.
    pub fn remaining(&self, key: &P::Key) -> u32 {
        self.0.remaining(self.0.caller(key))
    }

    fn attempt<H>(&self, limiter: H, key: &P::Key) -> KeyedAttempt<H, P> {
        KeyedAttempt { limiter, caller: self.0.caller(key) }
    }
}

impl<P: QuotaPolicy> KeyedLimiter<P> {
    /// Returns the number of keys that are remembered: of accounts that owe units. For a
    /// [`FairRateLimiter`](crate::FairRateLimiter), of those that were active in the last 8 s.
    ///
    /// It is counted anew. The call visits the whole table, about a millisecond for a million keys.
    pub fn key_count(&self) -> usize {
        self.0.key_count()
    }

    /// Returns the maximum number of keys that are remembered, a multiple of 8.
    pub fn max_keys(&self) -> usize {
        self.0.table().capacity()
    }

    /// Returns the number of requests of new accounts that found the table full: all entries that
    /// they could have are of accounts that owe units.
    ///
    /// [`WhenFull`](crate::WhenFull) states what happens to them. If the number grows, increase
    /// [`max_keys`](Self::max_keys). A [`FairRateLimiter`](crate::FairRateLimiter) lets them share
    /// 64 parts of its tail, chosen by hash.
    pub fn overflowed(&self) -> u64 {
        self.0.table().overflowed()
    }

    queue_controls!(limiter => limiter.0.common());
}

/// A waiting request, with what was derived from its key. `H` is the handle or a reference to it.
struct KeyedAttempt<H, P: QuotaPolicy> {
    limiter: H,
    caller: P::Caller,
}

impl<H, P: QuotaPolicy> Unpin for KeyedAttempt<H, P> {}

impl<H: Borrow<KeyedLimiter<P>>, P: QuotaPolicy> Attempt for KeyedAttempt<H, P> {
    type Charge = P::Charge;
    fn charge(&self, units: u32, now: u64, standing: Option<(usize, Size)>) -> Result<P::Charge, Rejected> {
        self.limiter.borrow().0.charge_at(self.caller, units, now, standing)
    }
    fn queue(&self, _: u32) -> u64 {
        P::account(self.caller)
    }
    fn account(&self) -> Option<Account> {
        Some(Account::new(P::account(self.caller)))
    }
    fn forecast(&self, units: u32, ahead: u64, now: u64) -> Option<Rejected> {
        self.limiter.borrow().0.forecast(self.caller, units, ahead, now)
    }
    fn shared_limit(&self, units: u32, rejected: &Rejected) -> Option<(usize, Size)> {
        self.limiter.borrow().0.shared_limit(units, rejected)
    }
    fn common(&self) -> &Common {
        self.limiter.borrow().0.common()
    }
}

impl<P: QuotaPolicy> Settle for KeyedLimiter<P> {
    type Token = P::Charge;
    #[inline]
    fn settle(&self, _: P::Charge, outcome: Outcome) {
        let common = self.0.common();
        common.observer.emit(|| Event::completed(common.name, outcome));
    }
    fn refund(&self, charge: P::Charge) {
        let common = self.0.common();
        common.observer.emit(|| Event::refunded(common.name));
        self.0.refund(charge);
    }
    fn settle_units(&self, charge: &mut P::Charge, actual: u32) {
        self.0.settle_units(charge, actual);
    }
    fn allowances(&self, charge: &P::Charge, each: &mut dyn FnMut(Allowance)) {
        self.0.allowances(charge, each);
    }
}

impl<P: QuotaPolicy> Keyed<P::Key> for KeyedLimiter<P>
where
    P::Key: Hash,
{
    #[inline]
    fn admit_for(&self, key: &P::Key, info: RequestInfo) -> Result<P::Charge, Rejected> {
        self.charge(key, info.cost, |charge| charge)
    }
    fn pass_without_key(&self) {
        let common = self.0.common();
        common.observer.emit(|| Event::unguarded(common.name));
    }
    fn reject_without_key(&self) -> Rejected {
        let common = self.0.common();
        common.observer.emit_rejection(Rejected::new(common.name, Reason::Unidentified))
    }
}

impl<P: QuotaPolicy + Send + Sync> Inspect for KeyedLimiter<P> {
    fn name(&self) -> &'static str {
        KeyedLimiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        self.0.read(each);
        each("key_count", self.key_count() as f64);
        each("max_keys", self.max_keys() as f64);
        each("overflowed", self.overflowed() as f64);
        each("queued", f64::from(self.queued()));
        each("queue", f64::from(self.queue_limit()));
        each("max_wait", self.max_wait().as_secs_f64());
    }
    /// Settings: `rate` (units a second) and `burst` (units) of the quota, `queue` (requests),
    /// `max_wait` (seconds). For a tiered limiter the quota is the global one. A fair limiter also
    /// has `tail` (a share). A tiered limiter without a global quota, and a limiter whose quotas
    /// a closure states, have neither `rate` nor `burst`.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        use plimsoll_core::parts::check;
        match setting {
            "queue" => self.set_queue(check::whole("queue", value)?),
            "max_wait" => self.set_max_wait(check::seconds("max_wait", value)?),
            _ => self.0.set(setting, value),
        }
    }
}

// Not derived, because a policy need not be `Clone`.
impl<P: QuotaPolicy> Clone for KeyedLimiter<P> {
    fn clone(&self) -> Self {
        KeyedLimiter(self.0.clone())
    }
}

impl<P: QuotaPolicy> fmt::Debug for KeyedLimiter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(P::NAME)
            .field("name", &self.name())
            .field("policy", &self.0)
            .field("max_keys", &self.max_keys())
            .field("queued", &self.queued())
            .field("closed", &self.is_closed())
            .finish()
    }
}
