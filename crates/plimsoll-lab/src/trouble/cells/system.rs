//! System cells of guards whose other cells are in files of their own.
//!
//! A cell in a guard's own file replaces the one from here.

use std::time::Duration;

use plimsoll::drop::{Control, Curve};
use plimsoll::{AdaptiveThrottle, CircuitBreaker, ConfigError, LoadShedder, Outcome, Valve};
use tower_layer::Layer;
use tower_service::Service;

use crate::sim::{CallError, Request};
use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::{Course, Limits};
use crate::trouble::day::Bench;
use crate::trouble::erlang::erlang_b;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row, known_misses};
use crate::trouble::scenes::{
    Lengths, SLOTS, SYSTEM, Scene, bounded, breaker_back, is_outage, judge, judge_against, scenes,
};

const S: Duration = Duration::from_secs(1);

/// Returns the system cells of a guard. Empty for a guard that has them in its own file.
pub(crate) fn cells(guard: Guard) -> Vec<Cell> {
    match guard {
        Guard::CircuitBreaker => SYSTEM.map(|trouble| Cell::of(guard, trouble, circuit_breaker)).into(),
        Guard::LoadShedder => SYSTEM.map(|trouble| Cell::of(guard, trouble, load_shedder)).into(),
        Guard::AdaptiveThrottle => SYSTEM.map(|trouble| Cell::of(guard, trouble, adaptive_throttle)).into(),
        _ => Vec::new(),
    }
}

/// A default breaker in front of the far side. It bounds no queue: where the far side does not
/// fail, it must do no harm. Where it does, it may take its open time and its ramp.
fn circuit_breaker(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    breaker_rows(trouble, size, seed, |bench| {
        let breaker = CircuitBreaker::builder().clock(bench.clock()).dice(bench.dice(0)).build()?;
        Ok(breaker.layer().layer(bench.far()))
    })
}

/// Puts a stack with a breaker through the scenes of a trouble.
pub(crate) fn breaker_rows<S>(
    trouble: Trouble,
    size: Size,
    seed: u64,
    stack: impl Fn(&Bench) -> Result<S, ConfigError>,
) -> Vec<Row>
where
    S: Service<Request, Response = (), Error = CallError>,
{
    let scenes = scenes(trouble, size, Lengths::with_breaker(trouble, size));
    let limits = |scene: &Scene, bare: &Course| {
        let own = if is_outage(trouble) { Some(breaker_back(scene)) } else { bounded(scene, 0).back };
        Limits { back: own.map(|own| own.max(bare.back())), ..Limits::default() }
    };
    judge(&scenes, seed, "", limits, stack)
}

/// A shedder that counts the calls in flight, under each controller.
fn load_shedder(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    let workers = f64::from(SLOTS);
    let red = Control::Red(Curve::linear(workers, 4.0 * workers));
    let controls = [("rate", Control::Rate), ("pie", Control::Pie), ("red", red)];
    let limits = |scene: &Scene, _: &Course| {
        // A controller must find the new load first. T17 has no earlier goodput to be back at.
        let back = (trouble != Trouble::T17).then_some(10.0);
        // As a bounded queue, but it is no queue and rejects nothing by Erlang's formula.
        Limits { back, queue: None, ..bounded(scene, 1) }
    };
    let each = controls.into_iter().take(size.pick(1, 3)).flat_map(|(name, control)| {
        judge(&scenes, seed, name, limits, |bench| {
            let shedder = LoadShedder::builder().workers(SLOTS).control(control);
            let shedder = shedder.clock(bench.clock()).dice(bench.dice(0)).build()?;
            Ok(shedder.layer().layer(bench.far()))
        })
    });
    let mut rows: Vec<Row> = each.collect();
    if trouble == Trouble::T16 {
        let known = [(Phase::During, "pie, 3 retries at once, three times the capacity: goodput")];
        // Not the default control, and better than nothing.
        let why =
            "by RFC 8033, PIE raises its probability by at most 2 % each 15 ms: too slowly for such a fleet";
        known_misses(&mut rows, &known, why);
    }
    rows
}

/// Returns the seconds that a throttle takes longer than the rest of the system to be back.
///
/// It reads the answers of two seconds. Where everything was rejected, all requests of the window
/// must lose their weight, by a factor of e in half a second.
fn throttle_back(trouble: Trouble) -> f64 {
    if trouble == Trouble::T6 { 5.0 } else { 3.0 }
}

/// A throttle at the clients of a server that is guarded by a valve.
pub(crate) fn adaptive_throttle(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size).after(20 * S));
    let limits = |_: &Scene, without: &Course| {
        let back = without.back().max(0.0) + throttle_back(trouble);
        let limits = Limits { back: Some(back), ..Limits::default() };
        // Twice the capacity reaches the valve at any higher load.
        match trouble {
            Trouble::T16 | Trouble::T18 | Trouble::T20 => Limits {
                spends_during: Some((
                    throttle_spends(),
                    "a valve without a queue is sent twice what it accepts",
                )),
                ..limits
            },
            _ => limits,
        }
    };
    let valve = |bench: &Bench| Valve::builder().concurrency(SLOTS).clock(bench.clock()).build();
    let rest = |bench: &_| Ok(valve(bench)?.layer().layer(bench.far()));
    judge_against(&scenes, seed, "before a valve", limits, rest, |bench| {
        let throttle = AdaptiveThrottle::builder().clock(bench.clock()).dice(bench.dice(0)).build()?;
        let throttle = throttle.layer().classify(|answer: Result<&(), &CallError>| match answer {
            Ok(()) => Outcome::Success,
            Err(CallError::Rejected | CallError::Status(429 | 503)) => Outcome::Overloaded,
            Err(_) => Outcome::Failure,
        });
        Ok(throttle.layer(valve(bench)?.layer().layer(bench.far())))
    })
}

/// Returns the share of the goodput that a throttle with a multiplier of 2 spends to spare a server
/// without a queue: it is idle at times, by Erlang's B formula, if half of its calls are rejected.
fn throttle_spends() -> f64 {
    // The load of which half is rejected, by bisection.
    let (mut low, mut high) = (1.0, 4.0);
    for _ in 0..50 {
        let load = 0.5 * (low + high);
        if erlang_b(SLOTS, load * f64::from(SLOTS)) < 0.5 { low = load } else { high = load }
    }
    1.0 - 0.5 * low
}
