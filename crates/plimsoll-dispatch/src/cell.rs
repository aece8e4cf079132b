//! The cell of a slot: where its resource lies while the slot is free.
//!
//! A cell is one pointer that is swapped. Usually only the holder of the slot accesses it, but a
//! thread that empties the pool does so without holding the slot. A lock would do, and would double
//! the cost of each checkout and return.

#[cfg(not(plimsoll_loom))]
use crossbeam_utils::atomic::AtomicCell;
use plimsoll_core::Instant;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
#[cfg(plimsoll_loom)]
use plimsoll_core::parts::sync::{Mutex, recover};

/// An idle resource, and the time since when it is idle.
pub(crate) struct Cell<T> {
    #[cfg(not(plimsoll_loom))]
    resource: AtomicCell<Option<Box<T>>>,
    #[cfg(plimsoll_loom)]
    resource: Mutex<Option<Box<T>>>,
    // In nanoseconds. Written by the holder of the slot, and when the first idle limit is set.
    // Meaningful only while there is such a limit.
    since: AtomicU64,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Cell { resource: Default::default(), since: AtomicU64::new(0) }
    }
}

impl<T> Cell<T> {
    /// Takes the resource out. Called by the holder of the slot and by threads that empty the pool.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.swap(None)
    }

    /// Puts a resource in and returns the old one. Called by the holder of the slot.
    #[inline(always)]
    pub(crate) fn put(&self, resource: Box<T>) -> Option<Box<T>> {
        self.swap(Some(resource))
    }

    /// Sets the time since when the resource is idle.
    #[inline(always)]
    pub(crate) fn set_since(&self, since: Instant) {
        // Relaxed, here and below: the release of the slot publishes it to the next holder, and the
        // exchange in `set_max_idle` to all.
        self.since.store(since.as_nanos(), Ordering::Relaxed);
    }

    /// Returns the time since when the resource is idle.
    #[inline(always)]
    pub(crate) fn since(&self) -> Instant {
        Instant::from_nanos(self.since.load(Ordering::Relaxed))
    }

    // The swap acquires and releases: a thread that takes a resource out sees what was done to it
    // before it was put in.
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
