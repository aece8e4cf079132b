//! `.http()`.

use crate::ByStatus;
use crate::answer::response;
use http::Response;
use plimsoll_core::{AsError, Classify, Face, GuardLayer, OnError, Permit, Rejected, Settle, With};

/// Answers refusals with an HTTP response and reads outcomes off the status.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http<C = ByStatus>(C);

impl<B, E, G, C> Face<Response<B>, E, G> for Http<C>
where
    B: From<String>,
    G: Settle,
    C: Classify<Response<B>, E>,
{
    type Response = Response<B>;
    type Error = E;
    fn refused(&self, no: Rejected) -> Result<Response<B>, E> {
        Ok(response(no))
    }
    fn inner_error(error: E) -> E {
        error
    }
    fn finished(&self, result: Result<Response<B>, E>, permit: Permit<G>) -> Result<Response<B>, E> {
        permit.done(self.0.classify(result.as_ref()));
        result
    }
}

/// Adds [`http`](HttpExt::http) to every guard's layer.
pub trait HttpExt {
    /// The same layer with the HTTP face.
    type Layer;

    /// Answers a refusal with 429 or 503, `Retry-After` and a problem body, and reads the outcome
    /// of a call off its status – or by the classifier that was set with `classify` before.
    fn http(self) -> Self::Layer;
}

impl<M, G> HttpExt for GuardLayer<M, G, AsError<OnError>> {
    type Layer = GuardLayer<M, G, Http>;
    fn http(self) -> Self::Layer {
        self.face(|OnError| Http(ByStatus))
    }
}

impl<M, G, F, T, E> HttpExt for GuardLayer<M, G, AsError<With<F, T, E>>> {
    type Layer = GuardLayer<M, G, Http<With<F, T, E>>>;
    fn http(self) -> Self::Layer {
        self.face(Http)
    }
}
