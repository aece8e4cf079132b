//! Helpers of the tests in this folder.
#![allow(dead_code)] // Each test uses some of them.

use axum::body::Body;
use axum::http::Request;
use plimsoll::{Reason, Rejected};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Waits until `condition` is true. It yields meanwhile, so nothing depends on time.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// Returns the reason of a rejection that a service returned as its error.
pub(crate) fn reason(error: BoxError) -> Reason {
    error.downcast_ref::<Rejected>().unwrap().reason()
}

/// Creates a GET request.
pub(crate) fn get_request(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

/// A handler that never returns.
pub(crate) async fn pending_handler() -> &'static str {
    std::future::pending().await
}
