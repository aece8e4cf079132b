//! Accounts by header.

use http::Request;
use http::header::HeaderName;
use plimsoll_core::{ConfigError, NoKey};

/// Reads the account from a header, such as an API key or a tenant. Nothing is copied.
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
/// let request = |key: &str| http::Request::builder().header("x-api-key", key).body(()).unwrap();
/// assert!(gate.admit(&request("ann")).is_ok());
/// assert!(gate.admit(&request("ann")).is_err());
/// assert!(gate.admit(&request("bob")).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A client can invent the value of a header, and so new accounts. Use a header that a server
/// further out has checked, or put a global limit beside the limit for each account.
#[doc(alias = "API key")]
#[doc(alias = "tenant")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "choose what happens to requests without the header: or_rejected, or_shared or or_exempt"]
pub struct Header(HeaderName);

impl Header {
    /// Creates an account by the header `name`. Case is ignored.
    ///
    /// # Errors
    /// Returns an error if `name` is not a valid header name.
    pub fn new(name: &str) -> Result<Self, ConfigError> {
        header_name(name).map(Header)
    }

    /// Returns a closure for `.by_option_ref(..)`. Requests without the header pass uncounted, and
    /// each of them is an event.
    pub fn or_exempt<B>(self) -> impl Fn(&Request<B>) -> Option<&str> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request)
    }

    /// Returns a closure for `.by_ref(..)`. Requests without the header share the account `""`.
    pub fn or_shared<B>(self) -> impl Fn(&Request<B>) -> &str + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).unwrap_or_default()
    }

    /// Returns a closure for `.by_required_ref(..)`. Requests without the header are rejected.
    pub fn or_rejected<B>(
        self,
    ) -> impl Fn(&Request<B>) -> Result<&str, NoKey> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).ok_or(NoKey)
    }

    /// Returns the value of the header in `request`: the first if there are several.
    ///
    /// Returns `None` if there is no such header, or if its value is empty or not visible ASCII.
    pub fn get<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        request.headers().get(&self.0)?.to_str().ok().filter(|value| !value.is_empty())
    }
}

/// Parses the name of a header.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ConfigError::new("header", format!("{name:?}"), "a valid header name"))
}
