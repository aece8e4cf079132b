//! The cells of `AdaptiveThrottle`.

use crate::trouble::cell::Cell;
use crate::trouble::kind::Trouble;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    Vec::new()
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no accounts and no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T14, "It holds nothing while a call runs."),
    (Trouble::T21, "It is no pool of resources."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] =
    &[Trouble::T4, Trouble::T5, Trouble::T8, Trouble::T9, Trouble::T19, Trouble::T22];
