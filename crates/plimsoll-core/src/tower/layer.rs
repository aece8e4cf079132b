//! The layer of every guard.

use super::gated::Gated;
use super::queued::Queued;
use super::reply::{AsError, Respond, Wrapped};
use crate::guard::ClassifyFn;
use crate::{OnError, Only, Outcome, Rejected};
use std::marker::PhantomData;
use tower_layer::Layer;

/// Marks a layer whose guard answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Immediate;

/// Marks a layer whose guard may let the caller wait.
#[derive(Clone, Copy, Debug)]
pub struct Queueing;

/// Puts a guard in front of a service.
///
/// The layer *is* a handle of the guard: every service it makes, and every clone of those, is held
/// to the same line – however often `layer()` is called (axum calls it once a route). For
/// independent state, build another guard.
///
/// A refusal becomes the inner service's error (by `From<Rejected>`) unless another reply is put on:
/// [`wrap`](Self::wrap), or `.http()` from `plimsoll-http`.
#[derive(Clone, Copy, Debug)]
pub struct GuardLayer<M, G, F = AsError> {
    mode: PhantomData<fn(M)>,
    guard: G,
    reply: F,
}

/// The layer of a [`Gate`](crate::Gate).
pub type GateLayer<G, F = AsError> = GuardLayer<Immediate, G, F>;

/// The layer of a [`Wait`](crate::Wait)er.
pub type WaitLayer<G, F = AsError> = GuardLayer<Queueing, G, F>;

/// A layer that asks `gate` and never waits. Takes a tuple as well: all or nothing, in that order.
///
/// Inside a tuple an earlier gate gets its token back when a later one refuses. Layers stacked on
/// each other do not: the outer one's token is spent.
pub fn layer<G>(gate: G) -> GateLayer<G> {
    GuardLayer { mode: PhantomData, guard: gate, reply: AsError(OnError) }
}

/// A layer that waits for its turn with `waiter`.
pub fn wait_layer<W>(waiter: W) -> WaitLayer<W> {
    GuardLayer { mode: PhantomData, guard: waiter, reply: AsError(OnError) }
}

impl<M, G, C> GuardLayer<M, G, AsError<C>> {
    /// Reads the outcome of a call by `classify` instead of `Ok`/`Err`.
    pub fn classify<T, E, F>(self, classify: F) -> GuardLayer<M, G, AsError<ClassifyFn<F, T, E>>>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.reply(|_| AsError(ClassifyFn::new(classify)))
    }

    /// HttpOptions [`Overload`](crate::Overload), for an inner error that has no `From<Rejected>`.
    pub fn wrap(self) -> GuardLayer<M, G, Wrapped<C>> {
        self.reply(Wrapped)
    }

    /// HttpOptions a refusal with a response made by `respond`; the error type stays as it was.
    pub fn respond<T, F: Fn(Rejected) -> T>(self, respond: F) -> GuardLayer<M, G, Respond<F, C>> {
        self.reply(|classify| Respond(respond, classify))
    }

    /// Puts on another reply; it is given the classifier.
    pub fn reply<F>(self, reply: impl FnOnce(C) -> F) -> GuardLayer<M, G, F> {
        GuardLayer { mode: PhantomData, guard: self.guard, reply: reply(self.reply.0) }
    }
}

impl<M, G, F> GuardLayer<M, G, F> {
    /// Guards only the requests that `which` picks; all others pass unasked and uncounted.
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
