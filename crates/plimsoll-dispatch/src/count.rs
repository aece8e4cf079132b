//! The count of a pool: one atomic word, with a bit for each of the first slots.
//!
//! Its bits are the number of slots in use, the number of slots, which of the first slots are free,
//! whether callers wait, and whether the pool is closed. So a small pool counts a request and takes
//! its slot in one step. Callers that wait rely on one word, too; see
//! [`FixedCapacity`](plimsoll_core::parts::FixedCapacity).

use plimsoll_core::parts::Start;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};

/// The number of slots whose bits are in the word.
// Loom can explore only a few slots: two let it reach those beyond.
pub(crate) const NEAR: u32 = if cfg!(plimsoll_loom) { 2 } else { 20 };

// Wide enough for 2²⁰, the largest number of slots.
const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;
const FREE: u32 = 2 * BITS;
const WAITING: u64 = 1 << 62;
const CLOSED: u64 = 1 << 63;
const _: () = assert!(FREE + NEAR <= 62);

pub(crate) struct Count(AtomicU64);

/// The count at some moment.
#[derive(Clone, Copy)]
pub(crate) struct Tally(u64);

impl Tally {
    /// Returns the number of slots in use.
    ///
    /// It exceeds the limit after the limit was lowered, until enough slots are released.
    #[inline(always)]
    pub(crate) fn in_use(self) -> u32 {
        (self.0 & MASK) as u32
    }

    /// Returns the number of slots.
    #[inline(always)]
    pub(crate) fn limit(self) -> u32 {
        (self.0 >> BITS & MASK) as u32
    }

    /// Returns the bits of the near slots that are free, those beyond the limit included.
    #[inline(always)]
    pub(crate) fn free(self) -> u64 {
        self.0 >> FREE & ((1 << NEAR) - 1)
    }

    #[inline(always)]
    pub(crate) fn is_waiting(self) -> bool {
        self.0 & WAITING != 0
    }

    #[inline(always)]
    pub(crate) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Returns why a request cannot be counted, if it cannot.
    #[inline(always)]
    pub(crate) fn refusal<T>(self, newcomer: bool) -> Option<Start<T>> {
        if self.is_closed() {
            Some(Start::Closed)
        } else if self.in_use() >= self.limit() || (newcomer && self.is_waiting()) {
            Some(Start::Later)
        } else {
            None
        }
    }
}

impl Count {
    /// Counts no slots. All bits of near slots are set: those beyond the limit are not looked at.
    pub(crate) fn new() -> Self {
        Count(AtomicU64::new(((1 << NEAR) - 1) << FREE))
    }

    #[inline(always)]
    pub(crate) fn seen(&self) -> Tally {
        // Acquire: pairs with the release half of `finish`, so which of the free slots have a
        // resource is seen, too.
        Tally(self.0.load(Ordering::Acquire))
    }

    /// Counts a request and takes the near slots of `bits`, if the count is still as it was `seen`.
    #[inline(always)]
    pub(crate) fn start(&self, seen: Tally, bits: u64) -> Result<(), Tally> {
        let next = seen.0 + 1 - (bits << FREE);
        // Acquire: pairs with the release half of `finish`, so this holder sees what the last one
        // did.
        let swap = self.0.compare_exchange_weak(seen.0, next, Ordering::Acquire, Ordering::Acquire);
        swap.map(|_| ()).map_err(Tally)
    }

    /// Takes a near slot for a request that was counted. Returns whether it was free.
    pub(crate) fn grab(&self, bit: u64) -> bool {
        // Acquire: as in `start`.
        self.0.fetch_and(!(bit << FREE), Ordering::Acquire) & bit << FREE != 0
    }

    /// Ends a request that was counted, and frees the near slots of `bits`. Returns the new count.
    #[inline(always)]
    pub(crate) fn finish(&self, bits: u64) -> Tally {
        // Relaxed: the exchange decides.
        let mut seen = Tally(self.0.load(Ordering::Relaxed));
        loop {
            if seen.in_use() == 0 || seen.free() & bits != 0 {
                // The slot was released twice or belongs to another pool.
                return seen;
            }
            let next = Tally(seen.0 - 1 + (bits << FREE));
            // AcqRel: the release half pairs with the Acquire in `start`. The acquire half makes a
            // waiter that set `WAITING` visible.
            match self.0.compare_exchange_weak(seen.0, next.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(now) => seen = Tally(now),
            }
        }
    }

    /// Changes the number of slots. Returns whether callers wait.
    ///
    /// Slots in use stay in use, even beyond the new limit.
    pub(crate) fn set_limit(&self, limit: u32) -> bool {
        let mut seen = self.seen().0;
        loop {
            let next = seen & !(MASK << BITS) | u64::from(limit) << BITS;
            // AcqRel: ordered against `set_waiting` by the word itself, as in `finish`.
            match self.0.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Tally(next).is_waiting(),
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn set_waiting(&self, any: bool) {
        // AcqRel: ordered against `finish` by the word itself.
        if any {
            self.0.fetch_or(WAITING, Ordering::AcqRel);
        } else {
            self.0.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }

    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }
}
