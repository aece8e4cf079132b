//! Taking by those who wait for something.

use super::{Filter, Inbox};
use crate::lost::{Lost, Mail};
use crate::notify::{Polling, WaiterNumber};
use crate::store::{Cursor, Store};
use plimsoll_core::parts::Sleep;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl<T> Inbox<T> {
    /// The next item, waiting for it on the calling thread, however long.
    #[doc(alias = "blocking_recv")]
    pub fn blocking_take(&mut self) -> Option<T> {
        let clock = self.store.clock.clone();
        clock.block_on(self.take_wait())
    }

    /// The next item, waiting for it on the calling thread for `timeout` at most, no runtime needed.
    /// `None` after that, and once the mailbox is closed and empty.
    ///
    /// It blocks the thread: inside an async task use [`take_wait`](Self::take_wait).
    #[doc(alias = "recv_timeout")]
    pub fn blocking_take_timeout(&mut self, timeout: Duration) -> Option<T> {
        let clock = self.store.clock.clone();
        clock.block_until(Some(clock.now() + timeout), self.take_wait()).flatten()
    }

    /// [`mail`](Self::mail) on the calling thread, however long.
    pub fn blocking_mail(&mut self) -> Option<Mail<T>> {
        let clock = self.store.clock.clone();
        clock.block_on(self.mail())
    }

    /// [`mail`](Self::mail) on the calling thread, no runtime needed, waiting for `timeout` at max: an empty
    /// mail after that. `None` once the mailbox is closed and all was told.
    ///
    /// It blocks the thread: inside an async task use `mail`.
    pub fn blocking_mail_timeout(&mut self, timeout: Duration) -> Option<Mail<T>> {
        let clock = self.store.clock.clone();
        clock
            .block_until(Some(clock.now() + timeout), self.mail())
            .unwrap_or(Some(Mail::new(vec![], Lost::default())))
    }

    /// Waits for the next item. `None` once the mailbox is closed and empty. What was lost is not told by
    /// this: ask for it by [`lost`](Self::lost).
    ///
    /// # Cancel safety
    /// Dropped while it waits, nothing is lost.
    #[doc(alias = "recv")]
    pub async fn take_wait(&mut self) -> Option<T> {
        self.wait(Polling::Eager, |store, cursor| store.take(cursor)).await
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
    #[doc(alias = "recv_many")]
    pub async fn mail(&mut self) -> Option<Mail<T>> {
        self.mail_up_to(usize::MAX).await
    }

    /// [`mail`](Self::mail) of `max` items at most, so that other consumers have some, too.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn mail_up_to(&mut self, max: usize) -> Option<Mail<T>> {
        let mut items = vec![];
        let lost = self.receive(max, &mut items).await?;
        Some(Mail::new(items, lost))
    }

    /// [`mail`](Self::mail), to the end of `items`: allocates nothing where there is room.
    ///
    /// # Cancel safety
    /// As there.
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
        self.wait(Polling::Once, |store, cursor| {
            let (items, lost) = store.take_with(cursor, &mut filter);
            let mail = Mail::new(items, lost);
            (!mail.is_empty()).then_some(mail)
        })
        .await
    }

    /// Waits until there is something to tell, items or a loss, and takes nothing. `false` once the
    /// mailbox is closed and all was told.
    ///
    /// Go on with something that tells losses as well, such as [`take_up_to`](Self::take_up_to): after
    /// [`take`](Self::take) alone there may still be something to tell, and this answers at once.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn notified(&mut self) -> bool {
        self.wait(Polling::Eager, |store, _| store.has_mail().then_some(())).await.is_some()
    }

    /// Waits until `attempt` gives something; `None` once it gives nothing although all is closed.
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

struct TakeFuture<'a, T, F> {
    store: &'a Store<T>,
    cursor: &'a mut Cursor<T>,
    number: WaiterNumber,
    polling: Polling,
    attempt: F,
    // For one who leaves items where they are: they may grow too old, and that is to be told.
    expiry: Option<Pin<Box<Sleep>>>,
}

// Nothing in it is ever pinned.
impl<T, F> Unpin for TakeFuture<'_, T, F> {}

impl<T, R, F> Future for TakeFuture<'_, T, F>
where
    F: FnMut(&Store<T>, &mut Cursor<T>) -> Option<R>,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let this = self.get_mut();
        let (store, cursor, attempt) = (this.store, &mut *this.cursor, &mut this.attempt);
        loop {
            let found = store.mail.poll(&mut this.number, cx, this.polling, |last| {
                store.try_until_closed(last, || attempt(store, cursor))
            });
            if found.is_ready() || this.polling != Polling::Once || !store.has_mail() {
                return found;
            }
            // It has been called for something that it does not want: another may.
            store.mail.notify_after(&this.number);
            let Some(at) = store.next_expiry() else { return Poll::Pending };
            let sleep = this.expiry.insert(Box::pin(store.clock.sleep_until(at)));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

impl<T, F> Drop for TakeFuture<'_, T, F> {
    fn drop(&mut self) {
        self.store.mail.leave(&mut self.number);
    }
}
