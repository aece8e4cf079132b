//! Where a resource lies while nobody has it.
//!
//! A pointer that is swapped: the seat says whose turn it is, but who clears out asks no seat. A lock would do, and
//! costs each checkout and return twice as much.

#[cfg(not(plimsoll_loom))]
use crossbeam_utils::atomic::AtomicCell;
use plimsoll_core::Instant;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
#[cfg(plimsoll_loom)]
use plimsoll_core::parts::sync::{Mutex, recover};

/// The place of one resource, and since when it has lain there.
pub(crate) struct Cell<T> {
    #[cfg(not(plimsoll_loom))]
    resource: AtomicCell<Option<Box<T>>>,
    #[cfg(plimsoll_loom)]
    resource: Mutex<Option<Box<T>>>,
    // In nanoseconds. Written by who has the seat, and true for nobody else.
    since: AtomicU64,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Cell { resource: Default::default(), since: AtomicU64::new(0) }
    }
}

impl<T> Cell<T> {
    /// Takes it out: for who has the seat, and for who clears out.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.swap(None)
    }

    /// Puts it in; answers what was there. For who has the seat.
    #[inline(always)]
    pub(crate) fn put(&self, resource: Box<T>) -> Option<Box<T>> {
        self.swap(Some(resource))
    }

    /// Relaxed, here and below: the seat passes it on.
    #[inline(always)]
    pub(crate) fn set_since(&self, since: Instant) {
        self.since.store(since.as_nanos(), Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn since(&self) -> Instant {
        Instant::from_nanos(self.since.load(Ordering::Relaxed))
    }

    // Acquire and release: what one did to the resource, and what was done before it was put in, the other sees.
    #[cfg(not(plimsoll_loom))]
    #[inline(always)]
    fn swap(&self, new: Option<Box<T>>) -> Option<Box<T>> {
        const { assert!(AtomicCell::<Option<Box<T>>>::is_lock_free()) };
        self.resource.swap(new)
    }

    #[cfg(plimsoll_loom)]
    fn swap(&self, new: Option<Box<T>>) -> Option<Box<T>> {
        let mut resource = recover(self.resource.lock());
        std::mem::replace(&mut *resource, new)
    }
}
