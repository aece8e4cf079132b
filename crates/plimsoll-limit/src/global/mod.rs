//! One quota for all callers.

mod config;
mod controls;
#[cfg(feature = "tower")]
mod layer;
mod waiting;

pub use config::{RateLimiterBuilder, RateLimiterConfig};
#[cfg(feature = "tower")]
pub use layer::{RateLimiterLayer, RateLimiterWaitLayer};

use crate::bucket::{LiveBucket, Reading};
use crate::quota::gcra::Rate;
use crate::setup::{Common, is_close, rejected};
use crate::wait::acquire::{AcquireUnits, Attempt};
use plimsoll_core::parts::check;
use plimsoll_core::{
    Allowance, ControlError, Event, Gate, Inspect, Keyed, Outcome, Overload, Pack, Permit, Reason, Rejected,
    RequestInfo, Settle, Wait, Words,
};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Limits the rate of all callers together. A cheap handle: clones share everything.
///
/// | method | waits | where |
/// |---|---|---|
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_n`](Self::try_acquire_n), [`try_acquire_owned`](Self::try_acquire_owned), [`check`](Self::check) | never | anywhere |
/// | [`acquire`](Self::acquire), [`acquire_n`](Self::acquire_n), [`acquire_owned`](Self::acquire_owned), [`run`](Self::run) | in order | in async code |
/// | [`blocking_acquire`](Self::blocking_acquire), [`blocking_acquire_timeout`](Self::blocking_acquire_timeout) | in the same order | on a plain thread |
///
/// A permit may be dropped at once: the units stay charged unless they are
/// [refunded](Permit::refund). Rejections have the reason `Throttled`: the caller that is rejected
/// need not be the one that has used up the rate.
///
/// ```
/// use plimsoll_limit::{Quota, RateLimiter};
/// use plimsoll_core::Reason;
///
/// let limiter = RateLimiter::new(Quota::per_second(10).burst(2))?;
/// assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_ok());
/// let rejected = limiter.try_acquire().unwrap_err();
/// assert_eq!(rejected.reason(), Reason::Throttled);
/// assert!(rejected.retry_after().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "token bucket")]
#[doc(alias = "leaky bucket")]
#[doc(alias = "governor")]
#[doc(alias = "GCRA")]
#[doc(alias = "rate_limit")]
#[doc(alias = "RateLimit")]
#[doc(alias = "throttle")]
pub struct RateLimiter(Arc<Inner>);

struct Inner {
    common: Common,
    bucket: LiveBucket,
}

/// The units that a [`RateLimiter`] has charged. Plain data.
#[derive(Debug)]
#[must_use = "a charge that is not settled cannot be refunded"]
pub struct Charge {
    units: u32,
    // Nanoseconds.
    at: u64,
    interval: u64,
}

impl Pack for Charge {
    fn pack(self) -> Words {
        [u64::from(self.units), self.at, self.interval, 0]
    }
    fn unpack([units, at, interval, _]: Words) -> Self {
        Charge { units: units as u32, at, interval }
    }
}

impl Inner {
    /// Returns the time for charges after the fact, and for refunds: by the same clock as most
    /// decisions. By the precise one, which is ahead of the coarse one, some of the units of a
    /// refund would seem to be replenished already.
    fn time(&self) -> u64 {
        self.common.time_of(self.bucket.read().rate)
    }

    /// Charges units as of `now`.
    #[inline(always)]
    fn take(&self, seen: Reading, now: u64, units: u32) -> Result<Charge, Rejected> {
        match self.bucket.take(seen, now, units) {
            Ok(rate) => Ok(Charge { units, at: now, interval: rate.interval }),
            Err((rate, at)) => Err(self.throttled(rate, units, now, at)),
        }
    }

    /// Refunds all but the kept units.
    fn refund(&self, units: [u32; 2], at: u64, interval: u64) {
        self.bucket.refund(self.time(), units, at, interval);
        self.wake_waiters();
    }

    #[inline(always)]
    fn throttled(&self, rate: Rate, units: u32, now: u64, at: u64) -> Rejected {
        rejected(self.common.name, Reason::Throttled, rate, units, now, at)
    }
}

impl RateLimiter {
    /// Charges one unit if one remains. Never waits, and overtakes no waiting request of its size.
    ///
    /// # Errors
    /// `Throttled`, with the time until a unit is replenished; `Closed` after
    /// [`close`](Self::close).
    #[inline]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.try_acquire_n(1)
    }

    /// Charges `units`, all of them or none. Never waits.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire); `TooLarge` if `units` is above the burst.
    #[inline]
    pub fn try_acquire_n(&self, units: u32) -> Result<Permit<&Self>, Rejected> {
        self.charge(units, |charge| Permit::new(self, charge))
    }

    /// Charges one unit and returns a permit that owns its handle. Never waits.
    ///
    /// # Errors
    /// As for `try_acquire`.
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.charge(1, |charge| Permit::new(self.clone(), charge))
    }

    /// Charges one unit without a permit. The unit stays charged.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn check(&self) -> Result<(), Rejected> {
        self.check_n(1)
    }

    /// Charges `units` without a permit, all of them or none. They stay charged.
    ///
    /// # Errors
    /// As for [`try_acquire_n`](Self::try_acquire_n).
    pub fn check_n(&self, units: u32) -> Result<(), Rejected> {
        self.try_acquire_n(units).map(|permit| permit.done(Outcome::Ignored))
    }

    /// Charges units, and passes the charge to `wrap`. Decisions are returned in registers: a
    /// charge that is assembled in memory takes longer to read back than to decide.
    #[inline(always)]
    fn charge<T>(&self, units: u32, wrap: impl FnOnce(Charge) -> T) -> Result<T, Rejected> {
        if !self.0.common.is_plain() {
            return match self.charge_watched(units) {
                Ok(charge) => Ok(wrap(charge)),
                Err(rejected) => Err(rejected),
            };
        }
        self.decide(units, wrap)
    }

    #[inline(always)]
    fn decide<T>(&self, units: u32, wrap: impl FnOnce(Charge) -> T) -> Result<T, Rejected> {
        let inner = &*self.0;
        let now = inner.common.clock.coarse().as_nanos();
        loop {
            let seen = inner.bucket.read();
            match seen.take(now, units) {
                // The quota limits the units of any window.
                _ if seen.rate.is_exact() => break,
                Ok(state) if inner.bucket.exchange(seen, state) => {
                    return Ok(wrap(Charge { units, at: now, interval: seen.rate.interval }));
                }
                Ok(_) => {}
                // The rejection ends soon.
                Err(at) if is_close(at, now) => break,
                Err(at) => return Err(inner.throttled(seen.rate, units, now, at)),
            }
        }
        let now = inner.common.now();
        inner.take(inner.bucket.read(), now, units).map(wrap)
    }

    /// Charges units while requests wait, an observer listens, or the limiter is closed.
    #[cold]
    #[inline(never)]
    fn charge_watched(&self, units: u32) -> Result<Charge, Rejected> {
        let common = &self.0.common;
        let decision = if common.queues.is_closed() {
            Err(common.closed())
        } else if common.queues.is_quiet() {
            self.decide(units, |charge| charge)
        } else if common.queues.has(self.queue(units)) {
            Err(self.rejected_behind(units))
        } else {
            self.pass(units)
        };
        common.emit(None, decision)
    }

    /// Waits for one unit, for at most [`max_wait`](Self::max_wait).
    ///
    /// Requests are served in the order of arrival. One that cannot be served in time is rejected
    /// on arrival, with the time until it could be: see [Waiting](crate#waiting).
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future leaves the queue and has charged nothing.
    ///
    /// # Errors
    /// `Throttled` if it would wait too long, `Full` if the queue is full, `Evicted` for a request
    /// of the other size, `Expired` after the longest wait, `Closed` after [`close`](Self::close).
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_limit::{Quota, RateLimiter};
    /// # plimsoll_core::Clock::system().block_on(async {
    /// let limiter = RateLimiter::new(Quota::per_second(200).burst(1))?;
    /// for _ in 0..3 {
    ///     limiter.acquire().await?; // every 5 ms
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "until_ready")]
    pub async fn acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.acquire_n(1).await
    }

    /// Waits for `units`, and charges all of them or none.
    ///
    /// More than one unit, and more than is replenished in 10 ms, is large. Large and small
    /// requests wait side by side, each size in the order of arrival and with half of the rate.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for `acquire`; `TooLarge` if `units` is above the burst.
    pub async fn acquire_n(&self, units: u32) -> Result<Permit<&Self>, Rejected> {
        let charge = AcquireUnits::new(self.clone(), units, Duration::MAX).await?;
        Ok(Permit::new(self, charge))
    }

    /// Waits for one unit, with a future and a permit that own their handle.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for `acquire`.
    pub fn acquire_owned(&self) -> impl Future<Output = Result<Permit<Self>, Rejected>> + Send + use<> {
        let limiter = self.clone();
        async move {
            let charge = AcquireUnits::new(limiter.clone(), 1, Duration::MAX).await?;
            Ok(Permit::new(limiter, charge))
        }
    }

    /// Waits for one unit on the calling thread, in the same queue as tasks. Needs no runtime.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.blocking_acquire_timeout(Duration::MAX)
    }

    /// Waits for one unit on the calling thread, for at most `timeout`.
    ///
    /// The wait is never longer than [`max_wait`](Self::max_wait).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_timeout(&self, timeout: Duration) -> Result<Permit<&Self>, Rejected> {
        let acquire = AcquireUnits::new(self.clone(), 1, timeout);
        let charge = self.0.common.clock.block_on(acquire)?;
        Ok(Permit::new(self, charge))
    }

    /// Waits for one unit, then runs `work`.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire) while it waits. The unit stays charged once `work` has
    /// begun.
    ///
    /// # Errors
    /// [`Overload::Rejected`] if no unit was granted: `work` never began. [`Overload::Inner`] is
    /// the error of `work` itself.
    pub async fn run<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Overload<E>> {
        self.acquire().await?.run(work).await.map_err(Overload::Inner)
    }
}

impl Settle for RateLimiter {
    type Token = Charge;
    #[inline]
    fn settle(&self, _: Charge, outcome: Outcome) {
        let common = &self.0.common;
        common.observer.emit(|| Event::completed(common.name, outcome));
    }
    fn refund(&self, Charge { units, at, interval }: Charge) {
        let common = &self.0.common;
        common.observer.emit(|| Event::refunded(common.name));
        self.0.refund([units, 0], at, interval);
    }
    fn settle_units(&self, charge: &mut Charge, actual: u32) {
        let Charge { units, at, interval } = *charge;
        if actual > units {
            self.debit(actual - units);
        } else {
            self.0.refund([units, actual], at, interval);
        }
        charge.units = actual;
    }
    fn allowances(&self, _: &Charge, each: &mut dyn FnMut(Allowance)) {
        each(self.0.bucket.read().allowance(self.0.common.name, self.0.common.now()));
    }
}

impl<R: ?Sized> Gate<R> for RateLimiter {
    #[inline]
    fn admit(&self, _: &R) -> Result<Charge, Rejected> {
        self.charge(1, |charge| charge)
    }
}

impl Keyed<()> for RateLimiter {
    #[inline]
    fn admit_for(&self, (): &(), info: RequestInfo) -> Result<Charge, Rejected> {
        self.charge(info.cost, |charge| charge)
    }
}

impl<R: ?Sized> Wait<R> for RateLimiter {
    type Place = Charge;
    type Waiting = AcquireUnits<RateLimiter>;
    fn wait(&self, _: &R) -> AcquireUnits<RateLimiter> {
        AcquireUnits::new(self.clone(), 1, Duration::MAX)
    }
    fn enter(&self, charge: Charge, _: &R) -> Result<Charge, Rejected> {
        Ok(charge)
    }
}

impl Inspect for RateLimiter {
    fn name(&self) -> &'static str {
        RateLimiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        self.quota().read(each);
        each("remaining", f64::from(self.remaining()));
        each("queued", f64::from(self.queued()));
        each("queue", f64::from(self.queue_limit()));
        each("max_wait", self.max_wait().as_secs_f64());
    }
    /// Settings: `rate` (units a second), `burst` (units), `queue` (requests), `max_wait`
    /// (seconds).
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "queue" => self.set_queue(check::whole("queue", value)?),
            "max_wait" => self.set_max_wait(check::seconds("max_wait", value)?),
            _ => self.change_quota(|quota| quota.with_setting(setting, value)),
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("name", &self.name())
            .field("quota", &self.quota())
            .field("remaining", &self.remaining())
            .field("queued", &self.queued())
            .field("closed", &self.is_closed())
            .finish()
    }
}
