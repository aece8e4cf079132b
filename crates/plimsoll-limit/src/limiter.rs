//! One limit for all.

use crate::common::{Common, NOW, Setup, controls, is_close, setters};
use crate::gcra::Rate;
use crate::live::Live;
use crate::slot::{NOBODY, Slot, Taken};
use crate::spent::Spent;
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
/// | [`ask`](Self::ask), [`ask_n`](Self::ask_n), [`ask_owned`](Self::ask_owned) | never | anywhere |
/// | [`acquire`](Self::acquire), [`acquire_n`](Self::acquire_n), [`acquire_owned`](Self::acquire_owned) | in order | in async code |
/// | [`acquire_timeout`](Self::acquire_timeout) | in the same order | on a plain thread |
///
/// A permit may be dropped at once: the units stay spent, unless they are [given back](Permit::refund).
///
/// ```
/// use plimsoll_limit::{Limiter, Quota};
/// use plimsoll_core::Reason;
///
/// let limiter = Limiter::new(Quota::per_second(10).burst(2))?;
/// assert!(limiter.ask().is_ok() && limiter.ask().is_ok());
/// let no = limiter.ask().unwrap_err();
/// assert_eq!(no.reason(), Reason::Limited);
/// assert!(no.retry_after().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    common: Common,
    live: Live,
    slot: Slot,
}

impl Inner {
    /// Takes units: [`NOW`], or the instant before which there are not so many.
    #[inline(always)]
    fn not_before(&self, rate: Rate, now: u64, units: u32) -> u64 {
        match self.slot.take(NOBODY, rate, now, units) {
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

impl Limiter {
    /// A limiter with this quota.
    ///
    /// # Errors
    /// If the quota will not do.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }

    /// Sets everything else.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder { setup: Setup::new("limit"), quota: Quota::per_second(100) }
    }

    /// May I, now? Never waits, and never overtakes those who do.
    ///
    /// # Errors
    /// `Limited`, with the time until there is a unit; `Closed` after [`close`](Self::close).
    #[inline]
    pub fn ask(&self) -> Result<Permit<&Self>, Rejected> {
        self.ask_n(1)
    }

    /// [`ask`](Self::ask) for several units at once: all or none.
    ///
    /// # Errors
    /// As for `ask`; `TooLarge` if there are never so many.
    #[inline]
    pub fn ask_n(&self, units: u32) -> Result<Permit<&Self>, Rejected> {
        self.spend(units, |spent| Permit::new(self, spent))
    }

    /// [`ask`](Self::ask), for those who need no permit: the units stay spent.
    ///
    /// # Errors
    /// As for `ask`.
    pub fn check(&self) -> Result<(), Rejected> {
        self.ask().map(|permit| permit.done(Outcome::Ignored))
    }

    /// [`ask_n`](Self::ask_n), for those who need no permit: the units stay spent.
    ///
    /// # Errors
    /// As for `ask`.
    pub fn check_n(&self, units: u32) -> Result<(), Rejected> {
        self.ask_n(units).map(|permit| permit.done(Outcome::Ignored))
    }

    /// [`ask`](Self::ask), with a permit that owns its handle.
    ///
    /// # Errors
    /// As for `ask`.
    #[inline]
    pub fn ask_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.spend(1, |spent| Permit::new(self.clone(), spent))
    }

    /// May so many? `hold` makes of what is spent what the caller is handed. All that comes back
    /// from a call is numbers in registers: what is put together in memory takes longer to read than to decide.
    #[inline(always)]
    fn spend<T>(&self, units: u32, hold: impl FnOnce(Spent) -> T) -> Result<T, Rejected> {
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
    fn decide<T>(&self, units: u32, hold: impl FnOnce(Spent) -> T) -> Result<T, Rejected> {
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
    fn spend_watched(&self, units: u32) -> Result<Spent, Rejected> {
        let common = &self.0.common;
        common.told(if common.yard.is_quiet() {
            self.decide(units, |spent| spent)
        } else {
            self.behind_others(units)
        })
    }

    /// Somebody waits, or it is closed.
    #[cold]
    fn behind_others(&self, units: u32) -> Result<Spent, Rejected> {
        let common = &self.0.common;
        if common.yard.is_closed() {
            return Err(common.closed());
        }
        if common.yard.has(NOBODY) {
            let (rate, now) = (self.0.live.rate(), common.clock.now().as_nanos());
            let free = self.0.slot.free(NOBODY, rate.interval, now).unwrap_or(now);
            let at = rate.take(free, now, units).err().unwrap_or(now);
            // They go first, each with one unit at least.
            let ahead = rate.interval.saturating_mul(common.yard.ahead(NOBODY));
            return Err(common.limited(rate, units, now, at.saturating_add(ahead)));
        }
        self.decide(units, |spent| spent)
    }

    /// Waits until there is a unit, in the order of asking, at most [`longest_wait`](Self::longest_wait). Who
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
    /// # use plimsoll_limit::{Limiter, Quota};
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let limiter = Limiter::new(Quota::per_second(200).burst(1))?;
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
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<&Self>, Rejected> {
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
    pub fn left(&self) -> u32 {
        let (rate, now) = (self.0.live.rate(), self.0.common.clock.now().as_nanos());
        self.0.slot.free(NOBODY, rate.interval, now).map_or(rate.burst, |free| rate.left(free, now))
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
fn spent(rate: Rate, units: u32, at: u64) -> Spent {
    Spent { slot: 0, units, at, class: 0, interval: rate.interval, burst: 0 }
}

impl Asks for Limiter {
    fn take(&self, units: u32, now: u64) -> Result<Spent, Rejected> {
        let rate = self.0.live.rate();
        match self.0.not_before(rate, now, units) {
            NOW => Ok(spent(rate, units, now)),
            at => Err(self.0.common.limited(rate, units, now, at)),
        }
    }
    fn account(&self) -> u64 {
        NOBODY
    }
    fn common(&self) -> &Common {
        &self.0.common
    }
}

impl Settle for Limiter {
    type Token = Spent;
    #[inline]
    fn settle(&self, _: Spent, outcome: Outcome) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Completed { by: common.name, outcome });
    }
    fn refund(&self, spent: Spent) {
        let common = &self.0.common;
        common.observer.emit(|| Event::Refunded { by: common.name });
        // By the rough clock, as it was mostly taken: by the precise one some of it would seem to be back already.
        self.0.slot.refund(common.clock.coarse().as_nanos(), spent.units, spent.at, spent.interval);
        common.yard.rouse(NOBODY);
    }
    fn allowances(&self, _: &Spent, each: &mut dyn FnMut(Allowance)) {
        let (rate, now) = (self.0.live.rate(), self.0.common.clock.now().as_nanos());
        if let Some(free) = self.0.slot.free(NOBODY, rate.interval, now) {
            each(allowance(self.0.common.name, rate, free, now));
        }
    }
}

impl<R: ?Sized> Gate<R> for Limiter {
    #[inline]
    fn admit(&self, _: &R) -> Result<Spent, Rejected> {
        self.spend(1, |spent| spent)
    }
}

impl Keyed<()> for Limiter {
    #[inline]
    fn admit_for(&self, (): &(), facts: RequestInfo) -> Result<Spent, Rejected> {
        self.spend(facts.cost, |spent| spent)
    }
}

impl<R: ?Sized> Wait<R> for Limiter {
    type Place = Spent;
    type Waiting = AcquireUnits<Limiter>;
    fn wait(&self, _: &R) -> AcquireUnits<Limiter> {
        AcquireUnits::new(self.clone(), 1, Duration::MAX)
    }
    fn enter(&self, spent: Spent, _: &R) -> Result<Spent, Rejected> {
        Ok(spent)
    }
}

impl Inspect for Limiter {
    fn name(&self) -> &'static str {
        Limiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let quota = self.quota();
        each("rate", quota.rate());
        each("burst", f64::from(quota.burst_size()));
        each("left", f64::from(self.left()));
        each("waiting", f64::from(self.waiting()));
    }
    /// Knobs: `rate` (units a second), `burst` (whole units).
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        self.set_quota(crate::turned(self.quota(), knob, value)?)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("name", &self.name())
            .field("quota", &self.quota())
            .field("left", &self.left())
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Builds a [`Limiter`]; from [`Limiter::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct LimiterBuilder {
    setup: Setup,
    quota: Quota,
}

impl LimiterBuilder {
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
    pub fn build(self) -> Result<Limiter, ConfigError> {
        self.setup.validate()?;
        self.quota.validate()?;
        let (common, live) = (self.setup.common(), Live::new(self.quota));
        let slot = Slot::counting(self.quota.rule().interval);
        Ok(Limiter(Arc::new(Inner { common, live, slot })))
    }
}
