//! The cells of `RandomDrop`.

use plimsoll::RandomDrop;
use tower_layer::Layer;

use crate::trouble::cell::{Cell, Size};
use crate::trouble::course::{Course, Limits};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;
use crate::trouble::scenes::{Lengths, SYSTEM, Scene, judge, scenes};

const GUARD: Guard = Guard::RandomDrop;
/// The share that is kept.
const KEEP_RATE: f64 = 0.9;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let measured = SYSTEM.into_iter().filter(|trouble| ![Trouble::T3, Trouble::T15].contains(trouble));
    measured.map(|trouble| Cell::of(GUARD, trouble, system)).collect()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T3, "It keeps no history, so idle time changes nothing."),
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T15, "It holds nothing while a call runs."),
    (Trouble::T19, "It reads no clock."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[Trouble::T9, Trouble::T22];

/// A fixed share is dropped, whatever happens. It bounds no queue, so the far side must recover by
/// itself, and may not take longer for that than without the guard.
fn limits(scene: &Scene, bare: &Course) -> Limits {
    let judged = ![Trouble::T17, Trouble::T20].contains(&scene.trouble);
    let back = judged.then(|| bare.back().max(2.0));
    let limits = Limits { back, ..Limits::default() };
    limits.spends(1.0 - KEEP_RATE, "the share that is dropped")
}

fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    judge(&scenes, seed, "keeps 90 %", limits, |bench| {
        let drop = RandomDrop::builder().keep_rate(KEEP_RATE).dice(bench.dice(0)).build()?;
        Ok(drop.layer().layer(bench.far()))
    })
}
