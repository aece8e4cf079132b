//! The eight levels of priority.

use plimsoll_core::Priority;

/// The number of levels, each of 32 priorities.
pub(crate) const LEVELS: usize = 8;

/// Returns the level of a priority, from 0 (the least important) to 7.
#[inline]
pub(crate) fn level(priority: Priority) -> usize {
    usize::from(priority.0) * LEVELS / 256
}
