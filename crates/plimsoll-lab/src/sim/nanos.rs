//! Virtual time as a number of nanoseconds.

use std::time::Duration;

/// Converts to nanoseconds, saturating.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
