//! The handle, and permits without a wait.

use plimsoll_core::parts::{FixedCapacity, Place, Semaphore};
use plimsoll_core::{Gate, Permit, Rejected, semaphore_guard};
use std::sync::Arc;

/// Admits a limited number of requests at once, and lets a limited number wait.
///
/// A cheap handle: clones share one count and one queue.
///
/// | method | waits | where |
/// |---|---|---|
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_owned`](Self::try_acquire_owned) | never | anywhere |
/// | [`acquire`](Self::acquire), [`acquire_owned`](Self::acquire_owned) | in the queue | in async code |
/// | [`blocking_acquire`](Self::blocking_acquire), [`blocking_acquire_timeout`](Self::blocking_acquire_timeout) | in the same queue | on a plain thread |
/// | [`run`](Self::run) | in the queue, then runs a future | in async code |
#[derive(Clone)]
#[doc(alias = "bulkhead")]
#[doc(alias = "semaphore")]
#[doc(alias = "concurrency limit")]
#[doc(alias = "ConcurrencyLimit")]
#[doc(alias = "concurrency_limit")]
#[doc(alias = "SafetyValve")]
pub struct Valve(pub(crate) Arc<Semaphore<FixedCapacity>>);

semaphore_guard!(Valve);

impl Valve {
    /// Acquires a permit if a place is free. Never waits, and never overtakes waiting requests.
    ///
    /// # Errors
    /// `Full` if every place is taken or requests wait for one. `Closed` after
    /// [`close`](Self::close).
    #[inline(always)]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Valve>, Rejected> {
        self.0.try_acquire().map(|place| Permit::new(self, place))
    }

    /// Acquires a permit that owns its handle, if a place is free.
    ///
    /// Such a permit can be moved to another task or thread.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<Permit<Valve>, Rejected> {
        self.0.try_acquire().map(|place| Permit::new(self.clone(), place))
    }
}

impl<R: ?Sized> Gate<R> for Valve {
    #[inline(always)]
    fn admit(&self, _: &R) -> Result<Place, Rejected> {
        self.0.try_acquire()
    }
}
