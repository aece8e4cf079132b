//! The contract of every guard: ask, then settle.

use crate::{Outcome, Rejected};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// What every guard can do with a token it handed out: take it back.
///
/// Plain data goes out and comes back, so that a gate asked through a reference costs no reference
/// count; [`Permit`] adds the giving back on drop, once for all guards.
pub trait Settle {
    /// What an admitted request holds: a generation, a slot, a start time. Plain data.
    type Token: Send;
    /// The admitted work has ended with `outcome`.
    fn settle(&self, token: Self::Token, outcome: Outcome);
    /// The admitted work never began: refund everything.
    fn refund(&self, token: Self::Token);
    /// Shows what may be said to the caller of an admitted call: how much of a quota is left. Most guards
    /// have nothing to say.
    fn allowances(&self, _token: &Self::Token, _each: &mut dyn FnMut(Allowance)) {}
}

/// How much of a quota an admitted call has left: what a `RateLimit` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The quota's name.
    pub name: &'static str,
    /// How many units there are when nothing is used.
    pub limit: u64,
    /// The time in which so many come back.
    pub window: Duration,
    /// How many units are left now.
    pub remaining: u64,
    /// The time until nothing is used.
    pub reset: Duration,
}

/// A guard that answers at once.
pub trait Gate<R: ?Sized>: Settle {
    /// May `request` begin? The token must be settled or given back; [`Permit`] sees to it.
    ///
    /// # Errors
    /// [`Rejected`] if not. Nothing stays spent then.
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected>;
}

/// A guard that may let the caller wait for its turn.
pub trait Wait<R: ?Sized>: Settle {
    /// What the turn hands over to [`enter`](Wait::enter).
    type Place: Send;
    /// The wait. Dropping it leaves the line and gives back a place that was already granted.
    type Waiting: Future<Output = Result<Self::Place, Rejected>>;
    /// Stands in line for `request`. The place in the line is taken at the first poll.
    fn wait(&self, request: &R) -> Self::Waiting;
    /// The turn has come: what else has to be asked is asked now.
    ///
    /// # Errors
    /// [`Rejected`] if that refuses; `place` has then been given back.
    fn enter(&self, place: Self::Place, request: &R) -> Result<Self::Token, Rejected>;
}

/// Permission to work: a token that gives itself back.
///
/// Dropped, it settles as [`Outcome::Cancelled`], or as [`Outcome::Failure`] while the thread
/// unwinds from a panic. `Permit<&Guard>` borrows the guard and costs no reference count;
/// `Permit<Guard>` owns a handle and goes where it likes.
#[must_use = "a permit dropped at once ends what it was for"]
pub struct Permit<G: Settle>(Option<(G, G::Token)>);

impl<G: Settle> Permit<G> {
    /// The permit for a token that `gate` has just handed out.
    #[inline]
    pub fn new(gate: G, token: G::Token) -> Self {
        Permit(Some((gate, token)))
    }

    /// The work has ended.
    #[inline]
    pub fn done(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// The work never began: everything is refunded.
    #[inline]
    pub fn refund(mut self) {
        if let Some((gate, token)) = self.0.take() {
            gate.refund(token);
        }
    }

    /// What may be said to the caller: see [`Settle::tell`].
    #[inline]
    pub fn allowances(&self, each: &mut dyn FnMut(Allowance)) {
        if let Some((gate, token)) = &self.0 {
            gate.allowances(token, each);
        }
    }

    #[inline]
    fn end(&mut self, outcome: Outcome) {
        if let Some((gate, token)) = self.0.take() {
            gate.settle(token, outcome);
        }
    }
}

impl<G: Settle> Drop for Permit<G> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end(if std::thread::panicking() { Outcome::Failure } else { Outcome::Cancelled });
        }
    }
}

impl<G: Settle + fmt::Debug> fmt::Debug for Permit<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.0.as_ref().map(|(gate, _)| gate)).finish()
    }
}

impl<G: Settle + ?Sized> Settle for &G {
    type Token = G::Token;
    #[inline]
    fn settle(&self, token: G::Token, outcome: Outcome) {
        (**self).settle(token, outcome);
    }
    #[inline]
    fn refund(&self, token: G::Token) {
        (**self).refund(token);
    }
    fn allowances(&self, token: &G::Token, each: &mut dyn FnMut(Allowance)) {
        (**self).allowances(token, each);
    }
}

impl<R: ?Sized, G: Gate<R> + ?Sized> Gate<R> for &G {
    #[inline]
    fn admit(&self, request: &R) -> Result<G::Token, Rejected> {
        (**self).admit(request)
    }
}

/// A token that goes back unless it is taken: a later gate refused, or panicked.
pub(crate) struct Undo<'a, G: Settle>(&'a G, Option<G::Token>);

impl<'a, G: Settle> Undo<'a, G> {
    #[inline]
    pub(crate) fn new(gate: &'a G, token: G::Token) -> Self {
        Undo(gate, Some(token))
    }
    /// Keeps it.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<G::Token> {
        self.1.take()
    }
}

impl<G: Settle> Drop for Undo<'_, G> {
    fn drop(&mut self) {
        if let Some(token) = self.1.take() {
            self.0.refund(token);
        }
    }
}

// All or nothing, asked from left to right. The cheapest and likeliest to refuse goes first.
macro_rules! tuple {
    ($($gate:ident $token:ident $i:tt),+) => {
        impl<$($gate: Settle),+> Settle for ($($gate,)+) {
            type Token = ($($gate::Token,)+);
            #[inline]
            fn settle(&self, token: Self::Token, outcome: Outcome) {
                $(self.$i.settle(token.$i, outcome);)+
            }
            #[inline]
            fn refund(&self, token: Self::Token) {
                $(self.$i.refund(token.$i);)+
            }
            fn allowances(&self, token: &Self::Token, each: &mut dyn FnMut(Allowance)) {
                $(self.$i.allowances(&token.$i, each);)+
            }
        }
        impl<R: ?Sized, $($gate: Gate<R>),+> Gate<R> for ($($gate,)+) {
            #[inline]
            fn admit(&self, request: &R) -> Result<Self::Token, Rejected> {
                $(let mut $token = Undo::new(&self.$i, self.$i.admit(request)?);)+
                match ($($token.take(),)+) {
                    ($(Some($token),)+) => Ok(($($token,)+)),
                    _ => unreachable!("every token was set above"),
                }
            }
        }
    };
}

tuple!(A a 0);
tuple!(A a 0, B b 1);
tuple!(A a 0, B b 1, C c 2);
tuple!(A a 0, B b 1, C c 2, D d 3);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6);
tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7);
