//! None, one, or some.

use std::collections::VecDeque;
use std::fmt;

/// None, one, or some, in order. One of them allocates nothing.
///
/// What an operation on a buffer displaces: nearly always one at most, and it has to leave the lock
/// before anyone looks at it or drops it.
#[derive(Clone)]
pub struct OneOrMany<T> {
    one: Option<T>,
    // Boxed: it is moved with every answer and nearly always empty.
    #[expect(clippy::box_collection, reason = "see above")]
    more: Option<Box<VecDeque<T>>>,
}

impl<T> OneOrMany<T> {
    /// None.
    #[inline]
    pub const fn none() -> Self {
        OneOrMany { one: None, more: None }
    }

    /// One.
    #[inline]
    pub const fn one(item: T) -> Self {
        OneOrMany { one: Some(item), more: None }
    }

    /// One more, at the end.
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

    /// Looks at each, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.one.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.more.as_ref().map_or(0, |more| more.len())
    }

    /// Whether none is left.
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
