//! The outcome of a call, read off the status of its response.

use http::{Response, StatusCode};
use plimsoll_core::{Classify, Outcome, Rejected};

/// Returns the outcome of a call that returned `status`.
///
/// | status | outcome |
/// |---|---|
/// | 408, 504 | `TimedOut` |
/// | 429, 503 | `Overloaded`: the inner service pushed back |
/// | other 5xx | `Failure` |
/// | all others, including 4xx | `Success`: the service has worked |
///
/// 408 is what tower-http's `TimeoutLayer` answers when a handler takes too long. A server that also
/// answers 408 to clients that send too slowly needs a classifier of its own.
#[doc(alias = "status code")]
pub fn outcome_for(status: StatusCode) -> Outcome {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Outcome::TimedOut,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Outcome::Overloaded,
        s if s.is_server_error() => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// Classifies calls by the [status](outcome_for) of the response.
///
/// If another guard further in rejected the request, the outcome is `Ignored`, because the response
/// says nothing about the service behind that guard. An error is a `Failure`.
#[doc(alias = "ServerErrorsAsFailures")]
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStatus;

impl<B, E> Classify<Response<B>, E> for ByStatus {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) if response.extensions().get::<Rejected>().is_some() => Outcome::Ignored,
            Ok(response) => outcome_for(response.status()),
            Err(_) => Outcome::Failure,
        }
    }
}
