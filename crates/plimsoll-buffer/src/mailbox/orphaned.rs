//! Waiting for the last inbox to be dropped.

use super::Mailbox;
use crate::notify::{Polling, WaiterNumber};
use crate::store::Store;
use plimsoll_core::parts::within_budget;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why a mailbox has no inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Orphaned {
    /// None was opened yet.
    #[default]
    Unopened,
    /// The last one was dropped, because its owner ended or was cancelled.
    Dropped,
    /// The last one was dropped by a panic of its owner.
    Panicked,
}

impl Orphaned {
    pub(crate) const fn from_code(code: u32) -> Self {
        match code {
            0 => Orphaned::Unopened,
            1 => Orphaned::Dropped,
            _ => Orphaned::Panicked,
        }
    }
}

impl<T> Mailbox<T> {
    /// Waits until no inbox is open. Returns why there is none.
    ///
    /// A supervisor awaits it, then starts the next consumer. Returns at once if no inbox is open.
    /// Several callers are all woken.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future has no effect.
    pub fn orphaned(&self) -> impl Future<Output = Orphaned> + Send + use<T>
    where
        T: Send,
    {
        OrphanedFuture { store: self.0.clone(), number: None }
    }
}

/// The future that [`Mailbox::orphaned`] returns.
struct OrphanedFuture<T> {
    store: Arc<Store<T>>,
    number: WaiterNumber,
}

impl<T> Future for OrphanedFuture<T> {
    type Output = Orphaned;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Orphaned> {
        let this = self.get_mut();
        let store = &this.store;
        within_budget(cx, |cx| {
            store.orphaned.poll(&mut this.number, cx, Polling::Eager, |_| store.orphaned())
        })
    }
}

impl<T> Drop for OrphanedFuture<T> {
    fn drop(&mut self) {
        self.store.orphaned.leave(&mut self.number);
    }
}
