//! One line of items behind its lock, with the books of what it lost.

use crate::lost::Lost;
use plimsoll_core::parts::sync::{AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering};
use plimsoll_core::parts::{Bounds, Position, Queue, Ticket};
use plimsoll_core::{Clock, Discipline, Instant, Reason};
use std::sync::PoisonError;
#[cfg(not(plimsoll_loom))]
use std::sync::TryLockError;

/// It is full, and refuses: one load is enough to know.
pub(crate) const FULL: u32 = 1;
/// A refusal has been told of since the last telling: those that follow need only be counted.
pub(crate) const REFUSED: u32 = 2;

/// There is only this shard, and it is plain: see [`State::plain`].
pub(crate) const PLAIN: u32 = 4;
/// There is only this shard.
pub(crate) const ALONE: u32 = 8;

#[derive(Debug)]
pub(crate) struct Shard<T> {
    // Written under the lock, read without it.
    flags: AtomicU32,
    len: AtomicUsize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
pub(crate) struct State<T> {
    pub(crate) line: Queue<T>,
    pub(crate) losses: Losses,
    pub(crate) closed: bool,
    /// There is only this shard, it is open, and its line is plain: see [`Line::is_plain`].
    pub(crate) plain: bool,
}

/// What was lost and is not told yet.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    pub(crate) lost: Lost,
    // Read only when something is lost for the first time since the last telling.
    since: Option<Instant>,
    /// The gap: to be told before the one that stands here.
    gap: Option<Ticket>,
}

impl Losses {
    pub(crate) fn is_empty(&self) -> bool {
        self.gap.is_none()
    }

    /// Counts what was lost, before the place `gap`.
    #[inline]
    fn add(&mut self, reason: Reason, count: u64, gap: Ticket, clock: &Clock) {
        self.lost.count(reason, count);
        match self.gap {
            Some(at) if at <= gap => {}
            _ => self.open(gap, clock),
        }
    }

    #[cold]
    fn open(&mut self, gap: Ticket, clock: &Clock) {
        if self.since.is_none() {
            self.since = Some(clock.now());
        }
        self.gap = Some(gap);
    }

    /// Takes back what was told and did not arrive.
    pub(crate) fn untold(&mut self, lost: Lost, gap: Ticket, clock: &Clock) {
        if !lost.is_empty() {
            self.lost += lost;
            if lost.since.is_none() && self.since.is_none() {
                self.since = Some(clock.now());
            }
            self.gap = Some(self.gap.map_or(gap, |at| at.min(gap)));
        }
    }

    fn take(&mut self, clock: &Clock) -> Lost {
        let since = self.since.take().map(|at| clock.wall(at));
        self.gap = None;
        let mut lost = std::mem::take(&mut self.lost);
        lost.since = lost.since.into_iter().chain(since).min();
        lost
    }
}

impl<T> Shard<T> {
    pub(crate) fn new(discipline: Discipline, bounds: Bounds, weighed: bool) -> Self {
        let line = Queue::new(discipline, bounds, weighed);
        let state = State { line, losses: Losses::default(), closed: false, plain: false };
        Shard { flags: AtomicU32::new(0), len: AtomicUsize::new(0), state: Mutex::new(state) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<T>> {
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many it holds, as of some moment.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        // Relaxed: a refusal may rest on any recent state; what is counted is counted elsewhere.
        self.flags.load(Ordering::Relaxed)
    }

    /// After every change, under the lock.
    #[inline]
    pub(crate) fn measure(&self, state: &State<T>) {
        let len = state.line.len();
        if self.len() != len {
            self.len.store(len, Ordering::Relaxed);
        }
        let flags = self.flags();
        let full = if state.line.discipline() == Discipline::KeepOldest { state.is_full(len) } else { 0 };
        if flags & FULL != full {
            self.flags.store(flags & !FULL | full, Ordering::Relaxed);
        }
    }

    /// Under the lock: marks the first shard by what its owner knows.
    pub(crate) fn mark(&self, alone: bool, plain: bool) {
        let marks = if alone { ALONE } else { 0 } | if plain { PLAIN } else { 0 };
        self.flags.store(self.flags() & !(ALONE | PLAIN) | marks, Ordering::Relaxed);
    }

    /// Under the lock: refusals that follow need only be counted.
    pub(crate) fn mark_rejected(&self) {
        self.flags.store(self.flags() | REFUSED, Ordering::Relaxed);
    }

    /// What was lost, to be told now, but for the refusals that were only counted.
    pub(crate) fn take_lost(&self, state: &mut State<T>, clock: &Clock) -> Lost {
        let flags = self.flags();
        if flags & REFUSED != 0 {
            self.flags.store(flags & !REFUSED, Ordering::Relaxed);
        }
        if state.losses.is_empty() { Lost::default() } else { state.losses.take(clock) }
    }
}

impl<T> State<T> {
    /// Whether a refusal is certain, and its reason too: where items are weighed, one may be too large.
    fn is_full(&self, len: usize) -> u32 {
        let bounds = self.line.bounds();
        // Where items grow too old, time alone makes room.
        let certain = bounds.max_weight == u64::MAX && !self.line.is_timed();
        if len >= bounds.capacity && certain && !self.closed { FULL } else { 0 }
    }

    /// Counts what the line let go or did not take.
    #[inline]
    pub(crate) fn lose(&mut self, reason: Reason, count: u64, clock: &Clock) {
        let gap = match (reason, self.line.discipline()) {
            // Lost at the far end: what is held now was there before.
            (Reason::Full | Reason::TooLarge, Discipline::Fifo | Discipline::CoDel { .. })
            | (Reason::Full | Reason::TooLarge | Reason::Evicted, Discipline::KeepOldest) => self.line.back(),
            _ => self.line.front(),
        };
        self.losses.add(reason, count, gap, clock);
    }

    /// Counts what was found too old and put in `expired`, from `before` on.
    #[inline]
    fn note(&mut self, before: usize, expired: &[T], clock: &Clock) {
        if expired.len() > before {
            self.lose(Reason::Expired, (expired.len() - before) as u64, clock);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self, now: Instant, expired: &mut Vec<T>, clock: &Clock) -> Option<T> {
        self.pick(now, expired, clock).map(|(item, _)| item)
    }

    #[inline]
    pub(crate) fn pick(
        &mut self,
        now: Instant,
        expired: &mut Vec<T>,
        clock: &Clock,
    ) -> Option<(T, Position)> {
        let before = expired.len();
        let picked = self.line.pop_with_position(now, &mut |item, _| expired.push(item));
        self.note(before, expired, clock);
        picked
    }

    pub(crate) fn pop_many(
        &mut self,
        most: usize,
        now: Instant,
        out: &mut Vec<T>,
        expired: &mut Vec<T>,
        clock: &Clock,
    ) -> usize {
        let before = expired.len();
        let taken = self.line.pop_many(most, now, out, &mut |item, _| expired.push(item));
        self.note(before, expired, clock);
        taken
    }

    pub(crate) fn expire(&mut self, now: Instant, expired: &mut Vec<T>, clock: &Clock) {
        let before = expired.len();
        self.line.expire(now, &mut |item, _| expired.push(item));
        self.note(before, expired, clock);
    }

    /// Whether what the line lets go at its front belongs to a gap that is open already: then it need
    /// only be counted.
    #[inline]
    pub(crate) fn gap_is_open(&self) -> bool {
        self.losses.gap.is_some_and(|gap| gap <= self.line.front())
    }

    /// Whether the next thing to tell is a loss.
    pub(crate) fn gap_is_next(&self) -> bool {
        self.losses.gap.is_some_and(|gap| self.line.is_empty() || gap <= self.line.front())
    }
}
