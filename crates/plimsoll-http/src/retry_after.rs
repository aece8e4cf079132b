//! The value of `Retry-After`.

use std::time::Duration;

/// Returns a duration in whole seconds, rounded up, and at least 1.
///
/// Rounded down, a wait of 300 ms would be 0, and the client would retry at once.
///
/// ```
/// use plimsoll_http::retry_after_seconds;
/// use std::time::Duration;
///
/// assert_eq!(retry_after_seconds(Duration::from_millis(1)), 1);
/// assert_eq!(retry_after_seconds(Duration::from_millis(1_001)), 2);
/// ```
#[doc(alias = "Retry-After")]
pub fn retry_after_seconds(after: Duration) -> u64 {
    after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1)
}
