//! Replies: what a guarded service returns for a rejected request and a finished call.

use crate::{Classify, OnError, Overload, Permit, Rejected, Settle};

/// Decides what a guarded service returns to its caller.
///
/// A reply turns a rejection into an error, a wrapped error or a response. It also classifies the
/// [`Outcome`](crate::Outcome) of a finished call. The inner service returns `Result<T, E>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot turn a rejection into `Result<{T}, {E}>`",
    label = "no answer for a rejected request",
    note = "`.http()` is for services that return an `http::Response`",
    note = "for other services, use `.wrap()` or `.respond(|rejected| ..)`"
)]
pub trait Reply<T, E, G: Settle> {
    /// The guarded service's response.
    type Response;
    /// The guarded service's error.
    type Error;
    /// Returns the result of a rejected request.
    ///
    /// # Errors
    /// Returns an error if this reply turns rejections into errors.
    fn rejected(&self, rejected: Rejected) -> Result<Self::Response, Self::Error>;
    /// Converts an error of the inner service.
    fn inner_error(error: E) -> Self::Error;
    /// Settles the permit of a finished call, or hands it over to the response.
    ///
    /// The response then settles it when its body has ended.
    ///
    /// # Errors
    /// Returns the error of the inner service, converted.
    fn finished(&self, result: Result<T, E>, permit: Permit<G>) -> Result<Self::Response, Self::Error>;
}

/// Turns a rejection into the inner service's error type by its `From<Rejected>`.
///
/// `BoxError` has that conversion.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsError<C = OnError>(pub C);

impl<T, E: FromRejected, G: Settle, C: Classify<T, E>> Reply<T, E, G> for AsError<C> {
    type Response = T;
    type Error = E;
    fn rejected(&self, rejected: Rejected) -> Result<T, E> {
        Err(rejected.into())
    }
    fn inner_error(error: E) -> E {
        error
    }
    #[inline(always)]
    fn finished(&self, result: Result<T, E>, permit: Permit<G>) -> Result<T, E> {
        permit.done(self.0.classify(result.as_ref()));
        result
    }
}

/// An error type with a `From<Rejected>`.
///
/// Implemented for all of them. It exists for the message that the compiler prints without one.
#[diagnostic::on_unimplemented(
    message = "the layer has no answer for a rejected request: `{Self}` has no `From<Rejected>`",
    label = "no answer for a rejected request",
    note = "in axum and other HTTP services, add `.http()` to the layer",
    note = "in other services, add `.wrap()` or `.respond(|rejected| ..)`, or implement `From<Rejected>`"
)]
pub trait FromRejected: From<Rejected> {}

#[diagnostic::do_not_recommend]
impl<E: From<Rejected>> FromRejected for E {}

/// Turns a rejection into a response by a function. The error type is the inner service's.
#[derive(Clone, Copy)]
pub struct Respond<F, C = OnError>(pub F, pub C);

impl<F, C: std::fmt::Debug> std::fmt::Debug for Respond<F, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Respond").field(&self.1).finish()
    }
}

impl<T, E, G: Settle, C: Classify<T, E>, F: Fn(Rejected) -> T> Reply<T, E, G> for Respond<F, C> {
    type Response = T;
    type Error = E;
    fn rejected(&self, rejected: Rejected) -> Result<T, E> {
        Ok((self.0)(rejected))
    }
    fn inner_error(error: E) -> E {
        error
    }
    #[inline(always)]
    fn finished(&self, result: Result<T, E>, permit: Permit<G>) -> Result<T, E> {
        permit.done(self.1.classify(result.as_ref()));
        result
    }
}

/// Turns a rejection into [`Overload::Rejected`], for error types without a `From<Rejected>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wrapped<C = OnError>(pub C);

impl<T, E, G: Settle, C: Classify<T, E>> Reply<T, E, G> for Wrapped<C> {
    type Response = T;
    type Error = Overload<E>;
    fn rejected(&self, rejected: Rejected) -> Result<T, Overload<E>> {
        Err(Overload::Rejected(rejected))
    }
    fn inner_error(error: E) -> Overload<E> {
        Overload::Inner(error)
    }
    #[inline(always)]
    fn finished(&self, result: Result<T, E>, permit: Permit<G>) -> Result<T, Overload<E>> {
        permit.done(self.0.classify(result.as_ref()));
        result.map_err(Overload::Inner)
    }
}
