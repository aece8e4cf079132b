//! Resizing, closing and draining a pool.

use super::config::check_slots;
use super::{Dispatch, Inner};
use crate::cell::Cell;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::parts::{consume_budget, wake};
use plimsoll_core::{ControlError, Event, Reason, Rejected};
use std::future::poll_fn;
use std::task::Poll;

impl<T> Dispatch<T> {
    /// Changes the number of slots. Range: 1 to 2²⁰.
    ///
    /// New slots can be taken at once. Of the slots beyond a lower limit, those in use stay in use
    /// and are not granted again; idle resources in the others are dropped.
    ///
    /// # Errors
    /// Returns an error if `slots` is out of range. Nothing has changed then.
    #[doc(alias = "resize")]
    pub fn set_slots(&self, slots: u32) -> Result<(), ControlError> {
        check_slots(slots)?;
        // The cells first: a caller that takes a new slot finds its cell.
        self.0.cells.grow(slots);
        self.0.slots.resize(slots);
        drop(self.0.take_idle(slots));
        Ok(())
    }

    /// Rejects all requests from now on with `Closed`, and returns the idle resources.
    ///
    /// Slots in use stay in use; their resources are dropped when they are released.
    /// [`drained`](Self::drained) waits for that.
    pub fn close(&self) -> Vec<T> {
        self.0.slots.close();
        let idle = self.0.take_idle(0);
        self.0.wake_drained();
        idle
    }

    /// Returns whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.slots.is_closed()
    }

    /// Waits until the pool is closed and no slot is in use.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on the pool.
    pub async fn drained(&self) {
        consume_budget().await;
        poll_fn(|cx| {
            let mut waiting = recover(self.0.draining.lock());
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            drop(waiting);
            // After the waker is stored: a slot that is released from now on wakes it.
            if self.is_closed() && self.0.slots.none_in_use() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl<T> Inner<T> {
    /// Empties a slot that was released after the pool was closed or made smaller.
    #[cold]
    pub(super) fn retire(&self, index: u32, filled: bool) {
        let resource = if filled { self.cells.get(index).and_then(Cell::take) } else { None };
        self.slots.mark_empty(index);
        self.wake_drained();
        drop(resource);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn closed(&self) -> Rejected {
        // This request may have held a slot until it saw that the pool was closed, and `drained`
        // may wait for that slot.
        self.wake_drained();
        let rejected = Rejected::new(self.name, Reason::Closed);
        self.observer.emit(|| Event::rejected(rejected));
        rejected
    }

    #[cold]
    fn wake_drained(&self) {
        if self.slots.is_closed() && self.slots.none_in_use() {
            let wakers = std::mem::take(&mut *recover(self.draining.lock()));
            wakers.into_iter().for_each(wake);
        }
    }
}
