//! Guards with a state for each key, and adapters that read a request's key and information.

use crate::{Allowance, Gate, Outcome, Reason, Rejected, RequestInfo, Settle};
use std::fmt;
use std::marker::PhantomData;

/// A guard with a state for each key: a host, an account, a tenant.
///
/// [`KeyedExt`] turns it into a [`Gate`]. A guard without keys that uses [`RequestInfo`] implements
/// `Keyed<()>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no keys of type `{Q}`",
    label = "not keyed by `{Q}`",
    note = "for keys of type `str`, borrow the key: `guard.by_ref(..)` with a closure that returns `&str`",
    note = "for keys of another type, compute it: `guard.by(..)` with a closure that returns the key",
    note = "a guard without keys needs no closure: `KeyedRateLimiter` and `KeyedCircuitBreaker` have keys"
)]
pub trait Keyed<Q: ?Sized>: Settle {
    /// Decides whether a request with this key and this information may begin.
    ///
    /// # Errors
    /// [`Rejected`] if the request may not begin. Nothing stays charged then.
    fn admit_for(&self, key: &Q, info: RequestInfo) -> Result<Self::Token, Rejected>;

    /// Records that a request without a key passes uncounted.
    ///
    /// A guard with an observer emits [`Event::Unguarded`](crate::Event::Unguarded). Default: does
    /// nothing.
    fn pass_without_key(&self) {}

    /// Returns the rejection of a request without a key, for adapters that require one.
    ///
    /// A guard names itself, and emits the rejection. Default: a rejection by "guard".
    fn reject_without_key(&self) -> Rejected {
        Rejected::new("guard", Reason::Unidentified)
    }
}

/// The error of a closure that finds no key in a request.
///
/// See [`KeyedExt::by_required`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

/// Attaches a guard to requests, by closures that read the requests.
///
/// Implemented for every guard that can be cloned.
///
/// ```
/// use plimsoll_core::{Gate, Keyed, KeyedExt, Outcome, Reason, Rejected, RequestInfo, Settle};
///
/// /// Rejects one tenant.
/// #[derive(Clone)]
/// struct Without(&'static str);
/// impl Settle for Without {
///     type Token = ();
///     fn settle(&self, _: (), _: Outcome) {}
///     fn refund(&self, _: ()) {}
/// }
/// impl Keyed<str> for Without {
///     fn admit_for(&self, tenant: &str, _: RequestInfo) -> Result<(), Rejected> {
///         if tenant == self.0 { Err(Rejected::new("tenants", Reason::Limited)) } else { Ok(()) }
///     }
/// }
///
/// struct Request { tenant: String }
/// let gate = Without("eve").by_ref(|request: &Request| request.tenant.as_str());
/// assert!(gate.admit(&Request { tenant: "ann".into() }).is_ok());
/// assert!(gate.admit(&Request { tenant: "eve".into() }).is_err());
/// ```
pub trait KeyedExt: Settle + Clone {
    /// Returns a gate for requests whose key is computed by `key`.
    fn by<R: ?Sized, K, F: Fn(&R) -> K>(&self, key: F) -> By<Self, F> {
        By::new(self.clone(), key)
    }

    /// Returns a gate for requests that contain their key. `key` borrows it, without a copy.
    fn by_ref<R: ?Sized, Q: ?Sized, F: Fn(&R) -> &Q>(&self, key: F) -> ByRef<Self, F, Q> {
        ByRef::new(self.clone(), key)
    }

    /// Returns a gate for requests for which `key` computes a key. All others pass uncounted.
    ///
    /// Each request that passes uncounted is an [`Event::Unguarded`](crate::Event::Unguarded).
    fn by_option<R: ?Sized, K, F: Fn(&R) -> Option<K>>(&self, key: F) -> ByOption<Self, F> {
        ByOption::new(self.clone(), key)
    }

    /// Returns a gate for requests in which `key` finds a key. All others pass uncounted.
    ///
    /// Each request that passes uncounted is an [`Event::Unguarded`](crate::Event::Unguarded).
    fn by_option_ref<R: ?Sized, Q: ?Sized, F: Fn(&R) -> Option<&Q>>(
        &self,
        key: F,
    ) -> ByOptionRef<Self, F, Q> {
        ByOptionRef::new(self.clone(), key)
    }

    /// Returns a gate for requests for which `key` computes a key. All others are rejected, with
    /// the reason [`Unidentified`](Reason::Unidentified).
    fn by_required<R: ?Sized, K, F: Fn(&R) -> Result<K, NoKey>>(&self, key: F) -> ByRequired<Self, F> {
        ByRequired::new(self.clone(), key)
    }

    /// Returns a gate for requests in which `key` finds a key. All others are rejected, with the
    /// reason [`Unidentified`](Reason::Unidentified).
    fn by_required_ref<R: ?Sized, Q: ?Sized, F: Fn(&R) -> Result<&Q, NoKey>>(
        &self,
        key: F,
    ) -> ByRequiredRef<Self, F, Q> {
        ByRequiredRef::new(self.clone(), key)
    }

    /// Returns a gate that reads a request's cost and priority by `info`. For guards without keys.
    fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(&self, info: P) -> By<Self, fn(&R), P>
    where
        Self: Keyed<()>,
    {
        By::new(self.clone(), (|_| ()) as fn(&R)).info(info)
    }
}

impl<G: Settle + Clone> KeyedExt for G {}

/// Reads the [`RequestInfo`] of a request. `()` stands for the default: one unit, normal priority.
pub trait ReadInfo<R: ?Sized> {
    /// Returns the information about `request`.
    fn read(&self, request: &R) -> RequestInfo;
}

impl<R: ?Sized> ReadInfo<R> for () {
    #[inline]
    fn read(&self, _: &R) -> RequestInfo {
        RequestInfo::new()
    }
}

impl<R: ?Sized, P: Fn(&R) -> RequestInfo> ReadInfo<R> for P {
    #[inline]
    fn read(&self, request: &R) -> RequestInfo {
        self(request)
    }
}

macro_rules! adapter {
    ($name:ident [$($param:ident)*], $token:ty, $some:expr, $some_ref:expr, $some_mut:expr) => {
        impl<G: fmt::Debug, $($param: ?Sized,)* F, P> fmt::Debug for $name<G, F, $($param,)* P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.guard).finish()
            }
        }

        // Not derived: a key need not be `Clone`.
        impl<G: Clone, $($param: ?Sized,)* F: Clone, P: Clone> Clone for $name<G, F, $($param,)* P> {
            fn clone(&self) -> Self {
                let (guard, key, info) = (self.guard.clone(), self.key.clone(), self.info.clone());
                $name { guard, key, info, of: PhantomData }
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
            fn settle_units(&self, token: &mut Self::Token, actual: u32) {
                if let Some(token) = $some_mut(token) {
                    self.guard.settle_units(token, actual);
                }
            }
            fn allowances(&self, token: &Self::Token, each: &mut dyn FnMut(Allowance)) {
                if let Some(token) = $some_ref(token) {
                    self.guard.allowances(token, each);
                }
            }
        }

        impl<G, $($param: ?Sized,)* F> $name<G, F, $($param,)* ()> {
            /// Sets the closure that reads a request's cost and priority.
            ///
            /// Default: one unit, normal priority.
            pub fn info<R: ?Sized, P: Fn(&R) -> RequestInfo>(self, info: P) -> $name<G, F, $($param,)* P> {
                $name { guard: self.guard, key: self.key, info, of: PhantomData }
            }
        }
    };
}

/// A keyed guard with a closure that computes the key of a request.
pub struct By<G, F, P = ()> {
    guard: G,
    key: F,
    info: P,
    of: PhantomData<()>,
}

impl<G, F> By<G, F> {
    /// Creates a gate from `guard`, with the key that `key` computes from a request.
    pub fn new<R: ?Sized, K>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> K,
    {
        By { guard, key, info: (), of: PhantomData }
    }
}

adapter!(By [], G::Token, Some, Some, Some);

impl<R: ?Sized, K, G: Keyed<K>, F: Fn(&R) -> K, P: ReadInfo<R>> Gate<R> for By<G, F, P> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        self.guard.admit_for(&(self.key)(request), self.info.read(request))
    }
}

/// A keyed guard with a closure that borrows the key from a request, without a copy.
pub struct ByRef<G, F, Q: ?Sized, P = ()> {
    guard: G,
    key: F,
    info: P,
    of: PhantomData<fn(&Q)>,
}

impl<G, F, Q: ?Sized> ByRef<G, F, Q> {
    /// Creates a gate from `guard`, with the key that `key` finds in a request.
    pub fn new<R: ?Sized>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> &Q,
    {
        ByRef { guard, key, info: (), of: PhantomData }
    }
}

adapter!(ByRef[Q], G::Token, Some, Some, Some);

impl<R: ?Sized, Q: ?Sized, G: Keyed<Q>, F: Fn(&R) -> &Q, P: ReadInfo<R>> Gate<R> for ByRef<G, F, Q, P> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        self.guard.admit_for((self.key)(request), self.info.read(request))
    }
}

/// A keyed guard for requests that have a key. Requests without one pass uncounted.
pub struct ByOption<G, F, P = ()> {
    guard: G,
    key: F,
    info: P,
    of: PhantomData<()>,
}

impl<G, F> ByOption<G, F> {
    /// Creates a gate from `guard`, with the key that `key` may compute from a request.
    pub fn new<R: ?Sized, K>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> Option<K>,
    {
        ByOption { guard, key, info: (), of: PhantomData }
    }
}

adapter!(ByOption [], Option<G::Token>, std::convert::identity, Option::as_ref, Option::as_mut);

impl<R: ?Sized, K, G: Keyed<K>, F: Fn(&R) -> Option<K>, P: ReadInfo<R>> Gate<R> for ByOption<G, F, P> {
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        let Some(key) = (self.key)(request) else {
            self.guard.pass_without_key();
            return Ok(None);
        };
        self.guard.admit_for(&key, self.info.read(request)).map(Some)
    }
}

/// A keyed guard for requests that contain a key. Requests without one pass uncounted.
pub struct ByOptionRef<G, F, Q: ?Sized, P = ()> {
    guard: G,
    key: F,
    info: P,
    of: PhantomData<fn(&Q)>,
}

impl<G, F, Q: ?Sized> ByOptionRef<G, F, Q> {
    /// Creates a gate from `guard`, with the key that `key` may find in a request.
    pub fn new<R: ?Sized>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> Option<&Q>,
    {
        ByOptionRef { guard, key, info: (), of: PhantomData }
    }
}

adapter!(ByOptionRef[Q], Option<G::Token>, std::convert::identity, Option::as_ref, Option::as_mut);

impl<R: ?Sized, Q: ?Sized, G: Keyed<Q>, F: Fn(&R) -> Option<&Q>, P: ReadInfo<R>> Gate<R>
    for ByOptionRef<G, F, Q, P>
{
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        let Some(key) = (self.key)(request) else {
            self.guard.pass_without_key();
            return Ok(None);
        };
        self.guard.admit_for(key, self.info.read(request)).map(Some)
    }
}

/// A keyed guard for requests that must have a key. Requests without one are rejected.
pub struct ByRequired<G, F, P = ()> {
    guard: G,
    key: F,
    info: P,
    of: PhantomData<()>,
}

impl<G, F> ByRequired<G, F> {
    /// Creates a gate from `guard`, with the key that `key` computes from a request.
    pub fn new<R: ?Sized, K>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> Result<K, NoKey>,
    {
        ByRequired { guard, key, info: (), of: PhantomData }
    }
}

adapter!(ByRequired [], G::Token, Some, Some, Some);

impl<R: ?Sized, K, G: Keyed<K>, F: Fn(&R) -> Result<K, NoKey>, P: ReadInfo<R>> Gate<R>
    for ByRequired<G, F, P>
{
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        let key = (self.key)(request).map_err(|NoKey| self.guard.reject_without_key())?;
        self.guard.admit_for(&key, self.info.read(request))
    }
}

/// A keyed guard for requests that must contain a key. Requests without one are rejected.
pub struct ByRequiredRef<G, F, Q: ?Sized, P = ()> {
    guard: G,
    key: F,
    info: P,
    of: PhantomData<fn(&Q)>,
}

impl<G, F, Q: ?Sized> ByRequiredRef<G, F, Q> {
    /// Creates a gate from `guard`, with the key that `key` finds in a request.
    pub fn new<R: ?Sized>(guard: G, key: F) -> Self
    where
        F: Fn(&R) -> Result<&Q, NoKey>,
    {
        ByRequiredRef { guard, key, info: (), of: PhantomData }
    }
}

adapter!(ByRequiredRef[Q], G::Token, Some, Some, Some);

impl<R: ?Sized, Q: ?Sized, G: Keyed<Q>, F: Fn(&R) -> Result<&Q, NoKey>, P: ReadInfo<R>> Gate<R>
    for ByRequiredRef<G, F, Q, P>
{
    #[inline]
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
        let key = (self.key)(request).map_err(|NoKey| self.guard.reject_without_key())?;
        self.guard.admit_for(key, self.info.read(request))
    }
}
