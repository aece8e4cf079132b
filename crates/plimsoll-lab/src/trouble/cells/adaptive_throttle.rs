//! The cells of `AdaptiveThrottle`.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use plimsoll::{AdaptiveThrottle, ControlError, Outcome, Permit};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::cells::system::adaptive_throttle;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::AdaptiveThrottle;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T4, background_rejections),
        Cell::new(GUARD, Trouble::T6, all_rejected),
        Cell::new(GUARD, Trouble::T8, little_traffic),
        Cell::new(GUARD, Trouble::T9, changed_settings),
        Cell::new(GUARD, Trouble::T19, sleep),
        Cell::new(GUARD, Trouble::T22, many_threads),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T5, "It does not read how long calls take."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

fn throttle(alone: &Alone) -> AdaptiveThrottle {
    let throttle = AdaptiveThrottle::builder().clock(alone.clock()).dice(alone.guard_dice(0)).build();
    throttle.unwrap_or_else(|error| unreachable!("{error}"))
}

/// Sends calls that end so, and returns the share of them that was sent.
fn send(alone: &Alone, throttle: &AdaptiveThrottle, rate: f64, lasts: Duration, outcome: Outcome) -> f64 {
    alone.calls(rate, lasts, || throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok())
}

/// The server answers 503 to everything for a minute: the client spares it, and returns soon.
fn all_rejected(size: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for rate in [20.0, 1_000.0] {
        let alone = Alone::new(seed);
        let throttle = throttle(&alone);
        send(&alone, &throttle, rate, 10 * S, Outcome::Success);
        let during = send(&alone, &throttle, rate, 60 * S, Outcome::Overloaded);
        let case = format!("sent to a server that rejects everything, {rate} calls/s");
        // By the formula, ten good seconds within the window of half a minute let 36 % pass. The
        // window is up to a tenth longer, and one request a second is always sent.
        let most = 38.0 + 100.0 / rate;
        rows.push(Row::at_most(case, during * 100.0, most, "%").phase(Phase::During));
        send(&alone, &throttle, rate, 10 * S, Outcome::Success);
        let after = send(&alone, &throttle, rate, size.pick(20 * S, 600 * S), Outcome::Success);
        let case = format!("sent from ten seconds after, {rate} calls/s");
        rows.push(Row::at_least(case, after * 100.0, 95.0, "%").phase(Phase::After).without(100.0));
    }
    rows.extend(adaptive_throttle(Trouble::T6, size, seed));
    rows
}

/// A share of the calls is rejected all the time, less than half. Then all are for 15 s, and an
/// hour follows.
fn background_rejections(size: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for rate in [20.0, 200.0, 1_000.0].into_iter().take(size.pick(1, 3)) {
        for share in [0.05, 0.25, 0.4, 0.45] {
            let alone = Alone::new(seed);
            let throttle = throttle(&alone);
            let background = |lasts| {
                alone.calls(rate, lasts, || {
                    let is_rejected = alone.chance(share);
                    let outcome = if is_rejected { Outcome::Overloaded } else { Outcome::Success };
                    throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok()
                })
            };
            let case = format!("sent, {rate} calls/s of which {:.0} % are rejected", 100.0 * share);
            let before = background(60 * S);
            // A multiplier of 2 begins to reject at one half, which few requests reach by chance.
            let spent = if share > 0.4 { 0.04 } else { 0.0 };
            let row = Row::at_least(&case, before * 100.0, 99.0 - 100.0 * spent, "%").phase(Phase::Before);
            let why = "the first requests are rejected more often than one half by chance";
            rows.push(row.without(100.0).spends(spent, why));
            send(&alone, &throttle, rate, 15 * S, Outcome::Overloaded);
            let after = background(3_600 * S);
            rows.push(Row::at_least(case, after * 100.0, 99.0, "%").phase(Phase::After).without(100.0));
        }
    }
    rows
}

/// A setting is lowered and raised a hundredfold, within its range, while the server
/// rejects everything. The answers come half a second later.
fn changed_settings(size: Size, seed: u64) -> Vec<Row> {
    type Change = fn(&AdaptiveThrottle) -> Result<(), ControlError>;
    let changes: [(&str, Change); 6] = [
        ("multiplier at its minimum", |throttle| throttle.set_multiplier(1.0)),
        ("multiplier raised a hundredfold", |throttle| throttle.set_multiplier(200.0)),
        ("window at its minimum", |throttle| throttle.set_window(S)),
        ("window raised a hundredfold", |throttle| throttle.set_window(3_000 * S)),
        ("min_rate lowered a hundredfold", |throttle| throttle.set_min_rate(0.01)),
        ("min_rate raised a hundredfold", |throttle| throttle.set_min_rate(100.0)),
    ];
    let mut rows = Vec::new();
    for (case, change) in changes {
        let alone = Alone::new(seed);
        let throttle = throttle(&alone);
        send(&alone, &throttle, 1_000.0, 60 * S, Outcome::Overloaded);
        change(&throttle).unwrap_or_else(|error| unreachable!("{error}"));
        let mut late = VecDeque::new();
        let sent = alone.calls(1_000.0, 5 * S, || {
            let now = alone.now();
            while late.front().is_some_and(|(due, _)| *due <= now) {
                late.pop_front()
                    .into_iter()
                    .for_each(|(_, permit): (_, Permit<_>)| permit.done(Outcome::Overloaded));
            }
            let permit = throttle.try_acquire().ok();
            let is_sent = permit.is_some();
            late.extend(permit.map(|permit| (now + S / 2, permit)));
            is_sent
        });
        drop(late);
        let most = 1.0 + throttle.min_rate() / 10.0;
        let case = format!("sent to a server that rejects everything, {case}");
        rows.push(Row::at_most(&case, sent * 100.0, most, "%").phase(Phase::During));
        // The first request that is always sent finds out.
        let found = Duration::from_secs_f64(throttle.min_rate().recip());
        send(&alone, &throttle, 1_000.0, found + 10 * S, Outcome::Success);
        let after = send(&alone, &throttle, 1_000.0, size.pick(10 * S, 600 * S), Outcome::Success);
        let case = format!("{case}, from ten seconds after its next request");
        rows.push(Row::at_least(case, after * 100.0, 99.0, "%").phase(Phase::After).without(100.0));
    }
    rows
}

/// Threads share one throttle, and time stands still: each request is counted once.
fn many_threads(size: Size, seed: u64) -> Vec<Row> {
    let calls: u64 = size.pick(51_200, 1_024_000);
    let each = [1, 2, 8, 64].map(|threads| {
        let alone = Alone::new(seed);
        let throttle = throttle(&alone);
        thread::scope(|scope| {
            for n in 0..threads {
                let throttle = &throttle;
                let outcome = if n % 2 == 0 { Outcome::Success } else { Outcome::Overloaded };
                scope.spawn(move || {
                    (0..calls / threads).for_each(|_| {
                        throttle.try_acquire().into_iter().for_each(|permit| permit.done(outcome));
                    });
                });
            }
        });
        let off = throttle.counts().0.abs_diff(calls) as f64;
        Row::at_most(format!("{threads} threads: requests that were not counted once"), off, 0.0, "")
    });
    each.into()
}

/// One call a second, or one an hour, of which one in twenty is rejected.
fn little_traffic(size: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, rate) in [("second", 1.0), ("hour", 1.0 / 3_600.0)] {
        let alone = Alone::new(seed);
        let throttle = throttle(&alone);
        let lasts = Duration::from_secs_f64(size.pick(600.0, 6_000.0) / rate);
        let sent = alone.calls(rate, lasts, || {
            let outcome = if alone.chance(0.05) { Outcome::Overloaded } else { Outcome::Success };
            throttle.try_acquire().map(|permit| permit.done(outcome)).is_ok()
        });
        rows.push(Row::at_least(format!("sent, one call a {name}"), sent * 100.0, 99.0, "%").without(100.0));
    }
    rows
}

/// The machine sleeps for 30 s in the middle of traffic.
fn sleep(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let throttle = throttle(&alone);
    send(&alone, &throttle, 100.0, 10 * S, Outcome::Success);
    alone.time().advance(30 * S);
    let sent = send(&alone, &throttle, 100.0, size.pick(10 * S, 600 * S), Outcome::Success);
    vec![
        Row::at_least("sent after 30 s of sleep", sent * 100.0, 99.0, "%").phase(Phase::After).without(100.0),
    ]
}
