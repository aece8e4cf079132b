//! The cells of `TieredRateLimiter`.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::TieredRateLimiter;
use plimsoll::limit::{Class, Quota};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::cells::waiting_requests::{Call, greedy, hopeless, leaving};
use crate::trouble::guard::Guard;
use crate::trouble::key_flood::{Crowded, TryAcquire, quota_rows};
use crate::trouble::kind::Trouble;
use crate::trouble::quota_days::{self, Limiter};
use crate::trouble::row::Row;

const GUARD: Guard = Guard::TieredRateLimiter;
const MS: Duration = Duration::from_millis(1);
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
        Cell::new(GUARD, Trouble::T10, key_flood),
        Cell::new(GUARD, Trouble::T11, one_account),
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
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T17, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[];

/// A flood of keys against accounts that send less or more than their quota, and new ones.
fn key_flood(size: Size, _: u64) -> Vec<Row> {
    quota_rows(size, build)
}

fn build(alone: &Alone, quota: Quota, max_keys: Option<usize>, observer: Arc<Crowded>) -> TryAcquire {
    let builder = TieredRateLimiter::<u64>::builder().class(Class::new("all").each(quota));
    let builder = builder.observe(observer).clock(alone.clock()).dice(alone.guard_dice(0));
    let builder = max_keys.map_or(builder.clone(), |max_keys| builder.max_keys(max_keys));
    let limiter = builder.build().unwrap_or_else(|error| unreachable!("{error}"));
    Box::new(move |key| limiter.check(&key).is_ok())
}

/// Returns a limiter, and how a call of an account waits for it.
fn limiter(alone: &Alone, global: Quota) -> (TieredRateLimiter<u64>, impl Fn(u64, u32) -> Call + use<>) {
    let class = Class::new("all").each(global);
    let limiter = TieredRateLimiter::builder().global(global).class(class).clock(alone.clock());
    let limiter = limiter.dice(alone.guard_dice(0)).build().unwrap_or_else(|error| unreachable!("{error}"));
    let waits = limiter.clone();
    let acquire = move |account, units| -> Call {
        let limiter: TieredRateLimiter<u64> = waits.clone();
        Box::pin(async move { limiter.acquire_n(&account, units).await.map(drop) })
    };
    (limiter, acquire)
}

/// One account may use the whole global rate, and tries to.
fn one_account(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (limiter, acquire) = limiter(&alone, Quota::per_second(100));
    greedy(&alone, size, 100, 100, 300 * MS, &acquire, &|account| limiter.check(&account).is_ok())
}

/// More calls arrive than can be served in `max_wait`.
fn more_than_can_be_served(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (_, acquire) = limiter(&alone, Quota::per_second(10));
    let mut rows = hopeless(&alone, 1, 110.0, &acquire);
    alone.time().advance(10 * S);
    rows.extend(hopeless(&alone, 1_000, 110.0, &acquire));
    rows
}

/// Calls that wait are given up.
fn calls_leave(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (limiter, acquire) = limiter(&alone, Quota::per_second(10));
    leaving(&alone, size, &acquire, &|| limiter.queued())
}

/// A limiter as one account sees it.
fn one_account_of(alone: &Alone, quota: Quota) -> Limiter {
    let limiter = TieredRateLimiter::<u64>::builder()
        .global(quota)
        .class(Class::new("all"))
        .clock(alone.clock())
        .build()
        .unwrap_or_else(|error| unreachable!("{error}"));
    let changed = limiter.clone();
    Limiter {
        try_acquire: Box::new(move || limiter.check(&1).is_ok()),
        set_quota: Box::new(move |quota| {
            changed.set_global(quota).unwrap_or_else(|error| unreachable!("{error}"))
        }),
    }
}
