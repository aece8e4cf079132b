//! The cells of `Dispatch`.

use crate::trouble::cell::Cell;
use crate::trouble::kind::Trouble;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    Vec::new()
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
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T1,
    Trouble::T2,
    Trouble::T3,
    Trouble::T6,
    Trouble::T7,
    Trouble::T9,
    Trouble::T14,
    Trouble::T15,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T19,
    Trouble::T20,
    Trouble::T21,
    Trouble::T22,
];
