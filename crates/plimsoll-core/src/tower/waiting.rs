//! The one service of all waiters.

use super::{AsError, Bomb, Reply, accessors};
use crate::{Permit, Wait};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service behind a [`Wait`]er.
///
/// Always ready: the call itself waits its turn. Only then is a clone of the inner service driven
/// to ready, and that same clone is called, so nothing of the inner service is reserved by those who
/// queue. There is no worker task.
#[derive(Clone, Copy, Debug)]
pub struct Queued<S, W, F = AsError> {
    inner: S,
    waiter: W,
    face: F,
}

impl<S, W, F> Queued<S, W, F> {
    pub(crate) fn new(inner: S, waiter: W, face: F) -> Self {
        Queued { inner, waiter, face }
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
            step: Step::Queued { waiting: self.waiter.wait(&request) },
            call: Some((self.inner.clone(), request)),
            waiter: Some(self.waiter.clone()),
            permit: None,
            face: self.face.clone(),
        }
    }
}

pin_project! {
    /// The future of [`Waiting`]. Dropped, it leaves the line or gives its permit back.
    pub struct QueuedFuture<S: Service<R>, W: Wait<R>, F, R> {
        #[pin]
        step: Step<W::Waiting, S::Future>,
        call: Option<(S, R)>,
        // Moves into the permit: one handle a call, not two.
        waiter: Option<W>,
        permit: Option<Permit<W>>,
        face: F,
    }

    impl<S: Service<R>, W: Wait<R>, F, R> PinnedDrop for QueuedFuture<S, W, F, R> {
        fn drop(this: Pin<&mut Self>) {
            let me = this.project();
            // Admitted but not called yet: the work never began.
            if me.call.is_some()
                && let Some(permit) = me.permit.take()
            {
                permit.refund();
            }
        }
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<W, Fut> {
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
        let mut me = self.project();
        loop {
            match me.step.as_mut().project() {
                StepProj::Queued { waiting } => {
                    if me.call.is_none() {
                        over();
                    }
                    let turn = ready!(waiting.poll(cx));
                    let (Some((_, request)), Some(waiter)) = (me.call.as_ref(), me.waiter.take()) else {
                        over()
                    };
                    match turn.and_then(|place| waiter.enter(place, request)) {
                        Ok(token) => {
                            *me.permit = Some(Permit::new(waiter, token));
                            me.step.set(Step::Readying);
                        }
                        Err(no) => {
                            *me.call = None;
                            return Poll::Ready(me.face.rejected(no));
                        }
                    }
                }
                StepProj::Readying => {
                    let Some((service, _)) = me.call.as_mut() else { over() };
                    if let Err(error) = ready!(Bomb::guard(me.permit, || service.poll_ready(cx))) {
                        *me.call = None;
                        if let Some(permit) = me.permit.take() {
                            permit.refund();
                        }
                        return Poll::Ready(Err(F::inner_error(error)));
                    }
                    let Some((mut service, request)) = me.call.take() else { over() };
                    let future = Bomb::guard(me.permit, || service.call(request));
                    me.step.set(Step::Called { future });
                }
                StepProj::Called { future } => {
                    let result = ready!(Bomb::guard(me.permit, || future.poll(cx)));
                    let Some(permit) = me.permit.take() else { over() };
                    return Poll::Ready(me.face.finished(result, permit));
                }
            }
        }
    }
}

fn over() -> ! {
    panic!("a guarded call was polled after its end")
}

impl<S: Service<R>, W: Wait<R>, F, R> fmt::Debug for QueuedFuture<S, W, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Queued { .. } => "queued",
            Step::Readying => "readying",
            Step::Called { .. } => "called",
        };
        f.debug_struct("WaitingFuture").field("step", &step).finish()
    }
}
