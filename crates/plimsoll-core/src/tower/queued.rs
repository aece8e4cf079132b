//! The service of every guard that queues its callers.

use super::fail_on_unwind::FailOnUnwind;
use super::reply::{AsError, Reply};
use super::{accessors, polled_after_completion};
use crate::{Permit, Wait};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service behind a guard that may queue the caller ([`Wait`]).
///
/// The service is always ready, since the call itself waits. After the wait, a clone of the inner
/// service is polled until it is ready, and that clone is called. So a queued request reserves
/// nothing of the inner service. There is no worker task.
///
/// The clone is made with each call, before it is known whether the call is admitted. So a
/// rejection costs that clone, too. Put a service that is expensive to clone behind an `Arc`, or
/// take the layer that never waits.
#[derive(Clone, Copy, Debug)]
pub struct Queued<S, W, F = AsError> {
    inner: S,
    waiter: W,
    reply: F,
}

impl<S, W, F> Queued<S, W, F> {
    pub(crate) fn new(inner: S, waiter: W, reply: F) -> Self {
        Queued { inner, waiter, reply }
    }
}

accessors!(Queued<S, W, F>);

impl<S, W, F, R> Service<R> for Queued<S, W, F>
where
    S: Service<R> + Clone,
    W: Wait<R> + Clone,
    F: Reply<S::Response, S::Error, W> + Clone,
{
    type Response = F::Response;
    type Error = F::Error;
    type Future = QueuedFuture<S, W, F, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), F::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        QueuedFuture {
            step: QueuedStep::Queued { waiting: self.waiter.wait(&request) },
            call: Some((self.inner.clone(), request)),
            waiter: Some(self.waiter.clone()),
            permit: None,
            reply: self.reply.clone(),
        }
    }
}

pin_project! {
    /// The future of [`Queued`].
    ///
    /// Dropped while it waits, it leaves the queue. Dropped before the inner service is called, it
    /// refunds the permit. Dropped later, it settles the permit as cancelled.
    pub struct QueuedFuture<S: Service<R>, W: Wait<R>, F, R> {
        #[pin]
        step: QueuedStep<W::Waiting, S::Future>,
        call: Option<(S, R)>,
        // Moves into the permit, so that a call clones the handle once.
        waiter: Option<W>,
        permit: Option<Permit<W>>,
        reply: F,
    }

    impl<S: Service<R>, W: Wait<R>, F, R> PinnedDrop for QueuedFuture<S, W, F, R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Admitted but not called yet: the work never began.
            if this.call.is_some()
                && let Some(permit) = this.permit.take()
            {
                permit.refund();
            }
        }
    }
}

pin_project! {
    #[project = QueuedStepProj]
    enum QueuedStep<W, Fut> {
        Queued { #[pin] waiting: W },
        Readying,
        Called { #[pin] future: Fut },
    }
}

impl<S, W, F, R> Future for QueuedFuture<S, W, F, R>
where
    S: Service<R>,
    W: Wait<R>,
    F: Reply<S::Response, S::Error, W>,
{
    type Output = Result<F::Response, F::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                QueuedStepProj::Queued { waiting } => {
                    if this.call.is_none() {
                        polled_after_completion();
                    }
                    let turn = ready!(waiting.poll(cx));
                    let (Some((_, request)), Some(waiter)) = (this.call.as_ref(), this.waiter.take()) else {
                        polled_after_completion()
                    };
                    match turn.and_then(|place| waiter.enter(place, request)) {
                        Ok(token) => {
                            *this.permit = Some(Permit::new(waiter, token));
                            this.step.set(QueuedStep::Readying);
                        }
                        Err(rejected) => {
                            *this.call = None;
                            return Poll::Ready(this.reply.rejected(rejected));
                        }
                    }
                }
                QueuedStepProj::Readying => {
                    let Some((service, _)) = this.call.as_mut() else { polled_after_completion() };
                    if let Err(error) = ready!(FailOnUnwind::run(this.permit, || service.poll_ready(cx))) {
                        *this.call = None;
                        if let Some(permit) = this.permit.take() {
                            permit.refund();
                        }
                        return Poll::Ready(Err(F::inner_error(error)));
                    }
                    let Some((mut service, request)) = this.call.take() else { polled_after_completion() };
                    let future = FailOnUnwind::run(this.permit, || service.call(request));
                    this.step.set(QueuedStep::Called { future });
                }
                QueuedStepProj::Called { future } => {
                    let result = ready!(FailOnUnwind::run(this.permit, || future.poll(cx)));
                    let Some(permit) = this.permit.take() else { polled_after_completion() };
                    return Poll::Ready(this.reply.finished(result, permit));
                }
            }
        }
    }
}

impl<S: Service<R>, W: Wait<R>, F, R> fmt::Debug for QueuedFuture<S, W, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            QueuedStep::Queued { .. } => "queued",
            QueuedStep::Readying => "readying",
            QueuedStep::Called { .. } => "called",
        };
        f.debug_struct("QueuedFuture").field("step", &step).finish()
    }
}
