//! Who is inside, and who waits for a place.
//!
//! Place first, then who: a free place is taken from the source before a waiter is picked, so no
//! waiter is ever picked in vain. A waiter asks once more after it stands in line, since the place
//! it missed may have been freed while it queued. Wakers are called with the lock open.

use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::timers::wake;
use crate::turn::Acquire;
use crate::waiters::{Key, Left, Waiters};
use crate::{Clock, Discipline, Event, Instant, Observer, OneOrMany, Outcome, Reason, Rejected};
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Where places come from: a number, later a rate or a limit that adapts.
///
/// [`waiting`](Self::waiting) and [`finish`](Self::finish) have to be ordered by one atomic word, as in
/// [`FixedCapacity`](crate::FixedCapacity): a place is freed while another begins to wait, and one must see the other.
pub trait Capacity: Send + Sync {
    /// What someone inside holds.
    type Token: Send;
    /// May one more begin? A newcomer may not while others wait.
    fn start(&self, newcomer: bool) -> Start<Self::Token>;
    /// Takes a token back; answers whether someone waits, who must then be called.
    fn finish(&self, token: Self::Token) -> bool;
    /// Told whenever the line becomes empty or stops being so, under the room's lock.
    fn set_waiting(&self, any: bool);
    /// Lets nobody in from now on.
    fn close(&self);
    /// Whether it was closed.
    fn is_closed(&self) -> bool;
    /// The number allowed and the number found, for a refusal to quote.
    fn numbers(&self) -> (u64, u64);
}

/// A source's answer.
#[derive(Debug)]
pub enum Start<T> {
    /// Begin.
    Go(T),
    /// Not now.
    Later,
    /// Never again.
    Closed,
}

/// A source of places and a bounded line in front of it. Threads and tasks wait in the same line.
pub struct Semaphore<S: Capacity> {
    pub(crate) by: &'static str,
    pub(crate) source: S,
    pub(crate) clock: Clock,
    pub(crate) observer: Observer,
    size: AtomicU32,
    longest: AtomicU64,
    // A copy of the line's length, written under the lock: a full room refuses without taking it.
    length: AtomicU32,
    // Whether a full room refuses, rather than evict.
    pub(crate) refuses: AtomicBool,
    line: Mutex<Waiters<S::Token>>,
}

impl<S: Capacity> Semaphore<S> {
    /// A room for `size` waiters, each of whom waits at most `longest`. It refuses in the name of `by`.
    /// Its discipline is [`KeepOldest`](Discipline::KeepOldest), until it is [set](Self::set_discipline).
    pub fn new(by: &'static str, source: S, clock: Clock, size: u32, longest: Duration) -> Self {
        let room = Semaphore {
            by,
            source,
            clock,
            observer: Observer::none(),
            size: AtomicU32::new(0),
            longest: AtomicU64::new(0),
            length: AtomicU32::new(0),
            refuses: AtomicBool::new(true),
            line: Mutex::new(Waiters::new(by, Discipline::KeepOldest, 0)),
        };
        room.set_queue_and_wait(size, longest);
        room
    }

    /// Tells `observer` what it does.
    #[must_use]
    pub fn observe(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// The name it refuses in.
    pub fn name(&self) -> &'static str {
        self.by
    }

    /// Where the places come from.
    pub fn capacity(&self) -> &S {
        &self.source
    }

    /// The clock its waiters wait by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How many wait.
    pub fn queued(&self) -> u32 {
        self.length.load(Ordering::Relaxed)
    }

    /// How many may wait.
    pub fn queue_limit(&self) -> u32 {
        self.size.load(Ordering::Acquire)
    }

    /// How long one may wait.
    pub fn max_wait(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Relaxed))
    }

    /// Changes how many may wait and how long. Those who wait keep their place and their time.
    pub fn set_queue_and_wait(&self, size: u32, longest: Duration) {
        // The time first: whoever is let in by the new size has the new time, too.
        self.set_max_wait(longest);
        self.set_queue(size);
    }

    /// Changes how many may wait.
    pub fn set_queue(&self, size: u32) {
        self.size.store(size, Ordering::Release);
    }

    /// In which order waiters are called, and which of them go.
    pub fn discipline(&self) -> Discipline {
        self.lock().discipline()
    }

    /// Changes it; those who wait stay, as far as the new one lets them.
    pub fn set_discipline(&self, to: Discipline) {
        let now = self.clock.now();
        let mut wakers = OneOrMany::none();
        let mut line = self.lock();
        line.set_discipline(to, now, &mut wakers);
        // Under the lock, as it is read: whoever finds the room full must know whether that is the end.
        self.refuses.store(to.refuses(), Ordering::Relaxed);
        self.measure(&line);
        drop(line);
        wakers.for_each(wake);
        self.pump();
    }

    /// Changes how long newcomers may wait.
    pub fn set_max_wait(&self, longest: Duration) {
        // Relaxed: it stands for itself, and is read as of some moment.
        self.longest.store(crate::instant::nanos(longest), Ordering::Relaxed);
    }

    /// A place now, or a refusal now.
    ///
    /// # Errors
    /// `Full` when every place is taken or others wait for one, `Closed` after [`close`](Self::close).
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<S::Token, Rejected> {
        match self.source.start(true) {
            Start::Go(token) => {
                self.observer.emit(|| Event::Admitted { by: self.by });
                Ok(token)
            }
            Start::Later => {
                // Looked up again rather than kept for the observer: that would cost every refusal.
                self.observer.emit(|| Event::Rejected(self.no_place()));
                Err(self.no_place())
            }
            Start::Closed => Err(self.refuse_closed()),
        }
    }

    #[inline(always)]
    fn no_place(&self) -> Rejected {
        let (limit, observed) = self.source.numbers();
        Rejected::new(self.by, Reason::Full).numbers(limit, observed)
    }

    #[cold]
    #[inline(never)]
    fn refuse_closed(&self) -> Rejected {
        self.observer.emit(|| Event::Rejected(self.closed()));
        self.closed()
    }

    /// A future that waits for a place. It stands in line from its first poll.
    ///
    /// It answers with a refusal: `Full` at once if the room is full, `Expired` when its time is up,
    /// `Closed` after [`close`](Self::close).
    pub fn acquire(self: &Arc<Self>) -> Acquire<S> {
        self.acquire_within(Duration::MAX)
    }

    /// [`wait`](Self::wait), for no longer than `patience`.
    pub fn acquire_within(self: &Arc<Self>, patience: Duration) -> Acquire<S> {
        Acquire::new(self.clone(), patience)
    }

    /// Work that was admitted has ended with `outcome`.
    #[inline]
    pub fn settle(&self, token: S::Token, outcome: Outcome) {
        self.observer.emit(|| Event::Completed { by: self.by, outcome });
        self.release(token);
    }

    /// Work that was admitted never began.
    #[inline]
    pub fn refund(&self, token: S::Token) {
        self.observer.emit(|| Event::Refunded { by: self.by });
        self.release(token);
    }

    /// Takes a place back, and calls the next in line.
    #[inline]
    pub(crate) fn release(&self, token: S::Token) {
        if self.source.finish(token) {
            self.pump();
        }
    }

    /// Calls waiters as long as there are places. To be called whenever places may have become free.
    ///
    /// A waiter whose time is up is told so and not let in, even if its timer has not fired yet: work
    /// that begins too late is capacity thrown away.
    pub fn pump(&self) {
        let mut now = None;
        loop {
            let mut line = self.lock();
            if line.len() == 0 {
                return;
            }
            let now = *now.get_or_insert_with(|| self.clock.now());
            let Start::Go(token) = self.source.start(false) else { return };
            let mut wakers = OneOrMany::none();
            let unused = match line.next(now, &mut wakers) {
                Some(slot) => {
                    line.tell(slot, Ok(token), &mut wakers);
                    None
                }
                // All who waited had waited too long.
                None => Some(token),
            };
            self.measure(&line);
            drop(line);
            if let Some(token) = unused {
                self.source.finish(token);
            }
            wakers.for_each(wake);
        }
    }

    /// Tells those whose time is up by the discipline.
    pub(crate) fn expire(&self, now: Instant) {
        let mut wakers = OneOrMany::none();
        let mut line = self.lock();
        line.expire(now, &mut wakers);
        self.measure(&line);
        drop(line);
        wakers.for_each(wake);
    }

    /// Lets nobody in from now on: newcomers and all who wait are refused with `Closed`. Those
    /// inside finish in peace.
    pub fn close(&self) {
        self.source.close();
        let mut wakers = OneOrMany::none();
        let mut line = self.lock();
        line.close(&mut wakers);
        self.measure(&line);
        drop(line);
        wakers.for_each(wake);
    }

    pub(crate) fn closed(&self) -> Rejected {
        Rejected::new(self.by, Reason::Closed)
    }

    pub(crate) fn expired(&self, waited: Duration) -> Rejected {
        Rejected::new(self.by, Reason::Expired).over(waited)
    }

    #[cold]
    pub(crate) fn full(&self, waiting: u32) -> Rejected {
        let (limit, observed) = self.source.numbers();
        let (size, waiting) = (u64::from(self.queue_limit()), u64::from(waiting));
        Rejected::new(self.by, Reason::Full)
            .numbers(limit.saturating_add(size), observed.saturating_add(waiting))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Waiters<S::Token>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After every change of the line, under its lock.
    fn measure(&self, line: &Waiters<S::Token>) {
        let before = self.length.swap(line.len(), Ordering::Relaxed);
        if (before == 0) != (line.len() == 0) {
            self.source.set_waiting(line.len() > 0);
        }
    }

    /// Stands in line; answers when its time may be up, too.
    pub(crate) fn enqueue(
        &self,
        waker: Waker,
        since: Instant,
        until: Instant,
    ) -> Result<(Key, Instant), Rejected> {
        let mut wakers = OneOrMany::none();
        let mut line = self.lock();
        // Under the lock: `close` marks the source before it empties the line, so one of us sees the other.
        if self.source.is_closed() {
            return Err(self.closed());
        }
        line.set_size(self.queue_limit() as usize);
        let pushed = line.push(waker, since, until, &mut wakers);
        let (waiting, wakes_at) = (line.len(), line.gone_by(since).min(until));
        self.measure(&line);
        drop(line);
        wakers.for_each(wake);
        pushed.map(|key| (key, wakes_at)).map_err(|_| self.full(waiting))
    }

    pub(crate) fn leave(&self, key: Key) -> Option<Left<S::Token>> {
        let mut line = self.lock();
        let left = line.leave(key);
        self.measure(&line);
        left
    }
}

impl<S: Capacity> fmt::Debug for Semaphore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, inside) = self.source.numbers();
        f.debug_struct("Room")
            .field("by", &self.by)
            .field("inside", &inside)
            .field("limit", &limit)
            .field("waiting", &self.queued())
            .field("size", &self.queue_limit())
            .field("longest_wait", &self.max_wait())
            .field("closed", &self.source.is_closed())
            .finish()
    }
}
