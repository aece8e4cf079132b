//! The contract of every guard: admit, then settle.

use crate::{Outcome, Rejected};
use std::future::Future;
use std::time::Duration;

/// A guard that takes back the tokens it handed out.
///
/// A token is plain data, so admitting a request through a reference costs no reference count.
/// [`Permit`](crate::Permit) releases a token on drop, for all guards.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a guard",
    label = "not a guard",
    note = "take a guard from a builder by `.build()`, and from a `Result` by `?`"
)]
pub trait Settle {
    /// What an admitted request holds, such as a place or a start time. Plain data.
    type Token: Send;
    /// Releases the token of work that has ended with `outcome`.
    fn settle(&self, token: Self::Token, outcome: Outcome);
    /// Releases the token of work that never began, and refunds what it was charged.
    fn refund(&self, token: Self::Token);
    /// Changes the charge of the token to `actual` units, which may be less or more.
    ///
    /// For work whose cost is known only afterwards. Guards that charge no units ignore it.
    fn settle_units(&self, _token: &mut Self::Token, _actual: u32) {}
    /// Calls `each` with every quota that applies to the admitted request.
    ///
    /// Guards without quotas never call it.
    fn allowances(&self, _token: &Self::Token, _each: &mut dyn FnMut(Allowance)) {}
}

/// A quota and what remains of it: the content of a `RateLimit` header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowance {
    /// The name of the quota.
    pub name: &'static str,
    /// Whether other accounts are charged to it, too. What remains of it is their use as well.
    pub shared: bool,
    /// The number of units in an unused quota.
    pub limit: u64,
    /// The time in which `limit` units are replenished.
    pub window: Duration,
    /// The number of units that remain now.
    pub remaining: u64,
    /// The time until all units are replenished.
    pub reset: Duration,
}

impl Allowance {
    /// Creates an allowance of one account: `limit` units in `window`, all of them remaining.
    pub const fn new(name: &'static str, limit: u64, window: Duration) -> Self {
        Allowance { name, shared: false, limit, window, remaining: limit, reset: Duration::ZERO }
    }

    /// Sets the units that remain, and the time until all units are replenished.
    #[must_use]
    pub const fn remaining(mut self, remaining: u64, reset: Duration) -> Self {
        self.remaining = remaining;
        self.reset = reset;
        self
    }

    /// Sets whether other accounts are charged to this quota, too. Default: `false`.
    #[must_use]
    pub const fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Returns the time until the next unit is replenished, or zero if all units remain.
    pub fn next_unit(&self) -> Duration {
        // Units are replenished one by one, and the last of them after `reset`.
        let interval = self.window.as_nanos() / u128::from(self.limit.max(1));
        let Some(rest) = self.reset.as_nanos().checked_rem(interval) else { return self.reset };
        let next = if rest == 0 { interval } else { rest };
        u64::try_from(next).map_or(self.reset, |next| Duration::from_nanos(next).min(self.reset))
    }
}

/// A guard that decides at once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide at once about requests of type `{R}`",
    label = "not a gate for these requests",
    note = "if the guard has keys, read the key from the request: `guard.by(|request: &{R}| ..)`",
    note = "if it queues, as a `Buffer` or a `Then` does, use `wait_layer(..)` instead of `layer(..)`"
)]
pub trait Gate<R: ?Sized>: Settle {
    /// Decides whether `request` may begin.
    ///
    /// The caller must settle or refund the token; [`Permit`](crate::Permit) does.
    ///
    /// # Errors
    /// [`Rejected`] if the request may not begin. Nothing stays charged then.
    fn admit(&self, request: &R) -> Result<Self::Token, Rejected>;
}

/// A guard that may queue the caller.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot queue requests of type `{R}`",
    label = "has no queue",
    note = "a guard that decides at once has no queue: use `layer(..)` instead of `wait_layer(..)`",
    note = "to wait in the queue of a valve before it decides: `wait_layer(Then(valve, guard))`"
)]
pub trait Wait<R: ?Sized>: Settle {
    /// What a finished wait hands over to [`enter`](Wait::enter).
    type Place: Send;
    /// The wait. Dropping it leaves the queue and releases a place that was already granted.
    type Waiting: Future<Output = Result<Self::Place, Rejected>>;
    /// Returns a future that waits for `request` to be admitted.
    ///
    /// It joins the queue at its first poll.
    fn wait(&self, request: &R) -> Self::Waiting;
    /// Turns a place into a token.
    ///
    /// What can be decided only after the wait is decided here, such as the charge of a rate limit.
    ///
    /// # Errors
    /// [`Rejected`] if the request may not begin. The place has been released then.
    fn enter(&self, place: Self::Place, request: &R) -> Result<Self::Token, Rejected>;
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
    fn settle_units(&self, token: &mut G::Token, actual: u32) {
        (**self).settle_units(token, actual);
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
