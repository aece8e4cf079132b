//! The consumer's end.

mod filter;
mod stream;
mod wait;

pub use filter::Filter;
pub use stream::Deliveries;

use crate::lost::{Lost, Mail};
use crate::mailbox::Usage;
use crate::store::{Cursor, Store};
use plimsoll_core::parts::sync::Ordering;
use std::fmt;
use std::sync::Arc;

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
#[doc(alias = "Receiver")]
#[doc(alias = "consumer")]
pub struct Inbox<T> {
    store: Arc<Store<T>>,
    cursor: Cursor<T>,
}

impl<T> Inbox<T> {
    pub(crate) fn open(store: Arc<Store<T>>) -> Self {
        store.inboxes.fetch_add(1, Ordering::AcqRel);
        Inbox { store, cursor: Cursor::new() }
    }

    /// The next item, if there is one.
    #[doc(alias = "try_recv")]
    #[doc(alias = "pop")]
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.store.take(&mut self.cursor)
    }

    /// Up to `max` items, and what was lost since that was told last. Shards are taken from in turn.
    #[doc(alias = "drain")]
    pub fn take_up_to(&mut self, max: usize) -> Mail<T> {
        let mut items = vec![];
        let lost = self.store.take_many(&mut self.cursor, max, &mut items);
        Mail::new(items, lost)
    }

    /// [`take_up_to`](Self::take_up_to), to the end of `items`: allocates nothing where there is room.
    pub fn take_into(&mut self, max: usize, items: &mut Vec<T>) -> Lost {
        self.store.take_many(&mut self.cursor, max, items)
    }

    /// What was lost since that was told last.
    pub fn lost(&mut self) -> Lost {
        self.store.report_losses()
    }

    /// Takes back word of a loss that could not be passed on: it will be told again, together with what
    /// was lost since. Where the items could not be passed on either, [`Mail::into_lost`] counts them in.
    pub fn restore_losses(&mut self, lost: Lost) {
        self.store.restore_losses(lost);
    }

    /// How much the mailbox holds, and how much it may.
    pub fn usage(&self) -> Usage {
        Usage::new(&self.store)
    }

    /// Whether the mailbox was closed. What is held can still be taken.
    pub fn is_closed(&self) -> bool {
        self.store.is_closed()
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        if self.store.inboxes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.store.notify_orphaned();
        }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("name", &self.store.name)
            .field("usage", &self.usage())
            .field("closed", &self.is_closed())
            .finish()
    }
}
