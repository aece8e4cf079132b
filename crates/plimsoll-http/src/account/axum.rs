//! Accounts that axum knows: the matched route, and the address of the peer.
//!
//! `axum` is named in this file only.

use axum::extract::{ConnectInfo, MatchedPath};
use http::{Extensions, Request};
use std::net::SocketAddr;

/// Returns the route of a request as it was written, such as `/users/{id}`.
///
/// Pass it to `.by_option_ref(..)`: requests that match no route pass uncounted. The route is known
/// to layers inside the router only, that is, those added by `Router::layer` or to a method router.
/// A layer around the whole router sees none.
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

/// Returns the address of the peer, if the server records `ConnectInfo`.
pub(crate) fn connect_info(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer)
}
