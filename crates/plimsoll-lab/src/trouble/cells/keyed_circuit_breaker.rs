//! The cells of `KeyedCircuitBreaker`.

use crate::trouble::cell::Cell;
use crate::trouble::kind::Trouble;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    Vec::new()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T11, "Its keys share nothing but the table, which T10 fills."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T1,
    Trouble::T2,
    Trouble::T3,
    Trouble::T4,
    Trouble::T5,
    Trouble::T6,
    Trouble::T7,
    Trouble::T8,
    Trouble::T9,
    Trouble::T10,
    Trouble::T15,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T19,
    Trouble::T20,
    Trouble::T22,
];
