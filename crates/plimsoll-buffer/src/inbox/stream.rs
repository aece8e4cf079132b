//! The items of a mailbox as a stream.

use super::Inbox;
use crate::lost::{Delivery, Lost};
use crate::notify::{Polling, WaiterNumber};
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T> Inbox<T> {
    /// Items one by one, with [word](Delivery::Lost) of what was lost where it is missing.
    pub fn into_stream(self) -> Deliveries<T> {
        Deliveries { inbox: self, number: None, over: false }
    }
}

/// The items of a mailbox one by one, and word of each gap where it is: from [`Inbox::into_stream`].
///
/// In a queue the gap is ahead of what survived; in one that keeps the oldest it is behind the last item
/// kept before the first loss that has not been told, and what is lost after that is told with it; in the others, which have no such order, before the next item. Losses that
/// belong to one gap are told at once, and never as zero. A gap is told as soon as it is reached, also
/// if no further item comes. Under lasting overload there may be one between any two items: add them up
/// (`+=`) and pass the sum on as often as your reader likes.
///
/// It ends once the mailbox is closed and all was told.
///
/// ```
/// use plimsoll_buffer::{Delivery, Mailbox};
/// # plimsoll_core::Clock::system().block_until(None, async {
/// let mailbox = Mailbox::new(2)?;
/// let mut stream = mailbox.inbox().into_stream();
/// for n in 1..=4 {
///     mailbox.offer(n)?;
/// }
/// drop(mailbox);
/// let Some(Delivery::Lost(lost)) = stream.next().await else { panic!("a gap comes first") };
/// assert_eq!(lost.evicted, 2);
/// assert_eq!(stream.next().await, Some(Delivery::Item(3)));
/// assert_eq!(stream.next().await, Some(Delivery::Item(4)));
/// assert_eq!(stream.next().await, None);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Deliveries<T> {
    inbox: Inbox<T>,
    number: WaiterNumber,
    over: bool,
}

// The items in it are never pinned.
impl<T> Unpin for Deliveries<T> {}

impl<T> Deliveries<T> {
    /// The next item, or word of a gap; `None` at the end.
    ///
    /// # Cancel safety
    /// Dropped while it waits, nothing is lost, and the turn goes to the next. Whoever polls the stream by
    /// [`Stream::poll_next`] has his turn until it gives something or is dropped: do not leave it lying unpolled.
    pub async fn next(&mut self) -> Option<Delivery<T>> {
        let next = Next(self);
        std::future::poll_fn(|cx| Pin::new(&mut *next.0).poll_next(cx)).await
    }

    /// Takes back word of a loss that could not be passed on; see [`Inbox::restore_losses`].
    pub fn restore_losses(&mut self, lost: Lost) {
        self.over = false;
        self.inbox.restore_losses(lost);
    }

    /// The inbox again.
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

/// Leaves the row when it is dropped.
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
        let found = store.mail.poll(&mut this.number, cx, Polling::Eager, |last| {
            store.try_until_closed(last, || store.take_next(cursor))
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
