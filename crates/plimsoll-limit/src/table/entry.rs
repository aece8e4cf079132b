//! One account's state, shared by threads without a lock.
//!
//! Three words: whose it is, its state (of a [`Rate`](crate::quota::gcra::Rate): when it is free), and a tag: the
//! interval by which the state was counted, a version, and a bit that is set while the other two change
//! together – another account moves in, or the interval becomes another.
//!
//! Who changes the state alone reads all three, reads the tag again, and exchanges the state. Who moves in
//! sets the bit, exchanges the state *for a different one*, and then the rest. So a state that was read with
//! its tag and is still the same belongs to the account it was read for: no unit is ever taken from a
//! stranger, and nobody is forgotten who has just taken one.
//!
//! Only one thing can come back to what it was: a state that is counted by another interval and then taken from, to the
//! very nanosecond. Who read it before takes a unit that is not there; it is owed, and comes back before the next is given.

use crate::quota::gcra::{NEVER, Rate, refunded, rescaled};
use plimsoll_core::parts::sync::{AtomicU64, Ordering, pause};

/// The hash of nobody.
pub(crate) const EMPTY: u64 = 0;

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
const VERSION: u64 = 2;
const SHIFT: u32 = 12;

fn interval_of(tag: u64) -> u64 {
    tag >> SHIFT
}

/// The tag that follows `tag`, unset, with this interval.
fn next_tag(tag: u64, interval: u64) -> u64 {
    let version = tag.wrapping_add(VERSION) & ((1 << SHIFT) - 1) & !CHANGING;
    interval << SHIFT | version
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    /// Nothing was changed.
    NotBefore(u64),
    /// It is another's by now.
    Gone,
}

impl Entry {
    /// Nobody's, and free; what is owed will be counted by this interval. (A slot that is counted by none begins
    /// with its first rescaling, which rounds up: a nanosecond short of its burst where time begins at zero.)
    pub(crate) fn counting(interval: u64) -> Self {
        Entry { tag: AtomicU64::new(next_tag(0, interval)), ..Entry::default() }
    }

    #[inline(always)]
    pub(crate) fn is(&self, hash: u64) -> bool {
        // Relaxed: a hint. Whoever acts on it reads it again, between two looks at the tag.
        self.hash.load(Ordering::Relaxed) == hash
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.load(Ordering::Relaxed)
    }

    /// The state, as a hint.
    pub(crate) fn state_hint(&self) -> u64 {
        // Acquire: with what somebody wrote who moves in, his bit is seen too.
        self.state.load(Ordering::Acquire)
    }

    /// Whether another moves in; if he no longer does, his hash is seen.
    pub(crate) fn is_changing(&self) -> bool {
        self.tag.load(Ordering::Acquire) & CHANGING != 0
    }

    /// The tag and the state of the account `hash`, which belong together; `None` if it is not here.
    #[inline(always)]
    pub(crate) fn read(&self, hash: u64) -> Option<(u64, u64)> {
        loop {
            let tag = self.tag.load(Ordering::Acquire);
            if tag & CHANGING != 0 {
                pause();
                continue;
            }
            if self.hash.load(Ordering::Acquire) != hash {
                return None;
            }
            // Acquire: if this is what somebody wrote who was changing all, the tag below is his, or later.
            let state = self.state.load(Ordering::Acquire);
            if self.tag.load(Ordering::Relaxed) == tag {
                return Some((tag, state));
            }
        }
    }

    /// Changes the state that was [read](Self::read).
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
                // By a quota that admits nothing nothing is counted anew.
                if units > rate.burst {
                    return Taken::NotBefore(NEVER);
                }
                self.rescale(hash, tag, rate.interval, now);
                continue;
            }
            match rate.take(free, now, units) {
                Err(at) => return Taken::NotBefore(at),
                Ok(next) if self.exchange(free, next) => return Taken::Yes,
                Ok(_) => {}
            }
        }
    }

    /// What [`take`](Self::take) would exchange for what, for it to be [exchanged](Self::exchange) later; `None` if it
    /// would refuse, or has more to do than that.
    #[inline(always)]
    pub(crate) fn offer(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Option<(u64, u64)> {
        let (tag, free) = self.read(hash)?;
        if interval_of(tag) != rate.interval {
            return None;
        }
        Some((free, rate.take(free, now, units).ok()?))
    }

    /// When the account is free, by this interval; changes nothing.
    #[inline(always)]
    pub(crate) fn free(&self, hash: u64, interval: u64, now: u64) -> Option<u64> {
        let (tag, free) = self.read(hash)?;
        let from = interval_of(tag);
        Some(if from == interval { free } else { rescaled(free, now, from, interval) })
    }

    /// When the account is free, from now on counted by this rate, unless that admits nothing.
    #[inline]
    pub(crate) fn counted(&self, hash: u64, rate: Rate, now: u64) -> Option<u64> {
        loop {
            let (tag, free) = self.read(hash)?;
            if interval_of(tag) == rate.interval || rate.burst == 0 {
                return Some(free);
            }
            self.rescale(hash, tag, rate.interval, now);
        }
    }

    /// The interval and the state of whomever it is.
    pub(crate) fn read_any(&self) -> Option<(u64, u64)> {
        let (tag, free) = self.read(self.hash())?;
        Some((interval_of(tag), free))
    }

    /// Gives units back, to whomever it is, that were taken at `at` by `interval`: see [`refunded`].
    ///
    /// By the shorter of the two intervals. If that is the one of now, units are counted as back sooner than
    /// they were; if it is the other, fewer are owed for them; and of an account that is no longer here
    /// nothing is left by its own interval, or it could not have gone.
    pub(crate) fn refund(&self, now: u64, units: u32, at: u64, interval: u64) {
        while let Some((tag, free)) = self.read(self.hash()) {
            let less = refunded(free, now, interval_of(tag).min(interval), units, at);
            if less == free || self.exchange(free, less) {
                return;
            }
        }
    }

    /// What is owed here, by whomever, is counted by this interval from now on: at once, and not only when it
    /// is asked next, or it would come back by the old one until then.
    pub(crate) fn recount(&self, interval: u64, now: u64) {
        let hash = self.hash();
        if let Some((tag, _)) = self.read(hash)
            && interval_of(tag) != interval
        {
            self.rescale(hash, tag, interval, now);
        }
    }

    /// What is owed is counted by another interval from now on.
    #[cold]
    #[inline(never)]
    fn rescale(&self, hash: u64, tag: u64, interval: u64, now: u64) {
        if !self.lock(tag) {
            return;
        }
        let here = self.hash.load(Ordering::Relaxed) == hash;
        if here {
            loop {
                let free = self.state.load(Ordering::Relaxed);
                let mut next = rescaled(free, now, interval_of(tag), interval);
                // It must be another: see above. Where nothing is owed, earlier is as good as later; and by no
                // interval at all nobody has ever taken.
                if next == free && interval_of(tag) != 0 {
                    next = if next == now && now > 0 { now - 1 } else { next + 1 };
                }
                if self.exchange(free, next) {
                    break;
                }
            }
        }
        let interval = if here { interval } else { interval_of(tag) };
        self.tag.store(next_tag(tag, interval), Ordering::Release);
    }

    fn lock(&self, tag: u64) -> bool {
        // Acquire: what the last one changed is seen. Failed: somebody else is changing it, or has.
        let locked = tag | CHANGING;
        self.tag.compare_exchange(tag, locked, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Another account moves in, if the one that is here may go, by its state. `fresh` must differ from every
    /// state that may go.
    /// HttpOptions whether it was empty.
    pub(crate) fn move_in(
        &self,
        hash: u64,
        interval: u64,
        fresh: u64,
        may_evict: impl Fn(u64) -> bool,
    ) -> Option<bool> {
        let tag = self.tag.load(Ordering::Acquire);
        let empty = self.is(EMPTY);
        if tag & CHANGING != 0 || !(empty || may_evict(self.state_hint())) || !self.lock(tag) {
            return None;
        }
        let state = self.state.load(Ordering::Relaxed);
        let empty = self.is(EMPTY);
        // Failed: who is here has just taken one, and stays.
        if (empty || may_evict(state)) && self.exchange(state, fresh) {
            self.hash.store(hash, Ordering::Release);
            self.tag.store(next_tag(tag, interval), Ordering::Release);
            return Some(empty);
        }
        self.tag.store(next_tag(tag, interval_of(tag)), Ordering::Release);
        None
    }
}
