//! A quota that is lowered in an incident must not be an outage, and one that is raised must not
//! let a burst through that no quota allowed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::ManualTime;
use plimsoll_limit::{Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

/// Advances time until a request is admitted. Returns how long that took, rounded up to a
/// microsecond: what is forgiven is a nanosecond more if the fill time stays the same.
#[track_caller]
fn first_wait(time: &ManualTime, check: impl Fn() -> Result<(), plimsoll_core::Rejected>) -> Duration {
    let start = time.clock().now();
    for _ in 0..100 {
        match check() {
            Ok(()) => {
                let waited = time.clock().now().since(start).as_nanos() as u64;
                return Duration::from_micros(waited.div_ceil(1_000));
            }
            Err(rejected) => time.advance(rejected.retry_after().unwrap()),
        }
    }
    panic!("never admitted");
}

/// Counts the requests that are admitted now.
fn now(check: impl Fn() -> Result<(), plimsoll_core::Rejected>) -> u32 {
    (0..10_000).take_while(|_| check().is_ok()).count() as u32
}

/// 1,000 units a second were lowered to 10 a second in an incident. The units owed were kept beyond
/// the new burst, and no request at all was admitted for 99 s.
#[test]
fn lowered_global_quota_waits_no_longer_than_it_fills() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(Quota::per_second(1_000)).clock(time.clock()).build().unwrap();
    limiter.check_n(1_000).unwrap();
    limiter.set_quota(Quota::per_second(10)).unwrap();
    assert_eq!(limiter.remaining(), 0);
    assert_eq!(first_wait(&time, || limiter.check()), S / 10);
    assert_eq!(now(|| limiter.check()), 0);
    // Only the burst is lowered.
    let limiter = RateLimiter::builder().quota(Quota::per_second(10).burst(100)).clock(time.clock());
    let limiter = limiter.build().unwrap();
    limiter.check_n(100).unwrap();
    limiter.set_quota(Quota::per_second(10).burst(1)).unwrap();
    assert_eq!(first_wait(&time, || limiter.check()), S / 10);
}

/// 1,000 units an hour were lowered to 10 an hour: an account was refused for 99 hours.
#[test]
fn lowered_account_quota_waits_no_longer_than_it_fills() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder().quota(Quota::per_hour(1_000)).clock(time.clock());
    let limiter = limiter.build().unwrap();
    limiter.check_n(&1, 1_000).unwrap();
    limiter.set_quota(Quota::per_hour(10)).unwrap();
    assert_eq!(first_wait(&time, || limiter.check(&1)), 360 * S);
    // The same where a closure states the quotas.
    for small in [Quota::per_hour(10), Quota::per_hour(1_000).burst(1)] {
        let slow = Arc::new(AtomicBool::new(false));
        let is_slow = slow.clone();
        let limiter = KeyedRateLimiter::<u64>::builder()
            .quota_of(move |_| if is_slow.load(Relaxed) { small } else { Quota::per_hour(1_000) })
            .clock(time.clock())
            .build()
            .unwrap();
        limiter.check_n(&1, 1_000).unwrap();
        slow.store(true, Relaxed);
        assert!(first_wait(&time, || limiter.check(&1)) <= small.fills_in(), "{small}");
    }
}

/// A premium account of 6,000 a minute was downgraded to 10 a minute and refused for 10 hours.
#[test]
fn downgraded_account_waits_no_longer_than_its_quota_fills() {
    let (premium, free) = (Quota::per_minute(6_000), Quota::per_minute(10));
    let tiered = |time: &ManualTime| {
        TieredRateLimiter::<u64>::builder()
            .class(Class::new("premium").each(premium))
            .class(Class::new("free").each(free))
            .class(Class::new("slow").each(premium.burst(1)))
            .clock(time.clock())
            .build()
            .unwrap()
    };
    type Change = fn(&TieredRateLimiter<u64>);
    let changes: [(Change, Duration); 5] = [
        (|limiter| limiter.assign(&1, "free").unwrap(), 6 * S),
        (|limiter| limiter.assign(&1, "slow").unwrap(), S / 100),
        (|limiter| limiter.assign_quota(&1, Quota::per_minute(10)).unwrap(), 6 * S),
        (|limiter| limiter.set_each("premium", Quota::per_minute(10)).unwrap(), 6 * S),
        (|limiter| limiter.set_each("premium", Quota::per_minute(6_000).burst(1)).unwrap(), S / 100),
    ];
    for (n, (change, wait)) in changes.into_iter().enumerate() {
        let time = ManualTime::new();
        let limiter = tiered(&time);
        limiter.check_n(&1, 6_000).unwrap();
        change(&limiter);
        assert_eq!(limiter.remaining(&1), 0);
        assert_eq!(first_wait(&time, || limiter.check(&1)), wait, "change {n}");
    }
    // Of the limits that accounts share.
    let time = ManualTime::new();
    let limiter = TieredRateLimiter::<u64>::builder()
        .global(premium)
        .class(Class::new("free").all(premium))
        .clock(time.clock())
        .build()
        .unwrap();
    limiter.check_n(&1, 6_000).unwrap();
    limiter.set_global(free).unwrap();
    limiter.set_all("free", free).unwrap();
    assert_eq!(first_wait(&time, || limiter.check(&1)), 6 * S);
}

/// The shared quota of a fair limiter was refused to everybody for 99 s.
#[test]
fn lowered_fair_quota_waits_no_longer_than_it_fills() {
    let time = ManualTime::new();
    let limiter = FairRateLimiter::<u64>::builder().quota(Quota::per_second(1_000)).clock(time.clock());
    let limiter = limiter.build().unwrap();
    limiter.check_n(&1, 1_000).unwrap();
    limiter.set_quota(Quota::per_second(10)).unwrap();
    let waited = (0..).take_while(|_| {
        time.advance(S / 100);
        limiter.check(&2).is_err()
    });
    assert!(waited.take(1_000).count() < 100);
}

/// A controller lowers and raises a rate again and again. What lowering has forgiven must not come
/// back with each raise.
#[test]
fn quota_changed_to_and_fro_admits_no_further_burst() {
    let time = ManualTime::new();
    let (high, low) = (Quota::per_second(1_000), Quota::per_second(10));
    let global = RateLimiter::builder().quota(high).clock(time.clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<u64>::builder().quota(high).clock(time.clock()).build().unwrap();
    let tiered = TieredRateLimiter::<u64>::builder().global(high).class(Class::new("all"));
    let tiered = tiered.clock(time.clock()).build().unwrap();
    let mut admitted = [0; 3];
    for _ in 0..10 {
        admitted[0] += now(|| global.check());
        admitted[1] += now(|| keyed.check(&1));
        admitted[2] += now(|| tiered.check(&1));
        for quota in [low, Quota::per_second(500), high] {
            global.set_quota(quota).unwrap();
            keyed.set_quota(quota).unwrap();
            tiered.set_global(quota).unwrap();
        }
    }
    assert_eq!(admitted, [1_000; 3]);
    // What a raise adds to the highest quota so far can be taken at once.
    global.set_quota(Quota::per_second(1_200)).unwrap();
    assert_eq!(now(|| global.check()), 200);
    // When the high quota would have filled up, nothing is withheld any more.
    global.set_quota(low).unwrap();
    time.advance(2 * S);
    global.set_quota(high).unwrap();
    assert_eq!(now(|| global.check()), 1_000);
}

/// An operator lowered 1,000 a day by mistake, and took it back. Every known account lost 990 units
/// for a day, even one that had sent a single request.
#[test]
fn lowering_by_mistake_takes_nothing_from_light_accounts() {
    let time = ManualTime::new();
    let high = Quota::per_day(1_000);
    let global = RateLimiter::builder().quota(high).clock(time.clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<u64>::builder().quota(high).clock(time.clock()).build().unwrap();
    let tiered = TieredRateLimiter::<u64>::builder().global(high).class(Class::new("all"));
    let tiered = tiered.clock(time.clock()).build().unwrap();
    time.advance(100_000 * S);
    global.check().unwrap();
    tiered.check(&1).unwrap();
    keyed.check(&1).unwrap(); // light
    keyed.check_n(&2, 1_000).unwrap(); // heavy
    for low in [Quota::per_day(10), high.burst(10)] {
        global.set_quota(low).unwrap();
        keyed.set_quota(low).unwrap();
        tiered.set_global(low).unwrap();
        // Before it is taken back, each account sends a request if it can.
        let _ = (global.check(), tiered.check(&1), keyed.check(&1), keyed.check(&2));
        time.advance(60 * S);
        global.set_quota(high).unwrap();
        keyed.set_quota(high).unwrap();
        tiered.set_global(high).unwrap();
    }
    let left = [global.remaining(), tiered.remaining(&1), keyed.remaining(&1), keyed.remaining(&2)];
    assert!(left[..3].iter().all(|left| *left >= 996), "{left:?}");
    assert!(left[3] <= 2, "{left:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

    /// However a quota is changed, the limiter admits no more in any span than the largest of its
    /// quotas would have, and nobody waits longer than the present one takes to fill up.
    #[test]
    fn changed_quotas_admit_no_more_than_the_largest(
        quotas in prop::collection::vec((1..200u32, 1..100u32), 2..6),
        steps in prop::collection::vec((0..300u64, 1..4u32, prop::option::weighted(0.15, any::<usize>())), 1..200),
    ) {
        let quotas: Vec<_> = quotas.into_iter().map(|(rate, burst)| Quota::per_second(rate).burst(burst)).collect();
        let time = ManualTime::new();
        let global = RateLimiter::builder().quota(quotas[0]).clock(time.clock()).build().unwrap();
        let keyed = KeyedRateLimiter::<u64>::builder().max_keys(8).quota(quotas[0]).clock(time.clock()).build().unwrap();
        let burst = quotas.iter().map(Quota::burst_size).max().unwrap();
        let interval = quotas.iter().map(Quota::interval).min().unwrap().as_nanos();
        let mut admitted = [vec![], vec![]];
        for (millis, units, change) in steps {
            time.advance(Duration::from_millis(millis));
            if let Some(n) = change {
                let quota = quotas[n % quotas.len()];
                global.set_quota(quota).unwrap();
                keyed.set_quota(quota).unwrap();
                let wait = |check: Result<(), plimsoll_core::Rejected>| {
                    check.err().map_or(Duration::ZERO, |rejected| rejected.retry_after().unwrap())
                };
                let at = time.clock().now().as_nanos();
                let decisions = [global.check(), keyed.check(&1)];
                for (admitted, decision) in admitted.iter_mut().zip(decisions) {
                    if decision.is_ok() { admitted.push((at, 1u64)) }
                    prop_assert!(wait(decision) <= quota.fills_in());
                }
            }
            let at = time.clock().now().as_nanos();
            if global.check_n(units).is_ok() { admitted[0].push((at, u64::from(units))) }
            if keyed.check_n(&1, units).is_ok() { admitted[1].push((at, u64::from(units))) }
        }
        for admitted in &admitted {
            for (first, (from, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for (to, units) in &admitted[first..] {
                    sum += units;
                    let bound = u128::from(burst) + u128::from(to - from) / interval;
                    prop_assert!(u128::from(sum) <= bound, "{} of {} in {} ns", sum, bound, to - from);
                }
            }
        }
    }
}
