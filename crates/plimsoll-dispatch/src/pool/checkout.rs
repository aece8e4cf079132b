//! Checking out a slot with its resource.

use super::Dispatch;
use super::lease::{Lease, Vacant};
use crate::cell::Cell;
use crate::slots::Slot;
use plimsoll_core::parts::consume_budget;
use plimsoll_core::{Event, Reason, Rejected};
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
    /// No slot.
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

    /// Checks out the slot of this key, or one of the slots after it.
    ///
    /// The slot is chosen by a hash of the key. Requests with the same key get the same resource as
    /// long as the slot is free and the number of slots does not change.
    pub fn checkout_for<K: Hash + ?Sized>(&self, key: &K) -> Checkout<T, &Self> {
        self.check_out(self, Some(self.0.hasher.hash_one(key)))
    }

    /// Repeats [`checkout`](Self::checkout) until a slot is free, for at most `timeout`.
    ///
    /// There is no queue: a free slot is granted to the first request that tries it. The pause
    /// between two attempts is 0.1 ms at first and doubles up to 10 ms. Up to a quarter of it is
    /// left out at random.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect: it holds no slot while it waits.
    pub async fn checkout_within(&self, timeout: Duration) -> Checkout<T, &Self> {
        consume_budget().await;
        let until = self.0.clock.now() + timeout;
        let mut pause = Duration::from_micros(100);
        loop {
            let taken = self.0.slots.take(None);
            let now = self.0.clock.now();
            if !matches!(taken, Err(Reason::Busy)) || now >= until {
                return self.open(self, taken);
            }
            let shortened = pause - self.0.dice.jitter(pause / 4);
            self.0.clock.sleep_until((now + shortened).min(until)).await;
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    #[inline(always)]
    fn check_out<H: AsRef<Dispatch<T>>>(&self, handle: H, hash: Option<u64>) -> Checkout<T, H> {
        self.open(handle, self.0.slots.take(hash))
    }

    /// Takes the resource out of the slot.
    #[inline(always)]
    fn open<H: AsRef<Dispatch<T>>>(&self, handle: H, taken: Result<Slot, Reason>) -> Checkout<T, H> {
        let inner = &*self.0;
        let slot = match taken {
            Ok(slot) => slot,
            Err(reason) => return Checkout::Busy(inner.rejected(reason)),
        };
        inner.observer.emit(|| Event::admitted(inner.name));
        let cell = inner.cells.get(slot.index);
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
