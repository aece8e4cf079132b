//! The cells of `RateLimiter`.

use std::time::Duration;

use plimsoll::{Quota, RateLimiter};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::cells::waiting_requests::{Call, hopeless, leaving};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::quota_days::{self, OneAccount};
use crate::trouble::row::Row;
use crate::trouble::waiting::{Waiting, Who};

const GUARD: Guard = Guard::RateLimiter;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = quota_days::cells::<RateLimiter>(GUARD);
    cells.extend([
        Cell::new(GUARD, Trouble::T11, large_in_front),
        Cell::new(GUARD, Trouble::T12, more_than_can_be_served),
        Cell::new(GUARD, Trouble::T15, calls_leave),
    ]);
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = quota_days::WITHOUT_MEANING;

/// Returns a limiter, and how a call waits for it. It has no accounts.
fn limiter(alone: &Alone, quota: Quota) -> (RateLimiter, impl Fn(u64, u32) -> Call + use<>) {
    let limiter = RateLimiter::builder().quota(quota).clock(alone.clock()).build();
    let limiter = limiter.unwrap_or_else(|error| unreachable!("{error}"));
    let waits = limiter.clone();
    let acquire = move |_, units| -> Call {
        let limiter = waits.clone();
        Box::pin(async move { limiter.acquire_n(units).await.map(drop) })
    };
    (limiter, acquire)
}

/// Large requests stand in front of small ones, which come at 30 a second.
fn large_in_front(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (limiter, acquire) = limiter(&alone, Quota::per_second(100));
    let mut waiting = Waiting::new(&alone);
    for step in 0..size.pick(20, 600) * 30u64 {
        waiting.run(S / 30);
        if step % 45 == 0 {
            waiting.start(Who::Greedy, None, acquire(0, 100));
        }
        match step % 2 {
            0 => waiting.start(Who::Other, None, acquire(1, 1)),
            _ => waiting.record(Who::Other, limiter.check().is_ok()),
        }
    }
    waiting.run(20 * S);
    let served = waiting.of(Who::Greedy).filter(|ended| ended.admitted).count() as f64;
    vec![
        Row::at_least("small requests admitted, large ones wait", waiting.admitted(Who::Other), 90.0, "%"),
        Row::at_most("longest wait of a small one", waiting.longest_wait(Who::Other), 100.0, "ms"),
        Row::at_least("large requests served, beside them", served, size.pick(8.0, 240.0), "calls"),
    ]
}

/// More calls arrive than can be served in `max_wait`.
fn more_than_can_be_served(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (_, acquire) = limiter(&alone, Quota::per_second(10));
    hopeless(&alone, 1, 110.0, &acquire)
}

/// Calls that wait are given up.
fn calls_leave(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (limiter, acquire) = limiter(&alone, Quota::per_second(10));
    leaving(&alone, size, &acquire, &|| limiter.queued())
}

impl OneAccount for RateLimiter {
    fn with_quota(alone: &Alone, quota: Quota) -> Self {
        Self::builder()
            .quota(quota)
            .clock(alone.clock())
            .build()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn admits(&self) -> bool {
        self.check().is_ok()
    }

    fn change_quota(&self, quota: Quota) {
        self.set_quota(quota).unwrap_or_else(|error| unreachable!("{error}"));
    }
}
