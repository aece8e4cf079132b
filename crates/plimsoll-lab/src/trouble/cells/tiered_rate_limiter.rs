//! The cells of `TieredRateLimiter`.

use crate::trouble::cell::Cell;
use crate::trouble::kind::Trouble;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    Vec::new()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T1, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T2, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T3, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T6, "It does not read how calls end."),
    (Trouble::T7, "It does not read how calls end."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T17, "It does not see the far side: it admits the same calls, whatever becomes of them."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T8,
    Trouble::T9,
    Trouble::T10,
    Trouble::T11,
    Trouble::T12,
    Trouble::T15,
    Trouble::T16,
    Trouble::T18,
    Trouble::T19,
    Trouble::T20,
    Trouble::T22,
];
