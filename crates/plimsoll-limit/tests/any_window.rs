//! A quota of any window holds on a clock whose coarse time lags, and reads as it was written.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Allowance, KeyedExt, ManualTime, Permit, Settle};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter,
};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// Counts the units of the last window, to the nanosecond.
struct Window {
    max: u64,
    window: u64,
    admitted: VecDeque<u64>,
}

impl Window {
    fn admit(&mut self, now: u64) -> Result<(), TestCaseError> {
        self.admitted.push_back(now);
        while self.admitted.front().is_some_and(|first| now - first > self.window) {
            self.admitted.pop_front();
        }
        let units = self.admitted.len() as u64;
        prop_assert!(units <= self.max, "{} units of {}", units, self.max);
        Ok(())
    }
}

type Check = Box<dyn Fn(bool) -> bool>;

/// Returns one limiter of each kind, as a check that keeps its unit or refunds it.
fn limiters(quota: Quota, time: &ManualTime) -> Vec<(&'static str, Check)> {
    fn check<G: Settle>(permit: Result<Permit<G>, plimsoll_core::Rejected>, keep: bool) -> bool {
        match permit {
            Ok(permit) if keep => {
                drop(permit);
                true
            }
            Ok(permit) => {
                permit.refund();
                false
            }
            Err(_) => false,
        }
    }
    let clock = || time.clock();
    let global = RateLimiter::builder().quota(quota).clock(clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<u64>::builder().max_keys(8).quota(quota).clock(clock()).build().unwrap();
    let by_key = KeyedRateLimiter::<u64>::builder()
        .max_keys(8)
        .quota_of(move |_| quota)
        .clock(clock())
        .build()
        .unwrap();
    let tiered = TieredRateLimiter::<u64>::builder().max_keys(8);
    let each = tiered.class(Class::new("a").each(quota)).clock(clock()).build().unwrap();
    let large = Quota::per_second(1_000_000);
    let tiered = TieredRateLimiter::<u64>::builder().max_keys(8).global(quota);
    let all = tiered.class(Class::new("a").each(large)).clock(clock()).build().unwrap();
    let fair = FairRateLimiter::<u64>::builder().max_keys(8).quota(large);
    let fair = fair.share_of(move |_| Share::default().at_most(quota)).clock(clock()).build().unwrap();
    vec![
        ("global", Box::new(move |keep| check(global.try_acquire(), keep))),
        ("keyed", Box::new(move |keep| check(keyed.try_acquire(&1), keep))),
        ("by key", Box::new(move |keep| check(by_key.try_acquire(&1), keep))),
        ("each", Box::new(move |keep| check(each.try_acquire(&1), keep))),
        ("all", Box::new(move |keep| check(all.try_acquire(&1), keep))),
        ("cap", Box::new(move |keep| check(fair.try_acquire(&1), keep))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    /// The coarse clock stands still for a tick of 4 ms. Units were booked up to a tick early, so
    /// they came back early: up to 1,024 of 1,000 in 100 ms.
    #[test]
    fn at_most_holds_in_any_window_on_a_coarse_clock(
        max in 1..200u64, window in 20..200u64, share in 1..=100u64, tick in 1..10u64,
        gaps in prop::collection::vec((0..3_000u64, any::<bool>()), 1..300),
    ) {
        let burst = (max * share / 100).max(1);
        let quota = Quota::at_most(max as u32, Duration::from_nanos(window * MS)).burst(burst as u32);
        let time = ManualTime::new();
        time.advance(Duration::from_secs(1));
        time.set_tick(Duration::from_nanos(tick * MS));
        for (name, check) in limiters(quota, &time) {
            let mut oracle = Window { max, window: window * MS, admitted: VecDeque::new() };
            for (micros, keep) in &gaps {
                time.advance(Duration::from_micros(*micros));
                while check(true) {
                    oracle.admit(time.clock().now().as_nanos()).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
                }
                if !keep {
                    check(false);
                }
            }
            time.advance(Duration::from_secs(1));
        }
    }
}

fn allowances<G: Settle>(permit: &Permit<G>) -> Vec<Allowance> {
    let mut all = vec![];
    permit.allowances(&mut |allowance| all.push(allowance));
    all
}

/// `at_most(100, 60 s)` was stated as 50 units in 59 s.
#[test]
fn at_most_is_stated_as_it_was_written() {
    let minute = Duration::from_secs(60);
    let time = ManualTime::new();
    for (units, window) in [
        (100, minute),
        (1, minute),
        (1_000, minute / 600),
        (7, Duration::from_micros(12)),
        (3, 86_400 * minute / 60),
    ] {
        let quota = Quota::at_most(units, window);
        let limiter = RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap();
        let permit = limiter.try_acquire().unwrap();
        let [Allowance { limit, window: stated, remaining, .. }] = allowances(&permit)[..] else { panic!() };
        assert_eq!((limit, stated), (u64::from(units), window));
        assert_eq!(remaining, u64::from(quota.burst_size()) - 1, "as many can be taken now");
        while limiter.check().is_ok() {}
        let rejected = limiter.check().unwrap_err();
        assert_eq!((rejected.limit(), rejected.window()), (Some(u64::from(units)), Some(window)));
        assert_eq!(rejected.observed(), rejected.limit(), "nothing remains");
    }
    // By key, by closure, and by tier.
    let quota = Quota::at_most(100, minute);
    let keyed =
        KeyedRateLimiter::<u64>::builder().max_keys(8).quota(quota).clock(time.clock()).build().unwrap();
    let by_key = KeyedRateLimiter::<u64>::builder()
        .max_keys(8)
        .quota_of(move |_| quota)
        .clock(time.clock())
        .build()
        .unwrap();
    let tiered = TieredRateLimiter::<u64>::builder()
        .max_keys(8)
        .global(quota)
        .class(Class::new("a").each(quota).all(quota));
    let tiered = tiered.clock(time.clock()).build().unwrap();
    let of = |all: Vec<Allowance>| all.into_iter().map(|a| (a.limit, a.window)).collect::<Vec<_>>();
    assert_eq!(of(allowances(&keyed.try_acquire(&1).unwrap())), [(100, minute)]);
    assert_eq!(of(allowances(&by_key.try_acquire(&1).unwrap())), [(100, minute)]);
    assert_eq!(of(allowances(&tiered.try_acquire(&1).unwrap())), [(100, minute); 3]);
    let _ = keyed.by(|key: &u64| *key);
}
