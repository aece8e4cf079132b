//! Accounts: the quota that a request is charged to, read off the request.

mod address;
#[cfg(feature = "axum")]
mod axum;
mod forwarded;
mod header;

#[cfg(feature = "axum")]
pub use self::axum::MatchedRoute;
pub use address::{ClientAddr, PeerAddr};
pub use header::Header;
pub(crate) use header::header_name;

use http::Request;

/// Returns the path of a request, as an account for `.by_ref(..)`.
///
/// A client can invent paths. If a router knows the routes, use `MatchedRoute` (feature `axum`).
pub fn path<B>(request: &Request<B>) -> &str {
    request.uri().path()
}

/// Returns the method of a request, as an account for `.by_ref(..)`.
pub fn method<B>(request: &Request<B>) -> &str {
    request.method().as_str()
}

/// Returns a predicate for `.only(..)` that selects all requests except those to `paths`.
///
/// Use it for health checks. Paths are compared as a whole, and as the layer sees them: inside
/// axum's `nest` the prefix has been removed.
///
/// ```
/// use plimsoll_http::{HttpExt, paths_except};
/// use plimsoll_limit::{RateLimiter, Quota};
///
/// let limiter = RateLimiter::new(Quota::per_second(100))?;
/// let app: axum::Router = axum::Router::new()
///     .route("/health", axum::routing::get(async || "well"))
///     .layer(limiter.layer().only(paths_except(["/health"])).http());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "health check")]
#[doc(alias = "exclude")]
pub fn paths_except<B, const N: usize>(
    paths: [&'static str; N],
) -> impl Fn(&Request<B>) -> bool + Clone + Send + Sync + 'static {
    move |request: &Request<B>| !paths.contains(&path(request))
}
