//! A pool of slots: the handle, permits, and the release of a slot.

mod builder;
mod checkout;
mod config;
mod controls;
mod drain;
mod idle;
#[cfg(feature = "tower")]
mod layer;
mod lease;

use crate::cell::Cell;
use crate::chunks::Chunks;
use crate::slots::{Slot, Slots};
use plimsoll_core::parts::KeyedHashState;
use plimsoll_core::parts::sync::{AtomicU64, Mutex};
use plimsoll_core::{Clock, Dice, Event, Gate, Observer, Outcome, Permit, Reason, Rejected, Settle};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Waker;

pub use builder::DispatchBuilder;
pub use checkout::Checkout;
pub use config::DispatchConfig;
#[cfg(feature = "tower")]
pub use layer::DispatchLayer;
pub use lease::{Lease, Vacant};

/// A pool with a fixed number of slots, each granted or rejected at once.
///
/// There is no queue and no wait. A cheap handle: clones share the slots.
///
/// A slot holds a resource, such as a connection, or is empty. A caller that checks out an empty
/// slot creates the resource itself, and no other caller waits for it. `Dispatch<()>` has slots and
/// no resources.
///
/// | method | returns | use it for |
/// |---|---|---|
/// | [`checkout`](Self::checkout), [`checkout_owned`](Self::checkout_owned) | `Reuse`, `Make` or `Busy` | a slot with its resource |
/// | [`checkout_for`](Self::checkout_for) | the same | a key that should find the same resource again |
/// | [`checkout_within`](Self::checkout_within) | the same, after several attempts | a caller that can wait a little |
/// | [`try_acquire`](Self::try_acquire), [`try_acquire_owned`](Self::try_acquire_owned), the layer | a permit or a rejection | a slot without its resource |
#[doc(alias = "pool")]
#[doc(alias = "connection pool")]
#[doc(alias = "object pool")]
#[doc(alias = "dispcount")]
#[doc(alias = "resource pool")]
pub struct Dispatch<T>(Arc<Inner<T>>);

struct Inner<T> {
    name: &'static str,
    clock: Clock,
    dice: Dice,
    hasher: KeyedHashState,
    observer: Observer,
    slots: Slots,
    cells: Chunks<Cell<T>>,
    // In nanoseconds, or `idle::NEVER`.
    max_idle: AtomicU64,
    // From the standard library even under loom: it orders nothing.
    keep_dropped: AtomicBool,
    // The callers of `drained`.
    draining: Mutex<Vec<Waker>>,
}

impl<T> Dispatch<T> {
    /// Acquires a slot without its resource. Never waits.
    ///
    /// # Errors
    /// `Busy` if none of the slots that were tried is free; `Closed` after [`close`](Self::close).
    #[inline(always)]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.take_slot().map(|slot| Permit::new(self, slot))
    }

    /// Acquires a slot without its resource, with a permit that owns its handle. Never waits.
    ///
    /// Such a permit can be moved to another task or thread.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.take_slot().map(|slot| Permit::new(self.clone(), slot))
    }

    #[inline(always)]
    fn take_slot(&self) -> Result<Slot, Rejected> {
        let inner = &*self.0;
        match inner.slots.take(None) {
            Ok(slot) => {
                inner.observer.emit(|| Event::admitted(inner.name));
                Ok(slot)
            }
            Err(reason) => Err(inner.rejected(reason)),
        }
    }
}

impl<T> Inner<T> {
    #[inline(always)]
    fn rejected(&self, reason: Reason) -> Rejected {
        let limit = match self.slots.limit_if_open() {
            Some(limit) if reason == Reason::Busy => u64::from(limit),
            _ => return self.closed(),
        };
        if self.observer.is_listening() {
            self.emit_busy(limit);
        }
        // Every slot that was tried is in use; to count the others would cost more than all the
        // rest. Created a second time rather than shared with the observer, so that it is written
        // directly to where the caller reads it.
        Rejected::new(self.name, Reason::Busy).numbers(limit, limit)
    }

    #[cold]
    #[inline(never)]
    fn emit_busy(&self, limit: u64) {
        self.observer.emit(|| Event::rejected(Rejected::new(self.name, Reason::Busy).numbers(limit, limit)));
    }

    /// Releases a slot, with its resource or without.
    #[inline(always)]
    fn put_back(&self, slot: Slot, resource: Option<Box<T>>, outcome: Outcome) {
        self.observer.emit(|| Event::completed(self.name, outcome));
        let index = slot.index;
        let mut surplus = None;
        let mut filled = false;
        match (resource, self.cells.get(index)) {
            (Some(resource), Some(cell)) if !self.slots.seems_retired(index) => {
                // Before the slot is released: its next holder finds the resource.
                self.note_idle(cell);
                surplus = cell.put(resource);
                filled = true;
            }
            (Some(resource), _) => surplus = Some(resource),
            (None, _) => {}
        }
        self.release(slot, filled);
        // Last, because it runs foreign code.
        drop(surplus);
    }

    /// Releases a slot whose resource, if any, was not touched.
    #[inline(always)]
    fn release_untouched(&self, slot: Slot) {
        let filled = self.slots.is_filled(slot.index);
        self.release(slot, filled);
    }

    #[inline(always)]
    fn release(&self, slot: Slot, filled: bool) {
        let index = slot.index;
        // The pool may have been closed or made smaller while the slot was in use.
        if self.slots.release(slot, filled) && self.slots.is_retired(index) {
            self.retire(index, filled);
        }
    }
}

impl<T> Settle for Dispatch<T> {
    type Token = Slot;
    #[inline]
    fn settle(&self, slot: Slot, outcome: Outcome) {
        let inner = &*self.0;
        inner.observer.emit(|| Event::completed(inner.name, outcome));
        inner.release_untouched(slot);
    }
    #[inline]
    fn refund(&self, slot: Slot) {
        let inner = &*self.0;
        inner.observer.emit(|| Event::refunded(inner.name));
        inner.release_untouched(slot);
    }
}

impl<R: ?Sized, T> Gate<R> for Dispatch<T> {
    #[inline]
    fn admit(&self, _: &R) -> Result<Slot, Rejected> {
        self.take_slot()
    }
}

impl<T> AsRef<Dispatch<T>> for Dispatch<T> {
    fn as_ref(&self) -> &Dispatch<T> {
        self
    }
}

impl<T> Clone for Dispatch<T> {
    fn clone(&self) -> Self {
        Dispatch(self.0.clone())
    }
}

impl<T> fmt::Debug for Dispatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("name", &self.name())
            .field("slots", &self.slots())
            .field("in_use", &self.in_use())
            .field("probes", &self.probes())
            .field("pick", &self.pick())
            .field("max_idle", &self.max_idle())
            .field("keep_dropped", &self.keep_dropped())
            .field("closed", &self.is_closed())
            .finish()
    }
}
