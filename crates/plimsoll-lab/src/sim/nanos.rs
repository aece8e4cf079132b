//! Virtual time as a number.

use std::time::Duration;

/// As nanoseconds; the longest where they are too many for a number.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
