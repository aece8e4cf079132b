//! Waiting for a mailbox that nobody takes from.

use super::Mailbox;
use crate::notify::{Polling, WaiterNumber};
use crate::store::Store;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

impl<T> Mailbox<T> {
    /// Waits until no inbox is open: its owner has dropped it, or panicked. For the heir who is to open
    /// the next. At once if none is open now.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn orphaned(&self) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Send,
    {
        Orphaned { store: self.0.clone(), number: None }
    }
}

/// The future of [`Mailbox::orphaned`].
struct Orphaned<T> {
    store: Arc<Store<T>>,
    number: WaiterNumber,
}

impl<T> Future for Orphaned<T> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let store = &this.store;
        store.orphaned.poll(&mut this.number, cx, Polling::Eager, |_| store.is_orphaned().then_some(()))
    }
}

impl<T> Drop for Orphaned<T> {
    fn drop(&mut self) {
        self.store.orphaned.leave(&mut self.number);
    }
}
