//! The system's clocks, chosen once: `now`, `coarse`, and the origin of all instants.

use std::time::Duration;

#[cfg_attr(feature = "test-util", path = "paused.rs")]
#[cfg_attr(all(not(feature = "test-util"), target_os = "linux"), path = "linux.rs")]
#[cfg_attr(all(not(feature = "test-util"), not(target_os = "linux")), path = "portable.rs")]
mod imp;

#[cfg(feature = "tokio")]
pub(super) use imp::origin;
pub(super) use imp::{coarse, now};

/// Returns the origin of all instants where `std` alone reads the time.
#[cfg(any(feature = "test-util", not(target_os = "linux")))]
pub(in crate::time) fn std_origin() -> std::time::Instant {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
    *ORIGIN.get_or_init(|| before(std::time::Instant::now()).0)
}

/// Returns the origin of all instants, and how long it lies before `now`.
///
/// The origin lies a day back if the system allows it. A runtime may have paused its clock before
/// the first reading, and that earlier time must still be after the origin.
fn before(now: std::time::Instant) -> (std::time::Instant, Duration) {
    let slack = [86_400, 3_600, 60].map(Duration::from_secs);
    // Some systems count from boot and cannot represent an instant a day ago.
    let found = slack.into_iter().find_map(|slack| Some((now.checked_sub(slack)?, slack)));
    found.unwrap_or((now, Duration::ZERO))
}
