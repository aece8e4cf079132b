//! The state of one account, shared by threads without a lock.
//!
//! Three words: the hash of the account, its state, and a tag. The state of a
//! [`Rate`](crate::quota::gcra::Rate) is the instant from which nothing is owed. The tag holds the
//! interval by which the state is counted, a version, and two bits. One is set while the words
//! change together, because another account moves in or the interval changes. The other is set
//! once the account was rejected.
//!
//! A thread that changes only the state reads all three words, reads the tag again, and exchanges
//! the state. A thread that moves an account in sets the first bit, exchanges the state *for a
//! different one*, and then writes the other words. So a state that was read with its tag, and has
//! not changed since, belongs to the account for which it was read. No other account is charged,
//! and no account is evicted that has just been charged.
//!
//! A state can return to an earlier value in two ways only, to the very nanosecond. First, it is
//! counted by another interval and then charged. A thread that read it before takes a unit that is
//! not there. That unit is owed, and is replenished before the next one is given. Second, an
//! account is evicted while it owes units, and the next one is later charged up to the same
//! instant. A thread that read it before then charges the wrong account. It must have been
//! preempted until the next unit was replenished: before that the states differ, because each such
//! account owes a few nanoseconds less at first, another number each. See [`Snapshot::offset`].

use crate::quota::gcra::{NEVER, Rate, Withheld, refunded};
use plimsoll_core::parts::TWO_TICKS;
use plimsoll_core::parts::sync::{AtomicU64, Backoff, Ordering};

/// The hash of an entry without an account.
pub(crate) const EMPTY: u64 = 0;

/// An account's entry.
#[derive(Debug)]
pub(crate) struct Entry {
    hash: AtomicU64,
    state: AtomicU64,
    tag: AtomicU64,
}

impl Default for Entry {
    fn default() -> Self {
        Entry { hash: AtomicU64::new(EMPTY), state: AtomicU64::new(0), tag: AtomicU64::new(0) }
    }
}

const CHANGING: u64 = 1;
const REJECTED: u64 = 2;
const VERSION: u64 = 4;
const SHIFT: u32 = 10;

pub(crate) fn interval_of(tag: u64) -> u64 {
    tag >> SHIFT
}

/// Returns the tag that follows `tag`, with this interval and without the bits.
fn next_tag(tag: u64, interval: u64) -> u64 {
    let version = tag.wrapping_add(VERSION) & ((1 << SHIFT) - VERSION);
    interval << SHIFT | version
}

/// Returns whether more is owed than this rate ever charges: its burst was lowered since.
///
/// The coarse clock may be behind the one by which the units were charged. A quota that admits
/// nothing forgives nothing.
#[inline]
fn owes_too_much(free: u64, rate: Rate, now: u64) -> bool {
    rate.burst > 0 && free > now.saturating_add(rate.max_owed()).saturating_add(TWO_TICKS)
}

/// How an entry is counted by another rate: see [`Rate::carried`].
#[derive(Clone, Copy)]
struct Carry {
    rate: Rate,
    withheld: Withheld,
    /// The longest time that is owed then, if the interval is already that of the rate.
    max: u64,
}

impl Carry {
    /// On the way of a request. More than the burst may be owed: units that were charged after the
    /// fact, or a unit that was taken while the rate changed.
    fn lazily(rate: Rate) -> Self {
        Carry { rate, withheld: Withheld::default(), max: rate.max_owed() }
    }

    fn free(self, free: u64, tag: u64, now: u64) -> u64 {
        let from = interval_of(tag);
        let max = if from == self.rate.interval { self.max } else { self.rate.span() };
        self.rate.recounted(free, now, from, self.withheld, max)
    }
}

/// The three words of an entry, which belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    tag: u64,
    hash: u64,
    pub(crate) state: u64,
}

impl Snapshot {
    pub(crate) fn is_empty(self) -> bool {
        self.hash == EMPTY
    }

    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    pub(crate) fn interval(self) -> u64 {
        interval_of(self.tag)
    }

    /// Returns whether the account was rejected since it has the entry.
    pub(crate) fn was_rejected(self) -> bool {
        self.tag & REJECTED != 0
    }

    /// Returns a number of nanoseconds that differs from those of the accounts that were in the
    /// entry before: the version, at least 1.
    pub(crate) fn offset(self) -> u64 {
        (self.tag & ((1 << SHIFT) - 1)) / VERSION + 1
    }
}

/// The result of taking units.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The units were taken.
    Yes,
    /// There are not enough units before this instant. Nothing has changed.
    NotBefore(u64),
    /// The entry is no longer that of the account.
    Gone,
}

impl Entry {
    /// Returns whether the entry is that of the account `hash`, as a hint.
    #[inline(always)]
    pub(crate) fn is(&self, hash: u64) -> bool {
        // Relaxed: a hint. A caller that acts on it reads the hash again, between two reads of the
        // tag.
        self.hash.load(Ordering::Relaxed) == hash
    }

    /// Returns the hash of the account, as a hint.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.load(Ordering::Relaxed)
    }

    /// Returns the state, as a hint.
    pub(crate) fn state_hint(&self) -> u64 {
        // Acquire: pairs with the exchange in `move_in`. A reader that sees the new state also sees
        // `CHANGING`, or a later tag.
        self.state.load(Ordering::Acquire)
    }

    /// Returns all three words. Returns `None` if another thread is changing them together.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        // Acquire: as in `read`.
        let tag = self.tag.load(Ordering::Acquire);
        let hash = self.hash.load(Ordering::Acquire);
        let state = self.state.load(Ordering::Acquire);
        let settled = tag & CHANGING == 0 && self.tag.load(Ordering::Relaxed) == tag;
        settled.then_some(Snapshot { tag, hash, state })
    }

    /// Returns the tag and the state of the account `hash`, which belong together. Returns `None`
    /// if the entry is not that of the account.
    #[inline(always)]
    pub(crate) fn read(&self, hash: u64) -> Option<(u64, u64)> {
        let mut backoff = Backoff::default();
        loop {
            let tag = self.tag.load(Ordering::Acquire);
            if tag & CHANGING != 0 {
                backoff.wait();
                continue;
            }
            if self.hash.load(Ordering::Acquire) != hash {
                return None;
            }
            // Acquire: pairs with the exchange of the state in `move_in` and `rescale`, so that the
            // tag loaded below is at least as new as this state.
            let state = self.state.load(Ordering::Acquire);
            if self.tag.load(Ordering::Relaxed) == tag {
                return Some((tag, state));
            }
        }
    }

    /// Replaces the state that was [read](Self::read). Returns whether it had not changed since.
    #[inline(always)]
    pub(crate) fn exchange(&self, from: u64, to: u64) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes `units` from the account `hash`.
    #[inline(always)]
    pub(crate) fn take(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Taken {
        loop {
            let Some((tag, free)) = self.read(hash) else { return Taken::Gone };
            if interval_of(tag) != rate.interval {
                // A quota that admits nothing must not change by which interval units are counted.
                if units > rate.burst || rate.burst == 0 {
                    return Taken::NotBefore(NEVER);
                }
                self.rescale(hash, tag, Carry::lazily(rate), now);
                continue;
            }
            match rate.take(free, now, units) {
                Err(_) if owes_too_much(free, rate, now) => self.rescale(hash, tag, Carry::lazily(rate), now),
                Err(at) => {
                    if tag & REJECTED == 0 {
                        self.mark_rejected(tag);
                    }
                    return Taken::NotBefore(at);
                }
                Ok(next) if self.exchange(free, next) => return Taken::Yes,
                Ok(_) => {}
            }
        }
    }

    /// Returns the states that [`take`](Self::take) would [exchange](Self::exchange), for a later
    /// call of it. Returns `None` if `take` would reject the units, or would have to rescale the
    /// entry.
    #[inline(always)]
    pub(crate) fn offer(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Option<(u64, u64)> {
        let (tag, free) = self.read(hash)?;
        if interval_of(tag) != rate.interval {
            return None;
        }
        Some((free, rate.take(free, now, units).ok()?))
    }

    /// Returns the instant from which the account owes nothing. From now on, it is counted by this
    /// rate, unless that admits nothing.
    #[inline]
    pub(crate) fn counted(&self, hash: u64, rate: Rate, now: u64) -> Option<u64> {
        loop {
            let (tag, free) = self.read(hash)?;
            let is_counted = interval_of(tag) == rate.interval && !owes_too_much(free, rate, now);
            if is_counted || rate.burst == 0 {
                return Some(free);
            }
            self.rescale(hash, tag, Carry::lazily(rate), now);
        }
    }

    /// Refunds the account `hash` all but the kept ones of `units` that were taken at `at` by
    /// `interval`: see [`refunded`].
    ///
    /// It computes with the shorter of both intervals, so that no refund returns too much. If the
    /// present one is shorter, units count as replenished sooner than they were. If the earlier one
    /// is shorter, less is refunded for each unit.
    pub(crate) fn refund(&self, hash: u64, now: u64, units: [u32; 2], at: u64, interval: u64) {
        while let Some((tag, free)) = self.read(hash) {
            let less = refunded(free, now, interval_of(tag).min(interval), units, at);
            if less == free || self.exchange(free, less) {
                return;
            }
        }
    }

    /// Charges the account `hash` for work that was done, whether or not there are enough units.
    pub(crate) fn charge(&self, hash: u64, rate: Rate, now: u64, units: u32) {
        while let Some(free) = self.counted(hash, rate, now) {
            if self.exchange(free, rate.charged(free, now, units)) {
                return;
            }
        }
    }

    /// Gives the account `hash` up to `units`. It then owes less, or nothing.
    pub(crate) fn credit(&self, hash: u64, now: u64, units: u32) {
        self.refund(hash, now, [units, 0], now, u64::MAX);
    }

    /// Counts what is owed by this rate from now on, whichever account the entry is of. The units
    /// that are `withheld` from it are owed, too. `raced` states that requests may have done so
    /// already.
    ///
    /// It does so at once. If it waited for the next request, units would be replenished by the old
    /// interval until then.
    pub(crate) fn recount(&self, rate: Rate, withheld: Withheld, raced: bool, now: u64) {
        let hash = self.hash();
        let Some((tag, free)) = self.read(hash) else { return };
        let carry = Carry { rate, withheld, max: if raced { rate.max_owed() } else { rate.span() } };
        if interval_of(tag) != rate.interval || carry.free(free, tag, now) != free.max(now) {
            self.rescale(hash, tag, carry, now);
        }
    }

    /// Counts what is owed by another rate from now on, unless another thread changes the entry.
    #[cold]
    #[inline(never)]
    fn rescale(&self, hash: u64, tag: u64, carry: Carry, now: u64) {
        if !self.lock(tag) {
            return;
        }
        let here = self.hash.load(Ordering::Relaxed) == hash;
        if here {
            loop {
                let free = self.state.load(Ordering::Relaxed);
                let mut next = carry.free(free, tag, now);
                // The new state must differ: see the top of this file. If nothing is owed, an
                // earlier instant means the same. If the whole burst is owed, the rest was
                // forgiven, so a nanosecond more is, too. An entry that is counted by no interval
                // was never charged.
                if next == free && interval_of(tag) != 0 {
                    let is_extreme = next == now || next == now.saturating_add(carry.rate.span());
                    next = if is_extreme && next > 0 { next - 1 } else { next + 1 };
                }
                if self.exchange(free, next) {
                    break;
                }
            }
        }
        let interval = if here { carry.rate.interval } else { interval_of(tag) };
        self.tag.store(next_tag(tag, interval), Ordering::Release);
    }

    /// Records that the account was rejected, if it still has the entry.
    ///
    /// Such an account wants more than its quota. It is evicted after those that do not.
    pub(crate) fn reject(&self, hash: u64) {
        // Relaxed: a hint.
        if self.tag.load(Ordering::Relaxed) & REJECTED == 0
            && let Some((tag, _)) = self.read(hash)
        {
            self.mark_rejected(tag);
        }
    }

    #[cold]
    fn mark_rejected(&self, tag: u64) {
        // Relaxed: a hint for the eviction, and an exchange continues the release sequence of the
        // store before it. If the tag has changed, the next rejection sets the bit.
        let _ = self.tag.compare_exchange(tag, tag | REJECTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Sets the first bit. Returns `false` if another thread is changing the entry, or has changed
    /// it.
    fn lock(&self, tag: u64) -> bool {
        // Acquire: pairs with the Release stores of the tag, so that the previous change is
        // visible.
        let locked = tag | CHANGING;
        self.tag.compare_exchange(tag, locked, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives the entry to the account `hash`, with this state, if nothing has changed since `seen`.
    /// Returns whether it did.
    ///
    /// `state` must differ from the one that was seen, unless the entry was empty.
    pub(crate) fn move_in(&self, seen: Snapshot, hash: u64, interval: u64, state: u64) -> bool {
        if !self.lock(seen.tag) {
            return false;
        }
        // If the exchange fails, the present account has just been charged, and stays.
        let moved = self.exchange(seen.state, state);
        if moved {
            self.hash.store(hash, Ordering::Release);
        }
        let interval = if moved { interval } else { seen.interval() };
        self.tag.store(next_tag(seen.tag, interval), Ordering::Release);
        moved
    }
}
