//! Accounts: what a request counts against, read off the request.

mod address;
#[cfg(feature = "axum")]
mod axum;
mod forwarded;
mod header;

#[cfg(feature = "axum")]
pub use self::axum::matched_path;
pub use address::{ClientAddr, PeerAddr};
pub use header::Header;
pub(crate) use header::header_name;

use http::Request;

/// For `.by_ref(..)`: an account for each path. Paths are the client's to invent: where a router knows the
/// routes, take `matched_route` (feature `axum`).
pub fn path<B>(request: &Request<B>) -> &str {
    request.uri().path()
}

/// For `.by_ref(..)`: an account for each method.
pub fn method<B>(request: &Request<B>) -> &str {
    request.method().as_str()
}

/// For `.only(..)`: all requests but those to one of these paths, such as a health check.
///
/// The path is compared as a whole, and as the layer sees it: inside axum's `nest` the prefix is gone.
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
