//! The value of `Retry-After`.

use std::time::Duration;

/// A duration as `Retry-After` says it: whole seconds, rounded *up*, and never 0.
///
/// Rounded down, a client told to come back after "0" would come back at once.
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
