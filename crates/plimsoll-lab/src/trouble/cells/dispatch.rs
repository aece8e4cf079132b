//! The cells of `Dispatch`.

use std::time::Duration;

use plimsoll::Dispatch;
use tower_layer::Layer;

use crate::sim::Law;
use crate::trouble::callers::Callers;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::day::Day;
use crate::trouble::far::Far;
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::phases::Phases;
use crate::trouble::row::{Phase, Row};
use crate::trouble::scenes::{
    Lengths, SLOTS, SYSTEM, bounded, erlang_b, judge, permits_of_lost_calls, scenes,
};

const GUARD: Guard = Guard::Dispatch;
const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let troubles = SYSTEM.into_iter().chain([Trouble::T14]);
    let mut cells: Vec<Cell> = troubles.map(|trouble| Cell::of(GUARD, trouble, system)).collect();
    cells.push(Cell::new(GUARD, Trouble::T21, almost_full));
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "Its keys only choose a slot: it has no table."),
    (Trouble::T11, "It has no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[Trouble::T9, Trouble::T19, Trouble::T22];

/// A pool with as many slots as the far side.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    let mut rows = judge(
        &scenes,
        seed,
        "",
        |scene, _| bounded(scene, 0),
        |bench| {
            let pool =
                Dispatch::<()>::builder().slots(SLOTS).clock(bench.clock()).dice(bench.dice(0)).build()?;
            let held = pool.clone();
            bench.held(move || held.in_use().into());
            Ok(pool.layer().layer(bench.far()))
        },
    );
    permits_of_lost_calls(&mut rows);
    rows
}

/// A pool that searches all its slots rejects by Erlang's B formula, and a default pool not much
/// more: it tries eight of them at first.
fn almost_full(size: Size, seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for load in [0.5, 0.8, 0.9, 0.95] {
        let phases = Phases::new(2 * S, size.pick(20 * S, 300 * S), Duration::ZERO);
        let far = Far::serving(SLOTS, Law::Exponential(10 * MS));
        let course = Day::new(far, Callers::load(load), phases).run(seed, |bench| {
            let pool = Dispatch::<()>::builder().slots(SLOTS).clock(bench.clock()).dice(bench.dice(0));
            Ok(pool.build()?.layer().layer(bench.far()))
        });
        let during = phases.during();
        let rejected = course.sum(&during, |step| step.rejected) / course.sum(&during, |step| step.sent);
        let limit = 100.0 * erlang_b(SLOTS, load) + 1.0;
        let case = format!("{SLOTS} slots busy to {:.0} % of their number: rejected", 100.0 * load);
        rows.push(Row::at_most(case, 100.0 * rejected, limit, "%").phase(Phase::During));
    }
    rows
}
