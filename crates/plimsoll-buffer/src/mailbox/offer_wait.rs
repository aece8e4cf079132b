//! Offers that wait for room.

use super::Mailbox;
use super::offer::OfferError;
use crate::notify::{Polling, WaiterNumber};
use plimsoll_core::parts::{Sleep, within_budget};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl<T> Mailbox<T> {
    /// Waits for room, then offers an item. Evicts nothing, whatever the discipline.
    ///
    /// Producers are admitted in the order in which they began to wait, so none waits for ever. A
    /// heavy item holds up the ones behind it until it fits. It does when at most as much has been
    /// taken as it weighs. Meanwhile an [`offer`](Self::offer) takes no free room: it evicts as
    /// much as it adds, or is rejected as `Full`.
    ///
    /// A waiting offer counts as a handle: the mailbox stays open although the other handles are
    /// dropped.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future leaves the queue and drops the item.
    /// [`OfferWait::into_item`] returns the item instead. A future that is neither polled nor
    /// dropped keeps its turn and holds up the producers behind it, and offers that do not wait.
    ///
    /// # Errors
    /// Returns the item with `TooLarge` if it is heavier than the whole bound, or `Closed` after
    /// [`close`](Self::close).
    ///
    /// # Panics
    /// Panics at once if the weigher does.
    #[doc(alias = "send")]
    pub fn offer_wait(&self, item: T) -> OfferWait<T> {
        let weight = self.0.weigh(&item);
        OfferWait { mailbox: self.clone(), item: Some(item), weight, number: None, expiry: None }
    }

    /// Waits for room on the calling thread, then offers an item. No runtime is needed.
    ///
    /// The thread waits in the same queue as the tasks. Inside an async task use
    /// [`offer_wait`](Self::offer_wait).
    ///
    /// # Errors
    /// As for `offer_wait`.
    #[doc(alias = "blocking_send")]
    pub fn blocking_offer(&self, item: T) -> Result<(), OfferError<T>> {
        self.0.clock.block_on(self.offer_wait(item))
    }

    /// Waits for room on the calling thread, for at most `timeout`, then offers an item.
    ///
    /// # Errors
    /// As for `offer_wait`; `Expired` if there was no room within `timeout`. That counts as
    /// rejected.
    #[doc(alias = "send_timeout")]
    pub fn blocking_offer_timeout(&self, item: T, timeout: Duration) -> Result<(), OfferError<T>> {
        let clock = &self.0.clock;
        let mut offer = self.offer_wait(item);
        match clock.block_until(Some(clock.now() + timeout), &mut offer) {
            Some(done) => done,
            None => match offer.into_item() {
                Some(item) => Err(self.0.expire_offer(item)),
                None => Ok(()),
            },
        }
    }
}

/// The future that [`Mailbox::offer_wait`] returns.
#[must_use = "a future does nothing until it is polled"]
pub struct OfferWait<T> {
    // A producer like any other: it keeps the mailbox open.
    mailbox: Mailbox<T>,
    item: Option<T>,
    weight: u32,
    number: WaiterNumber,
    // Fires when the next item expires, which makes room.
    expiry: Option<Pin<Box<Sleep>>>,
}

// The item is never pinned.
impl<T> Unpin for OfferWait<T> {}

impl<T> OfferWait<T> {
    /// Stops waiting and returns the item; `None` if it was accepted.
    pub fn into_item(mut self) -> Option<T> {
        self.item.take()
    }
}

impl<T> Future for OfferWait<T> {
    type Output = Result<(), OfferError<T>>;

    /// # Panics
    /// Panics if it is polled after it has completed.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(self.item.is_some(), "`OfferWait` polled after completion");
        within_budget(cx, |cx| self.get_mut().poll_accepted(cx))
    }
}

impl<T> OfferWait<T> {
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OfferError<T>>> {
        let (store, item, weight) = (&*self.mailbox.0, &mut self.item, self.weight);
        loop {
            let done = store
                .space
                .poll(&mut self.number, cx, Polling::InOrder, |_| store.offer_if_room(item, weight));
            if done.is_ready() {
                return done;
            }
            // The first waiter watches the clock for all.
            let at = if store.space.is_first(&self.number) { store.next_expiry() } else { None };
            let Some(at) = at else { return Poll::Pending };
            let sleep = self.expiry.insert(Box::pin(store.clock.sleep_until(at)));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

impl<T> Drop for OfferWait<T> {
    fn drop(&mut self) {
        self.mailbox.0.space.leave(&mut self.number);
    }
}

impl<T> fmt::Debug for OfferWait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfferWait")
            .field("by", &self.mailbox.name())
            .field("accepted", &self.item.is_none())
            .finish()
    }
}
