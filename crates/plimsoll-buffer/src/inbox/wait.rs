//! Waiting for items and losses.

use super::{Filter, Inbox};
use crate::lost::{Lost, Mail};
use crate::notify::{Polling, WaiterNumber};
use crate::store::{Cursor, Store};
use plimsoll_core::parts::{Sleep, within_budget};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl<T> Inbox<T> {
    /// Waits for the next item on the calling thread. No runtime is needed.
    ///
    /// Returns `None` once the mailbox is closed and empty. Inside an async task use
    /// [`take_wait`](Self::take_wait).
    #[doc(alias = "blocking_recv")]
    pub fn blocking_take(&mut self) -> Option<T> {
        let clock = self.store.clock.clone();
        clock.block_on(self.take_wait())
    }

    /// Waits for the next item on the calling thread, for at most `timeout`.
    ///
    /// Returns `None` after that, or once the mailbox is closed and empty:
    /// [`is_closed`](Self::is_closed) distinguishes them.
    #[doc(alias = "recv_timeout")]
    pub fn blocking_take_timeout(&mut self, timeout: Duration) -> Option<T> {
        let clock = self.store.clock.clone();
        clock.block_until(Some(clock.now() + timeout), self.take_wait()).flatten()
    }

    /// Waits on the calling thread until there is mail, then takes all of it. No runtime is needed.
    ///
    /// Returns `None` once the mailbox is closed and everything was taken and reported. Inside an
    /// async task use [`mail`](Self::mail).
    pub fn blocking_mail(&mut self) -> Option<Mail<T>> {
        let clock = self.store.clock.clone();
        clock.block_on(self.mail())
    }

    /// Waits for mail on the calling thread, for at most `timeout`.
    ///
    /// Returns an empty mail after that, and `None` as [`blocking_mail`](Self::blocking_mail) does.
    pub fn blocking_mail_timeout(&mut self, timeout: Duration) -> Option<Mail<T>> {
        let clock = self.store.clock.clone();
        clock
            .block_until(Some(clock.now() + timeout), self.mail())
            .unwrap_or(Some(Mail::new(vec![], Lost::default())))
    }

    /// Waits for the next item. Returns `None` once the mailbox is closed and empty.
    ///
    /// Reports no losses: read them by [`lost`](Self::lost).
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future has taken nothing.
    #[doc(alias = "recv")]
    pub async fn take_wait(&mut self) -> Option<T> {
        self.wait(Polling::Eager, |store, cursor| store.take(cursor)).await
    }

    /// Waits until there are items or losses, then takes all items and the report.
    ///
    /// Returns `None` once the mailbox is closed and everything was taken and reported.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future has taken nothing: it takes everything at once, at the
    /// end.
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_buffer::Mailbox;
    /// # plimsoll_core::Clock::system().block_on(async {
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
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "recv_many")]
    pub async fn mail(&mut self) -> Option<Mail<T>> {
        self.mail_up_to(usize::MAX).await
    }

    /// Waits as [`mail`](Self::mail) does, then takes at most `max` items and the report.
    ///
    /// The other items are left for other consumers.
    ///
    /// # Cancel safety
    /// As for `mail`.
    pub async fn mail_up_to(&mut self, max: usize) -> Option<Mail<T>> {
        let mut items = vec![];
        let lost = self.receive(max, &mut items).await?;
        Some(Mail::new(items, lost))
    }

    /// Waits as [`mail`](Self::mail) does, then appends all items to `items`.
    ///
    /// Returns the report. Allocates nothing while `items` has capacity left.
    ///
    /// # Cancel safety
    /// As for `mail`.
    pub async fn mail_into(&mut self, items: &mut Vec<T>) -> Option<Lost> {
        self.receive(usize::MAX, items).await
    }

    async fn receive(&mut self, max: usize, items: &mut Vec<T>) -> Option<Lost> {
        self.wait(Polling::Eager, |store, cursor| {
            let before = items.len();
            let lost = store.take_many(cursor, max, items);
            (items.len() > before || !lost.is_empty()).then_some(lost)
        })
        .await
    }

    /// Waits until `filter` takes an item or there are losses, then returns both.
    ///
    /// `filter` decides about one item after the other, in the order of the discipline, until it
    /// returns [`Filter::Stop`] or no item is left. Discarded items count as lost. Returns `None`
    /// once the mailbox is closed and `filter` takes none of its items.
    ///
    /// No lock is held while `filter` runs, so producers continue. It sees an item that it left
    /// again when something has changed. If it panics, the item it was deciding about is put back.
    /// The items that it has taken in this call are dropped and reported as undelivered.
    ///
    /// # Cancel safety
    /// As for [`mail`](Self::mail).
    ///
    /// # Examples
    /// ```
    /// # use plimsoll_buffer::{Mailbox, Filter};
    /// # plimsoll_core::Clock::system().block_on(async {
    /// let mailbox = Mailbox::new(100)?;
    /// let mut inbox = mailbox.inbox();
    /// for line in ["debug a", "info b", "debug c", "error d"] {
    ///     mailbox.offer(line)?;
    /// }
    /// // At most one line in each mail, and no debug lines.
    /// let mut room = 1;
    /// let mail = inbox.mail_with(|line| match line {
    ///     _ if line.starts_with("debug") => Filter::Discard,
    ///     _ if room == 0 => Filter::Stop,
    ///     _ => { room -= 1; Filter::Take }
    /// }).await.unwrap();
    /// assert_eq!(mail.items, ["info b"]);
    /// assert_eq!(mail.lost.filtered, 2);
    /// assert_eq!(mailbox.usage().len, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn mail_with(&mut self, mut filter: impl FnMut(&T) -> Filter) -> Option<Mail<T>> {
        self.wait(Polling::Once, |store, cursor| {
            let (items, lost) = store.take_with(cursor, &mut filter);
            let mail = Mail::new(items, lost);
            (!mail.is_empty()).then_some(mail)
        })
        .await
    }

    /// Waits until there are items or losses, and takes nothing.
    ///
    /// Returns `false` once the mailbox is closed and everything was taken and reported. Continue
    /// with a method that also takes the report, such as [`take_up_to`](Self::take_up_to). After
    /// [`take`](Self::take) alone a report may remain, and `notified` returns at once.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the future has taken nothing.
    pub async fn notified(&mut self) -> bool {
        self.wait(Polling::Eager, |store, _| store.has_mail().then_some(())).await.is_some()
    }

    /// Waits until `attempt` returns a result.
    ///
    /// `None` if it returns none although the mailbox is closed.
    fn wait<R, F>(&mut self, polling: Polling, attempt: F) -> TakeFuture<'_, T, F>
    where
        F: FnMut(&Store<T>, &mut Cursor<T>) -> Option<R>,
    {
        TakeFuture {
            store: &self.store,
            cursor: &mut self.cursor,
            number: None,
            polling,
            attempt,
            expiry: None,
        }
    }
}

/// The future of every method that waits.
struct TakeFuture<'a, T, F> {
    store: &'a Store<T>,
    cursor: &'a mut Cursor<T>,
    number: WaiterNumber,
    polling: Polling,
    attempt: F,
    // Set if a filter has left items: they may expire, which is to be reported.
    expiry: Option<Pin<Box<Sleep>>>,
}

// No field is ever pinned.
impl<T, F> Unpin for TakeFuture<'_, T, F> {}

impl<T, R, F> Future for TakeFuture<'_, T, F>
where
    F: FnMut(&Store<T>, &mut Cursor<T>) -> Option<R>,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        within_budget(cx, |cx| self.get_mut().poll_taken(cx))
    }
}

impl<T, R, F> TakeFuture<'_, T, F>
where
    F: FnMut(&Store<T>, &mut Cursor<T>) -> Option<R>,
{
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let (store, cursor, attempt) = (self.store, &mut *self.cursor, &mut self.attempt);
        loop {
            let found = store.mail.poll(&mut self.number, cx, self.polling, |last| {
                store.try_until_closed(last, || attempt(store, cursor))
            });
            if found.is_ready() || self.polling != Polling::Once || !store.has_mail() {
                return found;
            }
            // The filter does not want what this consumer was woken for. Another consumer may.
            store.mail.notify_after(&self.number);
            let Some(at) = store.next_expiry() else { return Poll::Pending };
            let sleep = self.expiry.insert(Box::pin(store.clock.sleep_until(at)));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

impl<T, F> Drop for TakeFuture<'_, T, F> {
    fn drop(&mut self) {
        self.store.mail.leave(&mut self.number);
    }
}
