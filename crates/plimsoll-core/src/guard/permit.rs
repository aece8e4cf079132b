//! Permits: tokens that release themselves.

use crate::{Allowance, Outcome, Settle};
use std::fmt;
use std::future::Future;

/// A permit to work: a token that releases itself.
///
/// When it is dropped, it settles as [`Outcome::Cancelled`], or as [`Outcome::Failure`] while the
/// thread unwinds from a panic.
///
/// `Permit<&Guard>` borrows the guard and costs no reference count. `Permit<Guard>` owns a handle
/// and can be moved to another task or thread.
#[must_use = "a permit that is dropped at once guards nothing"]
#[doc(alias = "SemaphorePermit")]
pub struct Permit<G: Settle>(Option<(G, G::Token)>);

impl<G: Settle> Permit<G> {
    /// Creates a permit from a token that `guard` has just handed out.
    #[inline]
    pub fn new(guard: G, token: G::Token) -> Self {
        Permit(Some((guard, token)))
    }

    /// Reports that the work has ended with `outcome`, and releases the permit.
    // Inlined: otherwise the permit is written in small pieces and read back in larger ones, which
    // stalls the processor.
    #[inline(always)]
    pub fn done(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// Releases the permit of work that never began, and refunds what it was charged.
    #[inline]
    #[doc(alias = "forget")]
    pub fn refund(mut self) {
        if let Some((guard, token)) = self.0.take() {
            guard.refund(token);
        }
    }

    /// Changes the charge of this permit to `actual` units, which may be less or more.
    ///
    /// For work whose cost is known only afterwards, such as the tokens of a language model or the
    /// bytes of a response. It may be called again while the work continues. What was charged too
    /// much is refunded. What was charged too little becomes debt, of at most one burst, which
    /// later requests wait for. Of a tuple of gates, each gate that charges units is settled. Gates
    /// that charge none ignore it.
    #[doc(alias = "commit")]
    pub fn settle_units(&mut self, actual: u32) {
        if let Some((guard, token)) = &mut self.0 {
            guard.settle_units(token, actual);
        }
    }

    /// Runs `work` under this permit, then releases the permit with its outcome.
    ///
    /// `Ok` is a success, `Err` a failure.
    ///
    /// # Cancel safety
    /// If the future is dropped before completion, the permit is released as cancelled.
    ///
    /// # Errors
    /// Returns the error of `work`.
    pub async fn run<T, E>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let result = work.await;
        self.done(Outcome::from_result(&result));
        result
    }

    /// Calls `each` with every quota that applies, as [`Settle::allowances`] does.
    #[inline]
    pub fn allowances(&self, each: &mut dyn FnMut(Allowance)) {
        if let Some((guard, token)) = &self.0 {
            guard.allowances(token, each);
        }
    }

    #[inline(always)]
    fn end(&mut self, outcome: Outcome) {
        if let Some((guard, token)) = self.0.take() {
            guard.settle(token, outcome);
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
        f.debug_tuple("Permit").field(&self.0.as_ref().map(|(guard, _)| guard)).finish()
    }
}

/// A token that is refunded on drop unless it was taken.
///
/// It undoes an admission when a later gate rejects the request or panics.
pub(crate) struct Undo<'a, G: Settle>(&'a G, Option<G::Token>);

impl<'a, G: Settle> Undo<'a, G> {
    #[inline]
    pub(crate) fn new(guard: &'a G, token: G::Token) -> Self {
        Undo(guard, Some(token))
    }

    /// Takes the token, which is then no longer refunded.
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
