//! The cells of `KeyedCircuitBreaker`.

use std::time::Duration;

use plimsoll::{KeyedCircuitBreaker, Outcome, Trip};

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::KeyedCircuitBreaker;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T7, outer_time_out),
        Cell::new(GUARD, Trouble::T8, hardly_any_traffic),
        Cell::new(GUARD, Trouble::T10, many_hosts),
    ]
}

fn hosts(alone: &Alone, trip: Option<Trip>) -> KeyedCircuitBreaker<u64> {
    let builder = KeyedCircuitBreaker::builder().clock(alone.clock()).dice(alone.guard_dice(0));
    let builder = trip.into_iter().fold(builder, |builder, trip| builder.trip(trip));
    builder.build().unwrap_or_else(|error| unreachable!("{error}"))
}

/// One host of several hangs, and a time-out outside of the layer drops its calls.
fn outer_time_out(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let hosts = hosts(&alone, None);
    let (mut opened, mut healthy) = (None, (0, 0));
    alone.calls(100.0, 60 * S, || {
        for host in 1..5 {
            let call = hosts.try_acquire(&host).map(|permit| permit.done(Outcome::Success));
            healthy = (healthy.0 + 1, healthy.1 + u32::from(call.is_ok()));
        }
        let hangs = hosts.try_acquire(&0).map(drop).is_ok();
        opened = opened.or_else(|| (!hangs).then(|| alone.now()));
        hangs
    });
    let opened = opened.map_or(f64::INFINITY, |at| at.as_nanos() as f64 / 1e9);
    vec![
        Row::at_most("time until the host that hangs is open", opened, 12.5, "s").phase(Phase::During),
        Row::at_least(
            "calls to healthy hosts admitted",
            f64::from(healthy.1) / f64::from(healthy.0) * 100.0,
            100.0,
            "%",
        )
        .phase(Phase::During)
        .without(100.0),
    ]
}

/// Each of many hosts is called once a minute, and one call in ten fails.
fn hardly_any_traffic(_: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let hosts = hosts(&alone, None);
    let mut n = 0;
    let admitted = alone.calls(10.0, 3_600 * S, || {
        n += 1;
        let outcome = if alone.chance(0.1) { Outcome::Failure } else { Outcome::Success };
        hosts.try_acquire(&(n % 600)).map(|permit| permit.done(outcome)).is_ok()
    });
    vec![
        Row::at_least("admitted, one call a minute to each host", admitted * 100.0, 99.0, "%").without(100.0),
    ]
}

/// More healthy hosts than there is room for, and one that always fails.
fn many_hosts(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let hosts = hosts(&alone, Some(Trip::failures().count(5).within(60 * S)));
    let (mut n, mut healthy) = (0, (0, 0));
    let admitted = alone.calls(10.0, size.pick(30 * S, 300 * S), || {
        for _ in 0..200 {
            n += 1;
            let call = hosts.try_acquire(&(1 + n % 2_000)).map(|permit| permit.done(Outcome::Success));
            healthy = (healthy.0 + 1, healthy.1 + u32::from(call.is_ok()));
        }
        hosts.try_acquire(&0).map(|permit| permit.done(Outcome::Failure)).is_ok()
    });
    vec![
        Row::at_most(
            "calls admitted to the host that always fails, among 2,000",
            admitted * 100.0,
            10.0,
            "%",
        ),
        Row::at_least(
            "calls to healthy hosts admitted",
            f64::from(healthy.1) / f64::from(healthy.0) * 100.0,
            100.0,
            "%",
        )
        .without(100.0),
        Row::at_most("keys that have a breaker", hosts.key_count() as f64, 1_024.0, "keys"),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T11, "Its keys share nothing but the table, which T10 fills."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T1,
    Trouble::T2,
    Trouble::T3,
    Trouble::T4,
    Trouble::T5,
    Trouble::T6,
    Trouble::T9,
    Trouble::T15,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T19,
    Trouble::T20,
    Trouble::T22,
];
