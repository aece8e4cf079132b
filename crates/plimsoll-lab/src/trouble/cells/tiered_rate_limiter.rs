//! The cells of `TieredRateLimiter`.

use std::sync::Arc;

use plimsoll::TieredRateLimiter;
use plimsoll::limit::{Class, Quota};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::key_flood::{Crowded, TryAcquire, quota_rows};
use crate::trouble::kind::Trouble;
use crate::trouble::quota_days::{self, Limiter};
use crate::trouble::row::Row;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(Guard::TieredRateLimiter, Trouble::T8, |_, seed| quota_days::seldom(limiter, seed)),
        Cell::new(Guard::TieredRateLimiter, Trouble::T9, |_, seed| quota_days::changed(limiter, seed)),
        Cell::new(Guard::TieredRateLimiter, Trouble::T19, |_, seed| quota_days::jumped(limiter, seed)),
        Cell::new(Guard::TieredRateLimiter, Trouble::T10, key_flood),
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
pub(crate) const NOT_YET: &[Trouble] =
    &[Trouble::T11, Trouble::T12, Trouble::T15, Trouble::T16, Trouble::T18, Trouble::T20, Trouble::T22];

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

/// A limiter as one account sees it.
fn limiter(alone: &Alone, quota: Quota) -> Limiter {
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
