//! One quota, shared fairly among the accounts that are active.

mod after;
mod caps;
mod charge;
mod config;
mod controls;
mod forecast;
mod share;
mod tide;

pub use charge::FairCharge;
pub use config::{FairRateLimiterBuilder, FairRateLimiterConfig};
pub use share::Share;

use super::KeyedLimiter;
use super::policy::QuotaPolicy;
use crate::bucket::{LiveBucket, Reading};
use crate::setup::{Common, rejected};
use crate::table::entry::{EMPTY, Entry};
use crate::table::gcra_table::GcraTable;
use crate::table::{OVERFLOW, Room, Table};
use crate::wait::reserve::Size;
use charge::Rounded;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use plimsoll_core::{Allowance, ControlError, Dice, Reason, Rejected};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tide::{FORGOTTEN, TAU, Used, ticks};

/// One quota, shared max-min fairly among the active accounts, by weight, with floors and caps.
///
/// See [`KeyedLimiter`] for its methods.
///
/// An account that requests less than its share gets all of it, and the rest is shared among the
/// others. Sending more requests does not gain an account more units. The sum never exceeds the
/// quota, however many accounts there are.
///
/// A rejection by an account's own share or [cap](Share::at_most) has the reason `Limited`. One by
/// the shared quota, or by the [tail](FairRateLimiterBuilder::tail) that new accounts share, has
/// the reason `Throttled`. When the tail begins to reject new accounts, the limiter emits
/// [`StateChanged`](plimsoll_core::Event::StateChanged) to "crowded", because of "keys".
///
/// ```
/// use plimsoll_limit::{FairRateLimiter, Quota};
///
/// let limiter = FairRateLimiter::<str>::new(Quota::per_second(1_000).burst(100))?;
/// assert!(limiter.try_acquire("ann").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Permit::allowances`](plimsoll_core::Permit::allowances) states the shared quota. While it is
/// contended, no more remains than the account's share. An account without an entry of its own is
/// stated nothing then.
///
/// The burst should be at least 20 units and 10 ms of the rate. Below that, the fill of the bucket
/// says too little for even shares. The limiter then emits
/// [`Misconfigured`](plimsoll_core::Event::Misconfigured) when it is built, and when such a quota
/// is set.
///
#[doc = include_str!("fairness.md")]
#[doc(alias = "token bucket")]
#[doc(alias = "fair share")]
#[doc(alias = "max-min fairness")]
#[doc(alias = "weighted fair queueing")]
pub type FairRateLimiter<K> = KeyedLimiter<Fair<K>>;

type ShareOf<K> = Arc<dyn Fn(&K) -> Share + Send + Sync>;

/// The policy of [`FairRateLimiter`].
pub struct Fair<K: ?Sized> {
    common: Common,
    cap_name: &'static str,
    bucket: LiveBucket,
    // The fair share of weight 1, in units a second, as the bits of a 64-bit float.
    level: AtomicU64,
    // When the level was changed last, in nanoseconds.
    moved: AtomicU64,
    table: Table,
    // Created for the first account with a cap.
    caps: OnceLock<GcraTable>,
    dice: Dice,
    share_of: Option<ShareOf<K>>,
    tail: AtomicU64,
}

/// An account by its hash, with its share.
#[derive(Clone, Copy, Debug)]
pub struct Sharer {
    hash: u64,
    share: Share,
}

/// The shared quota at one instant.
#[derive(Clone, Copy)]
struct Bucket {
    now: u64,
    seen: Reading,
    fill: f64,
    level: f64,
}

/// Ranks an account for eviction, by its usage: the lower, the longer ago it was seen. An account
/// that was seen within [`FORGOTTEN`] ticks is not evicted.
fn eviction_rank(word: u64, now: u32) -> Option<u64> {
    let age = Used::unpack(word).age(now);
    (age >= FORGOTTEN).then(|| u64::from(u32::MAX - age))
}

impl<K: ?Sized> Fair<K> {
    fn level(&self) -> f64 {
        f64::from_bits(self.level.load(Ordering::Relaxed))
    }

    fn tail(&self) -> f64 {
        f64::from_bits(self.tail.load(Ordering::Relaxed))
    }

    fn rejected(&self, by: &'static str, reason: Reason, bucket: Bucket, units: u32, at: u64) -> Rejected {
        rejected(by, reason, bucket.seen.rate, units, bucket.now, at)
    }

    /// Reads the shared quota. Does not change the level.
    fn read_bucket(&self, now: u64) -> Bucket {
        let seen = self.bucket.read();
        let Reading { rate, .. } = seen;
        let remaining =
            rate.span().saturating_sub(seen.free().saturating_sub(now)) as f64 / rate.interval as f64;
        Bucket { now, seen, fill: tide::fill(remaining, rate.burst), level: self.level() }
    }

    /// Charges the account's cap, its share and the shared quota, in this order. The shared quota
    /// is checked first: if it is used up, nothing else is charged.
    fn take(&self, Sharer { hash, share }: Sharer, units: u32, now: u64) -> Result<FairCharge, Rejected> {
        let mut bucket = self.read_bucket(now);
        bucket.level = self.move_level(bucket);
        let name = self.common.name;
        if let Err(at) = bucket.seen.take(now, units) {
            return Err(self.rejected(name, Reason::Throttled, bucket, units, at));
        }
        let cap = share.cap().map(|cap| cap.gcra());
        cap.map_or(Ok(()), |cap| self.take_cap(hash, cap, now, units))?;
        let mut charge = FairCharge {
            hash,
            at: now,
            interval: bucket.seen.rate.interval,
            cap,
            units,
            weight: Rounded::new(share.clamped_weight()),
            floor: Rounded::new(share.clamped_floor()),
            by_common: false,
        };
        let entry =
            self.take_share(hash, share, units, bucket).inspect_err(|_| self.refund_cap(&charge, 0, now))?;
        match self.bucket.take(bucket.seen, now, units) {
            Ok(rate) => charge.interval = rate.interval,
            // Another thread was faster.
            Err((rate, at)) => {
                self.refund_cap(&charge, 0, now);
                self.undo_usage(entry, units, now, now);
                return Err(rejected(name, Reason::Throttled, rate, units, now, at));
            }
        }
        let entry = if self.table.is_shared(entry) { self.move_in(hash, entry, units, now) } else { entry };
        charge.by_common = self.table.is_shared(entry);
        Ok(charge)
    }

    /// Changes the level, if a millisecond has passed since the last change.
    fn move_level(&self, bucket: Bucket) -> f64 {
        let Bucket { now, seen: Reading { rate, .. }, fill, level } = bucket;
        let moved = self.moved.load(Ordering::Relaxed);
        if now.saturating_sub(moved) < 1_000_000
            || self.moved.compare_exchange(moved, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return level;
        }
        let level = tide::level(level, fill, (now - moved) as f64 / 1e9, 1e9 / rate.interval as f64);
        // Relaxed: the level stands for itself. A thread that is preempted here for a millisecond
        // may overwrite a later step, one of many.
        self.level.store(level.to_bits(), Ordering::Relaxed);
        level
    }

    /// Adds the units to the account's usage, if its share admits them. Accounts without an entry
    /// have a common usage.
    fn take_share(&self, hash: u64, share: Share, units: u32, bucket: Bucket) -> Result<u32, Rejected> {
        let floor = share.clamped_floor();
        let tick = ticks(bucket.now);
        loop {
            let UsageEntry { n, entry, hash, fair, fill } = self.usage_entry(hash, share, bucket);
            let Some((_, word)) = entry.read(hash) else { continue };
            let used = Used::unpack(word).at(tick);
            let count = |units| Used { units: units as f32, seen: tick }.pack();
            match tide::judge(used, f64::from(units), fair, floor, fill) {
                Ok(counted) => {
                    if entry.exchange(word, count(counted + f64::from(units))) {
                        return Ok(n);
                    }
                }
                Err((seconds, counted)) => {
                    // A usage that was capped is stored. Nothing else has changed.
                    if counted < used {
                        entry.exchange(word, count(counted));
                    }
                    // Accounts without an entry share a usage: another of them may have caused it.
                    let reason = if hash == EMPTY {
                        self.table.crowd.crowded(bucket.now);
                        Reason::Throttled
                    } else {
                        Reason::Limited
                    };
                    // Without numbers: the share changes with the number of accounts, and the
                    // shared quota is not the caller's.
                    return Err(
                        Rejected::new(self.common.name, reason).retry_in(Duration::from_secs_f64(seconds))
                    );
                }
            }
        }
    }

    /// Returns where the usage of an account is stored, and its fair usage over [`TAU`].
    fn usage_entry(&self, hash: u64, share: Share, bucket: Bucket) -> UsageEntry<'_> {
        let Bucket { now, seen: Reading { rate, .. }, fill, level } = bucket;
        if let Some((n, entry)) = self.table.find(hash) {
            return UsageEntry { n, entry, hash, fair: level * share.clamped_weight() * TAU, fill };
        }
        // All accounts without an entry get the tail together while the quota is contended. Those
        // for which there is room share one usage, until they are admitted and get an entry. If
        // they were spread over several usages by hash, the fullest would take twice as long to
        // empty.
        let tail = self.tail() * 1e9 / rate.interval as f64 * TAU;
        let fill = tide::fill_of_many(fill);
        match self.table.probation(hash, |word| eviction_rank(word, ticks(now)).is_some()) {
            Some((n, entry)) => UsageEntry { n, entry, hash: EMPTY, fair: tail, fill },
            None => {
                self.table.found_full(now);
                let (n, entry) = self.table.overflow_entry(hash);
                UsageEntry { n, entry, hash: EMPTY, fair: tail / OVERFLOW as f64, fill }
            }
        }
    }

    /// Gives an account that was admitted without an entry one of its own, if there is room.
    fn move_in(&self, hash: u64, shared: u32, units: u32, now: u64) -> u32 {
        let tick = ticks(now);
        let fresh = Used { units: units as f32, seen: tick }.pack();
        match self.table.move_in(hash, 0, |_| fresh, |seen| eviction_rank(seen.state, tick)) {
            Some(Room::Given(n, _) | Room::Found((n, _))) => {
                self.table.crowd.calm(now);
                n
            }
            None => shared,
        }
    }

    /// Returns what remains to an account with the usage `used`.
    ///
    /// The limit is always that of the shared quota, because an allowance of one name should not
    /// change. While the quota is contended, no more remains than the account's share.
    fn allowance(&self, used: f64, weight: f64, floor: f64, bucket: Bucket) -> Allowance {
        let Bucket { now, seen, fill, level } = bucket;
        let shared = seen.allowance(self.common.name, now);
        if tide::is_open(fill) {
            return shared;
        }
        let threshold = tide::threshold(level * weight * TAU, fill).max(floor * TAU);
        // The cast saturates.
        let of_share = (threshold - used).max(0.0).ceil() as u64;
        // The time until a unit of the share is there.
        let share_reset = Duration::from_secs_f64(TAU * (used / threshold.max(1e-9)).max(1.0).ln());
        shared.remaining(of_share.min(shared.remaining), share_reset.max(shared.reset))
    }
}

/// Where the usage of an account is stored, and what is fair for it.
struct UsageEntry<'a> {
    n: u32,
    entry: &'a Entry,
    hash: u64,
    fair: f64,
    fill: f64,
}

impl<K: ?Sized> QuotaPolicy for Fair<K> {
    type Key = K;
    type Caller = Sharer;
    type Charge = FairCharge;
    const NAME: &'static str = "FairRateLimiter";

    fn common(&self) -> &Common {
        &self.common
    }
    fn table(&self) -> &Table {
        &self.table
    }
    fn key_count(&self) -> usize {
        let now = self.common.now();
        self.table.crowd.calm(now);
        self.table.count(|word| eviction_rank(word, ticks(now)).is_none())
    }

    #[inline]
    fn caller(&self, key: &K) -> Sharer
    where
        K: Hash,
    {
        let share = self.share_of.as_ref().map_or(Share::default(), |share_of| share_of(key));
        Sharer { hash: self.table.hash(key), share }
    }
    fn account(caller: Sharer) -> u64 {
        caller.hash
    }

    #[inline]
    fn charge<T>(
        &self,
        caller: Sharer,
        units: u32,
        wrap: impl FnOnce(FairCharge) -> T,
    ) -> Result<T, Rejected> {
        self.take(caller, units, self.common.now()).map(wrap)
    }

    fn charge_at(
        &self,
        caller: Sharer,
        units: u32,
        now: u64,
        _: Option<(usize, Size)>,
    ) -> Result<FairCharge, Rejected> {
        self.take(caller, units, now)
    }

    fn refund(&self, charge: FairCharge) {
        self.refund_all_but(&charge, 0);
    }

    fn settle_units(&self, charge: &mut FairCharge, actual: u32) {
        let units = std::mem::replace(&mut charge.units, actual);
        if actual > units {
            self.charge_after(charge.hash, self.cap_now(charge), actual - units);
        } else {
            self.refund_all_but(&FairCharge { units, ..*charge }, actual);
        }
    }

    fn debit(&self, Sharer { hash, share }: Sharer, units: u32) {
        self.charge_after(hash, share.cap().map(|cap| cap.gcra()), units);
    }

    fn credit(&self, Sharer { hash, .. }: Sharer, units: u32) {
        let now = self.common.now();
        if let Some((n, _)) = self.table.find(hash) {
            self.add_usage(n, -f64::from(units), now);
        }
        if let Some(caps) = self.caps.get() {
            caps.credit(hash, now, units);
        }
    }

    /// By the whole quota and the account's cap. Its share is an estimate, and may grow.
    fn forecast(&self, caller: Sharer, units: u32, ahead: u64, now: u64) -> Option<Rejected> {
        self.earliest(caller, units, ahead, now)
    }

    fn rejected_behind(&self, caller: Sharer, units: u32) -> Rejected {
        self.behind(caller, units)
    }

    fn remaining(&self, caller: Sharer) -> u32 {
        let bucket = self.read_bucket(self.common.now());
        let own = self.table.find(caller.hash).and_then(|(_, entry)| entry.read(caller.hash));
        let used = own.map_or(0.0, |(_, word)| Used::unpack(word).at(ticks(bucket.now)));
        let (weight, floor) = (caller.share.clamped_weight(), caller.share.clamped_floor());
        let of_share = self.allowance(used, weight, floor, bucket).remaining as u32;
        let of_cap = caller.share.cap().map(|cap| {
            let rate = cap.gcra();
            let free = self.caps.get().map_or(bucket.now, |caps| caps.free(caller.hash, rate, bucket.now));
            rate.remaining(free, bucket.now)
        });
        of_cap.map_or(of_share, |of_cap| of_cap.min(of_share))
    }

    /// States the shared quota, of which no more remains than the account's share while it is
    /// contended. Does not state a cap, nor the usage of other accounts.
    fn allowances(&self, charge: &FairCharge, each: &mut dyn FnMut(Allowance)) {
        let own = self.table.find(charge.hash).filter(|_| !charge.by_common);
        let word = own.and_then(|(_, entry)| entry.read(charge.hash));
        let bucket = self.read_bucket(self.common.now());
        let used = match word {
            Some((_, word)) => Used::unpack(word).at(ticks(bucket.now)),
            None if tide::is_open(bucket.fill) => 0.0,
            None => return,
        };
        each(self.allowance(used, charge.weight.get(), charge.floor.get(), bucket));
    }

    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        self.bucket.quota().read(each);
        each("fair_share", self.level());
        each("tail", self.tail());
    }
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "tail" => self.set_tail(value),
            "rate" | "burst" => self.change_quota(|quota| quota.with_setting(setting, value)),
            _ => Err(ControlError::unknown(setting, &["rate", "burst", "tail", "queue", "max_wait"])),
        }
    }
}

impl<K: ?Sized> fmt::Debug for Fair<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (quota, fair_share) = (self.bucket.quota(), self.level());
        f.debug_struct("Fair").field("quota", &quota).field("fair_share", &fair_share).finish()
    }
}
