//! The producer's end.

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
pub use usage::Usage;

use crate::inbox::Inbox;
use crate::store::Store;
use plimsoll_core::parts::sync::Ordering;
use std::fmt;
use std::sync::Arc;

/// A bounded buffer between producers on any thread and one or many consumers. A cheap handle: clones
/// share everything. When the last one is dropped, the mailbox is [closed](Self::close).
///
/// | offer by | when there is no room | where |
/// |---|---|---|
/// | [`offer`](Self::offer) | another goes, or the item comes back: at once | anywhere |
/// | [`offer_wait`](Self::offer_wait) | waits for room | in async code |
/// | [`blocking_offer_timeout`](Self::blocking_offer_timeout) | waits for room, so long | on a plain thread |
///
/// What is held stays when nobody takes it: see [`inbox`](Self::inbox).
#[doc(alias = "channel")]
#[doc(alias = "bounded channel")]
#[doc(alias = "mpsc")]
#[doc(alias = "ring buffer")]
#[doc(alias = "Sender")]
pub struct Mailbox<T>(Arc<Store<T>>);

impl<T> Mailbox<T> {
    pub(crate) fn from_store(store: Store<T>) -> Self {
        store.producers.fetch_add(1, Ordering::Relaxed);
        Mailbox(Arc::new(store))
    }

    /// Offers an item; never waits.
    ///
    /// # Errors
    /// The item comes back with the reason: `Full` if the discipline keeps what it has, `TooLarge` if it
    /// is heavier than the whole bound, `Closed` after [`close`](Self::close).
    ///
    /// # Examples
    /// ```
    /// use plimsoll_buffer::{Discipline, Mailbox};
    /// use plimsoll_core::Reason;
    ///
    /// let fresh = Mailbox::new(2)?; // keeps the newest
    /// let displaced: Vec<_> = (1..=3).flat_map(|n| fresh.offer(n).unwrap()).collect();
    /// assert_eq!(displaced, [(1, Reason::Evicted)]);
    ///
    /// let firm = Mailbox::builder().capacity(2).discipline(Discipline::KeepOldest).build()?;
    /// let rejected: Vec<_> = (1..=3).filter_map(|n| firm.offer(n).err()).collect();
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

    /// Opens a consumer's end. There may be several, who share what comes; each item goes to one.
    ///
    /// While there is none, the mailbox is passive: it goes on keeping what its bounds let it. So an
    /// owner's death loses nothing: whoever opens the next inbox finds what is held.
    pub fn inbox(&self) -> Inbox<T> {
        Inbox::open(self.0.clone())
    }

    /// How many inboxes are open.
    pub fn inboxes(&self) -> usize {
        self.0.inboxes.load(Ordering::Acquire)
    }

    /// Lets nothing in from now on. What is held can be taken; then consumers are told that it is over.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// How much it holds, and how much it may.
    pub fn usage(&self) -> Usage {
        Usage::new(&self.0)
    }

    /// The name its rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        // Relaxed, as in `Arc`: whoever clones has one.
        self.0.producers.fetch_add(1, Ordering::Relaxed);
        Mailbox(self.0.clone())
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        // AcqRel: the last one sees what all others did.
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
