//! A decision allocates nothing, whether it admits or rejects.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_core::{ManualTime, Reason};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter,
};

const QUOTA: Quota = Quota::per_second(10).burst(100);

/// Makes three hundred requests, of which some are admitted and some rejected, without allocating a
/// byte.
fn assert_no_allocation(name: &str, mut request: impl FnMut() -> Option<Reason>) {
    assert_eq!(request(), None, "{name}: the account is known from here on");
    let (mut admitted, mut rejected) = (0, 0);
    let allocated = measure(|| {
        for _ in 0..300 {
            match request() {
                None => admitted += 1,
                Some(reason) => rejected += u32::from(matches!(reason, Reason::Limited | Reason::Throttled)),
            }
        }
    });
    let both = admitted > 0 && rejected > 0 && admitted + rejected == 300;
    assert!(both, "{name}: {admitted} admitted, {rejected} rejected");
    assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0), "{name}");
}

#[test]
fn decision_allocates_nothing() {
    let clock = || ManualTime::new().clock();
    let limiter = RateLimiter::builder().quota(QUOTA).clock(clock()).build().unwrap();
    assert_no_allocation("global", || limiter.try_acquire().err().map(|rejected| rejected.reason()));
    let keyed = KeyedRateLimiter::<str>::builder().quota(QUOTA).clock(clock()).build().unwrap();
    let reason = |key| keyed.try_acquire(key).err().map(|rejected| rejected.reason());
    assert_no_allocation("keyed", || reason("ann"));
    assert_no_allocation("a second account", || reason("bob"));
    let by_closure = KeyedRateLimiter::<str>::builder().quota_of(|_| QUOTA).clock(clock()).build().unwrap();
    let reason = || by_closure.try_acquire("ann").err().map(|rejected| rejected.reason());
    assert_no_allocation("quota_of", reason);
    for tight in ["each", "all", "global"] {
        let quota = |tier: &str| if tier == tight { QUOTA } else { QUOTA.burst(1_000) };
        let class = Class::new("free").each(quota("each")).all(quota("all"));
        let tiered = TieredRateLimiter::<str>::builder()
            .global(quota("global"))
            .class(class)
            .clock(clock())
            .build()
            .unwrap();
        let reason = |key| tiered.try_acquire(key).err().map(|rejected| rejected.reason());
        assert_no_allocation(tight, || reason("ann"));
        tiered.assign("eve", "free").unwrap();
        tiered.set_global(QUOTA.burst(500)).unwrap();
        tiered.set_all("free", QUOTA.burst(500)).unwrap();
        if tight == "each" {
            assert_no_allocation("an assigned account", || reason("eve"));
        }
    }
    let fair = FairRateLimiter::<str>::builder().quota(QUOTA).clock(clock()).build().unwrap();
    assert_no_allocation("fair", || fair.try_acquire("ann").err().map(|rejected| rejected.reason()));
    let share = |_: &str| Share::weight(2.0).at_least(1.0).at_most(Quota::per_second(5).burst(50));
    let capped =
        FairRateLimiter::<str>::builder().quota(QUOTA).share_of(share).clock(clock()).build().unwrap();
    assert_no_allocation("capped", || capped.try_acquire("ann").err().map(|rejected| rejected.reason()));
}

#[test]
fn refund_allocates_nothing() {
    let keyed =
        KeyedRateLimiter::<u64>::builder().quota(QUOTA).clock(ManualTime::new().clock()).build().unwrap();
    let allocated = measure(|| (0..300).for_each(|_| keyed.try_acquire(&1).unwrap().refund()));
    assert_eq!(allocated.count_total, 0);
}

/// The memory is allocated when the limiter is built.
#[test]
fn account_takes_24_bytes() {
    for accounts in [1_000, 100_000] {
        let allocated =
            measure(|| drop(KeyedRateLimiter::<u64>::builder().max_keys(accounts).build().unwrap()));
        let entries = accounts as u64 * 24;
        // The rest is for overflow entries, locks, queues and the name.
        let bytes = allocated.bytes_max;
        assert!((entries..entries + 40_000).contains(&bytes), "{bytes} bytes for {accounts}");
    }
}
