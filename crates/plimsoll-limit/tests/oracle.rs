//! Compares every decision with naive oracles in whole numbers, step by step on a manual clock.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use governor::clock::FakeRelativeClock;
use governor::{Quota as Theirs, RateLimiter as TheirLimiter};
use plimsoll_core::{Inspect, Instant, KeyedExt, ManualTime, Pack, Permit, Reason, Rejected, Settle};
use plimsoll_limit::{Charge, Class, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

const S: u64 = 1_000_000_000;

fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// A token bucket as in a textbook: a level and a rate. One unit is `interval` nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    interval: u64,
    burst: u32,
    level: i128,
    updated: u64,
    // The highest burst that has applied lately, and until when it counts.
    peak: (u32, u64),
    // The level of a bucket that was empty when the burst was lowered, and not used since.
    emptied: Option<i128>,
}

impl Bucket {
    fn new(quota: Quota) -> Self {
        let (interval, burst) = (quota.interval().as_nanos() as u64, quota.burst_size());
        let level = i128::from(interval) * i128::from(burst);
        Bucket { interval, burst, level, updated: 0, peak: (0, 0), emptied: None }
    }

    fn capacity(&self) -> i128 {
        i128::from(self.interval) * i128::from(self.burst)
    }

    fn refill(&mut self, now: u64) {
        let refilled = |level: i128| self.capacity().min(level + i128::from(now - self.updated));
        (self.level, self.emptied) = (refilled(self.level), self.emptied.map(refilled));
        self.updated = now;
    }

    /// Returns the cost of `units`, or the time until there are as many. `None` is never.
    fn check(&mut self, now: u64, units: u32) -> Result<i128, Option<u64>> {
        self.refill(now);
        let cost = i128::from(self.interval) * i128::from(units);
        if units > self.burst {
            return Err(None);
        }
        if cost <= self.level { Ok(cost) } else { Err(Some((cost - self.level) as u64)) }
    }

    fn take(&mut self, now: u64, units: u32) -> Result<(), Option<u64>> {
        self.level -= self.check(now, units)?;
        Ok(())
    }

    /// Changes the quota. The number of units owed stays as it is, rounded up, but is at most the
    /// new burst. A burst that was lowered and is raised again gives nothing until the larger one
    /// would have been full, unless the bucket cannot have been forgiven anything.
    ///
    /// Returns whether the whole burst is owed, and by how many nanoseconds it was judged to have
    /// been forgiven nothing, if that mattered.
    fn set_quota(&mut self, now: u64, quota: Quota) -> (bool, Option<i128>) {
        self.refill(now);
        let next = Bucket::new(quota);
        let owed = |level: i128| {
            let owed = (self.capacity() - level) * i128::from(next.interval);
            ((owed + i128::from(self.interval) - 1) / i128::from(self.interval)).min(next.capacity())
        };
        let (mut peak, mut until) = if now < self.peak.1 { self.peak } else { (0, 0) };
        let mut emptied = self.emptied.filter(|_| peak > 0).map(owed);
        let mut owed = owed(self.level);
        let withheld = peak.min(quota.burst_size()).saturating_sub(self.burst);
        let margin = emptied.map(|emptied| emptied - owed).filter(|margin| withheld > 0 && *margin > 0);
        let withheld = i128::from(withheld) * i128::from(next.interval);
        owed += if margin.is_none() { withheld } else { 0 };
        emptied = emptied.map(|emptied| (emptied + withheld).min(next.capacity()));
        if quota.burst_size() < self.burst {
            (peak, until) = (peak.max(self.burst), until.max(now + self.capacity() as u64));
            emptied = Some(emptied.map_or(next.capacity(), |emptied| emptied.min(next.capacity())));
        }
        let emptied = emptied.map(|emptied| next.capacity() - emptied);
        let level = next.capacity() - owed.min(next.capacity());
        *self = Bucket { updated: now, peak: (peak, until), emptied, level, ..next };
        (owed >= self.capacity(), margin)
    }

    /// Changes the quota of an account with the same interval.
    fn set_burst(&mut self, now: u64, burst: u32) {
        self.refill(now);
        self.level += i128::from(self.interval) * (i128::from(burst) - i128::from(self.burst));
        self.level = self.level.max(0);
        self.burst = burst;
    }
}

/// Translates a decision into the terms of the oracles.
fn translated<T>(decision: Result<T, Rejected>) -> Result<(), Option<u64>> {
    decision.map(drop).map_err(|rejected| match rejected.reason() {
        Reason::Limited | Reason::Throttled => Some(rejected.retry_after().unwrap().as_nanos() as u64),
        Reason::TooLarge => {
            assert_eq!(rejected.retry_after(), None, "a retry never succeeds");
            None
        }
        other => panic!("{other:?}"),
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    prop_oneof![
        (1..40u32, 1..50u32).prop_map(|(n, b)| Quota::per_second(n).burst(b)),
        (1..400u32, 1..9u32).prop_map(|(n, b)| Quota::per_minute(n).burst(b)),
        (1..9u32, 1..5_000u64, 1..9u32).prop_map(|(n, period, b)| Quota::per(n, ns(period)).burst(b)),
        (1..60u32, 1..9_000_000u64).prop_map(|(n, window)| Quota::at_most(n, ns(window))),
        Just(Quota::per_day(1).burst(3)),
    ]
}

/// Gaps of about the time in which a few units are replenished, and some others.
fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![
        4 => Just(Gap::None),
        4 => (0..300u64).prop_map(Gap::Hundredths),
        3 => Just(Gap::Just),
        2 => Just(Gap::TooEarly),
        2 => (0..2 * S).prop_map(Gap::Nanos),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Gap {
    None,
    /// Hundredths of an interval.
    Hundredths(u64),
    Nanos(u64),
    /// Until the `retry_after` of the last rejection.
    Just,
    /// One nanosecond less.
    TooEarly,
}

impl Gap {
    fn nanos(self, interval: u64, retry_in: u64) -> u64 {
        match self {
            Gap::None => 0,
            Gap::Hundredths(n) => interval / 100 * n,
            Gap::Nanos(n) => n,
            Gap::Just => retry_in,
            Gap::TooEarly => retry_in.saturating_sub(1),
        }
    }
}

fn limiter(quota: Quota) -> (RateLimiter, ManualTime) {
    let time = ManualTime::new();
    (RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap(), time)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn global_limiter_decides_as_a_bucket(
        quota in quota(),
        steps in prop::collection::vec((gap(), 1..6u32), 1..80),
    ) {
        let (limiter, time) = limiter(quota);
        let mut bucket = Bucket::new(quota);
        let (mut now, mut retry_in) = (0, 0);
        for (gap, units) in steps {
            let gap = gap.nanos(bucket.interval, retry_in);
            now += gap;
            time.advance(ns(gap));
            bucket.refill(now);
            let unit = i128::from(bucket.interval);
            prop_assert_eq!(i128::from(limiter.remaining()), bucket.level / unit);
            let expected = bucket.take(now, units);
            prop_assert_eq!(translated(limiter.try_acquire_n(units)), expected, "{} units at {}", units, now);
            retry_in = expected.err().flatten().unwrap_or(0);
        }
    }

    #[test]
    fn global_limiter_decides_as_governor(
        interval in 1..3_000_000_000u64,
        burst in 1..40u32,
        steps in prop::collection::vec((gap(), 1..6u32), 1..80),
    ) {
        let (limiter, time) = limiter(Quota::per(1, ns(interval)).burst(burst));
        let theirs = Theirs::with_period(ns(interval)).unwrap().allow_burst(NonZeroU32::new(burst).unwrap());
        let clock = FakeRelativeClock::default();
        let theirs = TheirLimiter::direct_with_clock(theirs, clock.clone());
        let mut retry_in = 0;
        for (gap, units) in steps {
            let gap = ns(gap.nanos(interval, retry_in));
            time.advance(gap);
            clock.advance(gap);
            let at = governor::clock::Clock::now(&clock);
            let wait = |not: governor::NotUntil<_>| Some(not.wait_time_from(at).as_nanos() as u64);
            let expected = if units == 1 {
                theirs.check().map_err(wait)
            } else {
                match theirs.check_n(NonZeroU32::new(units).unwrap()) {
                    Ok(decision) => decision.map_err(wait),
                    Err(_) => Err(None),
                }
            };
            prop_assert_eq!(translated(limiter.try_acquire_n(units)), expected);
            retry_in = expected.err().flatten().unwrap_or(0);
        }
    }

    #[test]
    fn rejects_until_retry_after_and_admits_then(
        quota in quota(), taken in 0..60u32, later in 0..S, units in 1..9u32,
    ) {
        prop_assume!(units <= quota.burst_size());
        let (limiter, time) = limiter(quota);
        while limiter.try_acquire_n(units).is_ok() {}
        time.advance(ns(later % (quota.interval().as_nanos() as u64 * u64::from(taken + 1))));
        while limiter.try_acquire_n(units).is_ok() {}
        let wait = limiter.try_acquire_n(units).unwrap_err().retry_after().unwrap();
        prop_assert!(wait > Duration::ZERO);
        time.advance(wait - ns(1));
        let early = limiter.try_acquire_n(units).map(drop).unwrap_err();
        prop_assert_eq!(early.retry_after(), Some(ns(1)));
        time.advance(ns(1));
        prop_assert!(limiter.try_acquire_n(units).is_ok());
    }

    /// Accounts return, and the table has room for all of them.
    #[test]
    fn each_key_has_its_own_bucket(
        keys in prop_oneof![1..4u32, 200..400u32],
        by_key in any::<bool>(),
        quota in quota(),
        steps in prop::collection::vec((gap(), any::<u32>(), 1..4u32), 1..200),
    ) {
        let quota_of = move |key: &u32| {
            if by_key { Quota::per(1 + key % 3, ns(1_000 * u64::from(key % 7 + 1))).burst(1 + key % 5) } else { quota }
        };
        let time = ManualTime::new();
        let builder = KeyedRateLimiter::<u32>::builder().quota(quota).max_keys(4_096).clock(time.clock());
        let limiter = if by_key { builder.quota_of(quota_of) } else { builder }.build().unwrap();
        let mut buckets = HashMap::new();
        let (mut now, mut retry_in) = (0, 0);
        for (gap, key, units) in steps {
            let key = key % keys;
            let gap = gap.nanos(quota_of(&key).interval().as_nanos() as u64, retry_in);
            now += gap;
            time.advance(ns(gap));
            let expected = buckets.entry(key).or_insert_with(|| Bucket::new(quota_of(&key))).take(now, units);
            prop_assert_eq!(translated(limiter.try_acquire_n(&key, units)), expected);
            retry_in = expected.err().flatten().unwrap_or(0);
        }
        prop_assert!(limiter.key_count() <= buckets.len());
        prop_assert_eq!(limiter.overflowed(), 0);
    }
}

// ---- tiers

#[derive(Clone, Debug)]
enum Action {
    Acquire(u8, u32),
    Assign(u8, bool),
    AssignQuota(u8, Quota),
    Unassign(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (0..6u8, 1..4u32).prop_map(|(key, units)| Action::Acquire(key, units)),
        1 => (0..6u8, any::<bool>()).prop_map(|(key, premium)| Action::Assign(key, premium)),
        1 => (0..6u8, quota()).prop_map(|(key, quota)| Action::AssignQuota(key, quota)),
        1 => (0..6u8).prop_map(Action::Unassign),
    ]
}

/// A global quota, and for each of two classes the quotas `each` and `all`. Any may be absent.
type Quotas = (Option<Quota>, [(Option<Quota>, Option<Quota>); 2]);

fn quotas() -> impl Strategy<Value = Quotas> {
    let some = || prop::option::weighted(0.8, quota());
    (some(), (some(), some()), (some(), some())).prop_map(|(global, free, premium)| (global, [free, premium]))
}

fn tiers((global, classes): Quotas) -> (TieredRateLimiter<u8>, ManualTime) {
    let time = ManualTime::new();
    let mut builder = TieredRateLimiter::<u8>::builder().name("api").max_keys(64).clock(time.clock());
    for (name, (each, all)) in ["free", "premium"].into_iter().zip(classes) {
        let class = Class::new(name);
        let class = each.map_or(class.clone(), |quota| class.each(quota));
        builder = builder.class(all.map_or(class.clone(), |quota| class.all(quota)));
    }
    let builder = global.map_or(builder.clone(), |quota| builder.global(quota));
    (builder.class_of(|key| if key % 2 == 0 { "free" } else { "premium" }).build().unwrap(), time)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    /// If one tier rejects, none is charged. Otherwise a later decision would differ.
    #[test]
    fn tiers_decide_as_three_buckets_all_or_nothing(
        quotas in quotas(),
        steps in prop::collection::vec((gap(), action()), 1..120),
    ) {
        let (limits, time) = tiers(quotas);
        let mut global = quotas.0.map(Bucket::new);
        let mut all = quotas.1.map(|(_, all)| all.map(Bucket::new));
        let mut accounts: HashMap<u8, Bucket> = HashMap::new();
        let mut assigned: HashMap<u8, (Option<usize>, Option<Quota>)> = HashMap::new();
        let (mut now, mut retry_in) = (0, 0);
        for (gap, action) in steps {
            let gap = gap.nanos(S / 10, retry_in);
            now += gap;
            time.advance(ns(gap));
            let (key, units) = match action {
                Action::Acquire(key, units) => (key, Some(units)),
                Action::Assign(key, premium) => {
                    limits.assign(&key, if premium { "premium" } else { "free" }).unwrap();
                    assigned.entry(key).or_default().0 = Some(usize::from(premium));
                    (key, None)
                }
                Action::AssignQuota(key, quota) => {
                    limits.assign_quota(&key, quota).unwrap();
                    assigned.entry(key).or_default().1 = Some(quota);
                    (key, None)
                }
                Action::Unassign(key) => {
                    limits.unassign(&key);
                    assigned.remove(&key);
                    (key, None)
                }
            };
            let (class, own) = assigned.get(&key).copied().unwrap_or_default();
            let class = class.unwrap_or(usize::from(key % 2));
            let each = own.or(quotas.1[class].0);
            // What an account owes after its interval has changed is the subject of another test.
            if let (Some(quota), Some(bucket)) = (each, accounts.get_mut(&key)) {
                if bucket.interval != quota.interval().as_nanos() as u64 {
                    let wait = Duration::from_secs(86_400 * 400);
                    now += wait.as_nanos() as u64;
                    time.advance(wait);
                    accounts.remove(&key);
                } else if bucket.burst != quota.burst_size() {
                    bucket.set_burst(now, quota.burst_size());
                }
            }
            let Some(units) = units else { continue };
            let mut rejections = vec![];
            if let Some(quota) = each {
                let bucket = accounts.entry(key).or_insert_with(|| Bucket { updated: now, ..Bucket::new(quota) });
                rejections.push(bucket.check(now, units).map(drop));
            }
            let name = ["free", "premium"][class];
            rejections.extend(all[class].as_mut().map(|bucket| bucket.check(now, units).map(drop)));
            rejections.extend(global.as_mut().map(|bucket| bucket.check(now, units).map(drop)));
            let decision = limits.try_acquire_n(&key, units);
            if let Err(rejected) = &decision {
                let tiers = [format!("api/{name}/account"), format!("api/{name}"), "api/global".into()];
                prop_assert!(tiers.iter().any(|tier| tier == rejected.by()), "{}", rejected);
            }
            // Never is later than any time.
            let longest = rejections.into_iter().filter_map(Result::err).max_by_key(|at| at.unwrap_or(u64::MAX));
            prop_assert_eq!(translated(decision), longest.map_or(Ok(()), Err));
            retry_in = longest.flatten().unwrap_or(0);
            if longest.is_none() {
                if each.is_some() {
                    accounts.get_mut(&key).unwrap().take(now, units).unwrap();
                }
                all[class].iter_mut().chain(&mut global).for_each(|bucket| bucket.take(now, units).unwrap());
            }
        }
    }
}

// ---- any span of time

/// Checks that no span of time admits more units than `bound` allows for its length.
///
/// `admitted` holds times and units, without those that were refunded.
fn check_all_spans(admitted: &[(u64, u32)], bound: impl Fn(u64) -> u64) -> Result<(), TestCaseError> {
    for (first, &(from, _)) in admitted.iter().enumerate() {
        let mut units = 0;
        for &(to, n) in &admitted[first..] {
            units += u64::from(n);
            prop_assert!(units <= bound(to - from), "{} units in {} ns", units, to - from);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_span_admits_more_than_burst_and_rate(
        quota in quota(),
        steps in prop::collection::vec((gap(), 1..4u32, any::<Option<Index>>()), 1..120),
    ) {
        let (limiter, time) = limiter(quota);
        let interval = quota.interval().as_nanos() as u64;
        let (mut now, mut retry_in) = (0, 0);
        let mut held: Vec<(u64, u32, Permit<RateLimiter>)> = vec![];
        for (gap, units, refunded) in steps {
            let gap = gap.nanos(interval, retry_in);
            now += gap;
            time.advance(ns(gap));
            if let Some(index) = refunded && !held.is_empty() {
                let (_, _, permit) = held.remove(index.index(held.len()));
                permit.refund();
            }
            match plimsoll_core::Keyed::admit_for(&limiter, &(), plimsoll_core::RequestInfo::new().cost(units)) {
                Ok(charge) => held.push((now, units, Permit::new(limiter.clone(), charge))),
                Err(rejected) => retry_in = rejected.retry_after().map_or(0, |t| t.as_nanos() as u64),
            }
        }
        let admitted: Vec<_> = held.into_iter().map(|(at, units, _)| (at, units)).collect();
        check_all_spans(&admitted, |d| u64::from(quota.burst_size()) + d / interval)?;
    }

    /// Requests come as fast as they are admitted, or in bursts.
    #[test]
    fn at_most_holds_in_any_window(
        max in 1..80u32, share in 1..=100u32, window in 1..5_000_000u64,
        gaps in prop::collection::vec(gap(), 1..200),
    ) {
        let burst = (max * share / 100).max(1);
        let quota = Quota::at_most(max, ns(window)).burst(burst);
        quota.validate().unwrap();
        let (limiter, time) = limiter(quota);
        let (mut now, mut retry_in, mut admitted) = (0, 0, vec![]);
        for gap in gaps {
            let gap = gap.nanos(quota.interval().as_nanos() as u64, retry_in);
            now += gap;
            time.advance(ns(gap));
            loop {
                match limiter.try_acquire() {
                    Ok(_) => admitted.push((now, 1)),
                    Err(rejected) => {
                        retry_in = rejected.retry_after().unwrap().as_nanos() as u64;
                        break;
                    }
                }
            }
        }
        check_all_spans(&admitted, |d| if d <= window { u64::from(max) } else { u64::MAX })?;
    }

    /// Each change of the quota rounds what is owed up. So a limiter may be later than the exact
    /// oracle by the sum of these roundings. It is earlier only by a nanosecond for each change
    /// that has forgiven what was owed beyond the burst.
    ///
    /// The account is known from the start. One that is not remembered has its whole burst,
    /// however the quota was changed before. The oracle withheld units from such an account, too.
    #[test]
    fn quota_change_admits_no_burst_and_keeps_what_is_owed(
        first in quota(),
        steps in prop::collection::vec((gap(), 1..4u32, prop::option::weighted(0.2, quota())), 1..80),
    ) {
        let (limiter, time) = limiter(first);
        let keyed = KeyedRateLimiter::<u8>::builder().quota(first).max_keys(8).clock(time.clock()).build().unwrap();
        let mut exact = Bucket::new(first);
        exact.take(0, 1).unwrap();
        limiter.check().unwrap();
        keyed.check(&1).unwrap();
        // The sum of the roundings, in nanoseconds.
        let (mut behind, mut ahead) = (0u64, 0u64);
        let (mut now, mut retry_in) = (0, 0);
        for (gap, units, change) in steps {
            let gap = gap.nanos(exact.interval, retry_in);
            now += gap;
            time.advance(ns(gap));
            if let Some(quota) = change {
                limiter.set_quota(quota).unwrap();
                keyed.set_quota(quota).unwrap();
                let from = exact.interval;
                let (forgiven, margin) = exact.set_quota(now, quota);
                let scaled = |nanos: u64| (u128::from(nanos) * u128::from(exact.interval)).div_ceil(u128::from(from)) as u64;
                (behind, ahead) = (scaled(behind) + 1, scaled(ahead) + u64::from(forgiven));
                // What is so close may be judged either way.
                prop_assume!(margin.is_none_or(|margin| margin > i128::from(behind + ahead + 2)));
                continue;
            }
            let (by_global, by_key) = (translated(limiter.try_acquire_n(units)), translated(keyed.try_acquire_n(&1, units)));
            let expected = exact.check(now, units);
            for decision in [by_global, by_key] {
                match (expected, decision) {
                    (Ok(_), Ok(())) => {}
                    (Err(None), Err(None)) => {}
                    (Err(Some(at)), Err(Some(retry_in))) => prop_assert!((at.saturating_sub(ahead)..=at + behind).contains(&retry_in)),
                    (Err(Some(at)), Ok(())) => prop_assert!(at <= ahead, "{} of {}", at, ahead),
                    (Ok(_), Err(Some(retry_in))) => prop_assert!(retry_in <= behind, "{} of {}", retry_in, behind),
                    _ => prop_assert!(false, "{:?} is not {:?}", decision, expected),
                }
            }
            retry_in = by_global.err().flatten().unwrap_or(0);
            if let (Err(Some(at)), true) = (expected, by_global.is_ok() || by_key.is_ok()) {
                // Both take the units within the nanoseconds that were forgiven.
                now += at;
                time.advance(ns(at));
                prop_assert!(by_global.is_ok() || limiter.try_acquire_n(units).is_ok());
                prop_assert!(by_key.is_ok() || keyed.try_acquire_n(&1, units).is_ok());
                exact.take(now, units).unwrap();
                continue;
            }
            if expected.is_ok() {
                exact.take(now, units).unwrap();
                // A limiter that is behind by the rounding admits as soon as that has passed.
                if by_global.is_err() || by_key.is_err() {
                    now += behind;
                    time.advance(ns(behind));
                    prop_assert!(by_global.is_ok() || limiter.try_acquire_n(units).is_ok());
                    prop_assert!(by_key.is_ok() || keyed.try_acquire_n(&1, units).is_ok());
                }
            }
        }
    }
}

// ---- values

#[test]
fn quota_states_its_interval_burst_and_rate() {
    let minute = Duration::from_secs(60);
    for (quota, interval, burst, text) in [
        (Quota::per_second(50), 20_000_000, 50, "50 per 1s, burst 50"),
        (Quota::per_second(3).burst(7), 333_333_334, 7, "3 per 1s, burst 7"),
        (Quota::per_minute(60).burst(1), S, 1, "60 per 60s, burst 1"),
        (Quota::per_hour(1), 3_600 * S, 1, "1 per 3600s, burst 1"),
        (Quota::per_day(24), 3_600 * S, 24, "24 per 86400s, burst 24"),
        (Quota::per(3, ns(10)), 4, 3, "3 per 10ns, burst 3"),
        (Quota::at_most(100, minute), 60 * S / 51 + 1, 50, "at most 100 in any 60s, burst 50"),
        (Quota::at_most(1, minute), 60 * S + 1, 1, "at most 1 in any 60s, burst 1"),
        (Quota::at_most(100, minute).burst(1), 60 * S / 100 + 1, 1, "at most 100 in any 60s, burst 1"),
    ] {
        assert_eq!(quota.interval(), ns(interval), "{quota}");
        assert_eq!(quota.burst_size(), burst, "{quota}");
        assert_eq!(quota.to_string(), text);
        assert_eq!(format!("{quota:?}"), format!("Quota({text})"));
        assert_eq!(quota.fills_in(), ns(interval * u64::from(burst)));
        assert!((quota.rate() - 1e9 / interval as f64).abs() < 1e-6);
        quota.validate().unwrap();
    }
}

#[test]
fn invalid_quota_is_named() {
    let days = |days: u64| Duration::from_secs(86_400 * days);
    let error = |quota: Quota| quota.validate().unwrap_err().to_string();
    let burst = "quota.burst = 3 is not allowed: it must be at most the units of any window";
    for (quota, text) in [
        (Quota::per_second(0), "quota.units = 0 is not allowed: it must be 1 or more"),
        (Quota::per_second(0).burst(5), "quota.units = 0 is not allowed: it must be 1 or more"),
        (Quota::per_second(1).burst(0), "quota.burst = 0 is not allowed: it must be 1 or more"),
        (Quota::at_most(2, days(1)).burst(3), burst),
        (Quota::per(1, Duration::ZERO), "quota.period = 0ns is not allowed: it must be above 0"),
        (
            Quota::per(1, days(209)),
            "quota.period = 18057600s a unit is not allowed: it must be at most 208 days a unit",
        ),
    ] {
        assert_eq!(error(quota), text);
        assert_eq!(RateLimiter::new(quota).unwrap_err().to_string(), text);
        assert_eq!(KeyedRateLimiter::<str>::new(quota).unwrap_err().to_string(), text);
        let live = RateLimiter::new(Quota::per_second(1)).unwrap();
        assert_eq!(live.set_quota(quota).unwrap_err().to_string(), text);
        assert_eq!(live.quota(), Quota::per_second(1), "nothing has changed");
    }
    assert!(error(Quota::per_day(1).burst(27_000)).ends_with("it must be at most 73 years to fill up"));
    assert!(Quota::per(1, Duration::MAX).validate().is_err());
    assert!(Quota::per_day(1).burst(26_000).validate().is_ok());
    // One unit a quarter, and one in half a year.
    for days in [days(92), days(184)] {
        let time = ManualTime::new();
        let builder = KeyedRateLimiter::<str>::builder().quota(Quota::per(1, days)).clock(time.clock());
        let limiter = builder.build().unwrap();
        limiter.check("ann").unwrap();
        assert_eq!(limiter.check("ann").unwrap_err().retry_after(), Some(days));
        time.advance(days);
        limiter.check("ann").unwrap();
    }
}

/// Rejecting every request is better than a decision that never ends.
#[test]
fn invalid_quota_from_a_closure_admits_nothing() {
    let bad = [
        Quota::per_second(0),
        Quota::per_second(0).burst(5),
        Quota::per_second(5).burst(0),
        Quota::per(5, Duration::ZERO),
        Quota::per(1, Duration::from_secs(86_400 * 1_000)),
        Quota::per(1, Duration::MAX),
        Quota::at_most(2, Duration::from_secs(1)).burst(3),
        Quota::at_most(0, Duration::from_secs(1)).burst(1),
        Quota::per_day(1).burst(u32::MAX),
    ];
    let limiter = KeyedRateLimiter::<usize>::builder().quota_of(move |&n| bad[n]).build().unwrap();
    for (key, what) in bad.iter().enumerate() {
        assert_eq!(limiter.try_acquire(&key).unwrap_err().reason(), Reason::TooLarge, "{what}");
        assert_eq!(limiter.try_acquire(&key).unwrap_err().retry_after(), None);
    }
    let share = move |&n: &usize| plimsoll_limit::Share::default().at_most(bad[n]);
    let fair = plimsoll_limit::FairRateLimiter::<usize>::builder().share_of(share).build().unwrap();
    for (key, bad) in bad.iter().enumerate() {
        assert_eq!(fair.try_acquire(&key).unwrap_err().reason(), Reason::TooLarge, "{bad}");
    }
}

/// A closure that states a quota of zero shuts an account out. With its old quota back, the account
/// owes as much as before.
#[test]
fn account_still_owes_after_an_interim_quota_of_zero() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let (time, shut) = (ManualTime::new(), Arc::new(AtomicBool::new(false)));
    let is_shut = shut.clone();
    let quota = Quota::per(1, ns(S)).burst(5_000);
    let limiter = KeyedRateLimiter::<str>::builder()
        .quota_of(move |_| if is_shut.load(Relaxed) { Quota::per_second(0) } else { quota })
        .clock(time.clock())
        .build()
        .unwrap();
    let _ = limiter.try_acquire_n("ann", 5_000).unwrap();
    shut.store(true, Relaxed);
    assert_eq!(limiter.try_acquire("ann").unwrap_err().reason(), Reason::TooLarge);
    shut.store(false, Relaxed);
    assert_eq!(limiter.try_acquire_n("ann", 5_000).unwrap_err().retry_after(), Some(ns(5_000 * S)));
}

#[test]
fn inspect_reads_and_sets_rate_and_burst() {
    let (limiter, time) = limiter(Quota::per_second(10).burst(4));
    let _ = limiter.try_acquire_n(3).unwrap();
    let readings = |limiter: &dyn Inspect| {
        let mut readings = vec![];
        limiter.read(&mut |name, value| readings.push((name, value)));
        readings
    };
    let queue = [("queued", 0.0), ("queue", 1_024.0), ("max_wait", 10.0)];
    let quota = |rate, burst, remaining| [("rate", rate), ("burst", burst), ("remaining", remaining)];
    assert_eq!(readings(&limiter), [&quota(10.0, 4.0, 1.0)[..], &queue].concat());
    limiter.set("rate", 1.0).unwrap();
    limiter.set("burst", 5.0).unwrap();
    assert_eq!(readings(&limiter), [&quota(1.0, 5.0, 2.0)[..], &queue].concat());
    time.advance(Duration::from_secs(1));
    assert_eq!(limiter.remaining(), 3);
    for (setting, value, text) in [
        ("rate", 0.0, "rate = 0 is not allowed: it must be above 0, at most 1e9 units a second"),
        ("rate", 1.1e9, "rate = 1100000000 is not allowed: it must be above 0, at most 1e9 units a second"),
        ("rate", f64::NAN, "rate = NaN is not allowed: it must be above 0, at most 1e9 units a second"),
        ("burst", 0.0, "quota.burst = 0 is not allowed: it must be 1 or more"),
        ("burst", 1.5, "burst = 1.5 is not allowed: it must be a whole number from 0 to 4294967295"),
        ("speed", 1.0, "setting = speed is not allowed: it must be one of rate, burst, queue, max_wait"),
    ] {
        assert_eq!(limiter.set(setting, value).unwrap_err().to_string(), text);
    }
    assert!(limiter.set("rate", 1e-9).is_err(), "a unit in 30 years");
    let keyed = KeyedRateLimiter::<str>::new(Quota::per_second(10)).unwrap();
    assert!(keyed.try_acquire("ann").is_ok());
    let numbers =
        [("rate", 10.0), ("burst", 10.0), ("key_count", 1.0), ("max_keys", 262_144.0), ("overflowed", 0.0)];
    assert_eq!(readings(&keyed), [&numbers[..], &queue].concat());
    let without = TieredRateLimiter::<str>::builder().class(Class::new("free")).build().unwrap();
    assert!(without.set("rate", 1.0).is_err());
    let tiers = TieredRateLimiter::<str>::builder()
        .class(Class::new("free"))
        .global(Quota::per_second(1))
        .build()
        .unwrap();
    tiers.set("rate", 2.0).unwrap();
    assert_eq!(readings(&tiers)[0], ("rate", 2.0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A rate that is read and set again stays as it is. It once fell by up to 3 % each time.
    #[test]
    fn rate_that_is_read_and_set_again_does_not_change(bits in 0..52_u32, nanos in any::<u64>()) {
        let interval = (1 << bits | nanos & ((1 << bits) - 1)).min((1 << 52) - 1);
        let limiter = RateLimiter::new(Quota::per(1, ns(interval))).unwrap();
        limiter.set("rate", limiter.quota().rate()).unwrap();
        prop_assert_eq!(limiter.quota().interval(), ns(interval));
    }

    /// No rate is rounded up.
    #[test]
    fn rate_that_is_set_is_not_exceeded(exponent in -6.0..9.0_f64) {
        check_rate(10_f64.powf(exponent).min(1e9))?;
    }
}

/// Sets a rate. The interval is the shortest one that does not exceed it.
fn check_rate(rate: f64) -> Result<(), TestCaseError> {
    let limiter = RateLimiter::new(Quota::per_second(1)).unwrap();
    limiter.set("rate", rate).unwrap();
    let quota = limiter.quota();
    prop_assert!(quota.rate() <= rate, "{}", rate);
    let faster = 1e9 / (quota.interval().as_nanos() - 1) as f64;
    prop_assert!(faster > rate, "{}", rate);
    Ok(())
}

/// Its interval in nanoseconds is rounded to a whole number, which is a little too short.
#[test]
fn rate_whose_interval_rounds_to_a_whole_number_is_not_exceeded() {
    check_rate(1.745_620_532_084_123_7e-6).unwrap();
}

#[test]
fn invalid_tiers_are_named() {
    let new = TieredRateLimiter::<str>::builder;
    let class = |name: &str| Class::new(name);
    let error =
        |builder: plimsoll_limit::TieredRateLimiterBuilder<str>| builder.build().unwrap_err().to_string();
    assert_eq!(error(new()), "classes = 0 is not allowed: it must be 1 to 511");
    assert!(error(new().class(class(""))).contains("class.name"));
    assert!(error(new().class(class("global"))).contains("class.name"));
    assert!(error(new().class(class("a")).class(class("a"))).contains("given to one class only"));
    assert!(error((0..512).fold(new(), |b, n| b.class(class(&n.to_string())))).contains("1 to 511"));
    assert!(error(new().class(class("a").all(Quota::per_second(0)))).contains("quota.units"));
    assert!(error(new().class(class("a")).max_keys(0)).contains("max_keys"));
    let tiers = new().class(class("a")).build().unwrap();
    assert!(tiers.assign("ann", "b").is_err());
    assert!(tiers.set_each("a", Quota::per_second(1)).is_err(), "it was built without that quota");
    assert!(tiers.set_all("a", Quota::per_second(1)).is_err());
    assert!(tiers.set_global(Quota::per_second(1)).is_err());
    assert!(tiers.assign_quota("ann", Quota::per_second(0)).is_err());
}

/// A charge that was packed into words is refunded in full, as one that was not.
#[test]
fn packed_charge_is_refunded_in_full() {
    let (limiter, time) = limiter(Quota::per_second(10).burst(10));
    time.advance_to(Instant::from_nanos(123_456_789_012_345));
    for pack in [false, true] {
        let charge = plimsoll_core::Gate::admit(&limiter, "request").unwrap();
        assert_eq!(limiter.remaining(), 9);
        let charge = if pack {
            let words = charge.pack();
            assert_ne!(words[1], u64::MAX);
            Charge::unpack(words)
        } else {
            charge
        };
        limiter.refund(charge);
        limiter.check_n(10).unwrap();
        time.advance(Duration::from_secs(1));
    }
    // The charge of a tiered limiter keeps its class and its entry.
    let tiers = TieredRateLimiter::<str>::builder()
        .class(Class::new("free"))
        .class(Class::new("premium").each(Quota::per_second(1)).all(Quota::per_second(1)))
        .class_of(|_| "premium")
        .clock(time.clock())
        .build()
        .unwrap();
    let gate = plimsoll_core::Packed(tiers.by_ref(|name: &&'static str| *name));
    for _ in 0..3 {
        let words = plimsoll_core::Gate::admit(&gate, &"ann").unwrap();
        assert!(tiers.try_acquire("ann").is_err());
        gate.refund(words);
    }
}

#[cfg(feature = "serde")]
mod settings {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn quota_round_trips_through_json(quota in quota()) {
            let json = serde_json::to_string(&quota).unwrap();
            prop_assert_eq!(serde_json::from_str::<Quota>(&json).unwrap(), quota, "{}", json);
        }
    }

    #[test]
    fn quota_is_read_from_json() {
        for (json, quota) in [
            (r#"{"per_second":50}"#, Quota::per_second(50)),
            (r#"{"per_second":50,"burst":100}"#, Quota::per_second(50).burst(100)),
            (r#"{"per_minute":5}"#, Quota::per_minute(5)),
            (r#"{"per_hour":5}"#, Quota::per_hour(5)),
            (r#"{"per_day":5}"#, Quota::per_day(5)),
            (r#"{"units":3,"seconds":0.5}"#, Quota::per(3, Duration::from_millis(500))),
            (r#"{"at_most":100,"seconds":60}"#, Quota::at_most(100, Duration::from_secs(60))),
        ] {
            assert_eq!(serde_json::from_str::<Quota>(json).unwrap(), quota);
        }
        assert_eq!(serde_json::to_string(&Quota::per_second(5)).unwrap(), r#"{"per_second":5,"burst":5}"#);
        let class = Class::new("free").each(Quota::per_second(5));
        let json = serde_json::to_string(&class).unwrap();
        assert_eq!(json, r#"{"name":"free","each":{"per_second":5,"burst":5}}"#);
        assert_eq!(serde_json::from_str::<Class>(&json).unwrap(), class);
    }

    #[test]
    fn invalid_quota_in_json_is_named() {
        for (json, text) in [
            (r#"{}"#, "0 rates"),
            (r#"{"burst":5}"#, "0 rates"),
            (r#"{"per_second":5,"per_day":5}"#, "2 rates"),
            (r#"{"units":5}"#, "quota.seconds = nothing"),
            (r#"{"per_second":5,"seconds":1}"#, "quota.seconds = 1 "),
            (r#"{"units":5,"seconds":-1}"#, "quota.seconds = -1 "),
            (r#"{"units":5,"seconds":0}"#, "quota.period = 0ns"),
            (r#"{"per_second":0}"#, "quota.units = 0"),
            (r#"{"per_second":5,"burst":0}"#, "quota.burst = 0"),
            (r#"{"at_most":2,"seconds":1,"burst":3}"#, "quota.burst = 3"),
            (r#"{"per_second":5,"brust":5}"#, "unknown field"),
        ] {
            let error = serde_json::from_str::<Quota>(json).unwrap_err().to_string();
            assert!(error.contains(text), "{json}: {error}");
        }
    }
}
