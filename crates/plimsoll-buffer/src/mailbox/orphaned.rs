//! Waiting for the last inbox to be dropped.

use super::Mailbox;
use crate::notify::{Polling, WaiterNumber};
use crate::store::Store;
use plimsoll_core::parts::within_budget;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

impl<T> Mailbox<T> {
    /// Waits until no inbox is open, because its owner has dropped it or panicked.
    ///
    /// A supervisor awaits it, then starts the next consumer. Returns at once if no inbox is open.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future has no effect.
    pub fn orphaned(&self) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Send,
    {
        Orphaned { store: self.0.clone(), number: None }
    }
}

/// The future that [`Mailbox::orphaned`] returns.
struct Orphaned<T> {
    store: Arc<Store<T>>,
    number: WaiterNumber,
}

impl<T> Future for Orphaned<T> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let store = &this.store;
        within_budget(cx, |cx| {
            store.orphaned.poll(&mut this.number, cx, Polling::Eager, |_| store.is_orphaned().then_some(()))
        })
    }
}

impl<T> Drop for Orphaned<T> {
    fn drop(&mut self) {
        self.store.orphaned.leave(&mut self.number);
    }
}
