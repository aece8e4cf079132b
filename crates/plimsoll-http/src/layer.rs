//! The `.http()` method of layers.

use crate::response::response;
use crate::{ByStatus, HttpOptions, rate_limit_fields};
use http::Response;
use plimsoll_core::parts::ClassifyFn;
use plimsoll_core::{AsError, Classify, GuardLayer, OnError, Permit, Rejected, Reply, Settle};

/// The reply of a layer with [`.http()`](HttpExt::http).
///
/// It turns rejections into responses, reads outcomes off the status, and writes the `RateLimit`
/// fields.
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

/// Adds [`http`](Self::http) to the layer of every guard.
pub trait HttpExt: Sized {
    /// The same layer, whose rejections are responses.
    type Layer;

    /// Turns rejections into responses, and reads the outcome of a call off its status.
    ///
    /// A rejection is a response of [429, 413 or 503](crate::status_for) with `Retry-After`, if the
    /// guard knows a time, and a problem body. The outcome is that of [`ByStatus`], unless
    /// [`classify`](GuardLayer::classify) has set another classifier. Responses carry `RateLimit`
    /// fields if the guard has a quota.
    #[doc(alias = "429")]
    #[doc(alias = "503")]
    #[doc(alias = "Retry-After")]
    #[doc(alias = "problem+json")]
    #[doc(alias = "RFC 9457")]
    fn http(self) -> Self::Layer {
        self.http_with(HttpOptions::new())
    }

    /// Turns rejections into responses as [`http`](Self::http) does, with `options`.
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
