//! An ask allocates nothing, whatever the answer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_core::{ManualTime, Reason};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter,
};

const QUOTA: Quota = Quota::per_second(10).burst(100);

/// Asks three hundred times, of which some are admitted and some refused; not one byte.
fn nothing(name: &str, mut ask: impl FnMut() -> Option<Reason>) {
    assert_eq!(ask(), None, "{name} is known from here on");
    let (mut yes, mut no) = (0, 0);
    let seen = measure(|| {
        for _ in 0..300 {
            match ask() {
                None => yes += 1,
                Some(reason) => no += u32::from(matches!(reason, Reason::Limited | Reason::Throttled)),
            }
        }
    });
    assert!(yes > 0 && no > 0 && yes + no == 300, "{name}: {yes} admitted, {no} refused");
    assert_eq!((seen.count_total, seen.bytes_total), (0, 0), "{name}");
}

#[test]
fn an_ask_allocates_nothing() {
    let clock = || ManualTime::new().clock();
    let limiter = RateLimiter::builder().quota(QUOTA).clock(clock()).build().unwrap();
    nothing("limiter", || limiter.try_acquire().err().map(|no| no.reason()));
    let keyed = KeyedRateLimiter::<str>::builder().quota(QUOTA).clock(clock()).build().unwrap();
    nothing("keyed", || keyed.try_acquire("ann").err().map(|no| no.reason()));
    // Nor for a newcomer, nor for one whose quota a closure says.
    nothing("a newcomer", || keyed.try_acquire("bob").err().map(|no| no.reason()));
    let by_closure = KeyedRateLimiter::<str>::builder().quota_of(|_| QUOTA).clock(clock()).build().unwrap();
    nothing("quota_of", || by_closure.try_acquire("ann").err().map(|no| no.reason()));
    for full in ["each", "all", "global"] {
        let more = |tier: &str| if tier == full { QUOTA } else { QUOTA.burst(1_000) };
        let class = Class::new("free").each(more("each")).all(more("all"));
        let tiers = TieredRateLimiter::<str>::builder()
            .global(more("global"))
            .class(class)
            .clock(clock())
            .build()
            .unwrap();
        nothing(full, || tiers.try_acquire("ann").err().map(|no| no.reason()));
        tiers.assign("eve", "free").unwrap();
        tiers.set_global(QUOTA.burst(500)).unwrap();
        tiers.set_all("free", QUOTA.burst(500)).unwrap();
        if full == "each" {
            nothing("one who was named", || tiers.try_acquire("eve").err().map(|no| no.reason()));
        }
    }
    let fair = FairRateLimiter::<str>::builder().quota(QUOTA).clock(clock()).build().unwrap();
    nothing("fair", || fair.try_acquire("ann").err().map(|no| no.reason()));
    let share = |_: &str| Share::weight(2.0).at_least(1.0).at_most(Quota::per_second(5).burst(50));
    let capped =
        FairRateLimiter::<str>::builder().quota(QUOTA).share_of(share).clock(clock()).build().unwrap();
    nothing("capped", || capped.try_acquire("ann").err().map(|no| no.reason()));
}

#[test]
fn given_back_it_allocates_nothing_either() {
    let keyed =
        KeyedRateLimiter::<u64>::builder().quota(QUOTA).clock(ManualTime::new().clock()).build().unwrap();
    let seen = measure(|| (0..300).for_each(|_| keyed.try_acquire(&1).unwrap().refund()));
    assert_eq!(seen.count_total, 0);
}

/// 24 bytes an account, all of them from the beginning.
#[test]
fn accounts_take_what_is_said() {
    for accounts in [1_000, 100_000] {
        let seen = measure(|| drop(KeyedRateLimiter::<u64>::builder().max_keys(accounts).build().unwrap()));
        let own = accounts as u64 * 24;
        // Whatever there is beside them: what is shared, the doors, the lines, the name.
        assert!((own..own + 40_000).contains(&seen.bytes_max), "{} for {accounts}", seen.bytes_max);
    }
}
