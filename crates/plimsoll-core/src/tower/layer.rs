//! The layer of every guard.

use super::gated::Gated;
use super::queued::Queued;
use super::reply::{AsError, Respond, Wrapped};
use crate::guard::ClassifyFn;
use crate::{OnError, Only, Outcome, Rejected, Settle};
use std::marker::PhantomData;
use tower_layer::Layer;

/// Marks a layer whose guard decides at once.
#[derive(Clone, Copy, Debug)]
pub struct Immediate;

/// Marks a layer whose guard may queue the caller.
#[derive(Clone, Copy, Debug)]
pub struct Queueing;

/// Puts a guard in front of a service.
///
/// The layer holds a handle of the guard. All services it creates, and their clones, share the
/// guard's state, however often `layer()` is called (axum calls it once per route). For independent
/// state, build another guard.
///
/// A rejection becomes the inner service's error (by `From<Rejected>`), unless another reply is set
/// by [`wrap`](Self::wrap), [`respond`](Self::respond), or `.http()` from `plimsoll-http`.
///
/// If the compiler reports only that the trait bounds of `call` or `oneshot` are not satisfied,
/// pass the service to a function that requires `impl Service<Request>`. It then reports the
/// reason, and what to write.
#[derive(Clone, Copy, Debug)]
pub struct GuardLayer<M, G, F = AsError> {
    mode: PhantomData<fn(M)>,
    guard: G,
    reply: F,
}

/// The layer of a [`Gate`](crate::Gate).
pub type GateLayer<G, F = AsError> = GuardLayer<Immediate, G, F>;

/// The layer of a guard that may queue the caller ([`Wait`](crate::Wait)).
pub type WaitLayer<G, F = AsError> = GuardLayer<Queueing, G, F>;

/// Creates a layer that admits or rejects by `gate` and never waits.
///
/// A tuple of gates is a gate, too. It admits a request if all of them do, in the tuple's order. If
/// a later gate rejects, the earlier ones are refunded. Stacked layers do not refund each other:
/// what an outer layer charged stays charged.
pub fn layer<G: Settle>(gate: G) -> GateLayer<G> {
    GuardLayer { mode: PhantomData, guard: gate, reply: AsError(OnError) }
}

/// Creates a layer whose requests wait in the queue of `waiter`.
pub fn wait_layer<W: Settle>(waiter: W) -> WaitLayer<W> {
    GuardLayer { mode: PhantomData, guard: waiter, reply: AsError(OnError) }
}

impl<M, G, C> GuardLayer<M, G, AsError<C>> {
    /// Sets how the outcome of a call is classified. Default: `Ok` is a success, `Err` a failure.
    pub fn classify<T, E, F>(self, classify: F) -> GuardLayer<M, G, AsError<ClassifyFn<F, T, E>>>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.reply(|_| AsError(ClassifyFn::new(classify)))
    }

    /// Returns errors as [`Overload`](crate::Overload).
    ///
    /// For inner services whose error type has no `From<Rejected>`.
    pub fn wrap(self) -> GuardLayer<M, G, Wrapped<C>> {
        self.reply(Wrapped)
    }

    /// Turns each rejection into the response that `respond` returns.
    ///
    /// The error type stays that of the inner service.
    pub fn respond<T, F: Fn(Rejected) -> T>(self, respond: F) -> GuardLayer<M, G, Respond<F, C>> {
        self.reply(|classify| Respond(respond, classify))
    }

    /// Sets another reply, created from the current classifier.
    pub fn reply<F>(self, reply: impl FnOnce(C) -> F) -> GuardLayer<M, G, F> {
        GuardLayer { mode: PhantomData, guard: self.guard, reply: reply(self.reply.0) }
    }
}

impl<M, G, F> GuardLayer<M, G, F> {
    /// Guards only the requests for which `which` returns `true`. All others pass uncounted.
    pub fn only<R: ?Sized, P>(self, which: P) -> GuardLayer<M, Only<G, P>, F>
    where
        P: Fn(&R) -> bool,
    {
        GuardLayer { mode: PhantomData, guard: Only::new(self.guard, which), reply: self.reply }
    }
}

impl<S, G: Clone, F: Clone> Layer<S> for GuardLayer<Immediate, G, F> {
    type Service = Gated<S, G, F>;
    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.guard.clone(), self.reply.clone())
    }
}

impl<S, G: Clone, F: Clone> Layer<S> for GuardLayer<Queueing, G, F> {
    type Service = Queued<S, G, F>;
    fn layer(&self, inner: S) -> Self::Service {
        Queued::new(inner, self.guard.clone(), self.reply.clone())
    }
}
