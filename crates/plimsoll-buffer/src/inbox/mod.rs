//! The handle of a consumer.

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

/// Takes the items of a [`Mailbox`](crate::Mailbox).
///
/// Opened by [`Mailbox::inbox`](crate::Mailbox::inbox). A consumer that drops it or panics leaves
/// the items for the next one. Items are never pushed to a consumer: it takes them when it is
/// ready, so it is never flooded.
///
/// | method | returns | waits |
/// |---|---|---|
/// | [`take`](Self::take) | the next item | never |
/// | [`take_up_to`](Self::take_up_to), [`take_into`](Self::take_into) | some items and the losses | never |
/// | [`blocking_take`](Self::blocking_take), [`blocking_take_timeout`](Self::blocking_take_timeout) | the next item | on the calling thread |
/// | [`blocking_mail`](Self::blocking_mail), [`blocking_mail_timeout`](Self::blocking_mail_timeout) | all items and the losses | on the calling thread |
/// | [`take_wait`](Self::take_wait) | the next item | in async code |
/// | [`mail`](Self::mail), [`mail_into`](Self::mail_into) | all items and the losses | in async code |
/// | [`mail_up_to`](Self::mail_up_to) | some items and the losses | in async code |
/// | [`mail_with`](Self::mail_with) | the items that a filter takes and the losses | in async code |
/// | [`notified`](Self::notified) | whether there is mail | in async code |
/// | [`into_stream`](Self::into_stream) | items one by one, with a report at each gap | in async code |
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

    /// Takes the next item, if there is one.
    #[doc(alias = "try_recv")]
    #[doc(alias = "pop")]
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.store.take(&mut self.cursor)
    }

    /// Takes up to `max` items and the report of losses. Shards take turns.
    #[doc(alias = "drain")]
    pub fn take_up_to(&mut self, max: usize) -> Mail<T> {
        let mut items = vec![];
        let lost = self.store.take_many(&mut self.cursor, max, &mut items);
        Mail::new(items, lost)
    }

    /// Appends up to `max` items to `items`, and takes the report of losses.
    ///
    /// Allocates nothing while `items` has capacity left.
    pub fn take_into(&mut self, max: usize, items: &mut Vec<T>) -> Lost {
        self.store.take_many(&mut self.cursor, max, items)
    }

    /// Takes the report of what was lost since the last report.
    pub fn lost(&mut self) -> Lost {
        self.store.report_losses()
    }

    /// Takes back a report that could not be passed on: the next report includes it.
    ///
    /// If the items could not be passed on either, [`Mail::into_lost`] adds them to the report.
    pub fn restore_losses(&mut self, lost: Lost) {
        self.store.restore_losses(lost);
    }

    /// Returns how much the mailbox holds, and its bounds.
    pub fn usage(&self) -> Usage {
        Usage::new(&self.store)
    }

    /// Returns whether the mailbox was closed. Items that it holds can still be taken.
    pub fn is_closed(&self) -> bool {
        self.store.is_closed()
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.store.drop_inbox();
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
