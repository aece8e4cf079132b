//! The cells of `RateLimiter`.

use std::time::Duration;

use plimsoll::{Quota, RateLimiter};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::cells::waiting_requests::{Call, hopeless, leaving};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::quota_days::{self, Limiter};
use crate::trouble::row::Row;
use crate::trouble::waiting::{Waiting, Who};

const GUARD: Guard = Guard::RateLimiter;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T8, |_, seed| quota_days::seldom(one_account_of, seed)),
        Cell::new(GUARD, Trouble::T9, |_, seed| quota_days::changed(one_account_of, seed)),
        Cell::new(GUARD, Trouble::T19, |_, seed| quota_days::jumped(one_account_of, seed)),
        Cell::new(GUARD, Trouble::T16, |_, seed| quota_days::retried(one_account_of, seed)),
        Cell::new(GUARD, Trouble::T18, |_, seed| quota_days::spiked(one_account_of, seed)),
        Cell::new(GUARD, Trouble::T20, |_, seed| quota_days::cold_start(one_account_of, seed)),
        Cell::new(GUARD, Trouble::T22, |_, seed| quota_days::many_threads(one_account_of, seed, 0.0)),
        Cell::new(GUARD, Trouble::T11, large_in_front),
        Cell::new(GUARD, Trouble::T12, more_than_can_be_served),
        Cell::new(GUARD, Trouble::T15, calls_leave),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T1, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T2, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T3, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T6, "It does not read how calls end."),
    (Trouble::T7, "It does not read how calls end."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T17, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[];

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

/// A limiter as one account sees it.
fn one_account_of(alone: &Alone, quota: Quota) -> Limiter {
    let limiter = RateLimiter::builder()
        .quota(quota)
        .clock(alone.clock())
        .build()
        .unwrap_or_else(|error| unreachable!("{error}"));
    let changed = limiter.clone();
    Limiter {
        try_acquire: Box::new(move || limiter.check().is_ok()),
        set_quota: Box::new(move |quota| {
            changed.set_quota(quota).unwrap_or_else(|error| unreachable!("{error}"))
        }),
    }
}
