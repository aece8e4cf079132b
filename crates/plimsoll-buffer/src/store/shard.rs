//! A queue of items behind its lock, with its losses.

use super::losses::Losses;
use crate::lost::Lost;
use plimsoll_core::parts::sync::{AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::parts::{Bounds, Position, Queue};
use plimsoll_core::{Clock, Discipline, Instant, Reason};
#[cfg(not(plimsoll_loom))]
use std::sync::TryLockError;

/// The shard is full and rejects offers: one load is enough to know.
pub(super) const FULL: u32 = 1;
/// A rejection was recorded since the last report. Further ones need only be counted.
pub(super) const REJECTED: u32 = 2;

/// This is the only shard, and it is plain; see [`State::plain`].
pub(super) const PLAIN: u32 = 4;
/// This is the only shard.
pub(super) const ALONE: u32 = 8;

/// One of the queues of a mailbox.
#[derive(Debug)]
pub(super) struct Shard<T> {
    // Both are written under the lock and read without it.
    flags: AtomicU32,
    len: AtomicUsize,
    state: Mutex<State<T>>,
}

/// What the lock of a shard protects.
#[derive(Debug)]
pub(super) struct State<T> {
    pub(super) queue: Queue<T>,
    pub(super) losses: Losses,
    pub(super) closed: bool,
    /// Whether the shard receives no offers and is empty, so that no consumer looks at it. It is
    /// closed then.
    pub(super) retired: bool,
    /// The number of filters that may put an item back.
    pub(super) visits: usize,
    /// Whether this is the only shard, it is open, and its queue is [plain](Queue::is_plain).
    pub(super) plain: bool,
}

impl<T> Shard<T> {
    pub(super) fn new(discipline: Discipline, bounds: Bounds, weighed: bool) -> Self {
        let queue = Queue::new(discipline, bounds, weighed);
        let state = State {
            queue,
            losses: Losses::default(),
            closed: false,
            retired: false,
            visits: 0,
            plain: false,
        };
        Shard { flags: AtomicU32::new(0), len: AtomicUsize::new(0), state: Mutex::new(state) }
    }

    /// Locks the shard.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        #[cfg(not(plimsoll_loom))]
        match self.state.try_lock() {
            Ok(state) => return state,
            Err(TryLockError::Poisoned(state)) => return state.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        self.lock_contended()
    }

    /// Waits for the lock.
    ///
    /// It is held for nanoseconds, while a thread that sleeps for it costs both sides microseconds.
    /// So this spins longer than the standard lock does, and polls less often.
    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, State<T>> {
        #[cfg(not(plimsoll_loom))]
        for doubled in 3..7 {
            (0..1 << doubled).for_each(|_| std::hint::spin_loop());
            match self.state.try_lock() {
                Ok(state) => return state,
                Err(TryLockError::Poisoned(state)) => return state.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        recover(self.state.lock())
    }

    /// Returns the number of items at some recent moment.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Returns the flags at some recent moment.
    #[inline]
    pub(super) fn flags(&self) -> u32 {
        // Relaxed: a rejection may rest on any recent state, and losses are counted elsewhere.
        self.flags.load(Ordering::Relaxed)
    }

    /// Publishes length and flags. Called under the lock, after every change.
    #[inline]
    pub(super) fn publish(&self, state: &State<T>) {
        let len = state.queue.len();
        if self.len() != len {
            self.len.store(len, Ordering::Relaxed);
        }
        let flags = self.flags();
        let full = if state.queue.discipline() == Discipline::KeepOldest { state.is_full(len) } else { 0 };
        if flags & FULL != full {
            self.flags.store(flags & !FULL | full, Ordering::Relaxed);
        }
    }

    /// Marks the first shard. Called under the lock.
    pub(super) fn mark(&self, alone: bool, plain: bool) {
        let marks = if alone { ALONE } else { 0 } | if plain { PLAIN } else { 0 };
        self.flags.store(self.flags() & !(ALONE | PLAIN) | marks, Ordering::Relaxed);
    }

    /// Marks that further rejections need only be counted. Called under the lock.
    pub(super) fn mark_rejected(&self) {
        self.flags.store(self.flags() | REJECTED, Ordering::Relaxed);
    }

    /// Takes the report of losses, without the rejections that were only counted.
    ///
    /// From then on they need be more than counted; `unmarked` counts how often that happened.
    pub(super) fn report_losses(&self, state: &mut State<T>, unmarked: &AtomicU64, clock: &Clock) -> Lost {
        let flags = self.flags();
        if flags & REJECTED != 0 {
            self.flags.store(flags & !REJECTED, Ordering::Relaxed);
            // Release: pairs with the Acquire load in `catch_up`.
            unmarked.fetch_add(1, Ordering::Release);
        }
        if state.losses.is_empty() { Lost::default() } else { state.losses.take(clock) }
    }
}

impl<T> State<T> {
    /// Returns [`FULL`] if every offer is rejected as full.
    ///
    /// Not if items are weighed, because one may be too large instead.
    fn is_full(&self, len: usize) -> u32 {
        let bounds = self.queue.bounds();
        // Not if items expire, because time alone makes room.
        let certain = bounds.max_weight == u64::MAX && !self.queue.is_timed();
        if len >= bounds.capacity && certain && !self.closed { FULL } else { 0 }
    }

    /// Counts items that were removed or rejected.
    #[inline]
    pub(super) fn record_loss(&mut self, reason: Reason, count: u64, clock: &Clock) {
        let gap = match (reason, self.queue.discipline()) {
            // Lost at the back: the items that are held came before.
            (Reason::Full | Reason::TooLarge, Discipline::Fifo | Discipline::CoDel { .. })
            | (Reason::Full | Reason::TooLarge | Reason::Evicted, Discipline::KeepOldest) => {
                self.queue.back()
            }
            _ => self.queue.front(),
        };
        self.losses.add(reason, count, gap, clock);
    }

    /// Counts expired items: those in `expired` from `before` on.
    #[inline]
    fn record_expired(&mut self, before: usize, expired: &[T], clock: &Clock) {
        if expired.len() > before {
            self.record_loss(Reason::Expired, (expired.len() - before) as u64, clock);
        }
    }

    /// Takes the next item. Expired items are appended to `expired`.
    #[inline]
    pub(super) fn pop(&mut self, now: Instant, expired: &mut Vec<T>, clock: &Clock) -> Option<T> {
        self.pop_with_position(now, expired, clock).map(|(item, _)| item)
    }

    /// Takes the next item with its position, so that it can be put back.
    #[inline]
    pub(super) fn pop_with_position(
        &mut self,
        now: Instant,
        expired: &mut Vec<T>,
        clock: &Clock,
    ) -> Option<(T, Position)> {
        let before = expired.len();
        let picked = self.queue.pop_with_position(now, &mut |item, _| expired.push(item));
        self.record_expired(before, expired, clock);
        picked
    }

    /// Takes up to `max` items and appends them to `out`. Returns how many.
    pub(super) fn pop_many(
        &mut self,
        max: usize,
        now: Instant,
        out: &mut Vec<T>,
        expired: &mut Vec<T>,
        clock: &Clock,
    ) -> usize {
        let before = expired.len();
        let taken = self.queue.pop_many(max, now, out, &mut |item, _| expired.push(item));
        self.record_expired(before, expired, clock);
        taken
    }

    /// Removes up to `max` expired items and appends them to `expired`. Returns whether none is
    /// left.
    #[inline]
    pub(super) fn expire(&mut self, max: usize, now: Instant, expired: &mut Vec<T>, clock: &Clock) -> bool {
        let before = expired.len();
        let done = self.queue.expire_up_to(max, now, &mut |item, _| expired.push(item));
        self.record_expired(before, expired, clock);
        done
    }

    /// Returns whether a loss at the front belongs to the open gap.
    ///
    /// It need only be counted then.
    #[inline]
    pub(super) fn gap_is_open(&self) -> bool {
        self.losses.gap.is_some_and(|gap| gap <= self.queue.front())
    }

    /// Returns whether a report is due before the next item.
    pub(super) fn gap_is_next(&self) -> bool {
        self.losses.gap.is_some_and(|gap| self.queue.is_empty() || gap <= self.queue.front())
    }
}
