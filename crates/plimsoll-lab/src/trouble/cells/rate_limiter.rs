//! The cells of `RateLimiter`.

use plimsoll::RateLimiter;
use plimsoll::limit::Quota;

use crate::trouble::alone::Alone;
use crate::trouble::cell::Cell;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::quota_days::{self, Limiter};

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(Guard::RateLimiter, Trouble::T8, |_, seed| quota_days::seldom(limiter, seed)),
        Cell::new(Guard::RateLimiter, Trouble::T9, |_, seed| quota_days::changed(limiter, seed)),
        Cell::new(Guard::RateLimiter, Trouble::T19, |_, seed| quota_days::jumped(limiter, seed)),
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
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T17, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] =
    &[Trouble::T12, Trouble::T15, Trouble::T16, Trouble::T18, Trouble::T20, Trouble::T22];

/// A limiter as one account sees it.
fn limiter(alone: &Alone, quota: Quota) -> Limiter {
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
