//! One limit for all.

use crate::common::{Common, NOW, Setup, controls, is_close, setters};
use crate::gcra::Rate;
use crate::live::LiveQuota;
use crate::slot::{EMPTY, Entry, Taken};
use crate::spent::Charge;
use crate::wait::{AcquireUnits, Asks};
use crate::{Quota, allowance};
use plimsoll_core::{
    Allowance, ConfigError, ControlError, Event, Gate, Inspect, Keyed, Outcome, Overload, Permit, Rejected,
    RequestInfo, Settle, Wait,
};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// One quota for all who ask. A cheap handle: clones share it.
///
/// | ask by | waits | where |
/// |---|---|---|
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_n`](Self::try_acquire_n), [`try_acquire_owned`](Self::try_acquire_owned) | never | anywhere |
/// | [`acquire`](Self::acquire), [`acquire_n`](Self::acquire_n), [`acquire_owned`](Self::acquire_owned) | in order | in async code |
/// | [`blocking_acquire_timeout`](Self::blocking_acquire_timeout) | in the same order | on a plain thread |
///
/// A permit may be dropped at once: the units stay spent, unless they are [given back](Permit::refund).
///
/// ```
/// use plimsoll_limit::{RateLimiter, Quota};
/// use plimsoll_core::Reason;
///
/// let limiter = RateLimiter::new(Quota::per_second(10).burst(2))?;
/// assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_ok());
/// let no = limiter.try_acquire().unwrap_err();
/// assert_eq!(no.reason(), Reason::Limited);
/// assert!(no.retry_after().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter(Arc<Inner>);

struct Inner {
    common: Common,
    live: LiveQuota,
    slot: Entry,
}

impl Inner {
    /// Takes units: [`NOW`], or the instant before which there are not so many.
    #[inline(always)]
    fn not_before(&self, rate: Rate, now: u64, units: u32) -> u64 {
        match self.slot.take(EMPTY, rate, now, units) {
            Taken::Yes => NOW,
            Taken::NotBefore(at) => at,
            Taken::Gone => unreachable!("nobody moves in here"),
        }
    }

    /// By the precise clock, and when that was: the rough one refuses by a hair.
    #[cold]
    #[inline(never)]
    fn not_before_precisely(&self, rate: Rate, units: u32) -> (u64, u64) {
        let now = self.common.clock.now().as_nanos();
        (now, self.not_before(rate, now, units))
    }
}

impl RateLimiter {
    /// A limiter with this quota.
    ///
    /// # Errors
    /// If the quota will not do.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }

    /// Sets everything else.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder { setup: Setup::new("limit"), quota: Quota::per_second(100) }
    }

    /// May I, now? Never waits, and never overtakes those who do.
    ///
    /// # Errors
    /// `Limited`, with the time until there is a unit; `Closed` after [`close`](Self::close).
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.try_acquire_n(1)
    }

    /// [`try_acquire`](Self::try_acquire) for several units at once: all or none.
    ///
    /// # Errors
    /// As for `try_acquire`; `TooLarge` if there are never so many.
    #[inline]
    pub fn try_acquire_n(&self, units: u32) -> Result<Permit<&Self>, Rejected> {
        self.spend(units, |spent| Permit::new(self, spent))
    }

    /// [`try_acquire`](Self::try_acquire), for those who need no permit: the units stay spent.
    ///
    /// # Errors
    /// As for `try_acquire`.
    pub fn check(&self) -> Result<(), Rejected> {
        self.try_acquire().map(|permit| permit.done(Outcome::Ignored))
    }

    /// [`try_acquire_n`](Self::try_acquire_n), for those who need no permit: the units stay spent.
    ///
    /// # Errors
    /// As for `try_acquire`.
    pub fn check_n(&self, units: u32) -> Result<(), Rejected> {
        self.try_acquire_n(units).map(|permit| permit.done(Outcome::Ignored))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that owns its handle.
    ///
    /// # Errors
    /// As for `try_acquire`.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.spend(1, |spent| Permit::new(self.clone(), spent))
    }

    /// May so many? `hold` makes of what is spent what the caller is handed. All that comes back
    /// from a call is numbers in registers: what is put together in memory takes longer to read than to decide.
    #[inline(always)]
    fn spend<T>(&self, units: u32, hold: impl FnOnce(Charge) -> T) -> Result<T, Rejected> {
        let its = &*self.0;
        if !its.common.is_plain() {
            return match self.spend_watched(units) {
                Ok(spent) => Ok(hold(spent)),
                Err(no) => Err(no),
            };
        }
        self.decide(units, hold)
    }

    #[inline(always)]
    fn decide<T>(&self, units: u32, hold: impl FnOnce(Charge) -> T) -> Result<T, Rejected> {
        let its = &*self.0;
        let rate = its.live.rate();
        let mut now = its.common.clock.coarse().as_nanos();
        let mut at = its.not_before(rate, now, units);
        if is_close(at, now) {
            (now, at) = its.not_before_precisely(rate, units);
        }
        if at == NOW {
            Ok(hold(spent(rate, units, now)))
        } else {
            Err(its.common.limited(rate, units, now, at))
        }
    }

    /// Somebody waits or listens, or it is closed.
    #[cold]
    #[inline(never)]
    fn spend_watched(&self, units: u32) -> Result<Charge, Rejected> {
        let common = &self.0.common;
        common.told(if common.yard.is_quiet() {
            self.decide(units, |spent| spent)
        } else {
            self.behind_others(units)
        })
    }

    /// Somebody waits, or it is closed.
    #[cold]
    fn behind_others(&self, units: u32) -> Result<Charge, Rejected> {
        let common = &self.0.common;
        if common.yard.is_closed() {
            return Err(common.closed());
        }
        if common.yard.has(EMPTY) {
            let (rate, now) = (self.0.live.rate(), common.clock.now().as_nanos());
            let free = self.0.slot.free(EMPTY, rate.interval, now).unwrap_or(now);
            let at = rate.take(free, now, units).err().unwrap_or(now);
            // They go first, each with one unit at least.
            let ahead = rate.interval.saturating_mul(common.yard.ahead(EMPTY));
            return Err(common.limited(rate, units, now, at.saturating_add(ahead)));
        }
        self.decide(units, |spent| spent)
    }

    /// Waits until there is a unit, in the order of asking, at most [`max_wait`](Self::max_wait). Who
    /// would have to wait longer than that is refused as soon as it is known.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves the line and has spent nothing.
    ///
    /// # Errors
    /// `Limited` if it would take too long, `Full` if too many wait, `Expired` after the longest wait,
    /// `Closed` if closed.
    ///
    /// # Panics
    /// When it has to wait inside a tokio runtime that was built without a timer.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_limit::{RateLimiter, Quota};
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let limiter = RateLimiter::new(Quota::per_second(200).burst(1))?;
    /// for _ in 0..3 {
    ///     limiter.acquire().await?; // every 5 ms
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
    /// ```
    pub async fn acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.acquire_n(1).await
    }

    /// [`acquire`](Self::acquire) for several units at once.
    ///
    /// # Cancel safety
    /// As for `acquire`.
    ///
    /// # Errors
    /// As for `acquire`; `TooLarge` if there are never so many.
    pub async fn acquire_n(&self, units: u32) -> Result<Permit<&Self>, Rejected> {
        let spent = AcquireUnits::new(self.clone(), units, Duration::MAX).await?;
        Ok(Permit::new(self, spent))
    }

    /// [`acquire`](Self::acquire), with a permit and a future that own their handle.
    ///
    /// # Cancel safety
    /// As for `acquire`.
    ///
    /// # Errors
    /// As for `acquire`.
    pub fn acquire_owned(&self) -> impl Future<Output = Result<Permit<Self>, Rejected>> + Send + use<> {
        let limiter = self.clone();
        async move {
            let spent = AcquireUnits::new(limiter.clone(), 1, Duration::MAX).await?;
            Ok(Permit::new(limiter, spent))
        }
    }

    /// Waits on the calling thread, no runtime needed: at most `timeout`, and at most the longest wait. In
    /// the same order as the tasks.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_timeout(&self, timeout: Duration) -> Result<Permit<&Self>, Rejected> {
        match self.0.common.clock.block_until(None, AcquireUnits::new(self.clone(), 1, timeout)) {
            Some(spent) => spent.map(|spent| Permit::new(self, spent)),
            None => unreachable!("it blocks until it has been answered"),
        }
    }

    /// Waits for a unit, then runs `work`.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire) while it waits; the unit stays spent once `work` has begun.
    ///
    /// # Errors
    /// [`Overload::Rejected`] if there was none: `work` never began. [`Overload::Inner`] is the error of
    /// `work` itself.
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        let permit = self.acquire().await?;
        let result = work.await;
        permit.done(if result.is_ok() { Outcome::Success } else { Outcome::Failure });
        result.map_err(Overload::Inner)
    }

    /// Changes the quota. What is owed stays owed: nothing is forgotten, and no burst is let through.
    ///
    /// # Errors
    /// If the quota will not do; nothing has changed then.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let now = self.0.common.clock.now().as_nanos();
        self.0.live.set(quota);
        self.0.slot.recount(self.0.live.rate().interval, now);
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// The quota.
    pub fn quota(&self) -> Quota {
        self.0.live.quota()
    }

    /// How many units are left now.
    pub fn remaining(&self) -> u32 {
        let (rate, now) = (self.0.live.rate(), self.0.common.clock.now().as_nanos());
        self.0.slot.free(EMPTY, rate.interval, now).map_or(rate.burst, |free| rate.remaining(free, now))
    }

    controls!();

    /// A gate that reads what a request costs by `facts`.
    pub fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(
        &self,
        facts: P,
    ) -> plimsoll_core::By<Self, fn(&R), plimsoll_core::InfoFn<P>> {
        plimsoll_core::By::new(self.clone(), (|_| ()) as fn(&R)).info(facts)
    }

    /// A layer that asks before each call and never waits.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> plimsoll_core::GateLayer<Self> {
        plimsoll_core::layer(self.clone())
    }

    /// A layer that waits for a unit before each call.
    #[cfg(feature = "tower")]
    pub fn wait_layer(&self) -> plimsoll_core::WaitLayer<Self> {
        plimsoll_core::wait_layer(self.clone())
    }
}

#[inline(always)]
fn spent(rate: Rate, units: u32, at: u64) -> Charge {
    Charge { slot: 0, units, at, class: 0, interval: rate.interval, burst: 0 }
}

impl Asks for RateLimiter {
    fn take(&self, units: u32, now: u64) -> Result<Charge, Rejected> {
        let rate = self.0.live.rate();
        match self.0.not_before(rate, now, units) {
            NOW => Ok(spent(rate, units, now)),
            at => Err(self.0.common.limited(rate, units, now, at)),
        }
    }
    fn account(&self) -> u64 {
        EMPTY
    }
    fn common(&self) -> &Common {
        &self.0.common
    }
}

impl Settle for RateLimiter {
    type Token = Charge;
    #[inline]
    fn settle(&self, _: Charge, outcome: Outcome) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Completed { by: common.name, outcome });
    }
    fn refund(&self, spent: Charge) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Refunded { by: common.name });
        // By the rough clock, as it was mostly taken: by the precise one some of it would seem to be back already.
        self.0.slot.refund(common.clock.coarse().as_nanos(), spent.units, spent.at, spent.interval);
        common.yard.rouse(EMPTY);
    }
    fn allowances(&self, _: &Charge, each: &mut dyn FnMut(Allowance)) {
        let (rate, now) = (self.0.live.rate(), self.0.common.clock.now().as_nanos());
        if let Some(free) = self.0.slot.free(EMPTY, rate.interval, now) {
            each(allowance(self.0.common.name, rate, free, now));
        }
    }
}

impl<R: ?Sized> Gate<R> for RateLimiter {
    #[inline]
    fn admit(&self, _: &R) -> Result<Charge, Rejected> {
        self.spend(1, |spent| spent)
    }
}

impl Keyed<()> for RateLimiter {
    #[inline]
    fn admit_for(&self, (): &(), facts: RequestInfo) -> Result<Charge, Rejected> {
        self.spend(facts.cost, |spent| spent)
    }
}

impl<R: ?Sized> Wait<R> for RateLimiter {
    type Place = Charge;
    type Waiting = AcquireUnits<RateLimiter>;
    fn wait(&self, _: &R) -> AcquireUnits<RateLimiter> {
        AcquireUnits::new(self.clone(), 1, Duration::MAX)
    }
    fn enter(&self, spent: Charge, _: &R) -> Result<Charge, Rejected> {
        Ok(spent)
    }
}

impl Inspect for RateLimiter {
    fn name(&self) -> &'static str {
        RateLimiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let quota = self.quota();
        each("rate", quota.rate());
        each("burst", f64::from(quota.burst_size()));
        each("left", f64::from(self.remaining()));
        each("waiting", f64::from(self.waiting()));
    }
    /// Knobs: `rate` (units a second), `burst` (whole units).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        self.set_quota(crate::turned(self.quota(), knob, value)?)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("name", &self.name())
            .field("quota", &self.quota())
            .field("left", &self.remaining())
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Builds a [`RateLimiter`]; from [`RateLimiter::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RateLimiterBuilder {
    setup: Setup,
    quota: Quota,
}

impl RateLimiterBuilder {
    /// How much is allowed. Default 100 a second.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    setters!();

    /// The limiter.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<RateLimiter, ConfigError> {
        self.setup.validate()?;
        self.quota.validate()?;
        let (common, live) = (self.setup.common(), LiveQuota::new(self.quota));
        let slot = Entry::counting(self.quota.rule().interval);
        Ok(RateLimiter(Arc::new(Inner { common, live, slot })))
    }
}
