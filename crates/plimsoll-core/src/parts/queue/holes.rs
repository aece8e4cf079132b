//! A deque that allows items to be removed from its middle.
//!
//! A removed item leaves a hole. Holes are closed once they outnumber the items, so every operation
//! takes constant time, at least on average.

use crate::Instant;
use std::collections::VecDeque;

/// The place of an item in a [`Queue`](super::Queue).
///
/// It is valid until the item leaves. A stack then gives the same ticket to a later item.
/// [`put_back`](super::Queue::put_back) in the middle voids the tickets of the items behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The arrival and the weight of an item. Only stored if the queue needs either.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Note {
    pub(super) at: Instant,
    pub(super) weight: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Holes<T> {
    // `None` is a hole. There is none at either end.
    items: VecDeque<Option<T>>,
    // As long as `items` if notes are stored, and empty otherwise.
    notes: VecDeque<Note>,
    noted: bool,
    // The ticket of the item at the front.
    first: u64,
    len: usize,
}

/// Far from zero, so that an item can always be put back at the front.
const FIRST: u64 = 1 << 62;

impl<T> Holes<T> {
    pub(super) fn new(noted: bool) -> Self {
        Holes { items: VecDeque::new(), notes: VecDeque::new(), noted, first: FIRST, len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn front(&self) -> Ticket {
        Ticket(self.first)
    }

    /// Returns the ticket of the next item to arrive.
    #[inline]
    pub(super) fn back(&self) -> Ticket {
        Ticket(self.first + self.items.len() as u64)
    }

    pub(super) fn oldest_item(&self) -> Option<&T> {
        self.items.front()?.as_ref()
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.notes.front().map(|note| note.at)
    }

    /// Returns the weight of the oldest item; 0 without notes.
    #[inline]
    pub(super) fn oldest_weight(&self) -> u32 {
        self.notes.front().map_or(0, |note| note.weight)
    }

    pub(super) fn newest(&self) -> Option<Instant> {
        self.notes.back().map(|note| note.at)
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) -> Ticket {
        let ticket = self.back();
        self.items.push_back(Some(item));
        self.len += 1;
        ticket
    }

    /// Adds the note of the item that was pushed last. For queues with notes.
    pub(super) fn note(&mut self, note: Note) {
        self.notes.push_back(note);
    }

    /// Pushes an item and returns the one at the front. For queues without notes.
    #[inline]
    pub(super) fn replace(&mut self, item: T) -> Option<T> {
        let old = self.items.pop_front().flatten();
        self.items.push_back(Some(item));
        self.first += 1;
        if self.items.len() != self.len {
            self.trim();
        }
        old
    }

    #[inline]
    pub(super) fn take_front(&mut self) -> Option<(T, Note)> {
        let item = self.items.pop_front().flatten()?;
        self.first += 1;
        let note = if self.noted { self.notes.pop_front().unwrap_or_default() } else { Note::default() };
        self.took();
        Some((item, note))
    }

    #[inline]
    pub(super) fn take_back(&mut self) -> Option<(T, Note)> {
        let item = self.items.pop_back().flatten()?;
        let note = if self.noted { self.notes.pop_back().unwrap_or_default() } else { Note::default() };
        self.took();
        Some((item, note))
    }

    #[inline]
    fn took(&mut self) {
        self.len -= 1;
        if self.items.len() != self.len {
            self.trim();
        }
    }

    /// Moves the first `n` items to the end of `out`, or none. Returns whether it did.
    ///
    /// It can if there are neither holes nor notes.
    pub(super) fn drain_front(&mut self, n: usize, out: &mut Vec<T>) -> bool {
        if self.noted || self.items.len() != self.len {
            return false;
        }
        for item in self.items.drain(..n) {
            out.extend(item);
        }
        self.first += n as u64;
        self.len -= n;
        true
    }

    /// Inserts an item with `newer` items behind it, or at the front if that is `None`.
    pub(super) fn insert(&mut self, item: T, note: Note, newer: Option<usize>) {
        let at = newer.map_or(0, |newer| self.items.len().saturating_sub(newer));
        if at == 0 {
            self.first -= 1;
        }
        self.items.insert(at, Some(item));
        self.len += 1;
        if self.noted {
            self.notes.insert(at, note);
        }
    }

    /// Removes an item. Returns it with its weight, if it is still there.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<(T, u32)> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        let item = self.items.get_mut(at)?.take()?;
        let weight = self.notes.get_mut(at).map_or(0, |note| std::mem::take(&mut note.weight));
        self.len -= 1;
        self.trim();
        Some((item, weight))
    }

    /// Returns whether holes outnumber the items, so that it is time to [compact](Self::compact).
    pub(super) fn is_sparse(&self) -> bool {
        self.items.len() > 2 * self.len + 32
    }

    /// Closes all holes. Calls `moved` with each item and its new ticket.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(&T, Ticket)) {
        let mut stands = self.items.iter().map(Option::is_some);
        self.notes.retain(|_| stands.next().unwrap_or(false));
        self.items.retain(Option::is_some);
        for (n, item) in self.items.iter().enumerate() {
            if let Some(item) = item {
                moved(item, Ticket(self.first + n as u64));
            }
        }
    }

    /// Starts or stops storing notes. An item without a note counts as arrived `at`.
    pub(super) fn set_noted(&mut self, noted: bool, at: Instant) {
        self.noted = noted;
        if noted {
            self.notes.resize(self.items.len(), Note { at, weight: 0 });
        } else {
            self.notes = VecDeque::new();
        }
    }

    /// Sets the arrival of every item.
    pub(super) fn restamp(&mut self, at: Instant) {
        self.notes.iter_mut().for_each(|note| note.at = at);
    }

    pub(super) fn shrink_to(&mut self, capacity: usize) {
        self.items.shrink_to(capacity);
        self.notes.shrink_to(capacity);
    }

    /// Removes the holes at both ends.
    #[cold]
    fn trim(&mut self) {
        while matches!(self.items.front(), Some(None)) {
            self.items.pop_front();
            self.notes.pop_front();
            self.first += 1;
        }
        while matches!(self.items.back(), Some(None)) {
            self.items.pop_back();
            self.notes.pop_back();
        }
    }
}
