//! One rate, shared fairly.

use crate::Quota;
use crate::accounts::GcraTable;
use crate::common::{Common, Setup, controls, refusal, setters};
use crate::gcra::{NEVER, Rate};
use crate::live::LiveQuota;
use crate::slot::{EMPTY, Entry, Taken};
use crate::spent::Charge;
use crate::table::{OVERFLOW, Table};
use crate::tide::{self, FORGOTTEN, TAU, Used, ticks};
use crate::wait::{AcquireUnits, Asks};
use plimsoll_core::sync::{AtomicU64, Ordering};
use plimsoll_core::{
    By, ByOption, ByOptionRef, ByRef, ConfigError, ControlError, Event, Inspect, Keyed, Outcome, Permit,
    Reason, Rejected, RequestInfo, Settle, intern,
};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What an account has a right to, of a [`FairRateLimiter`].
///
/// ```
/// use plimsoll_limit::{Quota, Share};
///
/// // Twice as much as others; 100 a second in any case; never more than 500 a second.
/// let share = Share::weight(2.0).at_least(100.0).at_most(Quota::per_second(500));
/// # let _ = share;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    weight: f64,
    floor: f64,
    cap: Option<Quota>,
}

impl Default for Share {
    fn default() -> Self {
        Share::weight(1.0)
    }
}

impl Share {
    /// So many times the share of an account of weight 1. Of weight 0: what nobody else wants.
    pub const fn weight(weight: f64) -> Self {
        Share { weight, floor: 0.0, cap: None }
    }

    /// So many units a second in any case, ahead of all shares. The floors of the accounts that are active
    /// should not add up to more than the global rate: that is not exceeded for them.
    #[must_use]
    pub const fn at_least(mut self, units_a_second: f64) -> Self {
        self.floor = units_a_second;
        self
    }

    /// No more than this, even if nobody else wants it.
    #[must_use]
    pub const fn at_most(mut self, quota: Quota) -> Self {
        self.cap = Some(quota);
        self
    }
}

/// One quota for all, shared among the accounts that are active now: max-min fair, by weight, with guaranteed
/// floors and with caps. A cheap handle: clones share everything.
///
/// Whoever wants less than its share gets all it wants; what it leaves is shared among the others; and who asks
/// more often gets no more for it. The sum never exceeds the quota, however many accounts there are.
///
/// ```
/// use plimsoll_limit::{FairRateLimiter, Quota};
///
/// let limiter = FairRateLimiter::<str>::new(Quota::per_second(1_000).burst(100))?;
/// assert!(limiter.try_acquire("ann").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Give it a burst of at least 20 units and 10 ms of its rate: below that the fill of the bucket says too little,
/// and an [event](Event::Misconfigured) says so when it is built.
///
#[doc = include_str!("fairness.md")]
pub struct FairRateLimiter<K: ?Sized>(Arc<Inner<K>>);

type ShareOf<K> = Arc<dyn Fn(&K) -> Share + Send + Sync>;

struct Inner<K: ?Sized> {
    common: Common,
    cap: &'static str,
    live: LiveQuota,
    slot: Entry,
    // Of 64-bit floating point.
    level: AtomicU64,
    last: AtomicU64,
    table: Table,
    // Made for the first account with a cap.
    caps: OnceLock<GcraTable>,
    room: usize,
    dice: plimsoll_core::Dice,
    share_of: Option<ShareOf<K>>,
    tail: f64,
}

/// Who was not seen for so long may go; he longest ago first.
fn unseen(word: u64, now: u32) -> Option<u64> {
    let age = Used::unpack(word).age(now);
    (age >= FORGOTTEN).then(|| u64::from(u32::MAX - age))
}

/// What is not a number, or below 0, is 0; and nothing is without an end.
fn sane(number: f64) -> f64 {
    if number > 0.0 { number.min(1e9) } else { 0.0 }
}

impl<K: ?Sized> Inner<K> {
    fn level(&self) -> f64 {
        f64::from_bits(self.level.load(Ordering::Relaxed))
    }

    /// Takes from the account's own cap, the level's line and the global quota, in this order.
    fn take(&self, hash: u64, share: Share, units: u32, now: u64) -> Result<Charge, Rejected> {
        let (name, rate) = (self.common.name, self.live.rate());
        let free = self.slot.free(EMPTY, rate.interval, now).unwrap_or(now);
        let left = rate.span().saturating_sub(free.saturating_sub(now)) as f64 / rate.interval as f64;
        let fill = tide::fill(left, rate.burst);
        let level = self.moved(fill, now, rate);
        if let Err(at) = rate.take(free, now, units) {
            return Err(refusal(name, rate, units, now, at));
        }
        let capped = match share.cap {
            None => None,
            Some(cap) => Some((self.under_cap(hash, cap, now, units)?, cap)),
        };
        let undo = || {
            if let (Some((n, _)), Some(caps)) = (capped, self.caps.get()) {
                caps.refund(n, now, units, now, u64::MAX);
            }
        };
        let slot = self.under_line(hash, share, units, now, fill, level, rate).inspect_err(|_| undo())?;
        match self.slot.take(EMPTY, rate, now, units) {
            Taken::Yes => {}
            // Somebody was faster.
            Taken::NotBefore(at) => {
                undo();
                self.unuse(slot, units, now, now);
                return Err(refusal(name, rate, units, now, at));
            }
            Taken::Gone => unreachable!("nobody moves in here"),
        }
        let slot = if self.table.is_shared(slot) { self.settle_down(hash, slot, units, now) } else { slot };
        // In place of a burst, where its cap is.
        let cap = capped.map_or(0, |(n, _)| n + 1);
        Ok(Charge { slot, units, at: now, class: 0, interval: rate.interval, burst: cap })
    }

    /// Moves the level, by whoever comes a millisecond after the last one who did.
    fn moved(&self, fill: f64, now: u64, rate: Rate) -> f64 {
        let last = self.last.load(Ordering::Relaxed);
        let level = self.level();
        if now.saturating_sub(last) < 1_000_000
            || self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return level;
        }
        let level = tide::level(level, fill, (now - last) as f64 / 1e9, 1e9 / rate.interval as f64);
        // Relaxed: it stands for itself. Who is slower than a millisecond here may undo one step of many.
        self.level.store(level.to_bits(), Ordering::Relaxed);
        level
    }

    fn under_cap(&self, hash: u64, cap: Quota, now: u64, units: u32) -> Result<u32, Rejected> {
        let caps = self.caps.get_or_init(|| GcraTable::new(self.room, &self.dice));
        caps.take(hash, cap.rule(), now, units).map_err(|at| refusal(self.cap, cap.rule(), units, now, at))
    }

    /// Counts the units as used by the account, if that is under the line: in its slot, or in that of all who
    /// have none.
    #[expect(clippy::too_many_arguments, reason = "they were all read together")]
    fn under_line(
        &self,
        hash: u64,
        share: Share,
        units: u32,
        now: u64,
        fill: f64,
        level: f64,
        rate: Rate,
    ) -> Result<u32, Rejected> {
        let floor = sane(share.floor);
        loop {
            let (n, slot, hash, fair, fill) = match self.table.find(hash) {
                Some((n, slot)) => (n, slot, hash, level * sane(share.weight) * TAU, fill),
                // All who have none get the tail together, when it is contended: those for whom there is
                // room share one line, so that who is first on it moves in, and needs it no more. (By
                // hash, it would take the fullest of the cells twice as long to empty.)
                None => {
                    let tail = self.tail * 1e9 / rate.interval as f64 * TAU;
                    let fill = tide::fill_of_many(fill);
                    match self.table.probation(hash, |word| unseen(word, ticks(now)).is_some()) {
                        Some((n, slot)) => (n, slot, EMPTY, tail, fill),
                        None => {
                            let (n, slot) = self.table.shared(hash);
                            (n, slot, EMPTY, tail / OVERFLOW as f64, fill)
                        }
                    }
                }
            };
            let Some((_, word)) = slot.read(hash) else { continue };
            let used = Used::unpack(word).at(ticks(now));
            let count = |units| Used { units: units as f32, seen: ticks(now) }.pack();
            match tide::judge(used, f64::from(units), fair, floor, fill) {
                Ok(answers_for) => {
                    if slot.exchange(word, count(answers_for + f64::from(units))) {
                        return Ok(n);
                    }
                }
                Err((seconds, answers_for)) => {
                    // What is forgiven is written down; nothing else is.
                    if answers_for < used {
                        slot.exchange(word, count(answers_for));
                    }
                    let limit = fair.max(floor * TAU) as u64;
                    return Err(Rejected::new(self.common.name, Reason::Limited)
                        .numbers(limit, answers_for as u64)
                        .over(Duration::from_secs_f64(TAU))
                        .retry_in(Duration::from_secs_f64(seconds)));
                }
            }
        }
    }

    /// Admitted without a slot of its own: it gets one, if there is one.
    fn settle_down(&self, hash: u64, shared: u32, units: u32, now: u64) -> u32 {
        let now = ticks(now);
        let fresh = Used { units: units as f32, seen: now }.pack();
        self.table.move_in(hash, 0, fresh, |word| unseen(word, now)).map_or(shared, |(n, _)| n)
    }

    /// Takes back what was counted as used at `at`.
    fn unuse(&self, n: u32, units: u32, now: u64, at: u64) {
        let Some(slot) = self.table.at(n) else { return };
        let left = f64::from(units) * tide::decay(now.saturating_sub(at) as f64 / 1e9);
        while let Some((_, word)) = slot.read(slot.hash()) {
            let units = (Used::unpack(word).at(ticks(now)) - left).max(0.0) as f32;
            if slot.exchange(word, Used { units, seen: ticks(now) }.pack()) {
                return;
            }
        }
    }

    fn undo(&self, spent: &Charge) {
        let now = self.common.clock.now().as_nanos();
        self.slot.refund(now, spent.units, spent.at, spent.interval);
        self.unuse(spent.slot, spent.units, now, spent.at);
        if let (Some(caps), Some(n)) = (self.caps.get(), spent.burst.checked_sub(1)) {
            caps.refund(n, now, spent.units, spent.at, u64::MAX);
        }
        self.common.yard.rouse_all();
    }

    #[cold]
    fn behind(&self, hash: u64, share: Share, units: u32) -> Result<Charge, Rejected> {
        if self.common.yard.is_closed() {
            return Err(self.common.closed());
        }
        if self.common.yard.has(hash) {
            let (rate, now) = (self.live.rate(), self.common.clock.now().as_nanos());
            let wait = rate.interval.saturating_mul(self.common.yard.ahead(hash));
            let at = if units > rate.burst { NEVER } else { now.saturating_add(wait) };
            return Err(refusal(self.common.name, rate, units, now, at));
        }
        self.take(hash, share, units, self.common.clock.now().as_nanos())
    }
}

impl<K: Hash + ?Sized> FairRateLimiter<K> {
    /// Shares this quota evenly.
    ///
    /// # Errors
    /// If the quota will not do.
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder().quota(quota).build()
    }

    #[inline]
    fn who(&self, key: &K) -> (u64, Share) {
        let share = self.0.share_of.as_ref().map_or(Share::default(), |of| of(key));
        (self.0.table.hash(key), share)
    }

    /// May this account, now? Never waits, and never overtakes those who wait for the same account.
    ///
    /// # Errors
    /// `Limited`: nothing is left for anyone, or this account has had its share, or its cap. The time to come
    /// back is exact for the first and the last, and an estimate for its share. `Closed` after
    /// [`close`](Self::close).
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
        self.spend(key, units).map(|spent| Permit::new(self, spent))
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
        self.spend(key, 1).map(|spent| Permit::new(self.clone(), spent))
    }

    #[inline]
    fn spend(&self, key: &K, units: u32) -> Result<Charge, Rejected> {
        let ((hash, share), its) = (self.who(key), &*self.0);
        let quiet = its.common.yard.is_quiet();
        let now = its.common.clock.now().as_nanos();
        its.common.told(if quiet {
            its.take(hash, share, units, now)
        } else {
            its.behind(hash, share, units)
        })
    }

    /// Waits until there is a unit for this account, in the order of asking; accounts do not stand in each
    /// other's line. At most [`max_wait`](Self::max_wait).
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
        let (hash, share) = self.who(key);
        let spent = AcquireUnits::new(Sharer { its: &*self.0, hash, share }, 1, Duration::MAX).await?;
        Ok(Permit::new(self, spent))
    }

    /// Waits on the calling thread, no runtime needed: at most `timeout`, and at most the longest wait.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_timeout(&self, key: &K, timeout: Duration) -> Result<Permit<&Self>, Rejected> {
        let (hash, share) = self.who(key);
        let asks = Sharer { its: &*self.0, hash, share };
        match self.0.common.clock.block_until(None, AcquireUnits::new(asks, 1, timeout)) {
            Some(spent) => spent.map(|spent| Permit::new(self, spent)),
            None => unreachable!("it blocks until it has been answered"),
        }
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

impl<K: ?Sized> FairRateLimiter<K> {
    /// Sets everything else.
    pub fn builder() -> FairRateLimiterBuilder<K> {
        let quota = Quota::per_second(1_000).burst(100);
        FairRateLimiterBuilder { setup: Setup::new("fair"), quota, share_of: None, tail: 0.05 }
    }

    /// Changes the quota that is shared. What is owed stays owed.
    ///
    /// # Errors
    /// If the quota will not do; nothing has changed then.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ControlError> {
        check(&quota)?;
        self.0.common.warn(&quota);
        let now = self.0.common.clock.now().as_nanos();
        self.0.live.set(quota);
        self.0.slot.recount(self.0.live.rate().interval, now);
        self.0.common.yard.rouse_all();
        Ok(())
    }

    /// The quota that is shared.
    pub fn quota(&self) -> Quota {
        self.0.live.quota()
    }

    /// The share of an account of weight 1 now, in units a second: 16 times the whole while nobody is short.
    pub fn fair_share(&self) -> f64 {
        self.0.level()
    }

    /// How many accounts are remembered.
    pub fn key_count(&self) -> usize {
        self.0.table.len()
    }

    /// How many can be.
    pub fn max_keys(&self) -> usize {
        self.0.table.room()
    }

    /// How often an account without a slot of its own asked: each once at its beginning, and in a flood of new
    /// ones all of them. Together they get the [tail](FairRateLimiterBuilder::tail).
    pub fn overflowed(&self) -> u64 {
        self.0.table.overflowed()
    }

    controls!();
}

/// One account, while it waits.
struct Sharer<'a, K: ?Sized> {
    its: &'a Inner<K>,
    hash: u64,
    share: Share,
}

impl<K: ?Sized> Asks for Sharer<'_, K> {
    fn take(&self, units: u32, now: u64) -> Result<Charge, Rejected> {
        self.its.take(self.hash, self.share, units, now)
    }
    fn account(&self) -> u64 {
        self.hash
    }
    fn common(&self) -> &Common {
        &self.its.common
    }
}

impl<K: ?Sized> Settle for FairRateLimiter<K> {
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
}

impl<K: Hash + ?Sized> Keyed<K> for FairRateLimiter<K> {
    #[inline]
    fn admit_for(&self, key: &K, facts: RequestInfo) -> Result<Charge, Rejected> {
        self.spend(key, facts.cost)
    }
}

impl<K: ?Sized> Inspect for FairRateLimiter<K> {
    fn name(&self) -> &'static str {
        FairRateLimiter::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let quota = self.quota();
        each("rate", quota.rate());
        each("burst", f64::from(quota.burst_size()));
        each("fair_share", self.fair_share());
        each("accounts", self.key_count() as f64);
        each("overflowed", self.overflowed() as f64);
        each("waiting", f64::from(self.waiting()));
    }
    /// Knobs: `rate` (units a second), `burst` (whole units), of what is shared.
    fn set(&self, knob: &str, value: f64) -> Result<(), ControlError> {
        self.set_quota(crate::turned(self.quota(), knob, value)?)
    }
}

impl<K: ?Sized> Clone for FairRateLimiter<K> {
    fn clone(&self) -> Self {
        FairRateLimiter(self.0.clone())
    }
}

impl<K: ?Sized> fmt::Debug for FairRateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairLimiter")
            .field("name", &self.name())
            .field("quota", &self.quota())
            .field("fair_share", &self.fair_share())
            .field("accounts", &self.key_count())
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Builds a [`FairRateLimiter`]; from [`FairRateLimiter::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct FairRateLimiterBuilder<K: ?Sized> {
    setup: Setup,
    quota: Quota,
    share_of: Option<ShareOf<K>>,
    tail: f64,
}

/// A bucket of one unit is never more than half full.
fn check(quota: &Quota) -> Result<(), ConfigError> {
    quota.validate()?;
    if quota.burst_size() < 2 {
        return Err(ConfigError::new("quota.burst", quota.burst_size(), "2 or more where it is shared"));
    }
    Ok(())
}

impl Common {
    fn warn(&self, quota: &Quota) {
        if f64::from(quota.burst_size()) < (quota.rate() / 100.0).max(20.0) {
            self.observer.emit(|| Event::Misconfigured { by: self.name, what: SMALL });
        }
    }
}

const SMALL: &str = "a burst of at least 20 units and 10 ms of the rate: below that shares are uneven";

impl<K: ?Sized> FairRateLimiterBuilder<K> {
    /// What is shared. Default 1,000 a second, 100 at once.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// What this account has a right to, asked each time; it may say something else the next time. Default: all
    /// have the same.
    pub fn share_of(mut self, share_of: impl Fn(&K) -> Share + Send + Sync + 'static) -> Self {
        self.share_of = Some(Arc::new(share_of));
        self
    }

    /// How much of the quota those get together who are not known yet, when it is contended; above 0, at most
    /// 1.0. Default 0.05. With 0.1 newcomers become known twice as fast, and a flood of them costs the others as
    /// much more. Each has to be admitted once to become known: more new accounts a second than this part of the
    /// rate want a larger one.
    pub fn tail(mut self, tail: f64) -> Self {
        self.tail = tail;
        self
    }

    setters!(accounts);

    /// The limiter.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<FairRateLimiter<K>, ConfigError> {
        self.setup.validate()?;
        check(&self.quota)?;
        if !(self.tail > 0.0 && self.tail <= 1.0) {
            return Err(ConfigError::new("tail", self.tail, "above 0.0, at most 1.0"));
        }
        let (common, quota) = (self.setup.common(), self.quota);
        common.warn(&quota);
        Ok(FairRateLimiter(Arc::new(Inner {
            cap: intern(&format!("{}/cap", self.setup.name)),
            level: AtomicU64::new(quota.rate().to_bits()),
            last: AtomicU64::new(common.clock.now().as_nanos()),
            common,
            live: LiveQuota::new(quota),
            slot: Entry::counting(quota.rule().interval),
            table: Table::new(self.setup.accounts, &self.setup.dice),
            caps: OnceLock::new(),
            room: self.setup.accounts,
            dice: self.setup.dice,
            share_of: self.share_of,
            tail: self.tail,
        })))
    }
}

impl<K: ?Sized> Clone for FairRateLimiterBuilder<K> {
    fn clone(&self) -> Self {
        let (setup, share_of) = (self.setup.clone(), self.share_of.clone());
        FairRateLimiterBuilder { setup, quota: self.quota, share_of, tail: self.tail }
    }
}

impl<K: ?Sized> fmt::Debug for FairRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairBuilder")
            .field("setup", &self.setup)
            .field("quota", &self.quota)
            .field("tail", &self.tail)
            .finish()
    }
}
