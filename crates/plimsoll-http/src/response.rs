//! A rejection as an HTTP response.

use crate::{HttpOptions, rate_limit_fields};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use plimsoll_core::{Reason, Rejected};
use serde_json::{Map, Value};

/// Returns the status of a response to a request that was rejected for `reason`.
///
/// | reason | status | meaning for the caller |
/// |---|---|---|
/// | `Limited` | 429 Too Many Requests | this account has used up its own quota |
/// | `TooLarge` | 413 Content Too Large | larger than the limit can ever admit: do not retry |
/// | `Unidentified` | 400 Bad Request | the request does not state its account |
/// | `Throttled`, all others | 503 Service Unavailable | the service cannot serve it now |
///
/// A cost that is read off `Content-Length` makes a request too large by its content. No other
/// status says "never".
#[doc(alias = "429")]
#[doc(alias = "413")]
#[doc(alias = "503")]
#[doc(alias = "Too Many Requests")]
#[doc(alias = "Service Unavailable")]
pub fn status_for(reason: Reason) -> StatusCode {
    match reason {
        Reason::Limited => StatusCode::TOO_MANY_REQUESTS,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Unidentified => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::Limited => "Too many requests in this time. Slow down, and come back later.",
        Reason::Throttled => "The service receives more requests than it can serve in this time.",
        Reason::Open => "A dependency is failing, so the request was not tried.",
        Reason::Full | Reason::Busy => "As many requests as can be served are being served.",
        Reason::Dropped => "The service is shedding load, and this request was picked.",
        Reason::Expired => "The request waited for its turn as long as is of use.",
        Reason::Evicted => "The request waited for its turn, and had to make room.",
        Reason::Overdue => "The request's deadline left no time to serve it.",
        Reason::Closed => "The service is shutting down.",
        Reason::TooLarge => "The request is larger than all there is room for.",
        Reason::Unidentified => "The request does not state the account that it belongs to.",
        _ => "The service cannot take the request now.",
    }
}

/// Returns the problem type for `reason`, if draft-ietf-httpapi-ratelimit-headers has one that
/// fits.
fn problem_type(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Limited => Some("https://iana.org/assignments/http-problem-types#quota-exceeded"),
        Reason::Throttled
        | Reason::Full
        | Reason::Busy
        | Reason::Dropped
        | Reason::Expired
        | Reason::Evicted => {
            Some("https://iana.org/assignments/http-problem-types#temporary-reduced-capacity")
        }
        _ => None,
    }
}

/// Creates the response to a rejected request.
///
/// The rejection itself is an extension of the response: guards and log layers further out read it.
pub(crate) fn response<B: From<String>>(rejected: Rejected, options: &HttpOptions) -> Response<B> {
    let status = status_for(rejected.reason());
    let title = status.canonical_reason().unwrap_or("Rejected");
    let retry_after = rejected.retry_after().map(|after| options.retry_after(after));
    let mut problem = Map::new();
    let mut set = |key: &str, value: Value| problem.insert(key.into(), value);
    set("title", title.into());
    set("status", status.as_u16().into());
    set("detail", detail(rejected.reason()).into());
    set("reason", rejected.reason().as_str().into());
    if options.guard_names {
        set("guard", rejected.by().into());
    }
    if let Some(seconds) = retry_after {
        set("retry_after", seconds.into());
    }
    if let Some(url) = problem_type(rejected.reason()) {
        set("type", url.into());
    }
    if rejected.reason() == Reason::Limited {
        set("violated-policies", [rejected.by()].as_slice().into());
    }
    let mut response = Response::new(B::from(Value::Object(problem).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    rate_limit_fields::write_rejected(headers, options, &rejected);
    response.extensions_mut().insert(rejected);
    response
}
