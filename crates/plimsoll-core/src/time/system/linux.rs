//! Linux: the monotonic clocks, read directly. The detour through `std` takes a quarter longer.
//!
//! The precise and the coarse clock count the same seconds from one origin, so the coarse time is
//! never ahead.

use super::before;
use crate::time::Instant;
use crate::time::instant::nanos;
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;

/// The origin as an instant of `std`, and the difference between our time and the system's.
static ORIGIN: OnceLock<(std::time::Instant, u64)> = OnceLock::new();

#[cold]
#[inline(never)]
fn first() -> &'static (std::time::Instant, u64) {
    ORIGIN.get_or_init(|| {
        // In this order, so that a sleeper that uses the clock of `std` wakes late, never early.
        let system = read(ClockId::Monotonic);
        #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
        let (origin, since) = before(std::time::Instant::now());
        // Wrapping: our origin may lie before the system's, which is the time of its boot.
        (origin, nanos(since).wrapping_sub(system))
    })
}

#[cfg(feature = "tokio")]
pub(in crate::time) fn origin() -> std::time::Instant {
    first().0
}

#[inline]
fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Never negative. What wraps here wraps back with the offset.
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[inline]
fn since_origin(clock: ClockId) -> Instant {
    // The origin is set first, so that no reading lies before it.
    let (_, offset) = ORIGIN.get().unwrap_or_else(first);
    Instant::from_nanos(read(clock).wrapping_add(*offset))
}

pub(in crate::time) fn now() -> Instant {
    since_origin(ClockId::Monotonic)
}

pub(in crate::time) fn coarse() -> Instant {
    since_origin(ClockId::MonotonicCoarse)
}
