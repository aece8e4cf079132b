//! What becomes of a refusal, and of a finished call.

use crate::{Classify, OnError, Overload, Permit, Rejected, Settle};

/// How a guarded service answers its caller.
///
/// One service does the guarding; the reply decides what a refusal looks like (an error, a wrapped
/// error, a response) and reads the [`Outcome`](crate::Outcome) off a finished call. `T` and `E`
/// are the inner service's response and error.
pub trait Reply<T, E, G: Settle> {
    /// The guarded service's response.
    type Response;
    /// The guarded service's error.
    type Error;
    /// The guard refused.
    ///
    /// # Errors
    /// Where a refusal is an error.
    fn rejected(&self, rejected: Rejected) -> Result<Self::Response, Self::Error>;
    /// The inner service's own error.
    fn inner_error(error: E) -> Self::Error;
    /// The admitted call has ended: settles the permit, or lets the response carry it on.
    ///
    /// # Errors
    /// The inner error.
    fn finished(&self, result: Result<T, E>, permit: Permit<G>) -> Result<Self::Response, Self::Error>;
}

/// A refusal becomes the inner service's own error type, by its `From<Rejected>`; `BoxError` has one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsError<C = OnError>(pub C);

impl<T, E: From<Rejected>, G: Settle, C: Classify<T, E>> Reply<T, E, G> for AsError<C> {
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

/// A refusal becomes a response, made from it by a function; the error type stays as it was.
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

/// A refusal becomes [`Overload::Rejected`], for errors to which nobody can add a `From`.
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
