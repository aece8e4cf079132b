//! The cells of `Valve`.

use std::time::Duration;

use plimsoll::Valve;
use tower_layer::Layer;

use crate::trouble::callers::Callers;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::Limits;
use crate::trouble::day::Day;
use crate::trouble::far::Far;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::phases::Phases;
use crate::trouble::row::Row;

const GUARD: Guard = Guard::Valve;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![Cell::new(GUARD, Trouble::T1, long_stall)]
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
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T2,
    Trouble::T3,
    Trouble::T6,
    Trouble::T7,
    Trouble::T9,
    Trouble::T11,
    Trouble::T12,
    Trouble::T14,
    Trouble::T15,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T19,
    Trouble::T20,
    Trouble::T22,
];

/// The far side stops for a minute: nothing queues beyond the valve's bound, and the valve is back
/// at once.
fn long_stall(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, size.pick(20 * S, 60 * S), size.pick(20 * S, 600 * S));
    let far = Far::slots(16, 10 * MS).stalls(phases.begins(), phases.lasts());
    let day = Day::new(far, Callers::load(0.5), phases);
    let course = day.run(seed, |bench| {
        let valve = Valve::builder().concurrency(16).clock(bench.clock()).build()?;
        let watched = valve.clone();
        bench.gauge(move || watched.queued().into());
        Ok(valve.layer().layer(bench.far()))
    });
    course.rows("no queue, half load, patient callers", &day.bare(seed), Limits::back(2 * S).queue(0))
}
