//! The cells of `Valve`.

use std::time::Duration;

use plimsoll::{Discipline, Valve};
use tower_layer::Layer;

use crate::trouble::cell::{Cell, Size};
use crate::trouble::day::Bench;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, bounded, judge, permits_of_lost_calls, scenes};

const GUARD: Guard = Guard::Valve;
const MS: Duration = Duration::from_millis(1);
/// The queue of the README.
const QUEUE: u32 = 32;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    SYSTEM.map(|trouble| Cell::of(GUARD, trouble, system)).into()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T21, "A valve without a queue is such a pool, and is measured as Dispatch."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] =
    &[Trouble::T9, Trouble::T11, Trouble::T12, Trouble::T14, Trouble::T19, Trouble::T22];

/// Every discipline, the default one first. Targets are above the time of one call.
const DISCIPLINES: [Discipline; 7] = [
    Discipline::KeepOldest,
    Discipline::Lifo,
    Discipline::Fifo,
    Discipline::LifoWithAge { max_age: Duration::from_millis(100) },
    Discipline::CoDel { target: Duration::from_millis(20), interval: Duration::from_millis(100) },
    Discipline::AdaptiveLifo { target: Duration::from_millis(20), interval: Duration::from_millis(100) },
    Discipline::TimeBuckets { slice: Duration::from_millis(25), slices: 4 },
];

/// A valve of as many permits as the far side has slots: without a queue, and with the queue of the
/// README in every discipline.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    let watch = |bench: &Bench, valve: &Valve| {
        let (queued, held) = (valve.clone(), valve.clone());
        bench.gauge(move || queued.queued().into());
        bench.held(move || held.in_flight().into());
    };
    let mut rows = judge(
        &scenes,
        seed,
        "no queue",
        |scene, _| bounded(scene, 0),
        |bench| {
            let valve = Valve::builder().concurrency(SLOTS).clock(bench.clock()).build()?;
            watch(bench, &valve);
            Ok(valve.layer().layer(bench.far()))
        },
    );
    for discipline in DISCIPLINES.into_iter().take(size.pick(1, 7)) {
        let settings = format!("queue {QUEUE}, {}", discipline.as_str());
        let limits = |scene: &_, _: &_| bounded(scene, QUEUE.into());
        rows.extend(judge(&scenes, seed, &settings, limits, |bench| {
            let valve = Valve::builder().concurrency(SLOTS).queue(QUEUE).max_wait(100 * MS);
            let valve = valve.discipline(discipline).clock(bench.clock()).build()?;
            watch(bench, &valve);
            Ok(valve.wait_layer().layer(bench.far()))
        }));
    }
    permits_of_lost_calls(&mut rows);
    rows
}
