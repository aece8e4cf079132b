//! The handle of the producers.

mod builder;
pub(crate) mod config;
pub(crate) mod offer;
mod offer_wait;
mod orphaned;
mod settings;
mod usage;

pub use builder::MailboxBuilder;
pub use config::{MailboxConfig, ShardPick};
pub use offer::{Displaced, OfferError};
pub use offer_wait::OfferWait;
pub use orphaned::Orphaned;
pub use usage::Usage;

use crate::inbox::Inbox;
use crate::store::Store;
use plimsoll_core::parts::sync::Ordering;
use std::fmt;
use std::sync::Arc;

/// A bounded buffer between producers on any thread and one or more consumers.
///
/// A cheap handle: clones share everything. When the last one is dropped, the mailbox is
/// [closed](Self::close).
///
/// | method | when the mailbox is full | where |
/// |---|---|---|
/// | [`offer`](Self::offer) | evicts another item or returns this one, at once | anywhere |
/// | [`offer_wait`](Self::offer_wait) | waits for room | in async code |
/// | [`blocking_offer`](Self::blocking_offer), [`blocking_offer_timeout`](Self::blocking_offer_timeout) | waits for room | on a plain thread |
///
/// Items are taken through an [`inbox`](Self::inbox). They stay while there is none.
#[doc(alias = "channel")]
#[doc(alias = "bounded channel")]
#[doc(alias = "mpsc")]
#[doc(alias = "ring buffer")]
#[doc(alias = "Sender")]
#[doc(alias = "bounded queue")]
#[doc(alias = "stack")]
#[doc(alias = "LIFO")]
#[doc(alias = "drop oldest")]
pub struct Mailbox<T>(pub(crate) Arc<Store<T>>);

impl<T> Mailbox<T> {
    pub(crate) fn from_store(store: Store<T>) -> Self {
        store.producers.fetch_add(1, Ordering::Relaxed);
        Mailbox(Arc::new(store))
    }

    /// Offers an item. Never waits.
    ///
    /// Returns the items that were displaced by it, each with the reason.
    ///
    /// # Errors
    /// Returns the item and the reason:
    ///
    /// - `Full` if the mailbox is full and the discipline keeps the oldest items. Also if the free
    ///   room is that of [waiting producers](Self::offer_wait) and there is not enough to evict.
    /// - `TooLarge` if the item is heavier than the whole bound.
    /// - `Closed` after [`close`](Self::close).
    ///
    /// # Examples
    /// ```
    /// use plimsoll_buffer::{Discipline, Mailbox};
    /// use plimsoll_core::Reason;
    ///
    /// let newest = Mailbox::new(2)?; // evicts the oldest
    /// let displaced: Vec<_> = (1..=3).flat_map(|n| newest.offer(n).unwrap()).collect();
    /// assert_eq!(displaced, [(1, Reason::Evicted)]);
    ///
    /// let oldest = Mailbox::builder().capacity(2).discipline(Discipline::KeepOldest).build()?;
    /// let rejected: Vec<_> = (1..=3).filter_map(|n| oldest.offer(n).err()).collect();
    /// assert_eq!(*rejected[0].item(), 3);
    /// assert_eq!(rejected[0].to_string(), "mailbox rejected: full (2 of 2)");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "try_send")]
    #[doc(alias = "push")]
    #[inline(always)]
    pub fn offer(&self, item: T) -> Result<Displaced<T>, OfferError<T>> {
        self.0.offer(item)
    }

    /// Opens an inbox, the handle of a consumer.
    ///
    /// Several inboxes share the items: each item is delivered to one of them. While there is none,
    /// the mailbox keeps what its bounds permit. So a consumer that dies loses nothing: the next
    /// inbox receives what is held.
    pub fn inbox(&self) -> Inbox<T> {
        Inbox::open(self.0.clone())
    }

    /// Returns the number of open inboxes.
    pub fn inboxes(&self) -> usize {
        self.0.inboxes.load(Ordering::Acquire)
    }

    /// Closes the mailbox: every later offer is rejected with `Closed`.
    ///
    /// Items that are held can still be taken. After the last of them, consumers receive `None`.
    pub fn close(&self) {
        self.0.close();
    }

    /// Returns whether the mailbox was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns how much the mailbox holds, and its bounds.
    #[doc(alias = "len")]
    #[doc(alias = "is_empty")]
    pub fn usage(&self) -> Usage {
        Usage::new(&self.0)
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        // Relaxed, as in `Arc`: a handle can only be cloned by the owner of another.
        self.0.producers.fetch_add(1, Ordering::Relaxed);
        Mailbox(self.0.clone())
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        // AcqRel: the last handle to be dropped sees what the others did.
        if self.0.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("name", &self.0.name)
            .field("discipline", &self.discipline())
            .field("usage", &self.usage())
            .field("inboxes", &self.inboxes())
            .field("closed", &self.is_closed())
            .finish()
    }
}
