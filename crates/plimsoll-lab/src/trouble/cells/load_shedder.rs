//! The cells of `LoadShedder`.

use std::time::Duration;

use plimsoll::LoadShedder;
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

const GUARD: Guard = Guard::LoadShedder;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![Cell::new(GUARD, Trouble::T2, hang_that_forgets)]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T10, "It has no table of keys: accounts are hashed into 128 cohorts."),
    (Trouble::T11, "It has no queue of its own, and drops accounts by cohorts."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] =
    &[Trouble::T8, Trouble::T9, Trouble::T13, Trouble::T14, Trouble::T19, Trouble::T22];

/// The far side hangs for ten seconds and loses its calls: the shedder must not take the silence
/// for spare capacity, nor the calls that were lost for a queue.
fn hang_that_forgets(size: Size, seed: u64) -> Vec<Row> {
    let phases = Phases::new(10 * S, 10 * S, size.pick(30 * S, 600 * S));
    let cases = [
        ("deadline 1 s, 0.7 of the capacity", 0.7, S),
        ("deadline 1 s, twice the capacity", 2.0, S),
        ("deadline 10 s, 0.7 of the capacity", 0.7, 10 * S),
        ("deadline 10 s, twice the capacity", 2.0, 10 * S),
    ];
    let mut rows = Vec::new();
    for (case, load, deadline) in cases.into_iter().take(size.pick(2, 4)) {
        let far = Far::slots(16, 10 * MS).hangs(phases.begins(), phases.lasts());
        let day = Day::new(far, Callers::load(load).deadline(deadline), phases);
        let course = day.run(seed, |bench| {
            let shedder = LoadShedder::builder().workers(16).clock(bench.clock()).dice(bench.dice(0));
            Ok(shedder.build()?.layer().layer(bench.far()))
        });
        rows.extend(course.rows(case, &day.bare(seed), Limits::back(2 * S)));
    }
    rows
}
