//! Days on which a limiter sees little traffic, far too much of it, another quota, a jump of time,
//! or many threads.

use std::time::Duration;

use plimsoll::limit::Quota;

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;

/// A limiter as one account sees it.
pub(crate) trait OneAccount: Sync {
    /// The units that threads may be admitted beyond one thread, for each thread.
    const EACH_THREAD: f64 = 0.0;

    /// Builds a limiter with this quota.
    fn with_quota(alone: &Alone, quota: Quota) -> Self;

    /// Returns whether a request is admitted.
    fn admits(&self) -> bool;

    /// Changes the quota, as an operator does.
    fn change_quota(&self, quota: Quota);
}

/// Returns the cells that every rate limiter has.
pub(crate) fn cells<L: OneAccount>(guard: Guard) -> Vec<Cell> {
    vec![
        Cell::new(guard, Trouble::T8, seldom::<L>),
        Cell::new(guard, Trouble::T9, changed::<L>),
        Cell::new(guard, Trouble::T16, retried::<L>),
        Cell::new(guard, Trouble::T18, spiked::<L>),
        Cell::new(guard, Trouble::T19, jumped::<L>),
        Cell::new(guard, Trouble::T20, cold_start::<L>),
        Cell::new(guard, Trouble::T22, many_threads::<L>),
    ]
}

/// The troubles without a meaning for a rate limiter without keys, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    // The first one, because the list for limiters with keys is the rest.
    (Trouble::T10, "It has no keys."),
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

/// The troubles without a meaning for a rate limiter with keys, and why.
pub(crate) const WITHOUT_MEANING_KEYED: &[(Trouble, &str)] = WITHOUT_MEANING.split_at(1).1;

/// One request a second, and one an hour, of a quota of more.
fn seldom<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    let days = [("a second", 1, Quota::per_minute(100)), ("an hour", 3_600, Quota::per_day(100))];
    let rows = days.into_iter().map(|(text, gap, quota)| {
        let alone = Alone::new(seed);
        let limiter = L::with_quota(&alone, quota);
        let admitted = (0..1_000).filter(|_| {
            alone.time().advance(Duration::from_secs(gap));
            limiter.admits()
        });
        let share = admitted.count() as f64 / 10.0;
        Row::at_least(format!("admitted, one request {text} of {quota}"), share, 99.0, "%")
    });
    rows.collect()
}

/// A quota is lowered or raised a hundredfold while it is used up, and changed to and fro.
fn changed<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    let second = (Quota::per_second(10_000), Quota::per_second(100));
    let hour = (Quota::per_hour(10_000), Quota::per_hour(100));
    for (high, low) in [second, hour] {
        for (from, to) in [(high, low), (low, high)] {
            let alone = Alone::new(seed);
            let limiter = L::with_quota(&alone, from);
            alone.calls(2.0 * from.rate(), from.fills_in(), || limiter.admits());
            while limiter.admits() {}
            limiter.change_quota(to);
            // In steps of a thousandth of the time in which the new quota fills up.
            let mut admitted = vec![0_u32; 1_000];
            for admitted in &mut admitted {
                while limiter.admits() {
                    *admitted += 1;
                }
                alone.time().advance(to.fills_in() / 1_000);
            }
            let waited = admitted.iter().take_while(|admitted| **admitted == 0).count() as f64 / 10.0;
            rows.push(Row::at_most(
                format!("longest wait, {from} to {to}"),
                waited,
                100.0,
                "% of its fill time",
            ));
            let units = f64::from(admitted.iter().sum::<u32>());
            let share = units / f64::from(2 * to.burst_size()) * 100.0;
            rows.push(Row::at_most(
                format!("admitted then, {from} to {to}"),
                share,
                100.0,
                "% of burst and rate",
            ));
        }
        let alone = Alone::new(seed);
        let limiter = L::with_quota(&alone, high);
        let mut units = 0_u32;
        for _ in 0..20 {
            while limiter.admits() {
                units += 1;
            }
            limiter.change_quota(low);
            limiter.change_quota(high);
        }
        let share = f64::from(units) / f64::from(high.burst_size()) * 100.0;
        rows.push(Row::at_most(
            format!("admitted at once, {high} to {low} and back, 20 times"),
            share,
            100.0,
            "% of the burst",
        ));
    }
    rows
}

/// The machine sleeps for 30 s, or time jumps by an hour, under twice the rate.
///
/// Meanwhile the burst fills up, as it was at the start. So the time after the jump is compared
/// with the same time after the start.
fn jumped<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    let jumps = [("the machine slept for 30 s", 30), ("time jumped by an hour", 3_600)];
    let rows = jumps.into_iter().flat_map(|(text, seconds)| {
        let alone = Alone::new(seed);
        let limiter = L::with_quota(&alone, QUOTA);
        let second = || alone.calls(2.0 * RATE, S, || limiter.admits()) * 2.0 * RATE;
        let start = [second(), second()];
        alone.time().advance(Duration::from_secs(seconds));
        let after = [second(), second()];
        let share = after[1] / start[1] * 100.0;
        [
            Row::at_most(format!("admitted in the second after {text}"), after[0], 2.0 * RATE, "units"),
            Row::at_least(
                format!("admitted in two seconds after {text}"),
                after[0] + after[1],
                1.9 * RATE,
                "units",
            ),
            Row::at_least(format!("of the second second after the start, after {text}"), share, 95.0, "%"),
        ]
    });
    rows.collect()
}

const S: Duration = Duration::from_secs(1);
const RATE: f64 = 1_000.0;
const QUOTA: Quota = Quota::per_second(1_000);

/// Every rejected request is sent again three times, at once: for ten seconds at twice the rate,
/// and then for five at 0.7 of it.
fn retried<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let limiter = L::with_quota(&alone, QUOTA);
    let retrying = || (0..4).any(|_| limiter.admits());
    let during = alone.calls(2.0 * RATE, 10 * S, retrying) * 2.0;
    let after = alone.calls(0.7 * RATE, 5 * S, retrying);
    vec![
        Row::at_least("admitted at twice the rate", during * 100.0, 99.0, "% of the rate"),
        Row::at_least("admitted then, at 0.7 of the rate", after * 100.0, 99.0, "%"),
    ]
}

/// At 0.7 of the rate, the load rises twentyfold for a second.
fn spiked<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let limiter = L::with_quota(&alone, QUOTA);
    let calls = |rate: f64, seconds: u32| alone.calls(rate * RATE, seconds * S, || limiter.admits());
    calls(0.7, 5);
    let spike = calls(14.0, 1) * 14.0 * RATE;
    let (after, later) = (calls(0.7, 1), calls(0.7, 4));
    vec![
        Row::at_most("admitted in the spike", spike, 2.0 * RATE, "units"),
        Row::at_least("admitted in the second after it", after * 100.0, 95.0, "%"),
        Row::at_least("admitted in the four seconds after that", later * 100.0, 99.0, "%"),
    ]
}

/// The first ten seconds see ten times the rate.
fn cold_start<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let limiter = L::with_quota(&alone, QUOTA);
    let (mut admitted, mut beyond) = (0.0, 0.0_f64);
    for second in 1..=10 {
        admitted += alone.calls(10.0 * RATE, S, || limiter.admits()) * 10.0 * RATE;
        beyond = beyond.max(admitted - RATE * f64::from(1 + second));
    }
    vec![
        Row::at_most("admitted beyond burst and rate", beyond, 0.0, "units"),
        Row::at_least("admitted in ten seconds", admitted / RATE * 10.0, 95.0, "% of the rate"),
    ]
}

/// Threads share one account, while time stands still: together they are admitted what one thread
/// is, apart from the allowance of each thread.
fn many_threads<L: OneAccount>(_: Size, seed: u64) -> Vec<Row> {
    const CALLS: u32 = 2_000;
    let admitted = |threads: u32| {
        let alone = Alone::new(seed);
        let limiter = L::with_quota(&alone, QUOTA);
        let count = || (0..CALLS).filter(|_| limiter.admits()).count();
        let counts = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
            all.into_iter().map(|one| one.join().unwrap_or(usize::MAX / 64)).sum::<usize>()
        });
        counts as f64
    };
    let alone = admitted(1);
    let mut rows = vec![Row::at_most("1 thread: admitted", alone, RATE, "units")];
    rows.extend([2, 8, 64].map(|threads| {
        let case = format!("{threads} threads: admitted, apart from one thread");
        Row::at_most(case, (admitted(threads) - alone).abs(), L::EACH_THREAD * f64::from(threads), "units")
    }));
    rows
}
