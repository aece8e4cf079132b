//! What axum's router and server know of a request.
//!
//! `axum` is named here and nowhere else.

use axum::extract::{ConnectInfo, MatchedPath};
use http::{Extensions, Request};
use std::net::SocketAddr;

/// For `.by_option_ref(..)`: an account for each route as it was written, `/users/{id}`. Requests that match none
/// pass unasked.
///
/// Only what is inside the router knows the route: layers that were added by `Router::layer` or to a method router, not
/// what is wrapped around the whole.
///
/// ```
/// use axum::{Router, routing::get};
/// use plimsoll_http::{HttpExt, matched_path};
/// use plimsoll_core::KeyedExt;
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
///
/// let limits = KeyedRateLimiter::<str>::new(Quota::per_second(10))?;
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "a user"))
///     .layer(plimsoll_core::layer(limits.by_option_ref(matched_path)).http());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "MatchedPath")]
#[doc(alias = "route")]
pub fn matched_path<B>(request: &Request<B>) -> Option<&str> {
    request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)
}

pub(crate) fn connect_info(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer)
}
