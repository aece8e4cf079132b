//! The cells of `RandomDrop`.

use std::time::Duration;

use plimsoll::RandomDrop;

use crate::trouble::alone::Alone;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::RandomDrop;
const S: Duration = Duration::from_secs(1);

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![Cell::new(GUARD, Trouble::T9, changed_rate)]
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
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T1,
    Trouble::T2,
    Trouble::T6,
    Trouble::T7,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T20,
    Trouble::T22,
];

/// The rate is lowered a hundredfold in the middle of traffic, and raised again.
fn changed_rate(size: Size, seed: u64) -> Vec<Row> {
    let alone = Alone::new(seed);
    let drop = RandomDrop::builder().keep_rate(1.0).dice(alone.guard_dice(0)).build();
    let drop = drop.unwrap_or_else(|error| unreachable!("{error}"));
    let kept = |rate| {
        drop.set_keep_rate(rate).unwrap_or_else(|error| unreachable!("{error}"));
        100.0 * alone.calls(1_000.0, size.pick(10 * S, 600 * S), || drop.keep())
    };
    let (lowered, raised) = (kept(0.01), kept(1.0));
    vec![
        Row::at_most("kept at 1 % of the rate", lowered, 1.5, "%").phase(Phase::During),
        Row::at_least("kept at the earlier rate", raised, 100.0, "%").phase(Phase::After).without(100.0),
    ]
}
