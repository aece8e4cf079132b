//! What the request says: adapters that read it before a guard is asked.

use crate::{Allowance, Gate, Outcome, Rejected, Settle, Wait};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a request says about itself, beside whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// How many units it costs, for guards that count units. Default 1.
    pub cost: u32,
    /// How important it is, for guards that let the less important go first.
    pub priority: Priority,
}

impl Default for RequestInfo {
    fn default() -> Self {
        RequestInfo::new()
    }
}

impl RequestInfo {
    /// One unit, of normal priority.
    pub const fn new() -> Self {
        RequestInfo { cost: 1, priority: Priority::NORMAL }
    }

    /// The same, at this cost.
    #[must_use]
    pub const fn cost(mut self, units: u32) -> Self {
        self.cost = units;
        self
    }

    /// The same, of this priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

/// How important something is: larger is more important.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Priority {
    /// Nobody waits for it.
    pub const BACKGROUND: Priority = Priority(32);
    /// It can be done later.
    pub const LOW: Priority = Priority(64);
    /// What says nothing.
    pub const NORMAL: Priority = Priority(128);
    /// Somebody waits for it.
    pub const HIGH: Priority = Priority(192);
    /// To be kept to the last.
    pub const CRITICAL: Priority = Priority(255);
}

impl Default for Priority {
    fn default() -> Self {
        Priority::NORMAL
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the [`RequestInfo`] off a request. `()` reads nothing: one unit, of normal priority.
pub trait ReadInfo<R: ?Sized> {
    /// What `request` says.
    fn read(&self, request: &R) -> RequestInfo;
}

impl<R: ?Sized> ReadInfo<R> for () {
    #[inline]
    fn read(&self, _: &R) -> RequestInfo {
        RequestInfo::new()
    }
}

/// Reads the facts by a closure: made by `.info(..)` of [`By`] and its like.
#[derive(Clone, Copy)]
pub struct InfoFn<P>(P);

impl<P> fmt::Debug for InfoFn<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reads")
    }
}

impl<R: ?Sized, P: Fn(&R) -> RequestInfo> ReadInfo<R> for InfoFn<P> {
    #[inline]
    fn read(&self, request: &R) -> RequestInfo {
        (self.0)(request)
    }
}

/// A guard with a state of its own for each key: a host, an account, a tenant. [`By`] and its like make
/// it a [`Gate`] by saying what a request's key is. A guard without keys that reads facts is one of `()`.
pub trait Keyed<Q: ?Sized>: Settle {
    /// May something with this key and these facts begin?
    ///
    /// # Errors
    /// [`Rejected`] if not. Nothing stays spent then.
    fn admit_for(&self, key: &Q, facts: RequestInfo) -> Result<Self::Token, Rejected>;
}

macro_rules! adapter {
    ($name:ident [$($param:ident)*], $token:ty, $some:expr, $some_ref:expr) => {
        impl<G: fmt::Debug, $($param: ?Sized,)* F, P> fmt::Debug for $name<G, F, $($param,)* P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.guard).finish()
            }
        }

        // Not derived: a key need not be `Clone`.
        impl<G: Clone, $($param: ?Sized,)* F: Clone, P: Clone> Clone for $name<G, F, $($param,)* P> {
            fn clone(&self) -> Self {
                let (guard, key, reads) = (self.guard.clone(), self.key.clone(), self.reads.clone());
                $name { guard, key, reads, of: PhantomData }
            }
        }

        impl<G: Settle, $($param: ?Sized,)* F, P> Settle for $name<G, F, $($param,)* P> {
            type Token = $token;
            #[inline]
            fn settle(&self, token: Self::Token, outcome: Outcome) {
                if let Some(token) = $some(token) {
                    self.guard.settle(token, outcome);
                }
            }
            fn refund(&self, token: Self::Token) {
                if let Some(token) = $some(token) {
                    self.guard.refund(token);
                }
            }
            fn allowances(&self, token: &Self::Token, each: &mut dyn FnMut(Allowance)) {
                if let Some(token) = $some_ref(token) {
                    self.guard.allowances(token, each);
                }
            }
        }

        impl<G, $($param: ?Sized,)* F> $name<G, F, $($param,)* ()> {
            /// Reads cost and priority of a request by `facts`.
            pub fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(self, info: P) -> $name<G, F, $($param,)* InfoFn<P>> {
                $name { guard: self.guard, key: self.key, reads: InfoFn(info), of: PhantomData }
            }
        }
    };
}

/// A keyed guard that is asked with the key that a closure makes of the request.
pub struct By<G, F, P = ()> {
    guard: G,
    key: F,
    reads: P,
    of: PhantomData<()>,
}

impl<G, F> By<G, F> {
    /// Asks `guard` with what `key` makes of a request.
    pub fn new<R: ?Sized, K>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> K,
    {
        By { guard, key, reads: (), of: PhantomData }
    }
}

adapter!(By [], G::Token, Some, Some);

impl<R: ?Sized, K, G: Keyed<K>, F: Fn(&R) -> K, P: ReadInfo<R>> Gate<R> for By<G, F, P> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        self.guard.admit_for(&(self.key)(request), self.reads.read(request))
    }
}

/// A keyed guard that is asked with a key that stands in the request: nothing is made for it.
pub struct ByRef<G, F, Q: ?Sized, P = ()> {
    guard: G,
    key: F,
    reads: P,
    of: PhantomData<fn(&Q)>,
}

impl<G, F, Q: ?Sized> ByRef<G, F, Q> {
    /// Asks `guard` with what `key` finds in a request.
    pub fn new<R: ?Sized>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> &Q,
    {
        ByRef { guard, key, reads: (), of: PhantomData }
    }
}

adapter!(ByRef[Q], G::Token, Some, Some);

impl<R: ?Sized, Q: ?Sized, G: Keyed<Q>, F: Fn(&R) -> &Q, P: ReadInfo<R>> Gate<R> for ByRef<G, F, Q, P> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        self.guard.admit_for((self.key)(request), self.reads.read(request))
    }
}

/// A keyed guard for the requests that have a key; those without pass unasked and uncounted.
pub struct ByOption<G, F, P = ()> {
    guard: G,
    key: F,
    reads: P,
    of: PhantomData<()>,
}

impl<G, F> ByOption<G, F> {
    /// Asks `guard` with what `key` makes of a request, if it makes something.
    pub fn new<R: ?Sized, K>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> Option<K>,
    {
        ByOption { guard, key, reads: (), of: PhantomData }
    }
}

adapter!(ByOption [], Option<G::Token>, std::convert::identity, Option::as_ref);

impl<R: ?Sized, K, G: Keyed<K>, F: Fn(&R) -> Option<K>, P: ReadInfo<R>> Gate<R> for ByOption<G, F, P> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        (self.key)(request).map(|key| self.guard.admit_for(&key, self.reads.read(request))).transpose()
    }
}

/// A keyed guard for the requests in which a key stands; those without pass unasked and uncounted.
pub struct ByOptionRef<G, F, Q: ?Sized, P = ()> {
    guard: G,
    key: F,
    reads: P,
    of: PhantomData<fn(&Q)>,
}

impl<G, F, Q: ?Sized> ByOptionRef<G, F, Q> {
    /// Asks `guard` with what `key` finds in a request, if it finds something.
    pub fn new<R: ?Sized>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> Option<&Q>,
    {
        ByOptionRef { guard, key, reads: (), of: PhantomData }
    }
}

adapter!(ByOptionRef[Q], Option<G::Token>, std::convert::identity, Option::as_ref);

impl<R: ?Sized, Q: ?Sized, G: Keyed<Q>, F: Fn(&R) -> Option<&Q>, P: ReadInfo<R>> Gate<R>
    for ByOptionRef<G, F, Q, P>
{
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        (self.key)(request).map(|key| self.guard.admit_for(key, self.reads.read(request))).transpose()
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
///     fn refund(&self, _: ()) {}
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
    fn refund(&self, token: Self::Token) {
        if let Some(token) = token {
            self.guard.refund(token);
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
