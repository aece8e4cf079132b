//! A guard for some of the requests.

use crate::{Allowance, Gate, Outcome, Rejected, Settle, Wait};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Guards only the requests that a predicate selects. All others pass uncounted.
///
/// ```
/// use plimsoll_core::{Gate, Only, Outcome, Reason, Rejected, Settle};
///
/// struct Shut;
/// impl Settle for Shut {
///     type Token = ();
///     fn settle(&self, _: (), _: Outcome) {}
///     fn refund(&self, _: ()) {}
/// }
/// impl Gate<str> for Shut {
///     fn admit(&self, _: &str) -> Result<(), Rejected> {
///         Err(Rejected::new("shut", Reason::Closed))
///     }
/// }
///
/// let gate = Only::new(Shut, |path: &str| path != "/health");
/// assert!(gate.admit("/health").is_ok());
/// assert!(gate.admit("/orders").is_err());
/// ```
#[derive(Clone, Copy)]
pub struct Only<G, F> {
    guard: G,
    predicate: F,
}

impl<G, F> Only<G, F> {
    /// Puts `guard` in front of the requests for which `predicate` returns `true`.
    pub fn new<R: ?Sized>(guard: G, predicate: F) -> Self
    where
        F: Fn(&R) -> bool,
    {
        Only { guard, predicate }
    }
}

impl<G: fmt::Debug, F> fmt::Debug for Only<G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Only").field(&self.guard).finish()
    }
}

impl<G: Settle, F> Settle for Only<G, F> {
    /// `None` if the request was not guarded.
    type Token = Option<G::Token>;
    fn settle(&self, token: Self::Token, outcome: Outcome) {
        if let Some(token) = token {
            self.guard.settle(token, outcome);
        }
    }
    fn refund(&self, token: Self::Token) {
        if let Some(token) = token {
            self.guard.refund(token);
        }
    }
    fn settle_units(&self, token: &mut Self::Token, actual: u32) {
        if let Some(token) = token {
            self.guard.settle_units(token, actual);
        }
    }
    fn allowances(&self, token: &Self::Token, each: &mut dyn FnMut(Allowance)) {
        if let Some(token) = token {
            self.guard.allowances(token, each);
        }
    }
}

impl<R: ?Sized, G: Gate<R>, F: Fn(&R) -> bool> Gate<R> for Only<G, F> {
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        if (self.predicate)(request) { self.guard.admit(request).map(Some) } else { Ok(None) }
    }
}

impl<R: ?Sized, G: Wait<R>, F: Fn(&R) -> bool> Wait<R> for Only<G, F> {
    type Place = Option<G::Place>;
    type Waiting = OnlyWaiting<G::Waiting>;
    fn wait(&self, request: &R) -> Self::Waiting {
        OnlyWaiting { waiting: (self.predicate)(request).then(|| self.guard.wait(request)) }
    }
    fn enter(&self, place: Self::Place, request: &R) -> Result<Self::Token, Rejected> {
        place.map(|place| self.guard.enter(place, request)).transpose()
    }
}

pin_project! {
    /// The future of [`Only`] around a guard that may queue the caller.
    #[derive(Debug)]
    pub struct OnlyWaiting<W> {
        #[pin]
        waiting: Option<W>,
    }
}

impl<W: Future<Output = Result<P, Rejected>>, P> Future for OnlyWaiting<W> {
    type Output = Result<Option<P>, Rejected>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().waiting.as_pin_mut() {
            Some(waiting) => waiting.poll(cx).map_ok(Some),
            None => Poll::Ready(Ok(None)),
        }
    }
}
