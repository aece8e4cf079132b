//! A refusal as an HTTP response.

use crate::{HttpOptions, fields};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use plimsoll_core::{Reason, Rejected};
use std::time::Duration;

/// The status of a refusal.
///
/// | reason | status | why |
/// |---|---|---|
/// | `Limited` | 429 Too Many Requests | this caller sends too much; others may be served |
/// | `TooLarge` | 413 Content Too Large | it is larger than all there is; asking again never helps |
/// | all others | 503 Service Unavailable | the service cannot take it now, whoever asks |
pub fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::Limited => StatusCode::TOO_MANY_REQUESTS,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A duration as `Retry-After` says it: whole seconds, rounded *up*, and never 0.
///
/// Rounded down, a client told to come back after "0" would come back at once.
///
/// ```
/// use plimsoll_http::retry_after_seconds;
/// use std::time::Duration;
///
/// assert_eq!(retry_after_seconds(Duration::from_millis(1)), 1);
/// assert_eq!(retry_after_seconds(Duration::from_millis(1_001)), 2);
/// ```
pub fn retry_after_seconds(after: Duration) -> u64 {
    after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1)
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
        _ => "The service cannot take the request now.",
    }
}

/// The problem types of draft-ietf-httpapi-ratelimit-headers, where one says what the reason says.
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

/// The whole answer: status, `Retry-After` where a time is known, the `RateLimit` fields where a quota rejected, and
/// a problem body. The refusal itself rides along in the extensions, for guards and logs further out.
pub(crate) fn response<B: From<String>>(no: Rejected, answers: &HttpOptions) -> Response<B> {
    let status = status(no.reason());
    let title = status.canonical_reason().unwrap_or("Refused");
    let retry = no.retry_after().map(|after| retry_after_seconds(answers.spread(after)));
    let mut problem = serde_json::json!({
        "title": title,
        "status": status.as_u16(),
        "detail": detail(no.reason()),
        "reason": no.reason().as_str(),
        "guard": no.by(),
    });
    if let Some(problem) = problem.as_object_mut() {
        if let Some(seconds) = retry {
            problem.insert("retry_after".into(), seconds.into());
        }
        if let Some(url) = problem_type(no.reason()) {
            problem.insert("type".into(), url.into());
        }
        if no.reason() == Reason::Limited {
            problem.insert("violated-policies".into(), serde_json::json!([no.by()]));
        }
    }
    let mut response = Response::new(B::from(problem.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    fields::rejected(headers, answers, &no);
    response.extensions_mut().insert(no);
    response
}
