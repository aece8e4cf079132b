//! The cost of one rejection.
//!
//! A guard can hold a server at its capacity only while a rejection is much cheaper than an answer.
//! At load *x* and rejection cost *c*, as a fraction of a request's own cost, the best possible
//! goodput is `C · (1 - c·x) / (1 - c)`.
//!
//! The measured time is the processor time of a call into a router whose guard rejects every
//! request. It lasts from the request in hand to the dropped response, on one thread. Sockets and
//! HTTP parsing are left out, because rejected and admitted requests have them in common. The
//! printed fraction is that time over the *service time in the bottleneck*. The two are different
//! resources, the server's processor and a slot behind it. So the fraction gives a sense of
//! proportion and is not a bound.

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

/// Calls in one batch. A batch takes about a millisecond, so reading the clock costs nothing.
const BATCH: usize = 1_000;
/// Measured batches. The median is taken, so that an interrupted batch does not count.
const BATCHES: usize = 101;
/// Batches before those, for caches and branch predictors.
const WARM_UP: usize = 10;

/// The cost of one rejection.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RejectionCost {
    /// The processor time of one rejection.
    pub time: Duration,
    /// That time over the service time of a request in the bottleneck.
    pub of_service_time: f64,
}

/// Measures the cost of one rejection by `guards.rejecting`.
///
/// # Errors
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

/// Times one batch of rejections.
async fn batch(router: &mut Router) -> Result<Duration, LabError> {
    let requests: Vec<Request> = (0..BATCH).map(|_| Request::new(Body::empty())).collect();
    let start = Instant::now();
    for request in requests {
        // A router is always ready and never fails. Its types say both.
        let Ok(answer) = router.call(request).await;
        let status = answer.status();
        if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
            return Err(LabError::Failed(format!(
                "the guard that should reject every request answered {status}"
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
    fn rejection_cost_is_a_fraction_of_the_service_time() {
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
    fn guard_that_admits_has_no_rejection_cost() {
        let guards = Guards { guard: &|router, _| router, rejecting: &|router| router };
        let error = rejection_cost(&guards, Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("200"), "{error}");
    }
}
