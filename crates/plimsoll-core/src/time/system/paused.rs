//! Under `test-util`: tokio's clock, which a test can pause.

pub(in crate::time) use super::std_origin as origin;
use super::std_origin;
use crate::time::Instant;
use crate::time::instant::nanos;

#[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
pub(in crate::time) fn now() -> Instant {
    // The origin is set first, so that no reading lies before it.
    let origin = std_origin();
    Instant::from_nanos(nanos(tokio::time::Instant::now().into_std().saturating_duration_since(origin)))
}

pub(in crate::time) fn coarse() -> Instant {
    now()
}
