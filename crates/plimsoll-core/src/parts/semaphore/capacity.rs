//! Capacities: sources of permission to work. The one provided here is a fixed number of places.

use crate::parts::sync::{AtomicU64, Ordering};
use crate::{Pack, Words};

/// A source of permission to work, such as a fixed number of places.
///
/// [`set_waiting`](Self::set_waiting) and [`finish`](Self::finish) must be ordered by one atomic
/// word, as in [`FixedCapacity`]. If a place is released while a caller begins to wait, one of the
/// two must see the other.
pub trait Capacity: Send + Sync {
    /// What admitted work holds.
    type Token: Send;
    /// Takes a place, if one is free. A newcomer gets none while other callers wait.
    fn start(&self, newcomer: bool) -> Start<Self::Token>;
    /// Takes back a token. Returns whether callers wait; the next one must be admitted then.
    fn finish(&self, token: Self::Token) -> bool;
    /// Notes whether callers wait. Called under the lock of the queue whenever this changes.
    fn set_waiting(&self, any: bool);
    /// Closes the capacity: it admits no more work.
    fn close(&self);
    /// Returns whether the capacity was closed.
    fn is_closed(&self) -> bool;
    /// Returns the limit and the number in use, for a rejection to state.
    fn numbers(&self) -> (u64, u64);
}

/// The result of [`Capacity::start`].
#[derive(Debug)]
pub enum Start<T> {
    /// The work may begin.
    Go(T),
    /// There is no place now.
    Later,
    /// The capacity was closed.
    Closed,
}

/// A place in a [`Semaphore`](super::Semaphore). Plain data.
#[derive(Debug)]
#[must_use = "a place that is not released is lost"]
pub struct Place(());

impl Pack for Place {
    fn pack(self) -> Words {
        Words::default()
    }
    fn unpack(_: Words) -> Self {
        Place(())
    }
}

/// A fixed number of places.
///
/// Its whole state is one atomic word: the places taken, the limit, whether callers wait, and
/// whether it is closed. Two words could disagree: a caller finds every place taken and begins to
/// wait, while another releases its place and sees no waiter. One word orders the two steps, so one
/// of the two sees the other.
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
    /// The largest number of places: 2³¹ − 1.
    pub const MAX: u32 = MASK as u32;

    /// Creates `limit` free places, at most [`MAX`](Self::MAX).
    pub fn new(limit: u32) -> Self {
        FixedCapacity(AtomicU64::new(u64::from(limit.min(Self::MAX)) << BITS))
    }

    #[inline]
    fn word(&self) -> u64 {
        // Relaxed: the word orders no other memory here. Every change of it is a compare-exchange
        // or another read-modify-write.
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the number of places in use.
    ///
    /// It exceeds the limit after the limit was lowered, until enough places are released.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        taken(self.word())
    }

    /// Returns the number of places.
    #[inline]
    pub fn limit(&self) -> u32 {
        limit(self.word())
    }

    /// Changes the number of places. Returns whether callers wait.
    ///
    /// Places in use stay in use, even beyond the new limit.
    pub fn set_limit(&self, limit: u32) -> bool {
        let bits = u64::from(limit.min(Self::MAX)) << BITS;
        let mut word = self.word();
        // AcqRel: ordered against `set_waiting` by the word itself, as in `finish`.
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
            // Acquire: pairs with the release half of `finish`, so this work sees what the last
            // holder of the place did.
            match self.0.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Start::Go(Place(())),
                Err(now) => word = now,
            }
        }
    }

    #[inline]
    fn finish(&self, _: Place) -> bool {
        // AcqRel: the release half pairs with the Acquire in `start`. The acquire half makes a
        // waiter that set `WAITING` visible.
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        if taken(before) == 0 {
            // The place was released twice or belongs to another capacity. Undo it: the subtraction
            // has borrowed from the bits of the limit.
            self.0.fetch_add(1, Ordering::AcqRel);
        }
        before & WAITING != 0
    }

    fn set_waiting(&self, any: bool) {
        // AcqRel: ordered against `finish` by the word itself; see the comment on the type.
        if any {
            self.0.fetch_or(WAITING, Ordering::AcqRel);
        } else {
            self.0.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }

    fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.word() & CLOSED != 0
    }

    #[inline]
    fn numbers(&self) -> (u64, u64) {
        let word = self.word();
        (u64::from(limit(word)), u64::from(taken(word)))
    }
}
