//! One line of items behind its lock, with the books of what it lost.

use super::losses::Losses;
use crate::lost::Lost;
use plimsoll_core::parts::sync::{AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::parts::{Bounds, Position, Queue};
use plimsoll_core::{Clock, Discipline, Instant, Reason};
#[cfg(not(plimsoll_loom))]
use std::sync::TryLockError;

/// It is full, and refuses: one load is enough to know.
pub(super) const FULL: u32 = 1;
/// A refusal has been told of since the last telling: those that follow need only be counted.
pub(super) const REJECTED: u32 = 2;

/// There is only this shard, and it is plain: see [`State::plain`].
pub(super) const PLAIN: u32 = 4;
/// There is only this shard.
pub(super) const ALONE: u32 = 8;

#[derive(Debug)]
pub(super) struct Shard<T> {
    // Written under the lock, read without it.
    flags: AtomicU32,
    len: AtomicUsize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
pub(super) struct State<T> {
    pub(super) queue: Queue<T>,
    pub(super) losses: Losses,
    pub(super) closed: bool,
    /// There is only this shard, it is open, and its line is plain: see [`Line::is_plain`].
    pub(super) plain: bool,
}

impl<T> Shard<T> {
    pub(super) fn new(discipline: Discipline, bounds: Bounds, weighed: bool) -> Self {
        let queue = Queue::new(discipline, bounds, weighed);
        let state = State { queue, losses: Losses::default(), closed: false, plain: false };
        Shard { flags: AtomicU32::new(0), len: AtomicUsize::new(0), state: Mutex::new(state) }
    }

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

    /// It is held for nanoseconds, and going to sleep for it takes microseconds, on both sides: so we wait
    /// some time longer than the standard lock does, and look less often while we do.
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

    /// How many it holds, as of some moment.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn flags(&self) -> u32 {
        // Relaxed: a refusal may rest on any recent state; what is counted is counted elsewhere.
        self.flags.load(Ordering::Relaxed)
    }

    /// After every change, under the lock.
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

    /// Under the lock: marks the first shard by what its owner knows.
    pub(super) fn mark(&self, alone: bool, plain: bool) {
        let marks = if alone { ALONE } else { 0 } | if plain { PLAIN } else { 0 };
        self.flags.store(self.flags() & !(ALONE | PLAIN) | marks, Ordering::Relaxed);
    }

    /// Under the lock: rejections that follow need only be counted.
    pub(super) fn mark_rejected(&self) {
        self.flags.store(self.flags() | REJECTED, Ordering::Relaxed);
    }

    /// What was lost, to be told now, but for the rejections that were only counted.
    pub(super) fn report_losses(&self, state: &mut State<T>, clock: &Clock) -> Lost {
        let flags = self.flags();
        if flags & REJECTED != 0 {
            self.flags.store(flags & !REJECTED, Ordering::Relaxed);
        }
        if state.losses.is_empty() { Lost::default() } else { state.losses.take(clock) }
    }
}

impl<T> State<T> {
    /// Whether a refusal is certain, and its reason too: where items are weighed, one may be too large.
    fn is_full(&self, len: usize) -> u32 {
        let bounds = self.queue.bounds();
        // Where items grow too old, time alone makes room.
        let certain = bounds.max_weight == u64::MAX && !self.queue.is_timed();
        if len >= bounds.capacity && certain && !self.closed { FULL } else { 0 }
    }

    /// Counts what the line let go or did not take.
    #[inline]
    pub(super) fn record_loss(&mut self, reason: Reason, count: u64, clock: &Clock) {
        let gap = match (reason, self.queue.discipline()) {
            // Lost at the far end: what is held now was there before.
            (Reason::Full | Reason::TooLarge, Discipline::Fifo | Discipline::CoDel { .. })
            | (Reason::Full | Reason::TooLarge | Reason::Evicted, Discipline::KeepOldest) => {
                self.queue.back()
            }
            _ => self.queue.front(),
        };
        self.losses.add(reason, count, gap, clock);
    }

    /// Counts what was found too old and put in `expired`, from `before` on.
    #[inline]
    fn record_expired(&mut self, before: usize, expired: &[T], clock: &Clock) {
        if expired.len() > before {
            self.record_loss(Reason::Expired, (expired.len() - before) as u64, clock);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self, now: Instant, expired: &mut Vec<T>, clock: &Clock) -> Option<T> {
        self.pop_with_position(now, expired, clock).map(|(item, _)| item)
    }

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

    pub(super) fn expire(&mut self, now: Instant, expired: &mut Vec<T>, clock: &Clock) {
        let before = expired.len();
        self.queue.expire(now, &mut |item, _| expired.push(item));
        self.record_expired(before, expired, clock);
    }

    /// Whether what the line lets go at its front belongs to a gap that is open already: then it need
    /// only be counted.
    #[inline]
    pub(super) fn gap_is_open(&self) -> bool {
        self.losses.gap.is_some_and(|gap| gap <= self.queue.front())
    }

    /// Whether the next thing to tell is a loss.
    pub(super) fn gap_is_next(&self) -> bool {
        self.losses.gap.is_some_and(|gap| self.queue.is_empty() || gap <= self.queue.front())
    }
}
