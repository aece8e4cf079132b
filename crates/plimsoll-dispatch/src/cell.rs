//! The cell of a slot: where its resource lies while the slot is free.
//!
//! A cell is one pointer, stored by the holder of the slot and swapped out. Usually only the holder
//! accesses it, but a thread that empties the pool does so without holding the slot. A lock would
//! do, and would more than double the cost of each checkout and return.

#[cfg(not(plimsoll_loom))]
use crossbeam_utils::atomic::AtomicCell;
use plimsoll_core::Instant;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
#[cfg(plimsoll_loom)]
use plimsoll_core::parts::sync::{Mutex, recover};
#[cfg(not(plimsoll_loom))]
use std::mem::ManuallyDrop;

/// An idle resource, and the time since when it is idle.
pub(crate) struct Cell<T> {
    // Not dropped by `AtomicCell`, which could then not store without swapping the old one out.
    #[cfg(not(plimsoll_loom))]
    resource: AtomicCell<Option<ManuallyDrop<Box<T>>>>,
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
    // The swap acquires, and the store in `put` releases: a thread that takes a resource out sees
    // what was done to it before it was put in.
    #[cfg(not(plimsoll_loom))]
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        const { assert!(AtomicCell::<Option<ManuallyDrop<Box<T>>>>::is_lock_free()) };
        self.resource.take().map(ManuallyDrop::into_inner)
    }

    #[cfg(plimsoll_loom)]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        recover(self.resource.lock()).take()
    }

    /// Puts a resource in. Called by the holder of the slot, after taking out what was in it.
    // A resource that is still there would be forgotten, not dropped. Only a token of another pool
    // can lead to that: it releases a slot that is still held.
    #[cfg(not(plimsoll_loom))]
    #[inline(always)]
    pub(crate) fn put(&self, resource: Box<T>) {
        self.resource.store(Some(ManuallyDrop::new(resource)));
    }

    #[cfg(plimsoll_loom)]
    pub(crate) fn put(&self, resource: Box<T>) {
        let old = recover(self.resource.lock()).replace(resource);
        assert!(old.is_none(), "a resource would be forgotten");
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
}

#[cfg(not(plimsoll_loom))]
impl<T> Drop for Cell<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
