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
use crate::slot::Slot;
use crate::slots::Slots;
use plimsoll_core::parts::sync::AtomicU64;
use plimsoll_core::parts::{Capacity, KeyedHashState, Semaphore, Start};
use plimsoll_core::{Clock, Event, Gate, Observer, Outcome, Permit, Reason, Rejected, Settle};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use builder::DispatchBuilder;
pub use checkout::Checkout;
pub use config::DispatchConfig;
#[cfg(feature = "tower")]
pub use layer::DispatchLayer;
pub use lease::{Lease, Vacant};

/// A pool with a fixed number of slots, each granted or rejected at once.
///
/// A request is rejected only if all slots are in use. A cheap handle: clones share the slots.
///
/// A slot holds a resource, such as a connection, or is empty. A caller that checks out an empty
/// slot creates the resource itself, and no other caller waits for it. `Dispatch<()>` has slots and
/// no resources.
///
/// | method | returns | use it for |
/// |---|---|---|
/// | [`checkout`](Self::checkout), [`checkout_owned`](Self::checkout_owned) | `Reuse`, `Make` or `Busy` | a slot with its resource |
/// | [`checkout_for`](Self::checkout_for), [`checkout_for_owned`](Self::checkout_for_owned) | the same | a key that should find the same resource again |
/// | [`checkout_within`](Self::checkout_within), [`checkout_within_owned`](Self::checkout_within_owned) | the same, after a wait | a caller that can wait for a while |
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
    hasher: KeyedHashState,
    observer: Observer,
    // The slots, and the callers that wait for one.
    semaphore: Arc<Semaphore<Slots>>,
    cells: Chunks<Cell<T>>,
    // In nanoseconds, or `idle::NEVER`.
    max_idle: AtomicU64,
    // From the standard library even under loom: it orders nothing.
    reuse_dropped: AtomicBool,
}

impl<T> Dispatch<T> {
    /// Acquires a slot without its resource. Never waits.
    ///
    /// # Errors
    /// `Busy` if all slots are in use, with their number. A slot that passes on to a caller that
    /// [waits](Self::checkout_within) is in use. `Closed` after [`close`](Self::close).
    #[inline(always)]
    #[doc(alias = "ask")]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejected> {
        self.0.take(None).map(|slot| Permit::new(self, slot))
    }

    /// Acquires a slot without its resource, with a permit that owns its handle. Never waits.
    ///
    /// Such a permit can be moved to another task or thread.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(&self) -> Result<Permit<Self>, Rejected> {
        self.0.take(None).map(|slot| Permit::new(self.clone(), slot))
    }
}

impl<T> Inner<T> {
    #[inline(always)]
    fn slots(&self) -> &Slots {
        self.semaphore.capacity()
    }

    #[inline(always)]
    fn take(&self, hash: Option<u64>) -> Result<Slot, Rejected> {
        match self.slots().take(true, hash) {
            Start::Go(slot) => {
                self.observer.emit(|| Event::admitted(self.name));
                Ok(slot)
            }
            Start::Later => {
                if self.observer.is_listening() {
                    self.emit_busy();
                }
                // Created a second time rather than shared with the observer, so that it is written
                // directly to where the caller reads it.
                Err(self.busy())
            }
            Start::Closed => Err(self.closed()),
        }
    }

    #[inline(always)]
    fn busy(&self) -> Rejected {
        let (limit, in_use) = self.slots().numbers();
        // All were in use when this request was counted, even if one was released since.
        Rejected::new(self.name, Reason::Busy).numbers(limit, in_use.max(limit))
    }

    #[cold]
    #[inline(never)]
    fn emit_busy(&self) {
        self.observer.emit(|| Event::rejected(self.busy()));
    }

    /// Releases a slot.
    // As the semaphore does, but inlined into the caller, and only the path to callers that wait is
    // not.
    #[inline(always)]
    fn settle(&self, slot: Slot, outcome: Outcome) {
        self.observer.emit(|| Event::completed(self.name, outcome));
        if self.slots().finish(slot) {
            self.admit_waiters();
        }
    }

    #[cold]
    #[inline(never)]
    fn admit_waiters(&self) {
        self.semaphore.admit_waiters();
    }

    /// Releases a slot, with its resource or without.
    #[inline(always)]
    fn put_back(&self, slot: Slot, resource: Option<Box<T>>, outcome: Outcome) {
        let index = slot.index();
        let (filled, surplus) = match (resource, self.cells.get(index)) {
            (Some(resource), Some(cell)) if !self.slots().is_retired(index) => {
                // Before the slot is released: its next holder finds the resource.
                self.note_idle(cell);
                cell.put(resource);
                (true, None)
            }
            (resource, _) => (false, resource),
        };
        self.settle(slot.filled_if(filled), outcome);
        // The pool may have been closed or made smaller meanwhile.
        if filled && self.slots().is_retired(index) {
            self.retire(index);
        }
        // Last, because it runs foreign code.
        drop(surplus);
    }
}

impl<T> Settle for Dispatch<T> {
    type Token = Slot;
    #[inline]
    fn settle(&self, slot: Slot, outcome: Outcome) {
        if self.0.slots().redeem(&slot) {
            self.0.settle(slot, outcome);
        }
    }
    #[inline]
    fn refund(&self, slot: Slot) {
        if self.0.slots().redeem(&slot) {
            self.0.semaphore.refund(slot);
        }
    }
}

impl<R: ?Sized, T> Gate<R> for Dispatch<T> {
    #[inline]
    fn admit(&self, _: &R) -> Result<Slot, Rejected> {
        self.0.take(None)
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
            .field("queued", &self.queued())
            .field("queue_limit", &self.queue_limit())
            .field("pick", &self.pick())
            .field("max_idle", &self.max_idle())
            .field("reuse_dropped", &self.reuse_dropped())
            .field("closed", &self.is_closed())
            .finish()
    }
}
