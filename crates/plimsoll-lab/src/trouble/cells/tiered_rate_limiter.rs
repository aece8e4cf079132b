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
use crate::trouble::quota_days::{self, OneAccount};
use crate::trouble::row::Row;

const GUARD: Guard = Guard::TieredRateLimiter;
const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = quota_days::cells::<TieredRateLimiter<u64>>(GUARD);
    cells.extend([
        Cell::new(GUARD, Trouble::T10, key_flood),
        Cell::new(GUARD, Trouble::T11, one_account),
        Cell::new(GUARD, Trouble::T12, more_than_can_be_served),
        Cell::new(GUARD, Trouble::T15, calls_leave),
    ]);
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = quota_days::WITHOUT_MEANING_KEYED;

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

impl OneAccount for TieredRateLimiter<u64> {
    fn with_quota(alone: &Alone, quota: Quota) -> Self {
        Self::builder()
            .global(quota)
            .class(Class::new("all"))
            .clock(alone.clock())
            .build()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn admits(&self) -> bool {
        self.check(&1).is_ok()
    }

    fn change_quota(&self, quota: Quota) {
        self.set_global(quota).unwrap_or_else(|error| unreachable!("{error}"));
    }
}
