//! The cells of `AdaptiveThrottle`.

use std::time::Duration;

use plimsoll::{AdaptiveThrottle, Outcome};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::AdaptiveThrottle;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T6, all_rejected),
        Cell::new(GUARD, Trouble::T8, little_traffic),
        Cell::new(GUARD, Trouble::T19, sleep),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[Trouble::T4, Trouble::T5, Trouble::T9, Trouble::T22];

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
        // By the formula of the book, ten good seconds within the window let half of them pass.
        rows.push(Row::at_most(case, during * 100.0, 65.0, "%").phase(Phase::During));
        send(&alone, &throttle, rate, 10 * S, Outcome::Success);
        let after = send(&alone, &throttle, rate, size.pick(20 * S, 600 * S), Outcome::Success);
        let case = format!("sent from ten seconds after, {rate} calls/s");
        rows.push(Row::at_least(case, after * 100.0, 95.0, "%").phase(Phase::After).without(100.0));
    }
    rows
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
