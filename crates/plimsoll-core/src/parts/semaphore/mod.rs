//! The semaphore: a capacity, and a queue of callers that wait for it.
//!
//! A free place is taken from the capacity before a waiter is chosen, so no waiter is chosen in
//! vain. A waiter tries once more after it has joined the queue, because the place it missed may
//! have been released meanwhile. Wakers are called after the lock is released.

mod acquire;
mod capacity;
mod guard;
mod guard_setup;
mod waiters;

pub use acquire::Acquire;
pub use capacity::{Capacity, FixedCapacity, Place, Start};

use crate::parts::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, recover, wake};
use crate::parts::{Discipline, OneOrMany, check};
use crate::time::instant::nanos;
use crate::{Clock, ConfigError, Event, Instant, Observer, Outcome, Reason, Rejected};
use std::fmt;
use std::task::Waker;
use std::time::Duration;
use waiters::{Removed, WaiterId, Waiters};

/// A [`Capacity`] with a bounded queue of waiters. Threads and tasks wait in the same queue.
pub struct Semaphore<C: Capacity> {
    name: &'static str,
    capacity: C,
    clock: Clock,
    observer: Observer,
    queue_limit: AtomicU32,
    max_wait: AtomicU64,
    // A copy of the queue's length, written under the lock: a full queue rejects without taking it.
    queued: AtomicU32,
    // When the time of the oldest waiter has passed, in nanoseconds. Written with `queued`.
    first_until: AtomicU64,
    // Whether a full queue rejects newcomers rather than evict waiters.
    rejects: AtomicBool,
    waiters: Mutex<Waiters<C::Token>>,
}

impl<C: Capacity> Semaphore<C> {
    /// Creates a semaphore with a queue for `queue` callers.
    ///
    /// A caller waits for at most `max_wait`. Rejections carry `name`. The discipline is
    /// [`KeepOldest`](Discipline::KeepOldest) until it is [set](Self::set_discipline).
    pub fn new(name: &'static str, capacity: C, clock: Clock, queue: u32, max_wait: Duration) -> Self {
        Semaphore {
            name,
            capacity,
            clock,
            observer: Observer::none(),
            queue_limit: AtomicU32::new(queue),
            max_wait: AtomicU64::new(nanos(max_wait)),
            queued: AtomicU32::new(0),
            first_until: AtomicU64::new(u64::MAX),
            rejects: AtomicBool::new(true),
            waiters: Mutex::new(Waiters::new(name, Discipline::KeepOldest, 0)),
        }
    }

    /// Sets the observer.
    #[must_use]
    pub fn observe(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the capacity.
    pub fn capacity(&self) -> &C {
        &self.capacity
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the number of waiters.
    pub fn queued(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Returns the maximum number of waiters.
    pub fn queue_limit(&self) -> u32 {
        self.queue_limit.load(Ordering::Acquire)
    }

    /// Changes the maximum number of waiters. Range: 0 to 2³¹ − 1.
    ///
    /// Present waiters stay until the next one arrives. If the discipline evicts, the oldest of
    /// those beyond the limit are rejected then.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if `queue` is out of range, or if it is above 0 while
    /// the longest wait is zero.
    pub fn set_queue(&self, queue: u32) -> Result<(), ConfigError> {
        // Locked, so that two changes that are valid one by one are not both made.
        let _changes = self.lock();
        check::queue(queue, self.max_wait())?;
        // Release: pairs with the Acquire load in `queue_limit`. A caller that finds room in a
        // larger queue also sees a longest wait that was set before it.
        self.queue_limit.store(queue, Ordering::Release);
        Ok(())
    }

    /// Returns the longest wait.
    pub fn max_wait(&self) -> Duration {
        Duration::from_nanos(self.max_wait.load(Ordering::Relaxed))
    }

    /// Changes the longest wait. A shorter one applies to present waiters, too.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if `max_wait` is zero while requests may wait.
    pub fn set_max_wait(&self, max_wait: Duration) -> Result<(), ConfigError> {
        let mut wakers = OneOrMany::none();
        let mut waiters = self.lock();
        check::queue(self.queue_limit(), max_wait)?;
        // Relaxed: where the order matters, `set_queue` provides it, and the lock to waiters.
        if nanos(max_wait) < self.max_wait.swap(nanos(max_wait), Ordering::Relaxed) {
            waiters.take_wakers(&mut wakers);
        }
        drop(waiters);
        wakers.for_each(wake);
        Ok(())
    }

    /// Returns the queue discipline.
    pub fn discipline(&self) -> Discipline {
        self.lock().discipline()
    }

    /// Changes the queue discipline. It applies to present waiters, too.
    pub fn set_discipline(&self, to: Discipline) {
        let now = self.clock.now();
        let mut wakers = OneOrMany::none();
        let mut waiters = self.lock();
        waiters.set_discipline(to, now, &mut wakers);
        // Written under the lock, like `queued`: a caller that finds the queue full then knows
        // whether it is rejected.
        self.rejects.store(to.keeps_oldest(), Ordering::Relaxed);
        self.measure(&waiters);
        drop(waiters);
        wakers.for_each(wake);
        self.admit_waiters();
    }

    /// Takes a place if one is free. Never waits, and never overtakes waiters.
    ///
    /// # Errors
    /// `Full` if no place is free or callers wait for one, `Closed` after [`close`](Self::close).
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<C::Token, Rejected> {
        match self.capacity.start(true) {
            Start::Go(token) => {
                self.observer.emit(|| Event::admitted(self.name));
                Ok(token)
            }
            Start::Later => {
                // Created twice: storing it for the observer would slow every rejection down.
                self.observer.emit(|| Event::rejected(self.no_place()));
                Err(self.no_place())
            }
            Start::Closed => Err(self.reject_closed()),
        }
    }

    #[inline(always)]
    fn no_place(&self) -> Rejected {
        let (limit, observed) = self.capacity.numbers();
        Rejected::new(self.name, Reason::Full).numbers(limit, observed)
    }

    #[cold]
    #[inline(never)]
    fn reject_closed(&self) -> Rejected {
        self.observer.emit(|| Event::rejected(self.closed()));
        self.closed()
    }

    /// Releases the place of work that has ended with `outcome`.
    #[inline]
    pub fn settle(&self, token: C::Token, outcome: Outcome) {
        self.observer.emit(|| Event::completed(self.name, outcome));
        self.release(token);
    }

    /// Releases the place of work that never began.
    #[inline]
    pub fn refund(&self, token: C::Token) {
        self.observer.emit(|| Event::refunded(self.name));
        self.release(token);
    }

    #[inline]
    fn release(&self, token: C::Token) {
        if self.capacity.finish(token) {
            self.admit_waiters();
        }
    }

    /// Admits waiters while there are places. Call it whenever places may have become free.
    ///
    /// A waiter whose time has passed is rejected instead, even if its timer has not fired yet:
    /// work that begins too late wastes capacity.
    pub fn admit_waiters(&self) {
        let mut now = None;
        loop {
            let mut waiters = self.lock();
            if waiters.len() == 0 {
                return;
            }
            let now = *now.get_or_insert_with(|| self.clock.now());
            let Start::Go(token) = self.capacity.start(false) else { return };
            let mut wakers = OneOrMany::none();
            let unused = match waiters.next(now, &mut wakers) {
                Some(next) => {
                    waiters.resolve(next, Ok(token), &mut wakers);
                    None
                }
                // Every waiter had waited too long.
                None => Some(token),
            };
            self.measure(&waiters);
            drop(waiters);
            if let Some(token) = unused {
                self.capacity.finish(token);
            }
            wakers.for_each(wake);
        }
    }

    /// Rejects the waiters that are too old for the discipline.
    fn expire(&self, now: Instant) {
        let mut wakers = OneOrMany::none();
        let mut waiters = self.lock();
        waiters.expire(now, &mut wakers);
        self.measure(&waiters);
        drop(waiters);
        wakers.for_each(wake);
    }

    /// Rejects waiters and newcomers with `Closed` from now on. Admitted work continues.
    pub fn close(&self) {
        self.capacity.close();
        let mut wakers = OneOrMany::none();
        let mut waiters = self.lock();
        waiters.close(&mut wakers);
        self.measure(&waiters);
        drop(waiters);
        wakers.for_each(wake);
    }

    fn closed(&self) -> Rejected {
        Rejected::new(self.name, Reason::Closed)
    }

    fn expired(&self, waited: Duration) -> Rejected {
        Rejected::new(self.name, Reason::Expired).over(waited)
    }

    #[cold]
    fn full(&self, queued: u32) -> Rejected {
        let (limit, observed) = self.capacity.numbers();
        let (queue_limit, queued) = (u64::from(self.queue_limit()), u64::from(queued));
        Rejected::new(self.name, Reason::Full)
            .numbers(limit.saturating_add(queue_limit), observed.saturating_add(queued))
    }

    fn lock(&self) -> MutexGuard<'_, Waiters<C::Token>> {
        recover(self.waiters.lock())
    }

    /// Publishes the length of the queue. Called after every change of it, under its lock.
    fn measure(&self, waiters: &Waiters<C::Token>) {
        self.first_until.store(waiters.first_until().as_nanos(), Ordering::Relaxed);
        let before = self.queued.swap(waiters.len(), Ordering::Relaxed);
        if (before == 0) != (waiters.len() == 0) {
            self.capacity.set_waiting(waiters.len() > 0);
        }
    }

    /// Returns whether a full queue rejects a newcomer, by a few loads.
    ///
    /// Not if the oldest waiter's time has passed: its executor may be too busy to poll it.
    fn rejects_newcomer(&self, queued: u32) -> bool {
        let limit = self.queue_limit();
        queued >= limit
            && (limit == 0
                || self.rejects.load(Ordering::Relaxed)
                    && self.clock.coarse().as_nanos() < self.first_until.load(Ordering::Relaxed))
    }

    /// Joins the queue. Returns the waiter's id and the first instant at which it may expire.
    fn enqueue(&self, waker: Waker, since: Instant, until: Instant) -> Result<(WaiterId, Instant), Rejected> {
        let mut wakers = OneOrMany::none();
        let mut waiters = self.lock();
        // Under the lock: `close` marks the capacity before it empties the queue, so this caller
        // sees the mark or `close` sees this caller.
        if self.capacity.is_closed() {
            return Err(self.closed());
        }
        let limit = self.queue_limit();
        if waiters.len() >= limit {
            waiters.reject_overdue(since, &mut wakers);
        }
        waiters.set_limit(limit as usize, since, &mut wakers);
        let pushed = waiters.push(waker, since, until, &mut wakers);
        let (queued, wakes_at) = (waiters.len(), waiters.expires_at(since).min(until));
        self.measure(&waiters);
        drop(waiters);
        wakers.for_each(wake);
        pushed.map(|id| (id, wakes_at)).map_err(|_| self.full(queued))
    }

    fn leave(&self, id: WaiterId) -> Option<Removed<C::Token>> {
        let mut waiters = self.lock();
        let removed = waiters.remove(id);
        self.measure(&waiters);
        removed
    }
}

impl<C: Capacity> fmt::Debug for Semaphore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, in_flight) = self.capacity.numbers();
        f.debug_struct("Semaphore")
            .field("name", &self.name)
            .field("in_flight", &in_flight)
            .field("limit", &limit)
            .field("queued", &self.queued())
            .field("queue_limit", &self.queue_limit())
            .field("max_wait", &self.max_wait())
            .field("closed", &self.capacity.is_closed())
            .finish()
    }
}
