//! Changes settings while a limiter runs, and checks what they change and what stays as it is.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Inspect, ManualTime, Reason};
use plimsoll_limit::{Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
use std::time::Duration;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

const S: Duration = Duration::from_secs(1);
const QUOTA: Quota = Quota::per_second(10).burst(100);

fn keyed(time: &ManualTime) -> KeyedRateLimiter<u64> {
    KeyedRateLimiter::builder().quota(QUOTA).max_keys(64).clock(time.clock()).build().unwrap()
}

fn tiered(time: &ManualTime) -> TieredRateLimiter<u64> {
    TieredRateLimiter::builder()
        .global(Quota::per_second(40).burst(400))
        .class(Class::new("free").each(QUOTA).all(Quota::per_second(20).burst(200)))
        .class(Class::new("premium"))
        .max_keys(64)
        .clock(time.clock())
        .build()
        .unwrap()
}

fn fair(time: &ManualTime) -> FairRateLimiter<u64> {
    let builder = FairRateLimiter::builder().quota(Quota::per_second(1_000).burst(100)).max_keys(64);
    builder.clock(time.clock()).dice(Dice::seeded(1)).build().unwrap()
}

fn read(limiter: &dyn Inspect, name: &str) -> Option<f64> {
    let mut found = None;
    limiter.read(&mut |reading, value| {
        if reading == name {
            found = Some(value);
        }
    });
    found
}

/// Counts the requests that are admitted in a row.
fn admitted(check: impl Fn() -> bool) -> u32 {
    (0..10_000).take_while(|_| check()).count() as u32
}

#[test]
fn keyed_quota_changes_for_known_and_new_accounts() {
    let time = ManualTime::new();
    let limiter = keyed(&time);
    limiter.check_n(&1, 60).unwrap();
    limiter.set_quota(Quota::per_second(100).burst(80)).unwrap();
    assert_eq!(limiter.quota(), Quota::per_second(100).burst(80));
    // The 60 units stay charged.
    assert_eq!(admitted(|| limiter.check(&1).is_ok()), 20);
    assert_eq!(admitted(|| limiter.check(&2).is_ok()), 80);
    time.advance(S / 10);
    assert_eq!(admitted(|| limiter.check(&1).is_ok()), 10, "the new rate");
    assert!(limiter.set_quota(Quota::per_second(0)).is_err());
    assert_eq!(limiter.quota(), Quota::per_second(100).burst(80));
}

/// The change was once accepted, although the common quota applies to no account then.
#[test]
fn common_quota_of_quotas_by_closure_cannot_be_changed() {
    let time = ManualTime::new();
    let limiter = KeyedRateLimiter::<u64>::builder().quota_of(|_| QUOTA).clock(time.clock());
    let limiter = limiter.build().unwrap();
    limiter.check_n(&1, 100).unwrap();
    let (quota, error) = (limiter.quota(), limiter.set_quota(Quota::per_second(1_000)).unwrap_err());
    assert_eq!((error.field(), limiter.quota()), ("quota", quota));
    assert!(error.to_string().ends_with("left unchanged, because a closure states the quotas"), "{error}");
    assert_eq!(admitted(|| limiter.check(&2).is_ok()), 100);
    time.advance(S);
    assert_eq!(admitted(|| limiter.check(&1).is_ok()), 10);
}

/// An operator once changed a quota that applied to no key, and read it back.
#[test]
fn inspect_has_no_rate_and_burst_of_quotas_by_closure() {
    let limiter = KeyedRateLimiter::<u64>::builder().quota_of(|_| QUOTA).build().unwrap();
    assert_eq!((read(&limiter, "rate"), read(&limiter, "burst")), (None, None));
    for setting in ["rate", "burst"] {
        let message = format!(
            "{setting} = 1 is not allowed: it must be left unchanged, because a closure states the quotas"
        );
        assert_eq!(limiter.set(setting, 1.0).unwrap_err().to_string(), message);
    }
    let message = "setting = speed is not allowed: it must be one of queue, max_wait";
    assert_eq!(limiter.set("speed", 1.0).unwrap_err().to_string(), message);
    limiter.set("queue", 7.0).unwrap();
    assert_eq!(read(&limiter, "queue"), Some(7.0));
}

/// A table has whole sets of eight entries, at least `max_keys` of them, and never grows.
#[test]
fn max_keys_is_rounded_up_to_eight_and_does_not_grow() {
    for (set, rounded) in [(1, 8), (8, 8), (9, 16), (64, 64)] {
        let keyed = KeyedRateLimiter::<u64>::builder().max_keys(set).build().unwrap();
        let class = Class::new("free").each(QUOTA);
        let tiered = TieredRateLimiter::<u64>::builder().class(class).max_keys(set).build().unwrap();
        let fair = FairRateLimiter::<u64>::builder().max_keys(set).build().unwrap();
        assert_eq!([keyed.max_keys(), tiered.max_keys(), fair.max_keys()], [rounded; 3]);
        for key in 0..200 {
            let _ = (keyed.check(&key), tiered.check(&key), fair.check(&key));
        }
        assert_eq!([keyed.max_keys(), tiered.max_keys(), fair.max_keys()], [rounded; 3]);
        for (count, overflowed) in [
            (keyed.key_count(), keyed.overflowed()),
            (tiered.key_count(), tiered.overflowed()),
            (fair.key_count(), fair.overflowed()),
        ] {
            assert!(count <= rounded && overflowed > 0, "{count} of {rounded}, {overflowed} overflowed");
        }
        assert_eq!(read(&keyed, "key_count"), Some(keyed.key_count() as f64));
        assert_eq!(read(&keyed, "overflowed"), Some(keyed.overflowed() as f64));
    }
}

/// A fair limiter once counted every new account as overflowed, although entries were free.
#[test]
fn new_accounts_with_an_entry_are_not_counted_as_overflowed() {
    let time = ManualTime::new();
    let (keyed, tiered, fair) = (keyed(&time), tiered(&time), fair(&time));
    for key in 0..10 {
        assert!(keyed.check(&key).is_ok() && tiered.check(&key).is_ok() && fair.check(&key).is_ok());
    }
    assert_eq!([keyed.key_count(), tiered.key_count(), fair.key_count()], [10; 3]);
    assert_eq!([keyed.overflowed(), tiered.overflowed(), fair.overflowed()], [0; 3]);
}

#[test]
fn tiered_quotas_change_one_tier_each() {
    let time = ManualTime::new();
    let limiter = tiered(&time);
    limiter.check_n(&1, 60).unwrap();
    assert_eq!(limiter.remaining(&1), 40, "the account's quota");
    limiter.set_each("free", Quota::per_second(10).burst(300)).unwrap();
    assert_eq!(limiter.remaining(&1), 140, "the quota of the class");
    limiter.set_all("free", Quota::per_second(20).burst(500)).unwrap();
    assert_eq!(limiter.remaining(&1), 240, "the account's quota");
    limiter.set_each("free", Quota::per_second(10).burst(900)).unwrap();
    assert_eq!(limiter.remaining(&1), 340, "the global quota");
    limiter.set_global(Quota::per_second(40).burst(900)).unwrap();
    assert_eq!(limiter.remaining(&1), 440, "the quota of the class");
    assert_eq!(limiter.global(), Some(Quota::per_second(40).burst(900)));
    let free = Class::new("free").each(Quota::per_second(10).burst(900));
    let classes = vec![free.all(Quota::per_second(20).burst(500)), Class::new("premium")];
    assert_eq!(limiter.classes(), classes);
    // An account in the other class has the global quota only.
    limiter.assign(&2, "premium").unwrap();
    assert_eq!(limiter.remaining(&2), 840);
    // A new rate holds from now on.
    limiter.set_all("free", Quota::per_second(50).burst(500)).unwrap();
    assert_eq!(admitted(|| limiter.check(&1).is_ok()), 440);
    time.advance(S);
    assert_eq!(admitted(|| limiter.check(&3).is_ok()), 50);
    // `Inspect` changes the global quota.
    limiter.set("burst", 1_000.0).unwrap();
    limiter.set("rate", 100.0).unwrap();
    assert_eq!((read(&limiter, "burst"), read(&limiter, "rate")), (Some(1_000.0), Some(100.0)));
}

#[test]
fn tiered_quota_that_is_absent_or_invalid_is_rejected() {
    let limiter = tiered(&ManualTime::new());
    for (changed, message) in [
        (limiter.set_each("premium", QUOTA), "each = 10 per 1s, burst 100 is not allowed"),
        (limiter.set_all("premium", QUOTA), "all = 10 per 1s, burst 100 is not allowed"),
        (limiter.set_each("gold", QUOTA), "class = gold is not allowed"),
        (limiter.assign(&1, "gold"), "class = gold is not allowed"),
        (limiter.set_each("free", Quota::per_second(0)), "quota.units = 0 is not allowed"),
        (limiter.set_all("free", Quota::per_second(0)), "quota.units = 0 is not allowed"),
        (limiter.set_global(Quota::per_second(0)), "quota.units = 0 is not allowed"),
        (limiter.assign_quota(&1, Quota::per_second(0)), "quota.units = 0 is not allowed"),
    ] {
        let error = changed.unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    assert_eq!(limiter.remaining(&1), 100, "nothing has changed");
    assert_eq!(read(&limiter, "assigned"), Some(0.0));
}

#[test]
fn assigned_quota_replaces_that_of_the_class_until_unassigned() {
    let time = ManualTime::new();
    let limiter = tiered(&time);
    limiter.check_n(&1, 60).unwrap();
    limiter.assign_quota(&1, Quota::per_second(10).burst(150)).unwrap();
    assert_eq!((limiter.remaining(&1), limiter.remaining(&2)), (90, 100));
    // A change of the class keeps the assigned quota.
    limiter.assign(&1, "premium").unwrap();
    assert_eq!((limiter.remaining(&1), read(&limiter, "assigned")), (90, Some(1.0)));
    limiter.unassign(&1);
    assert_eq!((limiter.remaining(&1), read(&limiter, "assigned")), (40, Some(0.0)));
}

#[test]
fn fair_quota_changes_the_shared_rate() {
    let time = ManualTime::new();
    let limiter = fair(&time);
    limiter.check_n(&1, 100).unwrap();
    limiter.set_quota(Quota::per_second(100).burst(50)).unwrap();
    assert_eq!(limiter.quota(), Quota::per_second(100).burst(50));
    // The 100 units stay charged as far as the burst is now: 50 of them.
    time.advance(S / 101);
    assert_eq!(limiter.try_acquire(&2).unwrap_err().reason(), Reason::Throttled);
    time.advance(S / 2);
    assert!(limiter.try_acquire(&2).is_ok());
    assert!(limiter.set_quota(Quota::per_second(100).burst(1)).is_err());
    assert_eq!(limiter.quota(), Quota::per_second(100).burst(50));
    limiter.set("burst", 60.0).unwrap();
    assert_eq!(limiter.quota().burst_size(), 60);
    assert!(limiter.set("burst", 1.0).is_err());
}

/// Ten accounts request twice the rate, and new accounts the rate. If the tail is half of the rate,
/// more than four times as many new accounts are admitted.
#[test]
fn fair_tail_changes_the_share_of_new_accounts() {
    let share = |tail: Option<f64>| {
        let time = ManualTime::new();
        let builder = FairRateLimiter::<u64>::builder().quota(Quota::per_second(1_000).burst(100));
        let limiter = builder.clock(time.clock()).dice(Dice::seeded(1)).build().unwrap();
        let (mut new, mut known) = (0_u32, 0_u32);
        for n in 0..12_000_u64 {
            time.advance(S / 2_000);
            let is_known = limiter.check(&(n % 10)).is_ok();
            if n == 4_000
                && let Some(tail) = tail
            {
                limiter.set_tail(tail).unwrap();
            }
            if n > 6_000 {
                known += u32::from(is_known);
                new += u32::from(limiter.check(&(1_000_000 + n)).is_ok());
            }
        }
        f64::from(new) / f64::from(new + known)
    };
    let (small, large) = (share(None), share(Some(0.5)));
    assert!((0.02..0.1).contains(&small), "{small}");
    assert!(large > 4.0 * small, "{large} against {small}");
}

#[test]
fn fair_tail_out_of_range_is_rejected_and_changes_nothing() {
    let limiter = fair(&ManualTime::new());
    assert_eq!((limiter.tail(), read(&limiter, "tail")), (0.05, Some(0.05)));
    limiter.set_tail(1.0).unwrap();
    assert_eq!(limiter.tail(), 1.0);
    limiter.set("tail", 0.25).unwrap();
    assert_eq!((limiter.tail(), read(&limiter, "tail")), (0.25, Some(0.25)));
    for invalid in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        let message = format!("tail = {invalid} is not allowed: it must be above 0.0, at most 1.0");
        assert_eq!(limiter.set_tail(invalid).unwrap_err().to_string(), message);
        assert_eq!(limiter.set("tail", invalid).unwrap_err().to_string(), message);
    }
    assert_eq!(limiter.tail(), 0.25);
}

#[test]
fn fair_share_falls_while_units_are_short_and_rises_again() {
    let time = ManualTime::new();
    let limiter = fair(&time);
    let idle = limiter.fair_share();
    assert_eq!(read(&limiter, "fair_share"), Some(idle));
    for n in 0..4_000_u64 {
        time.advance(S / 2_000);
        drop(limiter.try_acquire(&(n % 10)));
    }
    let contended = limiter.fair_share();
    assert!((50.0..200.0).contains(&contended), "ten accounts at 1,000 a second: {contended}");
    for _ in 0..1_000 {
        time.advance(S / 1_000);
        limiter.check_n(&1, 0).unwrap();
    }
    assert_eq!(limiter.fair_share(), 16_000.0);
}

#[test]
fn absent_quotas_of_a_tiered_limiter_stay_absent() {
    let one = Quota::per_second(1);
    let limiter = TieredRateLimiter::<u64>::builder().class(Class::new("free")).build().unwrap();
    for (setting, error, built) in [
        ("global", limiter.set_global(one), "limiter"),
        ("each", limiter.set_each("free", one), "class"),
        ("all", limiter.set_all("free", one), "class"),
    ] {
        let message = format!(
            "{setting} = 1 per 1s, burst 1 is not allowed: it must be absent, as the {built} was built without one"
        );
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

/// Every limiter has these settings, by its own setters and by `Inspect`.
#[test]
fn queue_settings_apply_to_later_requests() {
    let time = ManualTime::new();
    let one = Quota::per_second(1).burst(2);
    let global = RateLimiter::builder().quota(one).clock(time.clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<u64>::builder().quota(one).clock(time.clock()).build().unwrap();
    let class = Class::new("free").each(one);
    let tiered = TieredRateLimiter::<u64>::builder().class(class).clock(time.clock()).build().unwrap();
    let fair = FairRateLimiter::<u64>::builder().quota(one).clock(time.clock()).build().unwrap();

    macro_rules! check {
        ($limiter:expr, $($key:expr)?) => {{
            let limiter = $limiter;
            assert_eq!((limiter.queue_limit(), limiter.max_wait()), (1_024, 10 * S));
            while limiter.try_acquire($($key)?).is_ok() {}
            // One request may wait. When `queue` and `max_wait` are set to 0, it keeps its place
            // and the wait that it was allowed when it came.
            limiter.set_queue(1).unwrap();
            assert_eq!((limiter.queue_limit(), read(limiter, "queue")), (1, Some(1.0)));
            let mut waiter = spawn(limiter.acquire($($key)?));
            assert_pending!(waiter.poll());
            let rejected = assert_ready!(spawn(limiter.acquire($($key)?)).poll()).map(drop).unwrap_err();
            assert_eq!((rejected.reason(), rejected.limit()), (Reason::Full, Some(1)));
            limiter.set("queue", 0.0).unwrap();
            limiter.set("max_wait", 0.0).unwrap();
            assert_eq!((limiter.queue_limit(), limiter.max_wait()), (0, Duration::ZERO));
            assert!(limiter.set("queue", 1.0).is_err(), "a queue needs a max_wait");
            assert_eq!(limiter.queue_limit(), 0);
            assert_eq!((limiter.queued(), read(limiter, "queued")), (1, Some(1.0)));
            limiter.set("max_wait", 0.5).unwrap();
            limiter.set_queue(8).unwrap();
            assert_eq!((limiter.max_wait(), read(limiter, "max_wait")), (S / 2, Some(0.5)));
            time.advance(9 * S);
            let permit = assert_ready!(waiter.poll());
            assert!(permit.is_ok());
            assert_eq!(limiter.queued(), 0);
            for (setting, value, message) in [
                ("queue", 1.5, "queue = 1.5 is not allowed: it must be a whole number from 0 to 4294967295"),
                ("queue", 3e9, "queue = 3000000000 is not allowed: it must be 0 to 2147483647"),
                ("max_wait", -1.0, "max_wait = -1 is not allowed: it must be a number of seconds, at least 0 and below 2⁶⁴"),
            ] {
                assert_eq!(limiter.set(setting, value).unwrap_err().to_string(), message);
            }
            assert!(limiter.set("speed", 1.0).unwrap_err().to_string().contains("queue, max_wait"));
        }};
    }
    check!(&global,);
    check!(&keyed, &1);
    check!(&tiered, &1);
    check!(&fair, &1);
}

/// A request that would wait longer than the new `max_wait` is rejected at once.
#[test]
fn shorter_max_wait_rejects_later_requests_at_once() {
    let limiter = keyed(&ManualTime::new());
    limiter.check_n(&1, 100).unwrap();
    let mut waiter = spawn(limiter.acquire_n(&1, 5));
    assert_pending!(waiter.poll());
    drop(waiter);
    limiter.set_max_wait(S / 4).unwrap();
    let rejected = assert_ready!(spawn(limiter.acquire_n(&1, 5)).poll()).map(drop).unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Limited, Some(S / 2)));
}
