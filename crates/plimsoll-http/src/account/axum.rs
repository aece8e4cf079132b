//! Accounts that axum knows: the matched route, and the address of the peer.
//!
//! `axum` is named in this file only.

use axum::extract::{ConnectInfo, MatchedPath};
use http::{Extensions, Request};
use plimsoll_core::NoKey;
use std::net::SocketAddr;

/// Reads the route of a request as it was written, such as `/users/{id}`.
///
/// Only layers inside the router know the route: those added by `Router::layer` or to a method
/// router. A layer around the whole router sees none, and neither does a request that matches no
/// route. Choose what happens to requests without a route.
///
/// ```
/// use axum::{Router, routing::get};
/// use plimsoll_http::{HttpExt, MatchedRoute};
/// use plimsoll_core::KeyedExt;
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
///
/// let limits = KeyedRateLimiter::<str>::new(Quota::per_second(10))?;
/// let by_route = limits.by_ref(MatchedRoute.or_shared());
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "a user"))
///     .layer(plimsoll_core::layer(by_route).http());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "MatchedPath")]
#[doc(alias = "matched_path")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "choose what happens to requests without a route: or_rejected, or_shared or or_exempt"]
pub struct MatchedRoute;

impl MatchedRoute {
    /// Returns a closure for `.by_option_ref(..)`. Requests without a route pass uncounted, and
    /// each of them is an event.
    pub fn or_exempt<B>(self) -> impl Fn(&Request<B>) -> Option<&str> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request)
    }

    /// Returns a closure for `.by_ref(..)`. Requests without a route share the account `""`.
    pub fn or_shared<B>(self) -> impl Fn(&Request<B>) -> &str + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).unwrap_or_default()
    }

    /// Returns a closure for `.by_required_ref(..)`. Requests without a route are rejected.
    pub fn or_rejected<B>(
        self,
    ) -> impl Fn(&Request<B>) -> Result<&str, NoKey> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).ok_or(NoKey)
    }

    /// Returns the route of `request`, if the router has matched one.
    pub fn get<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)
    }
}

/// Returns the address of the peer, if the server records `ConnectInfo`.
pub(crate) fn connect_info(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer)
}
