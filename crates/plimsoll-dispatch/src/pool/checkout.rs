//! Checking out a slot with its resource.

use super::Dispatch;
use super::lease::{Lease, Vacant};
use crate::cell::Cell;
use crate::slot::Slot;
use plimsoll_core::Rejected;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

/// The result of a checkout.
#[derive(Debug)]
#[must_use = "a slot that is dropped at once was checked out for nothing"]
pub enum Checkout<T, H: AsRef<Dispatch<T>>> {
    /// A slot with its resource.
    Reuse(Lease<T, H>),
    /// An empty slot: the caller makes the resource.
    Make(Vacant<T, H>),
    /// No slot: all are in use (`Busy`), too many callers wait (`Full`), the wait was too long
    /// (`Expired`), or it is `Closed`.
    Busy(Rejected),
}

impl<T, H: AsRef<Dispatch<T>>> Checkout<T, H> {
    /// Returns the lease. If the slot is empty, `make` creates the resource.
    ///
    /// # Errors
    /// Returns the rejection if there is no slot.
    #[inline]
    pub fn or_make(self, make: impl FnOnce() -> T) -> Result<Lease<T, H>, Rejected> {
        match self {
            Checkout::Reuse(lease) => Ok(lease),
            Checkout::Make(vacant) => Ok(vacant.fill(make())),
            Checkout::Busy(rejected) => Err(rejected),
        }
    }

    /// Returns whether there was no slot.
    pub fn is_busy(&self) -> bool {
        matches!(self, Checkout::Busy(_))
    }
}

impl<T> Dispatch<T> {
    /// Checks out a slot with its resource. Never waits.
    #[inline(always)]
    pub fn checkout(&self) -> Checkout<T, &Self> {
        self.check_out(self, None)
    }

    /// Checks out a slot, with a lease that owns its handle. Never waits.
    ///
    /// Such a lease can be moved to another task or thread.
    pub fn checkout_owned(&self) -> Checkout<T, Self> {
        self.check_out(self.clone(), None)
    }

    /// Checks out the slot of this key, or the next free one after it. Never waits.
    ///
    /// The slot is chosen by a hash of the key. Requests with the same key get the same resource as
    /// long as the slot is free and the number of slots does not change.
    pub fn checkout_for<K: Hash + ?Sized>(&self, key: &K) -> Checkout<T, &Self> {
        self.check_out(self, Some(self.0.hasher.hash_one(key)))
    }

    /// Checks out the slot of this key, with a lease that owns its handle. Never waits.
    ///
    /// Otherwise it works as [`checkout_for`](Self::checkout_for).
    pub fn checkout_for_owned<K: Hash + ?Sized>(&self, key: &K) -> Checkout<T, Self> {
        self.check_out(self.clone(), Some(self.0.hasher.hash_one(key)))
    }

    /// Checks out a slot with its resource. Waits for at most `timeout` until one is free.
    ///
    /// Callers that wait are served in the order of their arrival, and no other request overtakes
    /// them. A caller whose time is over is rejected with `Expired`. If as many callers wait as
    /// [`queue`](crate::DispatchConfig::queue) allows, a newcomer is rejected with `Full` at once.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future leaves the queue. A slot that was granted to it passes on
    /// to the next caller.
    #[doc(alias = "checkout_timeout")]
    pub async fn checkout_within(&self, timeout: Duration) -> Checkout<T, &Self> {
        match self.wait(timeout).await {
            Ok(slot) => self.open(self, slot),
            Err(rejected) => Checkout::Busy(rejected),
        }
    }

    /// Waits for a slot, with a future and a lease that own their handle.
    ///
    /// Both can be moved to another task. Otherwise it works as
    /// [`checkout_within`](Self::checkout_within).
    ///
    /// ```
    /// # use plimsoll_dispatch::Dispatch;
    /// # use std::time::Duration;
    /// # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # rt.block_on(async {
    /// let pool = Dispatch::<String>::new(1)?;
    /// let first = pool.checkout_owned().or_make(|| "connection".into())?;
    /// let waits = tokio::spawn(pool.checkout_within_owned(Duration::from_secs(1)));
    /// tokio::task::yield_now().await;
    /// assert_eq!(pool.queued(), 1);
    /// first.put_back();
    /// assert_eq!(*waits.await?.or_make(|| "another".into())?, "connection");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkout_within_owned(
        &self,
        timeout: Duration,
    ) -> impl Future<Output = Checkout<T, Self>> + use<T> {
        let handle = self.clone();
        async move {
            match handle.wait(timeout).await {
                Ok(slot) => handle.open(handle.clone(), slot),
                Err(rejected) => Checkout::Busy(rejected),
            }
        }
    }

    async fn wait(&self, timeout: Duration) -> Result<Slot, Rejected> {
        match timeout.is_zero() {
            true => self.0.take(None),
            false => self.0.semaphore.acquire_within(timeout).await,
        }
    }

    #[inline(always)]
    fn check_out<H: AsRef<Dispatch<T>>>(&self, handle: H, hash: Option<u64>) -> Checkout<T, H> {
        match self.0.take(hash) {
            Ok(slot) => self.open(handle, slot),
            Err(rejected) => Checkout::Busy(rejected),
        }
    }

    /// Takes the resource out of the slot.
    #[inline(always)]
    fn open<H: AsRef<Dispatch<T>>>(&self, handle: H, slot: Slot) -> Checkout<T, H> {
        let inner = &*self.0;
        let cell = inner.cells.get(slot.index());
        match cell.and_then(Cell::take) {
            Some(resource) if !cell.is_some_and(|cell| inner.is_stale(cell)) => {
                Checkout::Reuse(Lease::new(handle, slot, resource))
            }
            stale => {
                let vacant = Vacant::new(handle, slot);
                // A resource that was idle for too long. If dropping it panics, the slot is
                // released.
                drop(stale);
                Checkout::Make(vacant)
            }
        }
    }
}
