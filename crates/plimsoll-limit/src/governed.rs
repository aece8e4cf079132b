//! A limiter of the `governor` crate as a gate. That crate is named in this file only.

use governor::clock::{Clock, Reference};
use governor::middleware::RateLimitingMiddleware;
use governor::state::{DirectStateStore, NotKeyed, keyed::KeyedStateStore};
use governor::{NotUntil, RateLimiter};
use plimsoll_core::parts::intern;
use plimsoll_core::{ConfigError, Gate, Keyed, Outcome, Reason, Rejected, RequestInfo, Settle};
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Turns an existing limiter of the `governor` crate into a gate: for layers, tuples and shadow
/// mode.
///
/// It cannot refund: units stay charged if a later gate of a tuple rejects the request. It stores
/// keys in its own way, without a bound.
///
/// ```
/// use governor::{Quota, RateLimiter};
/// use plimsoll_core::Gate;
/// use plimsoll_limit::Governed;
/// use std::num::NonZeroU32;
///
/// let quota = Quota::per_second(NonZeroU32::new(1).ok_or("zero")?);
/// let limiter = RateLimiter::direct_with_clock(quota, governor::clock::MonotonicClock);
/// let gate = Governed::new("mine", limiter)?;
/// assert!(gate.admit("request").is_ok());
/// assert!(gate.admit("request").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Governed<K, S, C, MW>
where
    S: governor::state::StateStore<Key = K>,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant>,
{
    name: &'static str,
    limiter: Arc<RateLimiter<K, S, C, MW>>,
}

impl<K, S, C, MW> Governed<K, S, C, MW>
where
    S: governor::state::StateStore<Key = K>,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant, NegativeOutcome = NotUntil<C::Instant>>,
{
    /// Creates a gate whose rejections carry `name`, from a limiter or an `Arc` of it.
    ///
    /// # Errors
    /// Returns an error if the name is empty.
    pub fn new(name: &str, limiter: impl Into<Arc<RateLimiter<K, S, C, MW>>>) -> Result<Self, ConfigError> {
        plimsoll_core::parts::check::name(name)?;
        Ok(Governed { name: intern(name), limiter: limiter.into() })
    }

    /// Returns the limiter.
    pub fn get_ref(&self) -> &RateLimiter<K, S, C, MW> {
        &self.limiter
    }

    fn rejected(&self, reason: Reason, until: &NotUntil<C::Instant>) -> Rejected {
        let burst = u64::from(until.quota().burst_size().get());
        let window = until.quota().burst_size_replenished_in();
        let after = until.earliest_possible().duration_since(self.limiter.clock().now());
        Rejected::new(self.name, reason).numbers(burst, burst).over(window).retry_in(after.into())
    }

    fn too_large(&self, max: u32, units: u32) -> Rejected {
        Rejected::new(self.name, Reason::TooLarge).numbers(u64::from(max), u64::from(units))
    }
}

impl<K, S, C, MW> Settle for Governed<K, S, C, MW>
where
    S: governor::state::StateStore<Key = K>,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant>,
{
    type Token = ();
    fn settle(&self, (): (), _: Outcome) {}
    fn refund(&self, (): ()) {}
}

impl<R: ?Sized, S, C, MW> Gate<R> for Governed<NotKeyed, S, C, MW>
where
    S: DirectStateStore,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant, NegativeOutcome = NotUntil<C::Instant>>,
{
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.limiter.check().map(|_| ()).map_err(|until| self.rejected(Reason::Throttled, &until))
    }
}

impl<K, S, C, MW> Keyed<K> for Governed<K, S, C, MW>
where
    K: Hash + Eq + Clone,
    S: KeyedStateStore<K>,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant, NegativeOutcome = NotUntil<C::Instant>>,
{
    fn admit_for(&self, key: &K, info: RequestInfo) -> Result<(), Rejected> {
        let Some(units) = NonZeroU32::new(info.cost) else { return Ok(()) };
        match self.limiter.check_key_n(key, units) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(until)) => Err(self.rejected(Reason::Limited, &until)),
            Err(max) => Err(self.too_large(max.0, info.cost)),
        }
    }
    fn reject_without_key(&self) -> Rejected {
        Rejected::new(self.name, Reason::Unidentified)
    }
}

// Not derived: the clock and the store need not be `Clone`.
impl<K, S, C, MW> Clone for Governed<K, S, C, MW>
where
    S: governor::state::StateStore<Key = K>,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant>,
{
    fn clone(&self) -> Self {
        Governed { name: self.name, limiter: self.limiter.clone() }
    }
}

impl<K, S, C, MW> fmt::Debug for Governed<K, S, C, MW>
where
    S: governor::state::StateStore<Key = K>,
    C: Clock,
    MW: RateLimitingMiddleware<C::Instant>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governed").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::Quota;
    use plimsoll_core::{KeyedExt, NoKey};

    #[test]
    fn rejection_without_a_key_names_the_gate() {
        let limiter = RateLimiter::<u8, _, _, _>::keyed(Quota::per_second(NonZeroU32::MIN));
        let gate = Governed::new("mine", limiter).unwrap().by_required(|(): &()| Err(NoKey));
        let rejected = gate.admit(&()).unwrap_err();
        assert_eq!((rejected.by(), rejected.reason()), ("mine", Reason::Unidentified));
    }
}
