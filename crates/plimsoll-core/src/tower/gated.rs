//! The service of every guard that decides at once.

use super::fail_on_unwind::FailOnUnwind;
use super::reply::{AsError, Reply};
use super::{accessors, polled_after_completion};
use crate::{Gate, Permit, Rejected, Settle};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service behind a [`Gate`].
///
/// It is ready when the inner service is. The gate decides in `call`, where the request is known,
/// so a service that is ready but never called holds no permit.
#[derive(Clone, Copy, Debug)]
pub struct Gated<S, G, F = AsError> {
    inner: S,
    gate: G,
    reply: F,
}

impl<S, G, F> Gated<S, G, F> {
    pub(crate) fn new(inner: S, gate: G, reply: F) -> Self {
        Gated { inner, gate, reply }
    }
}

accessors!(Gated<S, G, F>);

impl<S, G, F, R> Service<R> for Gated<S, G, F>
where
    S: Service<R>,
    G: Gate<R> + Clone,
    F: Reply<S::Response, S::Error, G> + Clone,
{
    type Response = F::Response;
    type Error = F::Error;
    type Future = GatedFuture<S::Future, G, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), F::Error>> {
        self.inner.poll_ready(cx).map_err(F::inner_error)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let reply = self.reply.clone();
        match self.gate.admit(&request) {
            Ok(token) => {
                // If the call panics, the permit is dropped while the thread unwinds, which counts
                // as a failure.
                let permit = Permit::new(self.gate.clone(), token);
                let future = self.inner.call(request);
                GatedFuture { step: GatedStep::Admitted { future, permit: Some(permit) }, reply }
            }
            Err(rejected) => GatedFuture { step: GatedStep::Rejected { rejected }, reply },
        }
    }
}

pin_project! {
    /// The future of [`Gated`]. If it is dropped early, it settles the permit as cancelled.
    pub struct GatedFuture<Fut, G: Settle, F> {
        #[pin]
        step: GatedStep<Fut, G>,
        reply: F,
    }
}

pin_project! {
    #[project = GatedStepProj]
    enum GatedStep<Fut, G: Settle> {
        Admitted { #[pin] future: Fut, permit: Option<Permit<G>> },
        Rejected { rejected: Rejected },
    }
}

impl<Fut, T, E, G, F> Future for GatedFuture<Fut, G, F>
where
    Fut: Future<Output = Result<T, E>>,
    G: Settle,
    F: Reply<T, E, G>,
{
    type Output = Result<F::Response, F::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.step.project() {
            GatedStepProj::Admitted { future, permit } => {
                let result = ready!(FailOnUnwind::run(permit, || future.poll(cx)));
                match permit.take() {
                    Some(permit) => Poll::Ready(this.reply.finished(result, permit)),
                    None => polled_after_completion(),
                }
            }
            GatedStepProj::Rejected { rejected } => Poll::Ready(this.reply.rejected(*rejected)),
        }
    }
}

impl<Fut, G: Settle, F> fmt::Debug for GatedFuture<Fut, G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rejected = match &self.step {
            GatedStep::Admitted { .. } => None,
            GatedStep::Rejected { rejected } => Some(rejected),
        };
        f.debug_struct("GatedFuture").field("rejected", &rejected).finish()
    }
}
