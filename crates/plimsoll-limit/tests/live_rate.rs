//! A changed rate counts from the moment of the change, even if the next request comes much later.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::ManualTime;
use plimsoll_limit::{FairRateLimiter, Quota, RateLimiter};
use std::time::Duration;

/// Units were replenished at the old rate until the next request, so 500 were there.
#[test]
fn lowered_rate_replenishes_units_from_the_change_on() {
    let (fast, slow) = (Quota::per_second(1_000), Quota::per_second(10).burst(1_000));
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(fast).clock(time.clock()).build().unwrap();
    assert!(limiter.try_acquire_n(1_000).is_ok());
    limiter.set_quota(slow).unwrap();
    time.advance(Duration::from_millis(500));
    assert_eq!(limiter.remaining(), 5);
    assert!(limiter.try_acquire_n(5).is_ok() && limiter.try_acquire().is_err());

    let time = ManualTime::new();
    let limiter = FairRateLimiter::<str>::builder().quota(fast).clock(time.clock()).build().unwrap();
    assert!(limiter.try_acquire_n("ann", 1_000).is_ok());
    limiter.set_quota(slow).unwrap();
    time.advance(Duration::from_millis(500));
    assert!((0..1_000).filter(|_| limiter.try_acquire("bob").is_ok()).count() <= 5);
}

#[test]
fn raised_rate_replenishes_units_from_the_change_on() {
    let time = ManualTime::new();
    let slow = Quota::per_second(10).burst(1_000);
    let limiter = RateLimiter::builder().quota(slow).clock(time.clock()).build().unwrap();
    assert!(limiter.try_acquire_n(1_000).is_ok());
    limiter.set_quota(Quota::per_second(1_000)).unwrap();
    assert_eq!(limiter.remaining(), 0);
    time.advance(Duration::from_millis(500));
    assert_eq!(limiter.remaining(), 500);
}
