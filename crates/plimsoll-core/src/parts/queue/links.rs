//! Circular lists through slabs: the links are numbers.

pub(super) const NONE: u32 = u32::MAX;

/// The neighbours of an entry in its list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    prev: u32,
    next: u32,
}

/// A circular list. Its links are stored beside the entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circle {
    first: u32,
}

impl Circle {
    pub(super) const EMPTY: Circle = Circle { first: NONE };

    pub(super) fn is_empty(self) -> bool {
        self.first == NONE
    }

    pub(super) fn first(self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(super) fn last(self, links: &[Links]) -> Option<u32> {
        Some(links.get(self.first()? as usize)?.prev)
    }

    /// Adds an entry as the last.
    pub(super) fn push(&mut self, links: &mut [Links], n: u32) {
        match self.first() {
            None => {
                *at(links, n) = Links { prev: n, next: n };
                self.first = n;
            }
            Some(first) => {
                let last = std::mem::replace(&mut at(links, first).prev, n);
                at(links, last).next = n;
                *at(links, n) = Links { prev: last, next: first };
            }
        }
    }

    pub(super) fn remove(&mut self, links: &mut [Links], n: u32) {
        let Links { prev, next } = *at(links, n);
        if next == n {
            self.first = NONE;
            return;
        }
        at(links, prev).next = next;
        at(links, next).prev = prev;
        if self.first == n {
            self.first = next;
        }
    }

    /// Makes the first entry the last.
    pub(super) fn advance(&mut self, links: &[Links]) {
        if let Some(links) = links.get(self.first as usize) {
            self.first = links.next;
        }
    }
}

/// Returns entry `n` of a slab. Numbers come from the slab itself, so it is there.
pub(super) fn at<T>(slab: &mut [T], n: u32) -> &mut T {
    match slab.get_mut(n as usize) {
        Some(entry) => entry,
        None => unreachable!("entry {n} was never added"),
    }
}

/// Adds an entry to a slab and returns its number.
pub(super) fn grow<T>(slab: &mut Vec<T>, entry: T) -> u32 {
    slab.push(entry);
    (slab.len() - 1) as u32
}
