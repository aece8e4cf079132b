//! Checks the reason of each rejection: `Limited` for a quota of the account's own, `Throttled` for
//! one that it shares.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Gate, KeyedExt, ManualTime, Permit, Reason, Rejected};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter, WhenFull,
};
use std::future::Future;
use std::time::Duration;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

const LARGE: Quota = Quota::per_hour(1_000);
const SMALL: Quota = Quota::per_hour(2);

/// Returns the name and the reason of a rejection.
fn rejection<T>(decision: Result<T, Rejected>) -> (&'static str, Reason) {
    let rejected = decision.map(drop).unwrap_err();
    (rejected.by(), rejected.reason())
}

/// Returns the name and the reason with which a caller is rejected that was ready to wait.
fn waiting_rejection<T>(acquire: impl Future<Output = Result<Permit<T>, Rejected>>) -> (&'static str, Reason)
where
    T: plimsoll_core::Settle,
{
    rejection(assert_ready!(spawn(acquire).poll()))
}

fn global(quota: Quota) -> RateLimiter {
    RateLimiter::builder().quota(quota).clock(ManualTime::new().clock()).build().unwrap()
}

fn keyed(quota: Quota) -> KeyedRateLimiter<u64> {
    KeyedRateLimiter::builder().quota(quota).clock(ManualTime::new().clock()).build().unwrap()
}

/// Creates the tiers "api/free/account", "api/free" and "api/global".
fn tiered(account: Quota, class: Quota, global: Quota) -> TieredRateLimiter<u64> {
    TieredRateLimiter::builder()
        .name("api")
        .global(global)
        .class(Class::new("free").each(account).all(class))
        .clock(ManualTime::new().clock())
        .build()
        .unwrap()
}

fn fair(quota: Quota) -> FairRateLimiter<u64> {
    FairRateLimiter::builder().quota(quota).clock(ManualTime::new().clock()).build().unwrap()
}

/// Returns a fair limiter of which ten accounts, 0 to 9, have requested twice the rate for 2 s.
fn contended_fair() -> (FairRateLimiter<u64>, ManualTime) {
    let time = ManualTime::new();
    let builder = FairRateLimiter::<u64>::builder().quota(Quota::per_second(1_000).burst(100));
    let limiter = builder.clock(time.clock()).build().unwrap();
    for n in 0..4_000 {
        time.advance(Duration::from_micros(500));
        drop(limiter.try_acquire(&(n % 10)));
    }
    (limiter, time)
}

#[test]
fn global_limiter_throttles() {
    let limiter = global(SMALL);
    limiter.check_n(2).unwrap();
    assert_eq!(rejection(limiter.try_acquire()), ("limit", Reason::Throttled));
    assert_eq!(rejection(limiter.try_acquire_owned()), ("limit", Reason::Throttled));
    assert_eq!(rejection(limiter.try_acquire_n(2)), ("limit", Reason::Throttled));
    assert_eq!(rejection(limiter.try_acquire_n(3)), ("limit", Reason::TooLarge));
    assert_eq!(waiting_rejection(limiter.acquire()), ("limit", Reason::Throttled));
}

#[test]
fn keyed_limiter_limits_the_account_alone() {
    let by_closure = KeyedRateLimiter::builder().quota_of(|_| SMALL).clock(ManualTime::new().clock());
    for limiter in [keyed(SMALL), by_closure.build().unwrap()] {
        limiter.check_n(&1, 2).unwrap();
        assert_eq!(rejection(limiter.try_acquire(&1)), ("accounts", Reason::Limited));
        assert_eq!(rejection(limiter.try_acquire_owned(&1)), ("accounts", Reason::Limited));
        assert_eq!(rejection(limiter.try_acquire_n(&1, 2)), ("accounts", Reason::Limited));
        assert_eq!(rejection(limiter.try_acquire_n(&1, 3)), ("accounts", Reason::TooLarge));
        assert_eq!(waiting_rejection(limiter.acquire(&1)), ("accounts", Reason::Limited));
        assert!(limiter.try_acquire(&2).is_ok());
    }
}

/// An account for which there is no room is rejected because of others. Its rejection once said
/// that it had exceeded a quota of its own.
#[test]
fn lack_of_room_throttles() {
    let time = ManualTime::new();
    time.advance(Duration::from_secs(1));
    let class = Class::new("free").each(SMALL);
    let tiered =
        TieredRateLimiter::<u64>::builder().name("api").class(class).max_keys(8).when_full(WhenFull::Reject);
    let keyed = KeyedRateLimiter::<u64>::builder()
        .quota(SMALL)
        .max_keys(8)
        .when_full(WhenFull::Reject)
        .clock(time.clock());
    let (tiered, keyed) = (tiered.clock(time.clock()).build().unwrap(), keyed.build().unwrap());
    for key in 0..1_000 {
        let _ = (keyed.check(&key), tiered.check(&key));
    }
    // By now every entry is taken.
    let newcomer = 1_000_000;
    assert_eq!(rejection(keyed.try_acquire(&newcomer)), ("accounts", Reason::Throttled));
    assert_eq!(rejection(keyed.try_acquire_n(&newcomer, 3)), ("accounts", Reason::TooLarge));
    assert_eq!(waiting_rejection(keyed.acquire(&newcomer)), ("accounts", Reason::Throttled));
    assert_eq!(rejection(tiered.try_acquire(&newcomer)), ("api/free/account", Reason::Throttled));
    assert_eq!(rejection(tiered.try_acquire_n(&newcomer, 3)), ("api/free/account", Reason::TooLarge));
    // A known account has a quota of its own.
    let mut known = (0..1_000).filter(|key| keyed.try_acquire(key).is_ok());
    let known = known.next().unwrap();
    assert_eq!(rejection(keyed.try_acquire(&known)), ("accounts", Reason::Limited));
}

/// The same while a request of such an account waits. Later ones were once rejected as if the
/// account had exceeded a quota of its own, and stated a time at which there was no unit.
#[test]
fn request_behind_waiters_for_room_is_throttled() {
    let (time, hour) = (ManualTime::new(), Duration::from_secs(3_600));
    time.advance(Duration::from_secs(1));
    let one = Quota::per_hour(1);
    let class = Class::new("free").each(one);
    let tiered =
        TieredRateLimiter::<u64>::builder().name("api").class(class).max_keys(8).when_full(WhenFull::Reject);
    let tiered = tiered.max_wait(10 * hour).clock(time.clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<u64>::builder()
        .quota(one)
        .max_keys(8)
        .when_full(WhenFull::Reject)
        .max_wait(10 * hour);
    let keyed = keyed.clock(time.clock()).build().unwrap();
    for key in 0..1_000 {
        let _ = (keyed.check(&key), tiered.check(&key));
    }
    macro_rules! check {
        ($limiter:expr, $by:literal) => {{
            let limiter = $limiter;
            let newcomer = 1_000_000;
            assert_eq!(rejection(limiter.try_acquire(&newcomer)), ($by, Reason::Throttled));
            let mut waiter = spawn(limiter.acquire(&newcomer));
            assert_pending!(waiter.poll());
            let rejected = limiter.try_acquire(&newcomer).map(drop).unwrap_err();
            assert_eq!((rejected.by(), rejected.reason()), ($by, Reason::Throttled));
            assert_eq!(rejected.retry_after(), Some(2 * hour), "the waiter takes the first unit");
            assert_eq!(rejection(limiter.try_acquire_n(&newcomer, 2)), ($by, Reason::TooLarge));
        }};
    }
    check!(keyed, "accounts");
    check!(tiered, "api/free/account");
}

#[test]
fn tiers_limit_by_account_and_throttle_by_class_and_global() {
    for (limiter, expected) in [
        (tiered(SMALL, LARGE, LARGE), ("api/free/account", Reason::Limited)),
        (tiered(LARGE, SMALL, LARGE), ("api/free", Reason::Throttled)),
        (tiered(LARGE, LARGE, SMALL), ("api/global", Reason::Throttled)),
    ] {
        limiter.check_n(&1, 2).unwrap();
        assert_eq!(rejection(limiter.try_acquire(&1)), expected);
        assert_eq!(rejection(limiter.try_acquire_owned(&1)), expected);
        assert_eq!(rejection(limiter.try_acquire_n(&1, 2)), expected);
        assert_eq!(waiting_rejection(limiter.acquire(&1)), expected);
        assert_eq!(rejection(limiter.try_acquire_n(&1, 3)), (expected.0, Reason::TooLarge));
        let other = limiter.try_acquire(&2).map(drop);
        assert_eq!(other.is_ok(), expected.1 == Reason::Limited, "{expected:?}");
    }
}

/// The tier that rejects for the longest time gives the reason.
#[test]
fn tiered_limiter_states_the_reason_of_the_longest_rejection() {
    let slow = Quota::per_day(2);
    for (limiter, expected) in [
        (tiered(slow, SMALL, SMALL), ("api/free/account", Reason::Limited)),
        (tiered(SMALL, slow, SMALL), ("api/free", Reason::Throttled)),
        (tiered(SMALL, SMALL, slow), ("api/global", Reason::Throttled)),
    ] {
        limiter.check_n(&1, 2).unwrap();
        assert_eq!(rejection(limiter.try_acquire(&1)), expected);
    }
    // A quota that was assigned to the account is its own.
    let limiter = tiered(LARGE, LARGE, LARGE);
    limiter.assign_quota(&1, SMALL).unwrap();
    limiter.check_n(&1, 2).unwrap();
    assert_eq!(rejection(limiter.try_acquire(&1)), ("api/free/account", Reason::Limited));
}

/// A request behind waiting requests of other accounts was once rejected as if its own quota were
/// used up, even in a class without such a quota.
#[test]
fn tiered_request_behind_a_shared_queue_is_throttled() {
    let tiered = |class: Class, global: Option<Quota>| {
        let builder = TieredRateLimiter::<u64>::builder().name("api").class(class);
        let builder = global.map_or(builder.clone(), |quota| builder.global(quota));
        let time = ManualTime::new();
        (builder.max_wait(Duration::from_secs(7_200)).clock(time.clock()).build().unwrap(), time)
    };
    let one = Quota::per_hour(1);
    for each in [None, Some(LARGE)] {
        let class = each.map_or(Class::new("free"), |each| Class::new("free").each(each));
        for (class, quota, by) in
            [(class.clone(), Some(one), "api/global"), (class.all(one), None, "api/free")]
        {
            let (limiter, time) = tiered(class, quota);
            limiter.check(&1).unwrap();
            let mut waiter = spawn(limiter.acquire(&2));
            assert_pending!(waiter.poll());
            // At first there is not enough for either, then enough for the waiter alone.
            for _ in 0..2 {
                for key in [2, 3] {
                    assert_eq!(rejection(limiter.try_acquire(&key)), (by, Reason::Throttled), "{each:?}");
                    assert_eq!(rejection(limiter.try_acquire_n(&key, 1_001)).1, Reason::TooLarge);
                }
                time.advance(Duration::from_secs(3_600));
            }
            assert!(assert_ready!(waiter.poll()).is_ok());
        }
    }
}

/// A request behind others of its account is `Limited` if they wait for the account's own quota.
#[test]
fn tiered_request_behind_its_own_queue_is_limited() {
    let limiter = tiered(SMALL, LARGE, LARGE);
    limiter.set_max_wait(Duration::from_secs(7_200)).unwrap();
    limiter.check_n(&1, 2).unwrap();
    let mut waiter = spawn(limiter.acquire(&1));
    assert_pending!(waiter.poll());
    let rejected = limiter.try_acquire(&1).map(drop).unwrap_err();
    assert_eq!((rejected.by(), rejected.reason()), ("api/free/account", Reason::Limited));
    assert_eq!(rejected.retry_after(), Some(Duration::from_secs(3_600)), "two units are replenished");
    assert!(limiter.try_acquire(&2).is_ok());
}

#[test]
fn fair_limiter_throttles_when_the_shared_quota_is_used_up() {
    let limiter = fair(Quota::per_hour(100));
    limiter.check_n(&1, 100).unwrap();
    for key in [1, 2] {
        assert_eq!(rejection(limiter.try_acquire(&key)), ("fair", Reason::Throttled));
        assert_eq!(rejection(limiter.try_acquire_n(&key, 101)), ("fair", Reason::TooLarge));
    }
    assert_eq!(waiting_rejection(limiter.acquire(&1)), ("fair", Reason::Throttled));
}

#[test]
fn fair_limiter_limits_an_account_that_has_had_its_share() {
    let (limiter, _time) = contended_fair();
    while limiter.try_acquire(&1).is_ok() {}
    assert_eq!(rejection(limiter.try_acquire(&1)), ("fair", Reason::Limited));
    limiter.set_max_wait(Duration::from_micros(1)).unwrap();
    assert_eq!(waiting_rejection(limiter.acquire(&1)), ("fair", Reason::Limited));
    assert!(limiter.try_acquire(&1_000).is_ok(), "units remain for other accounts");
}

#[test]
fn fair_limiter_limits_by_the_cap() {
    let limiter = FairRateLimiter::<u64>::builder()
        .share_of(|_| Share::default().at_most(SMALL))
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    limiter.check_n(&1, 2).unwrap();
    assert_eq!(rejection(limiter.try_acquire(&1)), ("fair/cap", Reason::Limited));
    assert_eq!(rejection(limiter.try_acquire_n(&1, 3)), ("fair/cap", Reason::TooLarge));
    assert_eq!(waiting_rejection(limiter.acquire(&1)), ("fair/cap", Reason::Limited));
}

/// All accounts without an entry share the tail. The rejection of an account that had never been
/// admitted once said that it had exceeded its own quota.
#[test]
fn fair_limiter_throttles_newcomers_when_the_tail_is_used_up() {
    let (limiter, time) = contended_fair();
    let mut rejections = vec![];
    for n in 0..2_000 {
        time.advance(Duration::from_micros(500));
        drop(limiter.try_acquire(&(n % 10)));
        rejections.extend(limiter.try_acquire(&(1_000 + n)).map(drop).err());
    }
    assert!(rejections.len() > 1_000, "{}", rejections.len());
    for rejected in rejections {
        assert_eq!((rejected.by(), rejected.reason()), ("fair", Reason::Throttled));
    }
}

/// A request behind others of its account is `Limited` only if the account has had its share.
#[test]
fn fair_request_behind_its_own_queue_states_what_it_waits_for() {
    // Another account has taken all units.
    let limiter = fair(Quota::per_second(1_000).burst(100));
    limiter.check(&1).unwrap();
    limiter.check_n(&2, 99).unwrap();
    let mut waiter = spawn(limiter.acquire(&1));
    assert_pending!(waiter.poll());
    assert_eq!(rejection(limiter.try_acquire(&1)), ("fair", Reason::Throttled));
    // The account itself has had its share.
    let (limiter, _time) = contended_fair();
    while limiter.try_acquire(&1).is_ok() {}
    let mut waiter = spawn(limiter.acquire(&1));
    assert_pending!(waiter.poll());
    assert_eq!(rejection(limiter.try_acquire(&1)), ("fair", Reason::Limited));
    assert!(limiter.try_acquire(&1_000).is_ok(), "units remain for other accounts");
    // The cap of the account is used up.
    let limiter = FairRateLimiter::<u64>::builder()
        .share_of(|_| Share::default().at_most(Quota::per_second(1)))
        .clock(ManualTime::new().clock())
        .build()
        .unwrap();
    limiter.check(&1).unwrap();
    let mut waiter = spawn(limiter.acquire(&1));
    assert_pending!(waiter.poll());
    assert_eq!(rejection(limiter.try_acquire(&1)), ("fair/cap", Reason::Limited));
}

/// If one limiter of a tuple rejects, the earlier ones are refunded, for either reason.
#[test]
fn tuple_refunds_the_earlier_limiter_for_either_reason() {
    let by = |key: &u64| *key;
    // The account's own quota first.
    let (account, shared) = (keyed(LARGE), global(SMALL));
    shared.check_n(2).unwrap();
    assert_eq!(rejection((account.by(by), shared.clone()).admit(&7)), ("limit", Reason::Throttled));
    assert_eq!(account.remaining(&7), 1_000);
    // The shared quota first.
    let (account, shared) = (keyed(SMALL), global(LARGE));
    account.check_n(&7, 2).unwrap();
    assert_eq!(rejection((shared.clone(), account.by(by)).admit(&7)), ("accounts", Reason::Limited));
    assert_eq!(shared.remaining(), 1_000);
    // Tiers, then fair shares of the global rate.
    let (tiers, shares) = (tiered(LARGE, LARGE, LARGE), fair(Quota::per_hour(100)));
    shares.check_n(&8, 100).unwrap();
    assert_eq!(rejection((tiers.by(by), shares.by(by)).admit(&7)), ("fair", Reason::Throttled));
    assert_eq!((tiers.remaining(&7), tiers.remaining(&8)), (1_000, 1_000));
    // Fair shares, then each tier.
    for (tiers, expected) in [
        (tiered(SMALL, LARGE, LARGE), ("api/free/account", Reason::Limited)),
        (tiered(LARGE, SMALL, LARGE), ("api/free", Reason::Throttled)),
        (tiered(LARGE, LARGE, SMALL), ("api/global", Reason::Throttled)),
    ] {
        let shares = fair(Quota::per_hour(100));
        tiers.check_n(&7, 2).unwrap();
        assert_eq!(rejection((shares.by(by), tiers.by(by)).admit(&7)), expected);
        assert_eq!(shares.remaining(&7), 100);
        shares.check_n(&7, 100).unwrap();
    }
}
