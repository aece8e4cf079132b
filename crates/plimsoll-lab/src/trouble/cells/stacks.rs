//! The cells of the stacks of the README.

use crate::trouble::cell::Cell;
use crate::trouble::kind::Trouble;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    Vec::new()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "Measured for the circuit breakers alone."),
    (Trouble::T5, "Measured for the circuit breakers alone."),
    (Trouble::T8, "Measured for each guard alone."),
    (Trouble::T9, "Measured for each guard alone."),
    (Trouble::T10, "Measured for the keyed guards alone."),
    (Trouble::T11, "Measured for each guard alone."),
    (Trouble::T12, "Measured for each guard alone."),
    (Trouble::T13, "Measured for the load shedder alone."),
    (Trouble::T19, "Measured for each guard alone."),
    (Trouble::T21, "Measured for Dispatch alone."),
    (Trouble::T22, "Measured for each guard alone."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T1,
    Trouble::T2,
    Trouble::T3,
    Trouble::T6,
    Trouble::T7,
    Trouble::T14,
    Trouble::T15,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T20,
];
