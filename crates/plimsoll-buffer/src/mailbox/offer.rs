//! The results of an offer.

use plimsoll_core::parts::OneOrMany;
use plimsoll_core::{Reason, Rejected};
use std::fmt;

/// The items that were displaced by an accepted one, each with the reason.
///
/// An iterator. It allocates only if two or more items were displaced.
pub struct Displaced<T>(pub(crate) OneOrMany<(T, Reason)>);

impl<T> Displaced<T> {
    /// Returns whether no item is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Iterator for Displaced<T> {
    type Item = (T, Reason);
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for Displaced<T> {}

impl<T> fmt::Debug for Displaced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Displaced").field("displaced", &self.0.len()).finish()
    }
}

/// A rejected item, with the reason.
///
/// The reason is `Full`, `TooLarge`, `Closed`, or `Expired` if there was no room within the time.
#[doc(alias = "TrySendError")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OfferError<T> {
    item: T,
    rejected: Rejected,
}

impl<T> OfferError<T> {
    #[inline]
    pub(crate) const fn new(item: T, rejected: Rejected) -> Self {
        OfferError { item, rejected }
    }

    /// Returns the item.
    pub fn into_item(self) -> T {
        self.item
    }

    /// Returns the item and the rejection.
    pub fn into_parts(self) -> (T, Rejected) {
        (self.item, self.rejected)
    }

    /// Returns a reference to the item.
    pub fn item(&self) -> &T {
        &self.item
    }

    /// Returns the rejection.
    pub fn rejected(&self) -> Rejected {
        self.rejected
    }

    /// Returns the reason of the rejection.
    #[inline]
    pub fn reason(&self) -> Reason {
        self.rejected.reason()
    }
}

impl<T> From<OfferError<T>> for Rejected {
    fn from(rejected: OfferError<T>) -> Self {
        rejected.rejected
    }
}

impl<T> fmt::Debug for OfferError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfferError").field(&self.rejected).finish()
    }
}

impl<T> fmt::Display for OfferError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<T> std::error::Error for OfferError<T> {}
