//! Slots in use: with a resource, and still empty.

use super::Dispatch;
use crate::slots::Slot;
use plimsoll_core::Outcome;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A slot of yours that has no resource yet. Dropped, it frees the slot.
#[must_use = "dropped at once it frees the slot"]
pub struct Vacant<T, H: AsRef<Dispatch<T>>> {
    // `None` once it has become a lease.
    held: Option<(H, Slot)>,
    resource: PhantomData<fn(T)>,
}

impl<T, H: AsRef<Dispatch<T>>> Vacant<T, H> {
    #[inline]
    pub(super) fn new(handle: H, slot: Slot) -> Self {
        Vacant { held: Some((handle, slot)), resource: PhantomData }
    }

    /// With this resource it is a lease.
    pub fn fill(mut self, resource: T) -> Lease<T, H> {
        let held = self.held.take().map(|(handle, slot)| (handle, slot, Box::new(resource)));
        Lease { held, returned: false }
    }

    /// Makes the resource by `make`, in the caller's own time: no one else waits for it.
    ///
    /// # Cancel safety
    /// Dropped before its end, it frees the slot; so does a panic, and so does an error.
    ///
    /// # Errors
    /// That of `make`.
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

/// A slot of yours with its resource. Dropped, it puts the resource back and frees the slot.
#[must_use = "dropped at once it frees the slot"]
pub struct Lease<T, H: AsRef<Dispatch<T>>> {
    // The resource is moved by its address, however large it is. `None` once it has ended.
    held: Option<(H, Slot, Box<T>)>,
    returned: bool,
}

impl<T, H: AsRef<Dispatch<T>>> Lease<T, H> {
    #[inline(always)]
    pub(super) fn new(handle: H, slot: Slot, resource: Box<T>) -> Self {
        Lease { held: Some((handle, slot, resource)), returned: false }
    }

    /// The work has ended well: the resource is kept for the next one.
    pub fn put_back(mut self) {
        self.returned = true;
    }

    /// The resource is broken: it is dropped, and the slot freed. The next one to have the slot makes another.
    pub fn discard(mut self) {
        if let Some((handle, slot, resource)) = self.held.take() {
            // Before the slot is free, or there would be one resource more than slots for a while.
            let vacant = Vacant::new(handle, slot);
            drop(resource);
            vacant.end(Outcome::Failure);
        }
    }

    /// The resource is broken, and you want another: the slot stays yours.
    pub fn remake(mut self) -> Vacant<T, H> {
        match self.held.take() {
            Some((handle, slot, resource)) => {
                let vacant = Vacant::new(handle, slot);
                drop(resource);
                vacant
            }
            None => unreachable!("it is taken when it ends"),
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> Deref for Lease<T, H> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.held {
            Some((_, _, resource)) => resource,
            None => unreachable!("it is taken when it ends"),
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> DerefMut for Lease<T, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Some((_, _, resource)) => resource,
            None => unreachable!("it is taken when it ends"),
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> Drop for Lease<T, H> {
    #[inline]
    fn drop(&mut self) {
        let Some((handle, slot, resource)) = self.held.take() else { return };
        let panicking = std::thread::panicking();
        let keep = !panicking && (self.returned || handle.as_ref().keep_dropped());
        let outcome = match (panicking, self.returned) {
            (true, _) => Outcome::Failure,
            (_, true) => Outcome::Success,
            _ => Outcome::Ignored,
        };
        if keep {
            handle.as_ref().0.put_back(slot, Some(resource), outcome);
        } else {
            let vacant = Vacant::new(handle, slot);
            drop(resource);
            vacant.end(outcome);
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> fmt::Debug for Vacant<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vacant").field(&self.held.as_ref().map(|(_, slot)| slot.index)).finish()
    }
}

impl<T: fmt::Debug, H: AsRef<Dispatch<T>>> fmt::Debug for Lease<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.as_ref();
        f.debug_struct("Lease")
            .field("slot", &held.map(|(_, slot, _)| slot.index))
            .field("resource", &held.map(|(_, _, resource)| resource))
            .finish()
    }
}
