//! Slots that were checked out: with a resource, or still empty.

use super::Dispatch;
use crate::slot::Slot;
use plimsoll_core::Outcome;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// An empty slot that was checked out. Dropped, it releases the slot.
///
/// The holder creates the resource with [`fill`](Self::fill) or [`make`](Self::make), and no other
/// caller waits for it.
#[must_use = "dropped at once, it releases the slot"]
pub struct Vacant<T, H: AsRef<Dispatch<T>>> {
    // `None` once it has become a lease or was released.
    held: Option<(H, Slot)>,
    resource: PhantomData<fn(T)>,
}

impl<T, H: AsRef<Dispatch<T>>> Vacant<T, H> {
    #[inline]
    pub(super) fn new(handle: H, slot: Slot) -> Self {
        Vacant { held: Some((handle, slot)), resource: PhantomData }
    }

    /// Puts a resource into the slot and returns the lease.
    pub fn fill(mut self, resource: T) -> Lease<T, H> {
        let held = self.held.take().map(|(handle, slot)| (handle, slot, Box::new(resource)));
        Lease { held }
    }

    /// Waits for `make` to create the resource and returns the lease.
    ///
    /// # Cancel safety
    /// Dropped before completion, the future releases the slot. So does an error or a panic of
    /// `make`.
    ///
    /// # Errors
    /// Returns the error of `make`.
    pub async fn make<E>(self, make: impl Future<Output = Result<T, E>>) -> Result<Lease<T, H>, E> {
        match make.await {
            Ok(resource) => Ok(self.fill(resource)),
            Err(error) => {
                self.end(Outcome::Failure);
                Err(error)
            }
        }
    }

    fn end(mut self, outcome: Outcome) {
        self.release(outcome);
    }

    fn release(&mut self, outcome: Outcome) {
        if let Some((handle, slot)) = self.held.take() {
            handle.as_ref().0.put_back(slot, None, outcome);
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> Drop for Vacant<T, H> {
    fn drop(&mut self) {
        self.release(ending());
    }
}

fn ending() -> Outcome {
    if std::thread::panicking() { Outcome::Failure } else { Outcome::Cancelled }
}

/// A slot that was checked out, with its resource. Dereferences to the resource.
///
/// Dropped, it drops the resource, which may be half used, and releases the slot. To use the
/// resource again, [put it back](Self::put_back). With
/// [`reuse_dropped`](crate::DispatchConfig::reuse_dropped), a lease that is dropped puts it back.
#[must_use = "dropped at once, it releases the slot"]
pub struct Lease<T, H: AsRef<Dispatch<T>>> {
    // The resource is boxed, so that moving it moves a pointer, whatever its size. `None` once it
    // was released.
    held: Option<(H, Slot, Box<T>)>,
}

impl<T, H: AsRef<Dispatch<T>>> Lease<T, H> {
    #[inline(always)]
    pub(super) fn new(handle: H, slot: Slot, resource: Box<T>) -> Self {
        Lease { held: Some((handle, slot, resource)) }
    }

    /// Reports success, leaves the resource to the next holder and releases the slot.
    #[inline]
    pub fn put_back(mut self) {
        self.release(true);
    }

    /// Reports failure, drops the resource and releases the slot.
    ///
    /// The next holder of the slot makes a new resource.
    pub fn discard(mut self) {
        if let Some((handle, slot, resource)) = self.held.take() {
            // Dropped before the slot is released: there are never more resources than slots. If
            // the drop panics, `vacant` releases the slot.
            let vacant = Vacant::new(handle, slot);
            drop(resource);
            vacant.end(Outcome::Failure);
        }
    }

    /// Drops a broken resource and keeps the slot, so that a new one can be made.
    pub fn remake(mut self) -> Vacant<T, H> {
        match self.held.take() {
            Some((handle, slot, resource)) => {
                let vacant = Vacant::new(handle, slot);
                drop(resource);
                vacant
            }
            None => unreachable!("a lease holds its resource until it is dropped"),
        }
    }

    #[inline(always)]
    fn release(&mut self, returned: bool) {
        let Some((handle, slot, resource)) = self.held.take() else { return };
        let panicking = std::thread::panicking();
        let reuse = !panicking && (returned || handle.as_ref().reuse_dropped());
        let outcome = match reuse {
            true if returned => Outcome::Success,
            true => Outcome::Ignored,
            false => ending(),
        };
        if reuse {
            handle.as_ref().0.put_back(slot, Some(resource), outcome);
        } else {
            let vacant = Vacant::new(handle, slot);
            drop(resource);
            vacant.end(outcome);
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> Deref for Lease<T, H> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.held {
            Some((_, _, resource)) => resource,
            None => unreachable!("a lease holds its resource until it is dropped"),
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> DerefMut for Lease<T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Some((_, _, resource)) => resource,
            None => unreachable!("a lease holds its resource until it is dropped"),
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> Drop for Lease<T, H> {
    #[inline]
    fn drop(&mut self) {
        self.release(false);
    }
}

impl<T, H: AsRef<Dispatch<T>>> fmt::Debug for Vacant<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vacant").field(&self.held.as_ref().map(|(_, slot)| slot.index())).finish()
    }
}

impl<T: fmt::Debug, H: AsRef<Dispatch<T>>> fmt::Debug for Lease<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.as_ref();
        f.debug_struct("Lease")
            .field("slot", &held.map(|(_, slot, _)| slot.index()))
            .field("resource", &held.map(|(_, _, resource)| resource))
            .finish()
    }
}
