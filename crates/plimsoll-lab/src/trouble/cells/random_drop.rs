//! The cells of `RandomDrop`.

use std::thread;

use plimsoll::RandomDrop;
use tower_layer::Layer;

use crate::sim::dice;
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
    let mut cells: Vec<Cell> = measured.map(|trouble| Cell::of(GUARD, trouble, system)).collect();
    cells.push(Cell::new(GUARD, Trouble::T9, changed_rate));
    cells.push(Cell::new(GUARD, Trouble::T22, many_threads));
    cells
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

/// Returns the share of `calls` that is kept, in per cent.
fn kept(drop: &RandomDrop, calls: u32) -> f64 {
    f64::from((0..calls).map(|_| u32::from(drop.keep())).sum::<u32>()) * 100.0 / f64::from(calls)
}

/// The share is lowered and raised a hundredfold: the next calls already follow.
fn changed_rate(size: Size, seed: u64) -> Vec<Row> {
    let calls = size.pick(20_000, 1_000_000);
    let drop = RandomDrop::builder().keep_rate(0.9).dice(dice(seed, 100)).build();
    let drop = drop.unwrap_or_else(|error| unreachable!("{error}"));
    let each = [(0.9, "at first"), (0.009, "lowered a hundredfold"), (0.9, "raised a hundredfold")];
    let each = each.map(|(rate, case)| {
        drop.set_keep_rate(rate).unwrap_or_else(|error| unreachable!("{error}"));
        let off = (kept(&drop, calls) - 100.0 * rate).abs();
        Row::at_most(format!("{case}: kept, apart from {} %", 100.0 * rate), off, 1.0, "points")
    });
    each.into()
}

/// Threads share one guard: together they keep the share that was set.
fn many_threads(size: Size, seed: u64) -> Vec<Row> {
    let calls = size.pick(50_000, 1_000_000);
    let each = [1, 2, 8, 64].map(|threads| {
        let drop = RandomDrop::builder().keep_rate(0.5).dice(dice(seed, 100)).build();
        let drop = drop.unwrap_or_else(|error| unreachable!("{error}"));
        let shares: Vec<f64> = thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| kept(&drop, calls / threads))).collect();
            all.into_iter().map(|one| one.join().unwrap_or(f64::NAN)).collect()
        });
        let off = (shares.iter().sum::<f64>() / f64::from(threads) - 50.0).abs();
        // Five standard deviations of a fair coin.
        let limit = 250.0 / f64::from(calls).sqrt();
        Row::at_most(format!("{threads} threads: kept, apart from 50 %"), off, limit, "points")
    });
    each.into()
}
