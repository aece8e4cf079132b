//! What one refusal costs.
//!
//! A guard can only hold a server at its capacity while refusing is much cheaper than serving:
//! at load *x* and refusal cost *c* (as a fraction of a request's own cost) the best possible
//! goodput is `C · (1 - c·x) / (1 - c)`.
//!
//! Measured is the processor time of a call into a router whose guard refuses everything: from
//! the request in hand to the dropped answer, on one thread, without sockets and without HTTP
//! parsing, which a refusal and an acceptance have in common. The fraction printed is that time
//! over the *service time in the bottleneck*. Those are different resources (the processor of
//! the server, a slot of what is behind it), so it is not a bound but a sense of proportion.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use tokio::runtime::Builder;
use tower_service::Service;

use crate::error::LabError;
use crate::live::guards::Guards;
use crate::live::pool::SlotPool;
use crate::live::server::bare;

/// Calls in one batch: long enough (about a millisecond) that reading the clock costs nothing.
const BATCH: usize = 1_000;
/// Batches timed; the median of them stands, so that an interrupted one does not count.
const BATCHES: usize = 101;
/// Batches before those, for caches and branch predictors.
const WARM_UP: usize = 10;

/// What one refusal costs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RejectionCost {
    /// Processor time of one refusal.
    pub time: Duration,
    /// The same over the service time of a request in the bottleneck.
    pub of_service_time: f64,
}

/// Measures the cost of one refusal of `guards.refusing`.
///
/// # Errors
///
/// [`LabError::Failed`] if that guard answers anything but 429 or 503.
pub fn rejection_cost(guards: &Guards<'_>, service_time: Duration) -> Result<RejectionCost, LabError> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(LabError::io("start a runtime"))?;
    let _entered = runtime.enter();
    let pool = SlotPool::start(1, service_time).map_err(LabError::io("start the bottleneck's thread"))?;
    let mut router = (guards.rejecting)(bare(pool));
    let mut batches = Vec::with_capacity(BATCHES);
    for n in 0..WARM_UP + BATCHES {
        let time = runtime.block_on(batch(&mut router))?;
        if n >= WARM_UP {
            batches.push(time);
        }
    }
    batches.sort_unstable();
    let median = batches.get(BATCHES / 2).copied().unwrap_or_default();
    let seconds = median.as_secs_f64() / BATCH as f64;
    Ok(RejectionCost {
        time: Duration::from_secs_f64(seconds),
        of_service_time: seconds / service_time.as_secs_f64(),
    })
}

/// Times one batch of refusals.
async fn batch(router: &mut Router) -> Result<Duration, LabError> {
    let requests: Vec<Request> = (0..BATCH).map(|_| Request::new(Body::empty())).collect();
    let start = Instant::now();
    for request in requests {
        // A router is always ready and never errs: both are in its type.
        let Ok(answer) = router.call(request).await;
        let status = answer.status();
        if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
            return Err(LabError::Failed(format!(
                "the guard that should refuse everything answered {status}"
            )));
        }
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::middleware::Next;
    use axum::middleware::from_fn;

    #[test]
    fn a_refusal_costs_something_and_the_fraction_is_of_the_service_time() {
        let guards = Guards {
            guard: &|router, _| router,
            rejecting: &|router| {
                router.layer(from_fn(async |_: Request, _: Next| StatusCode::SERVICE_UNAVAILABLE))
            },
        };
        let service = Duration::from_millis(20);
        let cost = rejection_cost(&guards, service).unwrap();
        assert!(cost.time > Duration::ZERO);
        let fraction = cost.time.as_secs_f64() / service.as_secs_f64();
        assert!((cost.of_service_time - fraction).abs() < 1e-6);
    }

    #[test]
    fn a_guard_that_lets_through_has_no_refusal_cost() {
        let guards = Guards { guard: &|router, _| router, rejecting: &|router| router };
        let error = rejection_cost(&guards, Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("200"), "{error}");
    }
}
