//! The cells of `FairRateLimiter`.

use std::time::Duration;

use plimsoll::FairRateLimiter;
use plimsoll::limit::Quota;

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::cells::waiting_requests::{Call, greedy, hopeless, leaving};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::quota_days::{self, OneAccount};
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::FairRateLimiter;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = quota_days::cells::<FairRateLimiter<u64>>(GUARD);
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

const MS: Duration = Duration::from_millis(1);
/// Light accounts send 30 a second, a quarter of a fair share, and heavy ones 300.
const LIGHT: u64 = 16;
const HEAVY: u64 = 4;

/// Runs 20 accounts that use up 1,000 a second. After two seconds a flood of `rate` distinct keys a
/// second begins, and after three the tail is used up. Returns what light accounts, known ones and
/// newcomers are admitted in the `millis` after that, and newcomers one second after the flood.
fn day(seed: u64, millis: u64, rate: u64) -> [f64; 4] {
    let alone = Alone::new(seed);
    let limiter = FairRateLimiter::<u64>::builder().quota(Quota::per_second(1_000).burst(100));
    let limiter = limiter.clock(alone.clock()).dice(alone.guard_dice(0)).build();
    let limiter = limiter.unwrap_or_else(|error| unreachable!("{error}"));
    let try_acquire = |key: u64| limiter.check(&key).is_ok();
    let (mut flood, mut admitted) = (1 << 40, [0; 4]);
    for n in 0..millis + 5_000 {
        let flooded = (2_000..3_000 + millis).contains(&n);
        let (during, late) = (flooded && n >= 3_000, n >= 4_000 + millis);
        // The flood and the heavy accounts come on both sides of the others.
        for half in 0..2 {
            if flooded {
                let due = rate * (2 * n + half + 1) / 2_000 - rate * (2 * n + half) / 2_000;
                (flood..flood + due).for_each(|key| _ = try_acquire(key));
                flood += due;
            }
            let heavy = (0..HEAVY).filter(|key| (n + half + key) % 7 < 1 && try_acquire(1_000 + key)).count();
            admitted[1] += if during { heavy } else { 0 };
            if half == 0 {
                let light = (0..LIGHT).filter(|key| (n + 2 * key) % 33 == 0 && try_acquire(*key)).count();
                let new = usize::from(n % 100 == 50 && try_acquire((1 << 30) + n));
                admitted[0] += if during { light } else { 0 };
                admitted[1] += if during { light } else { 0 };
                admitted[2] += if during { new } else { 0 };
                admitted[3] += if late { new } else { 0 };
            }
        }
        alone.time().advance(MS);
    }
    admitted.map(|admitted| admitted as f64)
}

/// A flood of keys while the shared rate is used up. New accounts share the tail.
fn key_flood(size: Size, seed: u64) -> Vec<Row> {
    const TAIL: &str = "new accounts share the tail, a twentieth of the rate, with the keys of the flood";
    let mut rows = Vec::new();
    for rate in size.pick([1_000, 25_000, 100_000], [1_000, 25_000, 500_000]) {
        let millis = size.pick(1_000, 60_000);
        let (with, without) = (day(seed, millis, rate), day(seed, millis, 0));
        let mut shares = with.into_iter().zip(without).map(|(with, without)| with / without * 100.0);
        let [light, known, new, late] = std::array::from_fn(|_| shares.next().unwrap_or(f64::NAN));
        let row = |who: &str, value, limit, phase| {
            let case = format!("{who} at 1,000 a second, {} k keys/s", rate / 1_000);
            Row::at_least(case, value, limit, "%").phase(phase).without(100.0)
        };
        rows.extend([
            row("light accounts", light, 95.0, Phase::During),
            row("known accounts together", known, 95.0, Phase::During).spends(0.05, TAIL),
            row("newcomers", new, 50.0, Phase::During).spends(1.0, TAIL).known_miss(TAIL),
            row("newcomers one second later", late, 95.0, Phase::After),
        ]);
    }
    rows
}

/// Returns a limiter, and how a call of an account waits for it.
fn limiter(alone: &Alone, quota: Quota) -> (FairRateLimiter<u64>, impl Fn(u64, u32) -> Call + use<>) {
    let limiter = FairRateLimiter::builder().quota(quota).clock(alone.clock()).dice(alone.guard_dice(0));
    let limiter = limiter.build().unwrap_or_else(|error| unreachable!("{error}"));
    let waits = limiter.clone();
    let acquire = move |account, units| -> Call {
        let limiter: FairRateLimiter<u64> = waits.clone();
        Box::pin(async move { limiter.acquire_n(&account, units).await.map(drop) })
    };
    (limiter, acquire)
}

/// One account tries to use the whole rate, which is the default one.
fn one_account(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (limiter, acquire) = limiter(&alone, Quota::per_second(1_000).burst(100));
    greedy(&alone, size, 1_000, 0, 1_000 * MS, &acquire, &|account| limiter.check(&account).is_ok())
}

/// More calls arrive than can be served in `max_wait`.
fn more_than_can_be_served(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (_, acquire) = limiter(&alone, Quota::per_second(10));
    let rows = hopeless(&alone, 1, 90.0, &acquire).into_iter();
    rows.map(|row| row.known_miss("The share of a new account is an estimate. The whole quota decides."))
        .collect()
}

/// Calls that wait are given up.
fn calls_leave(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let (limiter, acquire) = limiter(&alone, Quota::per_second(10));
    leaving(&alone, size, &acquire, &|| limiter.queued())
}

impl OneAccount for FairRateLimiter<u64> {
    // A thread compares its share with the fill that it read before others took their units.
    const EACH_THREAD: f64 = 1.0;

    fn with_quota(alone: &Alone, quota: Quota) -> Self {
        Self::builder()
            .quota(quota)
            .max_keys(64)
            .clock(alone.clock())
            .build()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn admits(&self) -> bool {
        self.check(&1).is_ok()
    }

    fn change_quota(&self, quota: Quota) {
        self.set_quota(quota).unwrap_or_else(|error| unreachable!("{error}"));
    }
}
