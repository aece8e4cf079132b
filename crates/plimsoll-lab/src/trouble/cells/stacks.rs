//! The cells of the stacks that the README and the guide recommend.

use std::time::Duration;

use plimsoll::{CircuitBreaker, Then, Valve, layer, wait_layer};
use tower_layer::Layer;

use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::{Course, Limits};
use crate::trouble::day::Bench;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, Scene, bounded, judge, scenes};

const GUARD: Guard = Guard::Stacks;
const S: Duration = Duration::from_secs(1);
/// The queue of the README.
const QUEUE: u32 = 32;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    SYSTEM.map(|trouble| Cell::of(GUARD, trouble, system)).into()
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

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[Trouble::T14];

/// The longest time that a default breaker is still open after an outage, and its ramp.
///
/// Its open times are 5 s, 10 s, 20 s, 40 s and then 60 s. The last one begins within the outage.
fn breaker_back(scene: &Scene) -> f64 {
    let outage = scene.day.phases.lasts().as_secs_f64();
    let (mut begins, mut open) = (0.0, 5.0);
    while begins + open < outage {
        begins += open;
        open = f64::min(2.0 * open, 60.0);
    }
    open + 5.0
}

/// The limits of a stack with a breaker: where the far side is out, the breaker may take its time.
fn with_breaker(scene: &Scene, _: &Course) -> Limits {
    let limits = bounded(scene, 0);
    match scene.trouble {
        Trouble::T1 | Trouble::T2 | Trouble::T6 | Trouble::T7 => {
            Limits { back: Some(breaker_back(scene)), ..limits }
        }
        _ => limits,
    }
}

fn breaker(bench: &Bench) -> Result<CircuitBreaker, plimsoll::ConfigError> {
    CircuitBreaker::builder().clock(bench.clock()).dice(bench.dice(0)).build()
}

/// A breaker and a valve as one tuple, and a waiting valve with a breaker behind it.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size).after(40 * S));
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
    rows
}
