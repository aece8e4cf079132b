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
#[doc(alias = "API key")]
#[doc(alias = "tenant")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "say what becomes of requests without it: or_exempt, or_shared"]
pub struct Header(HeaderName);

impl Header {
    /// The header of this name, in any case.
    ///
    /// # Errors
    /// If no header can have this name: in place of finding it in no request.
    pub fn new(name: &str) -> Result<Self, ConfigError> {
        header_name(name).map(Header)
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

pub(crate) fn header_name(name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ConfigError::new("header", format!("{name:?}"), "a valid header name"))
}
