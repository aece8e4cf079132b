//! The cells of the stacks that the README and the guide recommend.

use plimsoll::{CircuitBreaker, Then, Valve, layer, wait_layer};
use tower_layer::Layer;

use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::{Course, Limits};
use crate::trouble::day::Bench;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row, known_misses};
use crate::trouble::scenes::{
    Lengths, SLOTS, SYSTEM, Scene, bounded, breaker_back, is_outage, judge, scenes,
};

const GUARD: Guard = Guard::Stacks;
/// The queue of the README.
const QUEUE: u32 = 32;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let troubles = SYSTEM.into_iter().chain([Trouble::T14]);
    troubles.map(|trouble| Cell::of(GUARD, trouble, system)).collect()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "Measured for the circuit breakers alone."),
    (Trouble::T5, "Measured for the circuit breakers alone."),
    (Trouble::T8, "Measured for each guard alone."),
    (Trouble::T9, "Measured for each guard alone."),
    (Trouble::T10, "Measured for the keyed guards alone."),
    (Trouble::T11, "Measured for each guard alone."),
    (Trouble::T12, "Measured for each guard alone."),
    (Trouble::T13, "Measured for the load shedder alone."),
    (Trouble::T19, "Measured for each guard alone."),
    (Trouble::T21, "Measured for Dispatch alone."),
    (Trouble::T22, "Measured for each guard alone."),
];

/// The limits of a stack with a breaker: where the far side is out, the breaker may take its time.
fn with_breaker(scene: &Scene, _: &Course) -> Limits {
    let limits = bounded(scene, 0);
    if is_outage(scene.trouble) { Limits { back: Some(breaker_back(scene)), ..limits } } else { limits }
}

fn breaker(bench: &Bench) -> Result<CircuitBreaker, plimsoll::ConfigError> {
    CircuitBreaker::builder().clock(bench.clock()).dice(bench.dice(0)).build()
}

/// A breaker and a valve as one tuple, and a waiting valve with a breaker behind it.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::with_breaker(trouble, size));
    let mut rows = judge(&scenes, seed, "layer((breaker, valve))", with_breaker, |bench| {
        let valve = Valve::builder().concurrency(SLOTS).clock(bench.clock()).build()?;
        let held = valve.clone();
        bench.held(move || held.in_flight().into());
        Ok(layer((breaker(bench)?, valve)).layer(bench.far()))
    });
    let limits = |scene: &Scene, bare: &Course| Limits {
        back: with_breaker(scene, bare).back,
        ..bounded(scene, QUEUE.into())
    };
    rows.extend(judge(&scenes, seed, "wait_layer(Then(valve, breaker))", limits, |bench| {
        let valve = Valve::builder().concurrency(SLOTS).queue(QUEUE).clock(bench.clock()).build()?;
        let (queued, held) = (valve.clone(), valve.clone());
        bench.gauge(move || queued.queued().into());
        bench.held(move || held.in_flight().into());
        Ok(wait_layer(Then(valve, breaker(bench)?)).layer(bench.far()))
    }));
    let known = [(Phase::After, "breaker)), deadline 10 s, twice the capacity: time to be back")];
    known_misses(
        &mut rows,
        &known,
        "the breaker learns of a hang only when callers give up, after ten seconds",
    );
    rows
}
