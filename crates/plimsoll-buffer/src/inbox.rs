//! The consumer's end.

use crate::bell::{Number, Order};
use crate::lost::{Delivery, Lost, Mail};
use crate::mailbox::Usage;
use crate::shared::Shared;
use crate::taking::Cursor;
use futures_core::Stream;
use plimsoll_core::parts::Sleep;
use plimsoll_core::parts::sync::Ordering;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A consumer's end of a [`Mailbox`](crate::Mailbox): a value. Moving it hands it over; dropping it, or
/// a panic of its owner, leaves everything that is held for the next one.
///
/// Nothing is ever sent to a consumer: it takes when it can, so it is never flooded.
///
/// | take by | gives | waits |
/// |---|---|---|
/// | [`take`](Self::take) | the next item | never |
/// | [`take_up_to`](Self::take_up_to) | some items, and what was lost | never |
/// | [`blocking_take_timeout`](Self::blocking_take_timeout) | the next item | on the calling thread |
/// | [`blocking_mail_timeout`](Self::blocking_mail_timeout) | all items, and what was lost | on the calling thread |
/// | [`take_wait`](Self::take_wait) | the next item | in async code |
/// | [`mail`](Self::mail), [`mail_into`](Self::mail_into) | all items, and what was lost | in async code |
/// | [`mail_up_to`](Self::mail_up_to) | some items, and what was lost | in async code |
/// | [`mail_with`](Self::mail_with) | what a filter picks, and what was lost | in async code |
/// | [`notified`](Self::notified) | word that there is something | in async code |
/// | [`into_stream`](Self::into_stream) | items one by one, with word of each gap | in async code |
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
    hand: Cursor<T>,
}

/// What a filter says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Take it.
    Take,
    /// Throw it out; it is counted as lost.
    Discard,
    /// Leave it, and all that come after it.
    Stop,
}

impl<T> Inbox<T> {
    pub(crate) fn open(shared: Arc<Shared<T>>) -> Self {
        shared.inboxes.fetch_add(1, Ordering::AcqRel);
        Inbox { shared, hand: Cursor::new() }
    }

    /// The next item, if there is one.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.shared.take(&mut self.hand)
    }

    /// Up to `most` items, and what was lost since that was told last. Shards are taken from in turn.
    pub fn take_up_to(&mut self, most: usize) -> Mail<T> {
        let mut items = vec![];
        let lost = self.shared.take_many(&mut self.hand, most, &mut items);
        Mail::new(items, lost)
    }

    /// [`take_up_to`](Self::take_up_to), to the end of `items`: allocates nothing where there is room.
    pub fn take_into(&mut self, most: usize, items: &mut Vec<T>) -> Lost {
        self.shared.take_many(&mut self.hand, most, items)
    }

    /// The next item, waiting for it on the calling thread for `timeout` at most, no runtime needed.
    /// `None` after that, and once the mailbox is closed and empty.
    ///
    /// It blocks the thread: inside an async task use [`take_wait`](Self::take_wait).
    pub fn blocking_take_timeout(&mut self, timeout: Duration) -> Option<T> {
        let clock = self.shared.clock.clone();
        clock.block_until(Some(clock.now() + timeout), self.take_wait()).flatten()
    }

    /// [`mail`](Self::mail) on the calling thread, no runtime needed, waiting for `timeout` at most: an empty
    /// mail after that. `None` once the mailbox is closed and all was told.
    ///
    /// It blocks the thread: inside an async task use `mail`.
    pub fn blocking_mail_timeout(&mut self, timeout: Duration) -> Option<Mail<T>> {
        let clock = self.shared.clock.clone();
        clock
            .block_until(Some(clock.now() + timeout), self.mail())
            .unwrap_or(Some(Mail::new(vec![], Lost::default())))
    }

    /// Waits for the next item. `None` once the mailbox is closed and empty. What was lost is not told by
    /// this: ask for it by [`lost`](Self::lost).
    ///
    /// # Cancel safety
    /// Dropped while it waits, nothing is lost.
    pub async fn take_wait(&mut self) -> Option<T> {
        self.wait(Order::Any, |shared, hand| shared.take(hand)).await
    }

    /// What was lost since that was told last.
    pub fn lost(&mut self) -> Lost {
        self.shared.take_lost()
    }

    /// Takes back word of a loss that could not be passed on: it will be told again, together with what
    /// was lost since. Where the items could not be passed on either, [`Mail::into_lost`] counts them in.
    pub fn restore_losses(&mut self, lost: Lost) {
        self.shared.restore_losses(lost);
    }

    /// Waits until there is something to tell, then takes all of it: items, and what was lost. `None`
    /// once the mailbox is closed and all was told.
    ///
    /// # Cancel safety
    /// Dropped while it waits, nothing is lost: everything is taken at once, at the end.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_buffer::Mailbox;
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let mailbox = Mailbox::new(100)?;
    /// let mut inbox = mailbox.inbox();
    /// mailbox.offer("hello")?;
    /// drop(mailbox); // no more producers
    /// while let Some(mail) = inbox.mail().await {
    ///     assert_eq!(mail.items, ["hello"]);
    ///     if !mail.lost.is_empty() {
    ///         eprintln!("{}", mail.lost);
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
    /// ```
    pub async fn mail(&mut self) -> Option<Mail<T>> {
        self.mail_up_to(usize::MAX).await
    }

    /// [`mail`](Self::mail) of `most` items at most, so that other consumers have some, too.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn mail_up_to(&mut self, most: usize) -> Option<Mail<T>> {
        let mut items = vec![];
        let lost = self.receive(most, &mut items).await?;
        Some(Mail::new(items, lost))
    }

    /// [`mail`](Self::mail), to the end of `items`: allocates nothing where there is room.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn mail_into(&mut self, items: &mut Vec<T>) -> Option<Lost> {
        self.receive(usize::MAX, items).await
    }

    async fn receive(&mut self, most: usize, items: &mut Vec<T>) -> Option<Lost> {
        self.wait(Order::Any, |shared, hand| {
            let before = items.len();
            let lost = shared.take_many(hand, most, items);
            (items.len() > before || !lost.is_empty()).then_some(lost)
        })
        .await
    }

    /// Waits until `filter` lets something through, and takes that: it is asked for one item after the
    /// other, until it says [`Filter::Stop`] or there are no more. What it loses is counted as lost.
    /// `None` once the mailbox is closed and there is nothing more that it lets through.
    ///
    /// The filter runs with nothing locked; producers go on while it does. An item that it skipped is
    /// shown to it again the next time something happens. A panic in it puts the item back; those that
    /// it kept in this call are dropped, and told as undelivered.
    ///
    /// # Cancel safety
    /// As for [`mail`](Self::mail).
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_buffer::{Mailbox, Filter};
    /// # plimsoll_core::Clock::system().block_until(None, async {
    /// let mailbox = Mailbox::new(100)?;
    /// let mut inbox = mailbox.inbox();
    /// for line in ["debug a", "info b", "debug c", "error d"] {
    ///     mailbox.offer(line)?;
    /// }
    /// // One line a mail, and no debug lines.
    /// let mut room = 1;
    /// let mail = inbox.mail_with(|line| match line {
    ///     _ if line.starts_with("debug") => Filter::Discard,
    ///     _ if room == 0 => Filter::Stop,
    ///     _ => { room -= 1; Filter::Take }
    /// }).await.unwrap();
    /// assert_eq!(mail.items, ["info b"]);
    /// assert_eq!(mail.lost.filtered, 2);
    /// assert_eq!(mailbox.usage().len, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
    /// ```
    pub async fn mail_with(&mut self, mut filter: impl FnMut(&T) -> Filter) -> Option<Mail<T>> {
        self.wait(Order::Once, |shared, hand| {
            let (items, lost) = shared.take_with(hand, &mut filter);
            let mail = Mail::new(items, lost);
            (!mail.is_empty()).then_some(mail)
        })
        .await
    }

    /// Waits until there is something to tell, items or a loss, and takes nothing. HttpOptions `false` once the
    /// mailbox is closed and all was told.
    ///
    /// Go on with something that tells losses as well, such as [`take_up_to`](Self::take_up_to): after
    /// [`take`](Self::take) alone there may still be something to tell, and this answers at once.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn notified(&mut self) -> bool {
        self.wait(Order::Any, |shared, _| shared.has_mail().then_some(())).await.is_some()
    }

    /// Items one by one, with [word](Delivery::Lost) of what was lost where it is missing.
    pub fn into_stream(self) -> Deliveries<T> {
        Deliveries { inbox: self, number: None, over: false }
    }

    /// How much the mailbox holds, and how much it may.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.shared)
    }

    /// Whether the mailbox was closed. What is held can still be taken.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Waits until `attempt` gives something; `None` once it gives nothing although all is closed.
    fn wait<R, F>(&mut self, order: Order, attempt: F) -> TakeFuture<'_, T, F>
    where
        F: FnMut(&Shared<T>, &mut Cursor<T>) -> Option<R>,
    {
        TakeFuture { shared: &self.shared, hand: &mut self.hand, number: None, order, attempt, expiry: None }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        if self.shared.inboxes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.orphaned();
        }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("name", &self.shared.name)
            .field("usage", &self.usage())
            .field("closed", &self.is_closed())
            .finish()
    }
}

struct TakeFuture<'a, T, F> {
    shared: &'a Shared<T>,
    hand: &'a mut Cursor<T>,
    number: Number,
    order: Order,
    attempt: F,
    // For one who leaves items where they are: they may grow too old, and that is to be told.
    expiry: Option<Pin<Box<Sleep>>>,
}

// Nothing in it is ever pinned.
impl<T, F> Unpin for TakeFuture<'_, T, F> {}

impl<T, R, F> Future for TakeFuture<'_, T, F>
where
    F: FnMut(&Shared<T>, &mut Cursor<T>) -> Option<R>,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let me = self.get_mut();
        let (shared, hand, attempt) = (me.shared, &mut *me.hand, &mut me.attempt);
        loop {
            let found = shared
                .mail
                .poll(&mut me.number, cx, me.order, |last| shared.found(last, || attempt(shared, hand)));
            if found.is_ready() || me.order != Order::Once || !shared.has_mail() {
                return found;
            }
            // It has been called for something that it does not want: another may.
            shared.mail.ring_behind(&me.number);
            let Some(at) = shared.next_expiry() else { return Poll::Pending };
            let sleep = me.expiry.insert(Box::pin(shared.clock.sleep_until(at)));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

impl<T, F> Drop for TakeFuture<'_, T, F> {
    fn drop(&mut self) {
        self.shared.mail.leave(&mut self.number);
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
    number: Number,
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
    pub fn untold(&mut self, lost: Lost) {
        self.over = false;
        self.inbox.restore_losses(lost);
    }

    /// The inbox again.
    pub fn into_inbox(mut self) -> Inbox<T> {
        self.leave();
        let next = Inbox::open(self.inbox.shared.clone());
        drop(self);
        next
    }

    fn leave(&mut self) {
        self.inbox.shared.mail.leave(&mut self.number);
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
        let me = self.get_mut();
        if me.over {
            return Poll::Ready(None);
        }
        let Inbox { shared, hand } = &mut me.inbox;
        let shared = &**shared;
        let found = shared
            .mail
            .poll(&mut me.number, cx, Order::Any, |last| shared.found(last, || shared.take_next(hand)));
        found.map(|found| {
            me.over = found.is_none();
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
