//! Responses and outcomes, in axum.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use plimsoll_core::{Gate, Outcome, Reason, Rejected, Settle, layer};
use plimsoll_drop::RandomDrop;
use plimsoll_http::{HttpExt, outcome_for, retry_after_seconds, status_for};
use plimsoll_valve::Valve;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

fn get_request(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

/// Rejects with the given rejection, or records the outcomes of admitted calls.
#[derive(Clone, Default)]
struct Fixed(Option<Rejected>, Arc<Mutex<Vec<Outcome>>>);
impl Settle for Fixed {
    type Token = ();
    fn settle(&self, (): (), outcome: Outcome) {
        self.1.lock().unwrap().push(outcome);
    }
    fn refund(&self, (): ()) {}
}
impl<R: ?Sized> Gate<R> for Fixed {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.0.map_or(Ok(()), Err)
    }
}

async fn reject(rejected: Rejected) -> Response<Body> {
    let app = Router::new()
        .route("/", get(async || "never"))
        .layer(layer(Fixed(Some(rejected), Arc::default())).http());
    app.with_state(()).oneshot(get_request("/")).await.unwrap()
}

#[tokio::test]
async fn rejection_is_a_problem_document() {
    let rejected =
        Rejected::new("per-account", Reason::Limited).numbers(50, 50).retry_in(Duration::from_millis(1_200));
    let response = reject(rejected).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let retry_after: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((2..=4).contains(&retry_after), "rounded up, with a jitter of up to 2 s: {retry_after}");
    assert_eq!(response.extensions().get::<Rejected>(), Some(&rejected));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["title"], "Too Many Requests");
    assert_eq!(problem["reason"], "limited");
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-account"]));
    assert_eq!(problem["retry_after"], retry_after);
    assert!(problem["detail"].as_str().unwrap().ends_with('.'));
}

#[tokio::test]
async fn unknown_time_omits_retry_after() {
    let response = reject(Rejected::new("valve", Reason::Full)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers().contains_key(header::RETRY_AFTER));
}

#[test]
fn only_the_own_quota_is_429() {
    use Reason::*;
    assert_eq!(status_for(Limited), 429);
    assert_eq!(status_for(TooLarge), 413, "a retry never helps");
    assert_eq!(status_for(Unidentified), 400);
    for reason in
        [Open, Full, Dropped, Expired, Evicted, Busy, Overdue, Closed, Unavailable, Filtered, Throttled]
    {
        assert_eq!(status_for(reason), 503, "{reason}");
    }
}

proptest! {
    #[test]
    fn retry_after_rounds_up_by_less_than_a_second(nanos in 0..u64::MAX) {
        let after = Duration::from_nanos(nanos);
        let rounded = Duration::from_secs(retry_after_seconds(after));
        prop_assert!(rounded >= after && rounded >= Duration::from_secs(1));
        prop_assert!(rounded < after + Duration::from_secs(1) || nanos == 0);
    }
}

#[tokio::test]
async fn axum_outcome_is_read_off_the_status() {
    let gate = Fixed::default();
    let app = Router::new()
        .route("/ok", get(async || "fine"))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/late", get(async || StatusCode::GATEWAY_TIMEOUT))
        .route("/busy", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/shed", get(async || "never").layer(RandomDrop::new(0.0).unwrap().layer().http()))
        .layer(layer(gate.clone()).http())
        .with_state(());
    for path in ["/ok", "/nowhere", "/broken", "/late", "/busy", "/shed"] {
        app.clone().oneshot(get_request(path)).await.unwrap();
    }
    use Outcome::*;
    // A rejection by a guard further in says nothing about the service behind it.
    assert_eq!(*gate.1.lock().unwrap(), [Success, Success, Failure, TimedOut, Overloaded, Ignored]);
    assert_eq!(outcome_for(StatusCode::TOO_MANY_REQUESTS), Overloaded);
    assert_eq!(outcome_for(StatusCode::REQUEST_TIMEOUT), TimedOut);
}

#[tokio::test]
async fn custom_classifier_is_kept() {
    let gate = Fixed::default();
    let layer = layer(gate.clone()).classify(|_: Result<&Response<Body>, &_>| Outcome::Ignored).http();
    let app =
        Router::new().route("/", get(async || StatusCode::INTERNAL_SERVER_ERROR)).layer(layer).with_state(());
    app.oneshot(get_request("/")).await.unwrap();
    assert_eq!(*gate.1.lock().unwrap(), [Outcome::Ignored]);
}

/// axum calls `layer()` once for each route. State created there would make a limit of one a limit
/// of one per route. Three routes, five requests: one is in flight.
#[tokio::test]
async fn one_limit_for_all_routes_exempts_health() {
    let valve = Valve::new(1).unwrap();
    let forever = || get(async || std::future::pending::<&str>().await);
    let app = Router::new()
        .route("/a", forever())
        .route("/b", forever())
        .route("/c", forever())
        .route("/health", get(async || "well"))
        .layer(valve.layer().only(|r: &Request<Body>| r.uri().path() != "/health").http())
        .with_state(());
    let mut calls: Vec<_> = ["/a", "/b", "/c", "/a", "/b"]
        .into_iter()
        .map(|path| tokio::spawn(app.clone().oneshot(get_request(path))))
        .collect();
    let first = calls.remove(0);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(valve.in_flight(), 1);
    assert_eq!(app.oneshot(get_request("/health")).await.unwrap().status(), StatusCode::OK);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(valve.in_flight(), 0, "a cancelled handler releases its place");
}
