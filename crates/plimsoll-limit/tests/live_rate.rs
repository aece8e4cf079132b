//! A rate that is lowered counts from the moment it is lowered, however long nobody asks after that.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::ManualTime;
use plimsoll_limit::{FairRateLimiter, Quota, RateLimiter};
use std::time::Duration;

#[test]
fn what_comes_back_after_the_rate_was_lowered_comes_back_by_the_new_rate() {
    let (fast, slow) = (Quota::per_second(1_000), Quota::per_second(10).burst(1_000));
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(fast).clock(time.clock()).build().unwrap();
    assert!(limiter.try_acquire_n(1_000).is_ok());
    limiter.set_quota(slow).unwrap();
    // It had been counted by the old rate until the next one asked, and 500 were there.
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
fn what_comes_back_after_the_rate_was_raised_comes_back_by_the_new_rate() {
    let time = ManualTime::new();
    let slow = Quota::per_second(10).burst(1_000);
    let limiter = RateLimiter::builder().quota(slow).clock(time.clock()).build().unwrap();
    assert!(limiter.try_acquire_n(1_000).is_ok());
    limiter.set_quota(Quota::per_second(1_000)).unwrap();
    assert_eq!(limiter.remaining(), 0);
    time.advance(Duration::from_millis(500));
    assert_eq!(limiter.remaining(), 500);
}
