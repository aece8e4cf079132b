//! What a request says of itself: its cost, its priority.

use crate::account::header_name;
use http::Request;
use http::header::{CONTENT_LENGTH, HeaderName};
use plimsoll_core::{ConfigError, Priority, RequestInfo};

/// What requests say of themselves, as far as you believe them: for `.info(..)`.
///
/// ```
/// use plimsoll_core::{KeyedExt, Priority};
/// use plimsoll_http::{RequestAttributes, Header};
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
///
/// // A unit for each 64 KiB begun; whoever does not say how much comes pays for 1 MiB.
/// let attributes = RequestAttributes::new().cost_by_content_length(65_536, 16).priority_by_header("x-priority", Priority::NORMAL)?;
///
/// let limits = KeyedRateLimiter::<str>::new(Quota::per_second(100))?;
/// let gate = limits.by_ref(Header::new("x-api-key")?.or_shared()).info(attributes.reader());
/// # let gate: &dyn plimsoll_core::Gate<http::Request<()>, Token = _> = &gate;
/// # let upload = http::Request::post("/").header("content-length", 100_000).body(())?;
/// # assert!(gate.admit(&upload).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A cost of your own is a closure: `.info(|r: &Request<_>| RequestInfo::new().cost(rows(r)))`, or, over what is claimed,
/// `.info(move |r| attributes.info(r).cost(rows(r)))`.
#[derive(Clone, Debug, Default)]
pub struct RequestAttributes {
    // Bytes in a unit; units of a length that is not said.
    cost: Option<(u64, u32)>,
    // Where it stands, and the max that is believed.
    priority: Option<(HeaderName, Priority)>,
}

impl RequestAttributes {
    /// Believes nothing: one unit, of normal priority.
    pub const fn new() -> Self {
        RequestAttributes { cost: None, priority: None }
    }

    /// A unit for each `bytes_per_unit` begun of `Content-Length`, and at least one; `unknown` units where that is
    /// not said, as for a body that is sent in chunks. An empty body may leave it out: only GET, HEAD, OPTIONS,
    /// DELETE and TRACE without a `Transfer-Encoding` are taken to have none.
    #[doc(alias = "Content-Length")]
    #[must_use]
    pub const fn cost_by_content_length(mut self, bytes_per_unit: u64, unknown: u32) -> Self {
        self.cost = Some((if bytes_per_unit > 0 { bytes_per_unit } else { 1 }, unknown));
        self
    }

    /// The priority that the header `name` says: a number from 0 to 255, or `background`, `low`, `normal`, `high`,
    /// `critical`. Who claims more than `max` gets `max`. Who says nothing, or nothing that can be read,
    /// gets normal priority.
    ///
    /// # Errors
    /// If no header can have this name.
    pub fn priority_by_header(mut self, name: &str, max: Priority) -> Result<Self, ConfigError> {
        self.priority = Some((header_name(name)?, max));
        Ok(self)
    }

    /// For `.info(..)`.
    pub fn reader<B>(self) -> impl Fn(&Request<B>) -> RequestInfo + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.info(request)
    }

    /// What this request attributes.
    pub fn info<B>(&self, request: &Request<B>) -> RequestInfo {
        let cost = self.cost.map_or(1, |(unit, unknown)| cost(request, unit, unknown));
        let priority = self.priority.as_ref().and_then(|(name, max)| {
            let text = request.headers().get(name)?.to_str().ok()?;
            Some(priority(text.trim())?.min(*max))
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
