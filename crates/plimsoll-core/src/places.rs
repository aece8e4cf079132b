//! A number of places and who is on them, in one atomic word.

use crate::room::{Capacity, Start};
use crate::sync::{AtomicU64, Ordering};

/// One place inside. Plain data: it goes back through [`Room::settle`](crate::Room::settle).
#[derive(Debug)]
#[must_use = "a place that is not released is lost"]
pub struct Place(());

impl Place {
    /// The place that was packed.
    pub(crate) fn again() -> Self {
        Place(())
    }
}

/// A number of places, all facts about them in one word: how many are taken, how many there are,
/// whether someone waits, whether it is closed.
///
/// One word, because two could disagree: a caller that finds every place taken and begins to wait,
/// and another that frees its place and finds nobody waiting. Here the two changes are ordered by
/// the word itself, so one of them sees the other.
#[derive(Debug)]
pub struct FixedCapacity(AtomicU64);

const BITS: u32 = 31;
const MASK: u64 = (1 << BITS) - 1;
const WAITING: u64 = 1 << 62;
const CLOSED: u64 = 1 << 63;

#[inline]
fn taken(word: u64) -> u32 {
    (word & MASK) as u32
}
#[inline]
fn limit(word: u64) -> u32 {
    ((word >> BITS) & MASK) as u32
}

impl FixedCapacity {
    /// The most places there can be: 2³¹ − 1.
    pub const MAX: u32 = MASK as u32;

    /// `limit` free places, at most [`MAX`](Self::MAX).
    pub fn new(limit: u32) -> Self {
        FixedCapacity(AtomicU64::new(u64::from(limit.min(Self::MAX)) << BITS))
    }

    #[inline]
    fn word(&self) -> u64 {
        // Relaxed: a look at one word, nothing is read on the strength of it.
        self.0.load(Ordering::Relaxed)
    }

    /// How many places are taken. After the limit was lowered this may be above it for a while.
    pub fn in_flight(&self) -> u32 {
        taken(self.word())
    }

    /// How many places there are.
    pub fn limit(&self) -> u32 {
        limit(self.word())
    }

    /// Changes how many places there are; nobody inside is thrown out. HttpOptions whether someone waits.
    pub fn set_limit(&self, limit: u32) -> bool {
        let bits = u64::from(limit.min(Self::MAX)) << BITS;
        let mut word = self.word();
        loop {
            let next = (word & !(MASK << BITS)) | bits;
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next & WAITING != 0,
                Err(now) => word = now,
            }
        }
    }
}

impl Capacity for FixedCapacity {
    type Token = Place;

    #[inline]
    fn start(&self, newcomer: bool) -> Start<Place> {
        let mut word = self.word();
        loop {
            if word & CLOSED != 0 {
                return Start::Closed;
            }
            if taken(word) >= limit(word) || (newcomer && word & WAITING != 0) {
                return Start::Later;
            }
            // Acquire pairs with the release in `finish`: who enters sees what the last one did.
            match self.0.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Start::Go(Place(())),
                Err(now) => word = now,
            }
        }
    }

    #[inline]
    fn finish(&self, _: Place) -> bool {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        if taken(before) == 0 {
            // A place that never was here, or came back twice: it must not spill into the limit.
            self.0.fetch_add(1, Ordering::AcqRel);
        }
        before & WAITING != 0
    }

    fn set_waiting(&self, any: bool) {
        // Ordered against `finish` by the word itself; see the type's comment.
        if any {
            self.0.fetch_or(WAITING, Ordering::AcqRel);
        } else {
            self.0.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }

    fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    fn is_closed(&self) -> bool {
        self.word() & CLOSED != 0
    }

    #[inline]
    fn numbers(&self) -> (u64, u64) {
        let word = self.word();
        (u64::from(limit(word)), u64::from(taken(word)))
    }
}
