//! The outcome of a call, read off its status.

use http::{Response, StatusCode};
use plimsoll_core::{Classify, Outcome, Rejected};

/// The outcome that a status stands for.
///
/// | status | outcome |
/// |---|---|
/// | 408, 504 | `TimedOut` |
/// | 429, 503 | `Overloaded`: the inner side pushed back itself |
/// | other 5xx | `Failure` |
/// | all others, 4xx too | `Success`: the service did its part |
#[doc(alias = "status code")]
pub fn outcome_for(status: StatusCode) -> Outcome {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Outcome::TimedOut,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Outcome::Overloaded,
        s if s.is_server_error() => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// Classifies by [status](outcome_for). An answer in which one of our own guards further in rejected
/// counts as `Ignored`: it says nothing about the service behind. An error is a `Failure`.
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
