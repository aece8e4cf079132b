//! The cells of `KeyedCircuitBreaker`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::{Inspect, KeyedCircuitBreaker, KeyedExt, Outcome, Permit, Trip, layer};
use tower_layer::Layer;

use crate::sim::Request;
use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::cells::system::breaker_rows;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};
use crate::trouble::scenes::SYSTEM;

const GUARD: Guard = Guard::KeyedCircuitBreaker;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let own = [
        Cell::new(GUARD, Trouble::T4, background_failures),
        Cell::new(GUARD, Trouble::T5, background_slowness),
        Cell::new(GUARD, Trouble::T6, only_push_back),
        Cell::new(GUARD, Trouble::T7, outer_time_out),
        Cell::new(GUARD, Trouble::T8, hardly_any_traffic),
        Cell::new(GUARD, Trouble::T9, changed_settings),
        Cell::new(GUARD, Trouble::T10, many_hosts),
        Cell::new(GUARD, Trouble::T19, sleeping_machine),
        Cell::new(GUARD, Trouble::T22, many_threads),
    ];
    let scenes = SYSTEM.into_iter().filter(|trouble| !matches!(trouble, Trouble::T6 | Trouble::T7));
    let scenes = scenes.map(|trouble| Cell::of(GUARD, trouble, beside_healthy));
    own.into_iter().chain(scenes).collect()
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

/// The scenes that every guard has to stand, for one host beside four healthy ones.
fn beside_healthy(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let calls = Arc::new(Tally::default());
    let mut rows = breaker_rows(trouble, size, seed, |bench| {
        let hosts = KeyedCircuitBreaker::builder().clock(bench.clock()).dice(bench.dice(0)).build()?;
        let (healthy, calls) = (hosts.clone(), calls.clone());
        // Each call to the far side is also the moment of one to a healthy host.
        let far = move |_: &Request| {
            calls.call(&healthy);
            0
        };
        Ok(layer(hosts.by(far)).layer(bench.far()))
    });
    rows.push(calls.row());
    rows
}

/// Calls to four healthy hosts, and those of them that were admitted.
#[derive(Default)]
struct Tally {
    all: AtomicU64,
    admitted: AtomicU64,
}

impl Tally {
    fn call(&self, hosts: &KeyedCircuitBreaker<u64>) {
        let host = 1 + self.all.fetch_add(1, Ordering::Relaxed) % 4;
        if let Ok(permit) = hosts.try_acquire(&host) {
            permit.done(Outcome::Success);
            self.admitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn row(&self) -> Row {
        let [all, admitted] = [&self.all, &self.admitted].map(|n| n.load(Ordering::Relaxed) as f64);
        Row::at_least("calls to healthy hosts admitted", admitted / all * 100.0, 100.0, "%").without(100.0)
    }
}

/// One host beside healthy ones, called in a loop.
struct Beside {
    alone: Alone,
    hosts: KeyedCircuitBreaker<u64>,
    healthy: Tally,
}

impl Beside {
    fn new(seed: u64, trip: Option<Trip>) -> Self {
        let alone = Alone::new(seed);
        let hosts = hosts(&alone, trip);
        Beside { alone, hosts, healthy: Tally::default() }
    }

    /// Calls the host, and a healthy one. Returns the share of calls to the host that is admitted.
    fn calls(&self, rate: f64, lasts: Duration, mut outcome: impl FnMut(&Alone) -> Outcome) -> f64 {
        self.alone.calls(rate, lasts, || {
            self.healthy.call(&self.hosts);
            self.hosts.try_acquire(&0).map(|permit| permit.done(outcome(&self.alone))).is_ok()
        })
    }
}

/// Returns an outcome that is `bad` for this share of the calls.
fn bad_at(share: f64, bad: Outcome) -> impl FnMut(&Alone) -> Outcome {
    move |alone| if alone.chance(share) { bad } else { Outcome::Success }
}

/// A closed breaker bears a background of failures at one host. One blip must not change that.
fn background_failures(size: Size, seed: u64) -> Vec<Row> {
    let rates: &[f64] = size.pick(&[200.0], &[20.0, 200.0, 1_000.0]);
    let mut rows = Vec::new();
    for (rate, share) in rates.iter().flat_map(|rate| [0.12, 0.25, 0.35].map(|share| (*rate, share))) {
        let beside = Beside::new(seed, None);
        let usual = || bad_at(share, Outcome::Failure);
        beside.calls(rate, 60 * S, usual());
        beside.calls(rate, 15 * S, |_| Outcome::Failure);
        // The breaker may need an open time and its ramp before it is judged.
        beside.calls(rate, 120 * S, usual());
        let admitted = beside.calls(rate, size.pick(300 * S, 3_600 * S), usual());
        let case = format!("admitted, {rate} calls/s of which {:.0} % always fail", share * 100.0);
        rows.push(Row::at_least(case, admitted * 100.0, 99.0, "%").phase(Phase::After).without(100.0));
        rows.push(beside.healthy.row());
    }
    rows
}

/// One host is slow for a share of its calls, which the trip bears, before and after a blip.
fn background_slowness(size: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for share in [0.1, 0.25] {
        let beside = Beside::new(seed, Some(Trip::slow(S).ratio(0.3, 50)));
        let (alone, hosts) = (&beside.alone, &beside.hosts);
        let mut late: VecDeque<(_, Permit<KeyedCircuitBreaker<u64>>)> = VecDeque::new();
        let mut run = |lasts, slow| {
            alone.calls(200.0, lasts, || {
                while late.front().is_some_and(|(ends, _)| *ends <= alone.now()) {
                    late.pop_front().into_iter().for_each(|(_, permit)| permit.done(Outcome::Success));
                }
                beside.healthy.call(hosts);
                let permit = hosts.try_acquire_owned(&0).ok();
                let admitted = permit.is_some();
                match permit {
                    Some(permit) if alone.chance(slow) => late.push_back((alone.now() + S, permit)),
                    Some(permit) => permit.done(Outcome::Success),
                    None => {}
                }
                admitted
            })
        };
        run(30 * S, share);
        run(15 * S, 1.0);
        run(120 * S, share);
        let admitted = run(size.pick(300 * S, 3_600 * S), share);
        let case = format!("admitted, 200 calls/s of which {:.0} % are slow", share * 100.0);
        rows.push(Row::at_least(case, admitted * 100.0, 99.0, "%").phase(Phase::After).without(100.0));
        rows.push(beside.healthy.row());
    }
    rows
}

/// One host answers everything, or a part, with 503 or 429.
fn only_push_back(size: Size, seed: u64) -> Vec<Row> {
    let lasts = size.pick(60 * S, 600 * S);
    let dead = Beside::new(seed, None);
    let pushed = dead.calls(100.0, lasts, |_| Outcome::Overloaded);
    let shedding = Beside::new(seed, None);
    let shed = shedding.calls(100.0, lasts, bad_at(0.6, Outcome::Overloaded));
    vec![
        Row::at_most("calls admitted to a host that only answers 503 or 429", pushed * 100.0, 0.6, "%")
            .phase(Phase::During),
        Row::at_least("admitted while the host sheds 60 % of the calls", shed * 100.0, 100.0, "%")
            .phase(Phase::During)
            .without(100.0),
        dead.healthy.row(),
    ]
}

/// Each setting is lowered and raised a hundred times in the middle of traffic with 10 % failures,
/// and again while one host is open.
fn changed_settings(size: Size, seed: u64) -> Vec<Row> {
    let mut settings = vec![];
    Beside::new(seed, None).hosts.read(&mut |name, value| settings.push((name, value)));
    settings.retain(|(name, _)| !matches!(*name, "key_count" | "open"));
    let (mut worst, mut waits) = ((1.0, ""), 0.0_f64);
    for (name, value) in settings {
        for factor in [0.01, 100.0] {
            let beside = Beside::new(seed, None);
            beside.calls(100.0, 20 * S, bad_at(0.1, Outcome::Failure));
            // A value out of range is rejected, and changes nothing.
            let _ = beside.hosts.set(name, value * factor);
            let admitted = beside.calls(100.0, size.pick(60 * S, 600 * S), bad_at(0.1, Outcome::Failure));
            if admitted < worst.0 {
                worst = (admitted, name);
            }
        }
        // Raised by mistake, and set back while a host is open.
        let beside = Beside::new(seed, None);
        let _ = beside.hosts.set("open_time.max", 6_000.0);
        let _ = beside.hosts.set(name, value * 100.0);
        beside.calls(100.0, 20 * S, |_| Outcome::Failure);
        let _ = beside.hosts.set(name, value);
        let left = beside.hosts.try_acquire(&0).err().and_then(|rejected| rejected.retry_after());
        waits = waits.max(left.unwrap_or_default().as_secs_f64());
    }
    let case = format!("admitted after any change of a setting (the worst: {:?})", worst.1);
    vec![
        Row::at_least(case, worst.0 * 100.0, 100.0, "%").phase(Phase::After).without(100.0),
        Row::at_most("open time left once any setting is back at its default", waits, 60.0, "s")
            .phase(Phase::After),
    ]
}

/// The machine sleeps for 30 s with calls in flight. They count as timed out, at most once.
fn sleeping_machine(_: Size, seed: u64) -> Vec<Row> {
    let beside = Beside::new(seed, None);
    beside.calls(100.0, 20 * S, |_| Outcome::Success);
    let in_flight: Vec<_> = (0..10).filter_map(|_| beside.hosts.try_acquire_owned(&0).ok()).collect();
    beside.alone.time().advance(30 * S);
    in_flight.into_iter().for_each(|permit| permit.done(Outcome::Success));
    let admitted = beside.calls(100.0, 60 * S, |_| Outcome::Success);
    let case = "admitted after a sleep of 30 s with 10 calls in flight";
    vec![
        Row::at_least(case, admitted * 100.0, 100.0, "%").phase(Phase::After).without(100.0),
        beside.healthy.row(),
    ]
}

/// Threads call eight hosts. One failure less than the trip needs keeps each closed, and one more
/// opens it.
fn many_threads(size: Size, seed: u64) -> Vec<Row> {
    let rounds = size.pick(200, 5_000);
    let rows = [1_u64, 2, 8, 64].into_iter().flat_map(|threads| {
        let alone = Alone::new(seed);
        let failures = u32::try_from(threads * rounds).unwrap_or(u32::MAX);
        let trip = Trip::failures().count(failures + 1);
        let hosts = KeyedCircuitBreaker::builder().trips([trip]).clock(alone.clock()).build();
        let hosts = &hosts.unwrap_or_else(|error| unreachable!("{error}"));
        let rejected = &AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(move || {
                    for call in 0..rounds * 8 {
                        match hosts.try_acquire(&(call % 8)) {
                            Ok(permit) => permit.done(Outcome::Failure),
                            Err(_) => _ = rejected.fetch_add(1, Ordering::Relaxed),
                        }
                    }
                });
            }
        });
        let early = rejected.load(Ordering::Relaxed);
        let last = |host| hosts.try_acquire(&host).map(|permit| permit.done(Outcome::Failure));
        let missing = (0..8).filter(|host| last(*host).is_err() || hosts.try_acquire(host).is_ok()).count();
        let case = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        [
            Row::at_most(format!("{case}: calls rejected too early"), early as f64, 0.0, "calls"),
            Row::at_most(format!("{case}: hosts that counted wrongly"), missing as f64, 0.0, "hosts"),
            Row::at_most(format!("{case}: keys that have a breaker"), hosts.key_count() as f64, 8.0, "keys"),
        ]
    });
    rows.collect()
}
