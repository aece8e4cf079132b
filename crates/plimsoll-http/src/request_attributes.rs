//! Cost and priority, read off the headers of a request.

use crate::account::header_name;
use http::Request;
use http::header::{CONTENT_LENGTH, HeaderName};
use plimsoll_core::{ConfigError, Priority, RequestInfo};

/// Reads cost and priority from the headers of a request, as far as you trust them.
///
/// ```
/// use plimsoll_core::{KeyedExt, Priority};
/// use plimsoll_http::{RequestAttributes, Header};
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
///
/// // One unit for each 64 KiB. A body of unknown length is charged 16 units.
/// let attributes = RequestAttributes::new()
///     .cost_by_content_length(65_536, 16)
///     .priority_by_header("x-priority", Priority::NORMAL)?;
///
/// let limits = KeyedRateLimiter::<str>::new(Quota::per_second(100))?;
/// let gate = limits.by_ref(Header::new("x-api-key")?.or_shared()).info(attributes.reader());
/// # let gate: &dyn plimsoll_core::Gate<http::Request<()>, Token = _> = &gate;
/// # let upload = http::Request::post("/").header("content-length", 100_000).body(())?;
/// # assert!(gate.admit(&upload).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For a cost of your own, pass a closure, which may start from the attributes:
/// `.info(move |request| attributes.info(request).cost(rows(request)))`.
#[derive(Clone, Debug, Default)]
pub struct RequestAttributes {
    // The bytes in a unit, and the units of a body of unknown length.
    cost: Option<(u64, u32)>,
    // The header, and the highest priority that a client may claim.
    priority: Option<(HeaderName, Priority)>,
}

impl RequestAttributes {
    /// Creates attributes that read no header: every request is one unit of normal priority.
    pub const fn new() -> Self {
        RequestAttributes { cost: None, priority: None }
    }

    /// Sets the cost to one unit for each `bytes_per_unit` of `Content-Length`, rounded up.
    ///
    /// The cost is at least 1. A body of unknown length, such as a chunked one, costs `unknown`
    /// units. GET, HEAD, OPTIONS, DELETE and TRACE requests with neither `Content-Length` nor
    /// `Transfer-Encoding` have no body and cost 1. A `bytes_per_unit` or an `unknown` of 0 counts
    /// as 1.
    #[doc(alias = "Content-Length")]
    #[must_use]
    pub const fn cost_by_content_length(mut self, bytes_per_unit: u64, unknown: u32) -> Self {
        let bytes_per_unit = if bytes_per_unit > 0 { bytes_per_unit } else { 1 };
        self.cost = Some((bytes_per_unit, if unknown > 0 { unknown } else { 1 }));
        self
    }

    /// Reads the priority from the header `name`, and limits it to `max`.
    ///
    /// Valid values are the numbers 0 to 255 and `background`, `low`, `normal`, `high` and
    /// `critical`. Without the header, or with any other value, the priority is normal, or `max` if
    /// that is lower.
    ///
    /// # Errors
    /// Returns an error if `name` is not a valid header name.
    pub fn priority_by_header(mut self, name: &str, max: Priority) -> Result<Self, ConfigError> {
        self.priority = Some((header_name(name)?, max));
        Ok(self)
    }

    /// Returns a closure for `.info(..)`.
    pub fn reader<B>(self) -> impl Fn(&Request<B>) -> RequestInfo + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.info(request)
    }

    /// Returns cost and priority of `request`.
    pub fn info<B>(&self, request: &Request<B>) -> RequestInfo {
        let cost = self.cost.map_or(1, |(unit, unknown)| cost(request, unit, unknown));
        let priority = self.priority.as_ref().map(|(name, max)| {
            let text = request.headers().get(name).and_then(|value| value.to_str().ok());
            text.and_then(|text| priority(text.trim())).unwrap_or_default().min(*max)
        });
        RequestInfo::new().cost(cost).priority(priority.unwrap_or_default())
    }
}

fn cost<B>(request: &Request<B>, unit: u64, unknown: u32) -> u32 {
    let headers = request.headers();
    match headers.get(CONTENT_LENGTH) {
        Some(length) => {
            let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
            let bytes = length.to_str().ok().map(str::trim).filter(digits).and_then(|text| text.parse().ok());
            bytes.map_or(unknown, |bytes: u64| u32::try_from(bytes.div_ceil(unit)).unwrap_or(u32::MAX).max(1))
        }
        None if is_bodiless(request.method()) && !headers.contains_key(http::header::TRANSFER_ENCODING) => 1,
        None => unknown,
    }
}

fn is_bodiless(method: &http::Method) -> bool {
    method.is_safe() || method == http::Method::DELETE
}

fn priority(text: &str) -> Option<Priority> {
    let named = [
        ("background", Priority::BACKGROUND),
        ("low", Priority::LOW),
        ("normal", Priority::NORMAL),
        ("high", Priority::HIGH),
        ("critical", Priority::CRITICAL),
    ];
    let by_name = named.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    by_name.map(|(_, priority)| priority).or_else(|| text.parse().ok().map(Priority))
}
