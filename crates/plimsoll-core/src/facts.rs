//! What the request says: adapters that read it before a guard is asked.

use crate::{Gate, Outcome, Rejected, Settle, Wait};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A guard with a state of its own for each key: a host, an account, a tenant. [`By`] and [`ByRef`] make
/// it a [`Gate`] by saying what a request's key is.
pub trait Keyed<Q: ?Sized>: Settle {
    /// May something with this key begin?
    ///
    /// # Errors
    /// [`Rejected`] if not. Nothing stays spent then.
    fn admit_for(&self, key: &Q) -> Result<Self::Token, Rejected>;
}

/// A keyed guard that is asked with the key that a closure makes of the request.
#[derive(Clone, Copy)]
pub struct By<G, F> {
    guard: G,
    key: F,
}

impl<G, F> By<G, F> {
    /// Asks `guard` with what `key` makes of a request.
    pub fn new<R: ?Sized, K>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> K,
    {
        By { guard, key }
    }
}

impl<G: fmt::Debug, F> fmt::Debug for By<G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("By").field(&self.guard).finish()
    }
}

impl<G: Settle, F> Settle for By<G, F> {
    type Token = G::Token;
    fn settle(&self, token: Self::Token, outcome: Outcome) {
        self.guard.settle(token, outcome);
    }
    fn give_back(&self, token: Self::Token) {
        self.guard.give_back(token);
    }
}

impl<R: ?Sized, K, G: Keyed<K>, F: Fn(&R) -> K> Gate<R> for By<G, F> {
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        self.guard.admit_for(&(self.key)(request))
    }
}

/// A keyed guard that is asked with a key that stands in the request: nothing is made for it.
pub struct ByRef<G, F, Q: ?Sized> {
    guard: G,
    key: F,
    of: PhantomData<fn(&Q)>,
}

impl<G, F, Q: ?Sized> ByRef<G, F, Q> {
    /// Asks `guard` with what `key` finds in a request.
    pub fn new<R: ?Sized>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> &Q,
    {
        ByRef { guard, key, of: PhantomData }
    }
}

// Not derived: a key need not be `Clone`.
impl<G: Clone, F: Clone, Q: ?Sized> Clone for ByRef<G, F, Q> {
    fn clone(&self) -> Self {
        ByRef { guard: self.guard.clone(), key: self.key.clone(), of: PhantomData }
    }
}

impl<G: fmt::Debug, F, Q: ?Sized> fmt::Debug for ByRef<G, F, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByRef").field(&self.guard).finish()
    }
}

impl<G: Settle, F, Q: ?Sized> Settle for ByRef<G, F, Q> {
    type Token = G::Token;
    fn settle(&self, token: Self::Token, outcome: Outcome) {
        self.guard.settle(token, outcome);
    }
    fn give_back(&self, token: Self::Token) {
        self.guard.give_back(token);
    }
}

impl<R: ?Sized, Q: ?Sized, G: Keyed<Q>, F: Fn(&R) -> &Q> Gate<R> for ByRef<G, F, Q> {
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        self.guard.admit_for((self.key)(request))
    }
}

/// Guards only the requests that `which` picks; all others pass unasked and uncounted.
///
/// ```
/// use plimsoll_core::{Gate, Only, Outcome, Reason, Rejected, Settle};
///
/// struct Shut;
/// impl Settle for Shut {
///     type Token = ();
///     fn settle(&self, _: (), _: Outcome) {}
///     fn give_back(&self, _: ()) {}
/// }
/// impl Gate<str> for Shut {
///     fn admit(&self, _: &str) -> Result<(), Rejected> { Err(Rejected::new("shut", Reason::Closed)) }
/// }
///
/// let gate = Only::new(Shut, |path: &str| path != "/health");
/// assert!(gate.admit("/health").is_ok());
/// assert!(gate.admit("/orders").is_err());
/// ```
#[derive(Clone, Copy)]
pub struct Only<G, F> {
    guard: G,
    which: F,
}

impl<G, F> Only<G, F> {
    /// Puts `guard` before the requests for which `which` answers `true`.
    pub fn new<R: ?Sized>(guard: G, which: F) -> Self
    where
        F: Fn(&R) -> bool,
    {
        Only { guard, which }
    }
}

impl<G: fmt::Debug, F> fmt::Debug for Only<G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Only").field(&self.guard).finish()
    }
}

impl<G: Settle, F> Settle for Only<G, F> {
    type Token = Option<G::Token>;
    fn settle(&self, token: Self::Token, outcome: Outcome) {
        if let Some(token) = token {
            self.guard.settle(token, outcome);
        }
    }
    fn give_back(&self, token: Self::Token) {
        if let Some(token) = token {
            self.guard.give_back(token);
        }
    }
}

impl<R: ?Sized, G: Gate<R>, F: Fn(&R) -> bool> Gate<R> for Only<G, F> {
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        if (self.which)(request) { self.guard.admit(request).map(Some) } else { Ok(None) }
    }
}

impl<R: ?Sized, G: Wait<R>, F: Fn(&R) -> bool> Wait<R> for Only<G, F> {
    type Place = Option<G::Place>;
    type Waiting = OnlyWaiting<G::Waiting>;
    fn wait(&self, request: &R) -> Self::Waiting {
        OnlyWaiting { waiting: (self.which)(request).then(|| self.guard.wait(request)) }
    }
    fn enter(&self, place: Self::Place, request: &R) -> Result<Self::Token, Rejected> {
        place.map(|place| self.guard.enter(place, request)).transpose()
    }
}

pin_project! {
    /// The wait of a waiter behind [`Only`].
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
