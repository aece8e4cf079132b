//! Who asks, by what stands in the request.

use http::Request;
use http::header::HeaderName;
use plimsoll_core::ConfigError;

/// A header as an account: an API key, a tenant. Nothing is copied.
///
/// ```
/// use plimsoll_http::Header;
/// use plimsoll_core::KeyedExt;
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
///
/// let limits = KeyedRateLimiter::<str>::new(Quota::per_second(10).burst(1))?;
/// let gate = limits.by_option_ref(Header::new("x-api-key")?.or_exempt());
///
/// # use plimsoll_core::Gate;
/// let ask = |key: &str| http::Request::builder().header("x-api-key", key).body(()).unwrap();
/// assert!(gate.admit(&ask("ann")).is_ok());
/// assert!(gate.admit(&ask("ann")).is_err());
/// assert!(gate.admit(&ask("bob")).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Anybody can invent a header: limit by one only where it has been checked further out, or where a new name gains
/// nothing because a limit for all stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "say what becomes of requests without it: or_exempt, or_shared"]
pub struct Header(HeaderName);

impl Header {
    /// The header of this name, in any case.
    ///
    /// # Errors
    /// If no header can have this name: in place of finding it in no request.
    pub fn new(name: &str) -> Result<Self, ConfigError> {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Ok(Header(name)),
            Err(_) => Err(ConfigError::new("header", format!("{name:?}"), "a name that a header can have")),
        }
    }

    /// For `.by_option_ref(..)`: requests without it pass unasked and uncounted.
    pub fn or_exempt<B>(self) -> impl Fn(&Request<B>) -> Option<&str> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request)
    }

    /// For `.by_ref(..)`: all requests without it share one account, that of the empty text.
    pub fn or_shared<B>(self) -> impl Fn(&Request<B>) -> &str + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).unwrap_or_default()
    }

    /// The header in this request: the first, if there are several, and none if it is not text.
    pub fn get<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        request.headers().get(&self.0)?.to_str().ok()
    }
}

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
/// use plimsoll_http::{HttpExt, all_but};
/// use plimsoll_limit::{RateLimiter, Quota};
///
/// let limiter = RateLimiter::new(Quota::per_second(100))?;
/// let app: axum::Router = axum::Router::new()
///     .route("/health", axum::routing::get(async || "well"))
///     .layer(limiter.layer().only(all_but(["/health"])).http());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn all_but<B, const N: usize>(
    paths: [&'static str; N],
) -> impl Fn(&Request<B>) -> bool + Clone + Send + Sync + 'static {
    move |request: &Request<B>| !paths.contains(&path(request))
}
