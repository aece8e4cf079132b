//! Resizing, closing and draining a pool.

use super::config::check_slots;
use super::{Dispatch, Inner};
use crate::cell::Cell;
use plimsoll_core::parts::{Capacity, consume_budget};
use plimsoll_core::{ControlError, Event, Reason, Rejected};
use std::future::poll_fn;
use std::task::Poll;

impl<T> Dispatch<T> {
    /// Changes the number of slots. Range: 1 to 2²⁰.
    ///
    /// New slots are granted at once, first to callers that wait. If there are fewer slots than
    /// before, those in use stay in use, and none is granted until fewer than `slots` are in use.
    /// Idle resources in the slots beyond the limit are dropped.
    ///
    /// # Errors
    /// Returns an error if `slots` is out of range. Nothing has changed then.
    #[doc(alias = "resize")]
    pub fn set_slots(&self, slots: u32) -> Result<(), ControlError> {
        check_slots(slots)?;
        let inner = &*self.0;
        // The cells first: a caller that takes a new slot finds its cell.
        inner.cells.grow(slots);
        if inner.slots().resize(slots) {
            inner.semaphore.admit_waiters();
        }
        drop(inner.take_retired(slots));
        Ok(())
    }

    /// Rejects all requests from now on with `Closed`, and returns the idle resources.
    ///
    /// Callers that wait are rejected, too. Slots in use stay in use; their resources are dropped
    /// when they are released. [`drained`](Self::drained) waits for that.
    pub fn close(&self) -> Vec<T> {
        let inner = &*self.0;
        inner.semaphore.close();
        let idle = inner.take_retired(0);
        inner.slots().wake_if_drained();
        idle
    }

    /// Returns whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.slots().is_closed()
    }

    /// Waits until the pool is closed and no slot is in use.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on the pool.
    pub async fn drained(&self) {
        consume_budget().await;
        let slots = self.0.slots();
        let watcher = slots.watchers().watch();
        poll_fn(|cx| {
            watcher.set_waker(cx.waker().clone());
            // After the waker is stored: the release of the last slot wakes it from now on.
            if slots.is_drained() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl<T> Inner<T> {
    /// Takes the resources out of this slot and all after it that are beyond the limit or closed.
    /// The caller drops or uses them when all are out.
    fn take_retired(&self, from: u32) -> Vec<T> {
        let retired = (0..).zip(self.cells.iter()).skip(from as usize);
        let retired = retired.filter(|&(index, _)| self.slots().is_retired(index));
        retired.filter_map(|(_, cell)| cell.take()).map(|resource| *resource).collect()
    }

    /// Takes the resource out of a slot that was released while the pool was closed or made
    /// smaller.
    #[cold]
    pub(super) fn retire(&self, index: u32) {
        drop(self.cells.get(index).and_then(Cell::take));
    }

    #[cold]
    #[inline(never)]
    pub(super) fn closed(&self) -> Rejected {
        let rejected = Rejected::new(self.name, Reason::Closed);
        self.observer.emit(|| Event::rejected(rejected));
        rejected
    }
}
