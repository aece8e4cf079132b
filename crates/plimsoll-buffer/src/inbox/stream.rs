//! The items of a mailbox as a stream.

use super::Inbox;
use crate::lost::{Delivery, Lost};
use crate::notify::{Polling, WaiterNumber};
use futures_core::Stream;
use plimsoll_core::parts::within_budget;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T> Inbox<T> {
    /// Converts the inbox into a stream of items, with a [report](Delivery::Lost) at each gap.
    pub fn into_stream(self) -> Deliveries<T> {
        Deliveries { inbox: self, number: None, over: false }
    }
}

/// A stream of the items of a mailbox, with a report wherever items are missing.
///
/// Created by [`Inbox::into_stream`]. It ends once the mailbox is closed and everything was taken
/// and reported.
///
/// | discipline | position of a report |
/// |---|---|
/// | [`Fifo`], [`CoDel`] | before the items that survived |
/// | [`KeepOldest`] | behind the items that were held at the first loss since the last report |
/// | the others, which have no such order | before the next item |
///
/// All losses since the last report are in one report, and no report is empty. A report is returned
/// as soon as its position is reached, even if no item follows. Under lasting overload there may be
/// one between any two items. Add them up by `+=` and pass on the sum as often as suits the reader.
///
/// ```
/// use plimsoll_buffer::{Delivery, Mailbox};
/// # plimsoll_core::Clock::system().block_on(async {
/// let mailbox = Mailbox::new(2)?;
/// let mut stream = mailbox.inbox().into_stream();
/// for n in 1..=4 {
///     mailbox.offer(n)?;
/// }
/// drop(mailbox);
/// let Some(Delivery::Lost(lost)) = stream.next().await else { panic!("the gap comes first") };
/// assert_eq!(lost.evicted, 2);
/// assert_eq!(stream.next().await, Some(Delivery::Item(3)));
/// assert_eq!(stream.next().await, Some(Delivery::Item(4)));
/// assert_eq!(stream.next().await, None);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// [`Fifo`]: crate::Discipline::Fifo
/// [`CoDel`]: crate::Discipline::CoDel
/// [`KeepOldest`]: crate::Discipline::KeepOldest
#[must_use = "a stream does nothing until it is polled"]
pub struct Deliveries<T> {
    inbox: Inbox<T>,
    number: WaiterNumber,
    over: bool,
}

// The items in it are never pinned.
impl<T> Unpin for Deliveries<T> {}

impl<T> Deliveries<T> {
    /// Waits for the next item or report. Returns `None` at the end.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future has taken nothing, and the next consumer is woken in its
    /// place. This does not hold for [`Stream::poll_next`]: a stream that returned `Pending` keeps
    /// its turn until it is polled again or dropped.
    pub async fn next(&mut self) -> Option<Delivery<T>> {
        let next = Next(self);
        std::future::poll_fn(|cx| Pin::new(&mut *next.0).poll_next(cx)).await
    }

    /// Takes back a report that could not be passed on; see [`Inbox::restore_losses`].
    pub fn restore_losses(&mut self, lost: Lost) {
        self.over = false;
        self.inbox.restore_losses(lost);
    }

    /// Converts the stream back into an inbox.
    pub fn into_inbox(mut self) -> Inbox<T> {
        self.leave();
        let next = Inbox::open(self.inbox.store.clone());
        drop(self);
        next
    }

    fn leave(&mut self) {
        self.inbox.store.mail.leave(&mut self.number);
    }
}

/// Deregisters the waiter when it is dropped.
struct Next<'a, T>(&'a mut Deliveries<T>);

impl<T> Drop for Next<'_, T> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<T> Stream for Deliveries<T> {
    type Item = Delivery<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let Inbox { store, cursor } = &mut this.inbox;
        let store = &**store;
        let found = within_budget(cx, |cx| {
            store.mail.poll(&mut this.number, cx, Polling::Eager, |last| {
                store.try_until_closed(last, || store.take_next(cursor))
            })
        });
        found.map(|found| {
            this.over = found.is_none();
            found
        })
    }
}

impl<T> Drop for Deliveries<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> fmt::Debug for Deliveries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deliveries").field(&self.inbox).finish()
    }
}
