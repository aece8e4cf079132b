//! Offering by those who wait for room.

use super::Mailbox;
use super::offer::OfferError;
use crate::notify::{Polling, WaiterNumber};
use plimsoll_core::parts::Sleep;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl<T> Mailbox<T> {
    /// Offers an item and waits for room, however long: nothing has to go for it, in any discipline.
    /// Producers get room in the order in which they came.
    ///
    /// # Cancel safety
    /// The item is in the future until it is kept. Dropped before, it is dropped with it, unless it is
    /// taken out by [`OfferWait::into_item`]; the turn goes to the next. Until it is kept or dropped, it has
    /// its turn: do not leave it lying unpolled. It counts as a producer, too.
    ///
    /// # Errors
    /// The item comes back with `TooLarge` if it is heavier than the whole bound, with `Closed` after
    /// [`close`](Self::close).
    ///
    /// # Panics
    /// As the weigher does, at once.
    #[doc(alias = "send")]
    pub fn offer_wait(&self, item: T) -> OfferWait<T> {
        let weight = self.0.weigh(&item);
        OfferWait { mailbox: self.clone(), item: Some(item), weight, number: None, expiry: None }
    }

    /// [`offer_wait`](Self::offer_wait) on the calling thread, no runtime needed, however long.
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "blocking_send")]
    pub fn blocking_offer(&self, item: T) -> Result<(), OfferError<T>> {
        self.0.clock.block_on(self.offer_wait(item))
    }

    /// [`offer_wait`](Self::offer_wait) on the calling thread, no runtime needed, for `timeout` at max.
    ///
    /// It blocks the thread: inside an async task use `offer_wait`.
    ///
    /// # Errors
    /// As there, and with `Expired` if there was no room within the time; that counts as rejected.
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

/// The future of [`Mailbox::offer_wait`].
#[must_use = "a future does nothing until it is polled"]
pub struct OfferWait<T> {
    // A producer like any other: the mailbox stays open for it.
    mailbox: Mailbox<T>,
    item: Option<T>,
    weight: u32,
    number: WaiterNumber,
    // Room may come about because something is too old.
    expiry: Option<Pin<Box<Sleep>>>,
}

// The item is never pinned.
impl<T> Unpin for OfferWait<T> {}

impl<T> OfferWait<T> {
    /// Gives up, and takes the item back; `None` if it was kept.
    pub fn into_item(mut self) -> Option<T> {
        self.item.take()
    }
}

impl<T> Future for OfferWait<T> {
    type Output = Result<(), OfferError<T>>;

    /// # Panics
    /// When polled after its end.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(this.item.is_some(), "an offer was polled after its end");
        let (store, item, weight) = (&*this.mailbox.0, &mut this.item, this.weight);
        loop {
            let done = store
                .space
                .poll(&mut this.number, cx, Polling::InOrder, |_| store.offer_if_room(item, weight));
            if done.is_ready() {
                return done;
            }
            // The first watches the clock, for all.
            let at = if store.space.is_first(&this.number) { store.next_expiry() } else { None };
            let Some(at) = at else { return Poll::Pending };
            let sleep = this.expiry.insert(Box::pin(store.clock.sleep_until(at)));
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
            .field("kept", &self.item.is_none())
            .finish()
    }
}
