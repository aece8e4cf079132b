//! Refunds return at most what would be there without the take.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Keyed, ManualTime, Pack, Packed, Permit, RequestInfo, Settle};
use plimsoll_limit::{
    Class, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, Share, TieredRateLimiter,
};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn tiered(time: &ManualTime, high: Quota) -> TieredRateLimiter<u64> {
    let class = Class::new("free").each(high).all(high);
    TieredRateLimiter::builder().global(high).class(class).clock(time.clock()).build().unwrap()
}

/// 100 permits were taken at 1,000 a second. One second later all of them were replenished, the
/// quota was lowered to one a minute and used up, and the permits were refunded. The refund
/// computed with the new interval: 98 requests more were admitted.
#[test]
fn refund_after_a_slower_quota_returns_nothing_twice() {
    let (high, low) = (Quota::per_second(1_000).burst(100), Quota::per_minute(1).burst(100));
    for packed in [false, true] {
        for tier in 0..3 {
            let time = ManualTime::new();
            let limiter = tiered(&time, high);
            let charges: Vec<_> =
                (0..100).map(|_| limiter.admit_for(&1, RequestInfo::new()).unwrap()).collect();
            time.advance(S);
            match tier {
                0 => limiter.set_each("free", low).unwrap(),
                1 => limiter.set_all("free", low).unwrap(),
                _ => limiter.set_global(low).unwrap(),
            }
            limiter.check_n(&1, 100).unwrap();
            time.advance(S);
            for charge in charges {
                if packed {
                    Packed(limiter.clone()).refund(charge.pack());
                } else {
                    limiter.refund(charge);
                }
            }
            assert_eq!(limiter.remaining(&1), 0, "tier {tier}, packed {packed}");
        }
    }
}

/// The same by the cap of an account in a fair limiter.
#[test]
fn refund_after_a_slower_cap_returns_nothing_twice() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let (high, low) = (Quota::per_second(100).burst(10), Quota::per_minute(1).burst(10));
    for packed in [false, true] {
        let (time, slow) = (ManualTime::new(), Arc::new(AtomicBool::new(false)));
        let is_slow = slow.clone();
        let limiter = FairRateLimiter::<u64>::builder()
            .quota(Quota::per_second(1_000).burst(1_000))
            .share_of(move |_| Share::default().at_most(if is_slow.load(Relaxed) { low } else { high }))
            .clock(time.clock())
            .build()
            .unwrap();
        let charges: Vec<_> = (0..10).map(|_| limiter.admit_for(&1, RequestInfo::new()).unwrap()).collect();
        time.advance(S);
        slow.store(true, Relaxed);
        limiter.check_n(&1, 10).unwrap();
        time.advance(S);
        for charge in charges {
            if packed {
                Packed(limiter.clone()).refund(charge.pack());
            } else {
                limiter.refund(charge);
            }
        }
        assert_eq!(limiter.remaining(&1), 0, "packed {packed}");
    }
}

/// Asserts what is admitted after a unit of a burst of 10 at 10 a second was held for `held`, the
/// others were taken, and the unit is refunded: ten in all, as if it had never been taken.
macro_rules! assert_refunded {
    ($time:expr, $limiter:expr, $($key:expr)?) => {{
        let (time, limiter) = ($time, $limiter);
        for (held, taken) in [(Duration::ZERO, 9), (50 * MS, 9), (99 * MS, 9), (100 * MS, 10), (3_600 * S, 10)] {
            time.advance(10 * S);
            let permit = limiter.try_acquire($($key)?).unwrap();
            time.advance(held);
            let admitted = || (0..100).take_while(|_| limiter.check($($key)?).is_ok()).count();
            assert_eq!(admitted(), taken, "held for {held:?}");
            permit.refund();
            assert_eq!(admitted(), 10 - taken, "held for {held:?}");
            time.advance(99 * MS);
            assert_eq!(admitted(), 0, "held for {held:?}");
        }
    }};
}

/// A permit is held while the request waits in a valve, and refunded when the valve rejects it. A
/// refund returns what the take still costs, at most: what was replenished meanwhile is not
/// returned twice.
#[test]
fn refund_returns_what_was_not_replenished_meanwhile() {
    let time = ManualTime::new();
    let quota = Quota::per_second(10);
    assert_refunded!(&time, &RateLimiter::builder().quota(quota).clock(time.clock()).build().unwrap(),);
    let keyed = KeyedRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
    assert_refunded!(&time, &keyed, &1);
    assert_refunded!(&time, &tiered(&time, quota), &1);
}

/// A packed refund returns all units at once when the permit was not held.
#[test]
fn packed_refund_returns_whole_units() {
    let time = ManualTime::new();
    time.advance(S);
    let limiter = tiered(&time, Quota::per_second(1_000).burst(100));
    for _ in 0..500 {
        let charge = limiter.admit_for(&1, RequestInfo::new().cost(100)).unwrap();
        Packed(limiter.clone()).refund(charge.pack());
    }
    assert_eq!(limiter.remaining(&1), 100);
    drop(Permit::new(&limiter, limiter.admit_for(&1, RequestInfo::new()).unwrap()));
}
