//! The cells of `Dispatch`.

use plimsoll::Dispatch;
use tower_layer::Layer;

use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, bounded, judge, scenes};

const GUARD: Guard = Guard::Dispatch;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let troubles = SYSTEM.into_iter().chain([Trouble::T14]);
    troubles.map(|trouble| Cell::of(GUARD, trouble, system)).collect()
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
pub(crate) const NOT_YET: &[Trouble] = &[Trouble::T9, Trouble::T19, Trouble::T21, Trouble::T22];

/// A pool with as many slots as the far side.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    judge(
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
    )
}
