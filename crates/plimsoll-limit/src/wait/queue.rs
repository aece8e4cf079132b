//! A queue of requests whose head tries again until it succeeds.

use plimsoll_core::Clock;
use plimsoll_core::parts::sync::{Mutex, recover};
use plimsoll_core::parts::{FixedCapacity, Semaphore, wake};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// The waiting requests of one account. The semaphore has one place, and its holder is the head of
/// the queue: it tries again when there may be enough units. The others wait for that place.
pub(crate) struct WaitQueue {
    pub(super) semaphore: Arc<Semaphore<FixedCapacity>>,
    pub(super) head: Mutex<Option<Waker>>,
}

impl WaitQueue {
    pub(super) fn new(name: &'static str, clock: &Clock) -> Self {
        let capacity = FixedCapacity::new(1);
        let semaphore = Semaphore::new(name, capacity, clock.clone(), FixedCapacity::MAX, Duration::MAX);
        WaitQueue { semaphore: Arc::new(semaphore), head: Mutex::new(None) }
    }

    /// Returns the number of waiting requests, with the head.
    pub(super) fn len(&self) -> u32 {
        self.semaphore.queued() + u32::from(self.semaphore.capacity().in_flight() > 0)
    }

    /// Wakes the head, because the instant for which it waits may have changed.
    pub(super) fn wake_head(&self) {
        let waker = recover(self.head.lock()).take();
        waker.into_iter().for_each(wake);
    }
}
