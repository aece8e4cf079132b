//! A short list whose first item needs no allocation.

use std::collections::VecDeque;
use std::fmt;

/// A list of items that allocates only from the second item on.
///
/// It carries the items that an operation on a queue displaces, nearly always one at most, out of
/// the lock. They are examined and dropped only after the lock is released.
#[derive(Clone)]
pub struct OneOrMany<T> {
    one: Option<T>,
    // Boxed because it is moved with every result and is nearly always empty.
    #[expect(clippy::box_collection, reason = "see above")]
    more: Option<Box<VecDeque<T>>>,
}

impl<T> OneOrMany<T> {
    /// Creates an empty list.
    #[inline]
    pub const fn none() -> Self {
        OneOrMany { one: None, more: None }
    }

    /// Creates a list of one item.
    #[inline]
    pub const fn one(item: T) -> Self {
        OneOrMany { one: Some(item), more: None }
    }

    /// Appends an item.
    #[inline]
    pub fn push(&mut self, item: T) {
        if self.one.is_none() && self.more.is_none() {
            self.one = Some(item);
        } else {
            self.push_more(item);
        }
    }

    #[cold]
    fn push_more(&mut self, item: T) {
        self.more.get_or_insert_default().push_back(item);
    }

    /// Iterates over the items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.one.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.more.as_ref().map_or(0, |more| more.len())
    }

    /// Returns whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.one.is_none() && self.more.as_ref().is_none_or(|more| more.is_empty())
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany::none()
    }
}

impl<T> Iterator for OneOrMany<T> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        self.one.take().or_else(|| self.more.as_mut()?.pop_front())
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> ExactSizeIterator for OneOrMany<T> {}

impl<T: fmt::Debug> fmt::Debug for OneOrMany<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
