//! `.http()`.

use crate::response::response;
use crate::{ByStatus, HttpOptions, rate_limit_fields};
use http::Response;
use plimsoll_core::parts::ClassifyFn;
use plimsoll_core::{AsError, Classify, GuardLayer, OnError, Permit, Rejected, Reply, Settle};

/// HttpOptions refusals with an HTTP response, reads outcomes off the status, and says what is left of a quota.
#[derive(Clone, Debug, Default)]
pub struct Http<C = ByStatus> {
    classify: C,
    options: HttpOptions,
}

impl<B, E, G, C> Reply<Response<B>, E, G> for Http<C>
where
    B: From<String>,
    G: Settle,
    C: Classify<Response<B>, E>,
{
    type Response = Response<B>;
    type Error = E;
    fn rejected(&self, rejected: Rejected) -> Result<Response<B>, E> {
        Ok(response(rejected, &self.options))
    }
    fn inner_error(error: E) -> E {
        error
    }
    fn finished(&self, mut result: Result<Response<B>, E>, permit: Permit<G>) -> Result<Response<B>, E> {
        let outcome = self.classify.classify(result.as_ref());
        if let (true, Ok(response)) =
            (self.options.rate_limit_fields || self.options.legacy_fields, &mut result)
        {
            rate_limit_fields::write_admitted(response.headers_mut(), &self.options, |each| {
                permit.allowances(each)
            });
        }
        permit.done(outcome);
        result
    }
}

/// Adds [`http`](HttpExt::http) to every guard's layer.
pub trait HttpExt: Sized {
    /// The same layer with the HTTP face.
    type Layer;

    /// HttpOptions a refusal with 429 or 503, `Retry-After` and a problem body, and reads the outcome
    /// of a call off its status – or by the classifier that was set with `classify` before. What a rate limit has
    /// to say stands in the `RateLimit` fields of all options.
    #[doc(alias = "429")]
    #[doc(alias = "503")]
    #[doc(alias = "Retry-After")]
    #[doc(alias = "problem+json")]
    #[doc(alias = "RFC 9457")]
    fn http(self) -> Self::Layer {
        self.http_with(HttpOptions::new())
    }

    /// [`http`](Self::http), with other settings.
    fn http_with(self, options: HttpOptions) -> Self::Layer;
}

impl<M, G> HttpExt for GuardLayer<M, G, AsError<OnError>> {
    type Layer = GuardLayer<M, G, Http>;
    fn http_with(self, options: HttpOptions) -> Self::Layer {
        self.reply(|OnError| Http { classify: ByStatus, options })
    }
}

impl<M, G, F, T, E> HttpExt for GuardLayer<M, G, AsError<ClassifyFn<F, T, E>>> {
    type Layer = GuardLayer<M, G, Http<ClassifyFn<F, T, E>>>;
    fn http_with(self, options: HttpOptions) -> Self::Layer {
        self.reply(|classify| Http { classify, options })
    }
}
