//! What a checkout hands out.

use crate::Dispatch;
use crate::slots::Slot;
use plimsoll_core::{Event, Outcome, Rejected};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};

/// The answer to a checkout.
#[derive(Debug)]
#[must_use = "a slot that is dropped at once was checked out for nothing"]
pub enum Checkout<T, H: AsRef<Dispatch<T>>> {
    /// A slot with its resource.
    Reuse(Lease<T, H>),
    /// A slot that has none: you make it.
    Make(Vacant<T, H>),
    /// No slot.
    Busy(Rejected),
}

impl<T, H: AsRef<Dispatch<T>>> Checkout<T, H> {
    /// The lease, with a resource that is made by `make` if there is none.
    ///
    /// # Errors
    /// The refusal.
    #[inline]
    pub fn or_make(self, make: impl FnOnce() -> T) -> Result<Lease<T, H>, Rejected> {
        match self {
            Checkout::Reuse(lease) => Ok(lease),
            Checkout::Make(vacant) => Ok(vacant.fill(make())),
            Checkout::Busy(no) => Err(no),
        }
    }

    /// Whether there was no slot.
    pub fn is_busy(&self) -> bool {
        matches!(self, Checkout::Busy(_))
    }
}

/// A slot of yours that has no resource yet. Dropped, it frees the slot.
#[must_use = "dropped at once it frees the slot"]
pub struct Vacant<T, H: AsRef<Dispatch<T>>> {
    // `None` once it has become a lease.
    held: Option<(H, Slot)>,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T, H: AsRef<Dispatch<T>>> Vacant<T, H> {
    #[inline]
    pub(crate) fn new(handle: H, seat: Slot) -> Self {
        Vacant { held: Some((handle, seat)), of: std::marker::PhantomData }
    }

    /// With this resource it is a lease.
    pub fn fill(mut self, resource: T) -> Lease<T, H> {
        let held = self.held.take().map(|(handle, seat)| (handle, seat, Box::new(resource)));
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
        self.free(outcome);
    }

    fn free(&mut self, outcome: Outcome) {
        if let Some((handle, seat)) = self.held.take() {
            let pool = handle.as_ref().inner();
            pool.put_back(seat, None, Event::completed(pool.name(), outcome));
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> Drop for Vacant<T, H> {
    fn drop(&mut self) {
        self.free(ending());
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
    pub(crate) fn new(handle: H, seat: Slot, resource: Box<T>) -> Self {
        Lease { held: Some((handle, seat, resource)), returned: false }
    }

    /// The work has ended well: the resource is kept for the next one.
    pub fn put_back(mut self) {
        self.returned = true;
    }

    /// The resource is broken: it is dropped, and the slot freed. The next one to have the slot makes another.
    pub fn discard(mut self) {
        if let Some((handle, seat, resource)) = self.held.take() {
            // Before the slot is free, or there would be one resource more than slots for a while.
            let vacant = Vacant::new(handle, seat);
            drop(resource);
            vacant.end(Outcome::Failure);
        }
    }

    /// The resource is broken, and you want another: the slot stays yours.
    pub fn remake(mut self) -> Vacant<T, H> {
        match self.held.take() {
            Some((handle, seat, resource)) => {
                let vacant = Vacant::new(handle, seat);
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
        let Some((handle, seat, resource)) = self.held.take() else { return };
        let panicking = std::thread::panicking();
        let keep = !panicking && (self.returned || handle.as_ref().inner().keep_dropped);
        let outcome = match (panicking, self.returned) {
            (true, _) => Outcome::Failure,
            (_, true) => Outcome::Success,
            _ => Outcome::Ignored,
        };
        if keep {
            let pool = handle.as_ref().inner();
            pool.put_back(seat, Some(resource), Event::completed(pool.name(), outcome));
        } else {
            let vacant = Vacant::new(handle, seat);
            drop(resource);
            vacant.end(outcome);
        }
    }
}

impl<T, H: AsRef<Dispatch<T>>> fmt::Debug for Vacant<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vacant").field(&self.held.as_ref().map(|(_, seat)| seat.slot)).finish()
    }
}

impl<T: fmt::Debug, H: AsRef<Dispatch<T>>> fmt::Debug for Lease<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.as_ref();
        f.debug_struct("Lease")
            .field("slot", &held.map(|(_, seat, _)| seat.slot))
            .field("resource", &held.map(|(_, _, resource)| resource))
            .finish()
    }
}
