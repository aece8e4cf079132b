//! The one service of all gates.

use super::{AsError, Bomb, Reply, accessors};
use crate::{Gate, Permit, Rejected, Settle};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service behind a [`Gate`].
///
/// Readiness is the inner service's own; the gate decides in `call`, where the request is known.
/// So a readied service that is never called holds nothing of the gate's.
#[derive(Clone, Copy, Debug)]
pub struct Gated<S, G, F = AsError> {
    inner: S,
    gate: G,
    face: F,
}

impl<S, G, F> Gated<S, G, F> {
    pub(crate) fn new(inner: S, gate: G, face: F) -> Self {
        Gated { inner, gate, face }
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
        let face = self.face.clone();
        match self.gate.admit(&request) {
            Ok(token) => {
                let mut permit = Some(Permit::new(self.gate.clone(), token));
                let future = Bomb::guard(&mut permit, || self.inner.call(request));
                GatedFuture { step: Step::Admitted { future, permit }, face }
            }
            Err(no) => GatedFuture { step: Step::Refused { no }, face },
        }
    }
}

pin_project! {
    /// The future of [`Gated`]. Dropped before its end, it settles the permit as cancelled.
    pub struct GatedFuture<Fut, G: Settle, F> {
        #[pin]
        step: Step<Fut, G>,
        face: F,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<Fut, G: Settle> {
        Admitted { #[pin] future: Fut, permit: Option<Permit<G>> },
        Refused { no: Rejected },
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
        let me = self.project();
        match me.step.project() {
            StepProj::Admitted { future, permit } => {
                let result = ready!(Bomb::guard(permit, || future.poll(cx)));
                match permit.take() {
                    Some(permit) => Poll::Ready(me.face.finished(result, permit)),
                    None => panic!("a guarded call was polled after its end"),
                }
            }
            StepProj::Refused { no } => Poll::Ready(me.face.rejected(*no)),
        }
    }
}

impl<Fut, G: Settle, F> fmt::Debug for GatedFuture<Fut, G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = match &self.step {
            Step::Admitted { .. } => None,
            Step::Refused { no } => Some(no),
        };
        f.debug_struct("GatedFuture").field("refused", &refused).finish()
    }
}
