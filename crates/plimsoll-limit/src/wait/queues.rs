//! The queues of waiting requests: one for each account that has any.

use crate::table::sparse::SparseMap;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::parts::{Acquire, FixedCapacity, Place, Semaphore, check, nanos, wake};
use plimsoll_core::{Clock, ConfigError, Outcome};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

/// All queues of a limiter.
pub(crate) struct WaitQueues {
    name: &'static str,
    clock: Clock,
    queues: SparseMap<Arc<WaitQueue>>,
    // The number of waiting requests, and whether the limiter was closed.
    state: AtomicU64,
    queue_limit: AtomicU32,
    // Nanoseconds.
    max_wait: AtomicU64,
    // Held while the limits of the queues change, so that they are valid together.
    changes: Mutex<()>,
}

const CLOSED: u64 = 1 << 63;

/// The waiting requests of one account. The semaphore has one place, and its holder is the head of
/// the queue: it tries again when there may be enough units. The others wait for that place.
pub(crate) struct WaitQueue {
    semaphore: Arc<Semaphore<FixedCapacity>>,
    head: Mutex<Option<Waker>>,
}

impl WaitQueue {
    /// Wakes the head, because the instant for which it waits may have changed.
    fn wake_head(&self) {
        let waker = recover(self.head.lock()).take();
        waker.into_iter().for_each(wake);
    }
}

impl WaitQueues {
    pub(crate) fn new(name: &'static str, clock: Clock, queue: u32, max_wait: Duration) -> Self {
        WaitQueues {
            name,
            clock,
            queues: SparseMap::default(),
            state: AtomicU64::new(0),
            queue_limit: AtomicU32::new(queue),
            max_wait: AtomicU64::new(nanos(max_wait)),
            changes: Mutex::new(()),
        }
    }

    pub(crate) fn set_queue(&self, queue: u32) -> Result<(), ConfigError> {
        let _changes = recover(self.changes.lock());
        check::queue(queue, self.max_wait())?;
        self.queue_limit.store(queue, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn set_max_wait(&self, max_wait: Duration) -> Result<(), ConfigError> {
        let _changes = recover(self.changes.lock());
        check::queue(self.queue_limit(), max_wait)?;
        self.max_wait.store(nanos(max_wait), Ordering::Relaxed);
        Ok(())
    }

    /// Returns whether no request waits and the limiter is open. One load.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.state.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    pub(crate) fn queued(&self) -> u32 {
        (self.state.load(Ordering::Relaxed) & !CLOSED) as u32
    }

    pub(crate) fn queue_limit(&self) -> u32 {
        self.queue_limit.load(Ordering::Relaxed)
    }

    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_nanos(self.max_wait.load(Ordering::Relaxed))
    }

    /// Returns whether requests wait for this account.
    pub(crate) fn has(&self, account: u64) -> bool {
        self.queues.contains_key(&account)
    }

    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
        for (account, queue) in self.all() {
            queue.semaphore.close();
            queue.wake_head();
            drop(queue);
            self.remove_unused(account);
        }
    }

    /// Wakes the head of every queue, so that it tries again.
    pub(crate) fn wake_all(&self) {
        if !self.is_quiet() {
            for (account, queue) in self.all() {
                queue.wake_head();
                drop(queue);
                // Its last waiter may have left while this thread held the queue.
                self.remove_unused(account);
            }
        }
    }

    /// Wakes the head of this account's queue, so that it tries again.
    #[inline]
    pub(crate) fn wake(&self, account: u64) {
        if !self.is_quiet()
            && let Some(queue) = self.queues.get(&account).map(|queue| queue.clone())
        {
            queue.wake_head();
            drop(queue);
            self.remove_unused(account);
        }
    }

    /// Removes a queue in which no request waits. The lock of its part of the map keeps new ones
    /// out.
    fn remove_unused(&self, account: u64) {
        self.queues.remove_if(&account, |_, queue| Arc::strong_count(queue) == 1);
    }

    // Returns copies, because wakers run other code and must not be called under a lock of the map.
    fn all(&self) -> Vec<(u64, Arc<WaitQueue>)> {
        self.queues.iter().map(|queue| (*queue.key(), queue.clone())).collect()
    }

    /// Returns the number of waiting requests of this account, each of which takes at least one
    /// unit.
    pub(crate) fn ahead(&self, account: u64) -> u64 {
        self.queues.get(&account).map_or(0, |queue| u64::from(queue.semaphore.queued()) + 1)
    }

    /// Adds a request to this account's queue. If the queues are full, returns the number of
    /// waiting requests as an error.
    ///
    /// A request that joins a second queue is not `counted` again.
    pub(crate) fn join(self: &Arc<Self>, account: u64, counted: bool) -> Result<Waiter, u32> {
        let limit = if counted { u64::from(self.queue_limit()) } else { u64::MAX };
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & !CLOSED >= limit {
                return Err((state & !CLOSED) as u32);
            }
            let next = state + u64::from(counted);
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // Cloned at once, so that the lock of the map is held for no other code.
        let new = || {
            let capacity = FixedCapacity::new(1);
            let semaphore =
                Semaphore::new(self.name, capacity, self.clock.clone(), FixedCapacity::MAX, Duration::MAX);
            Arc::new(WaitQueue { semaphore: Arc::new(semaphore), head: Mutex::new(None) })
        };
        let queue = self.queues.entry(account).or_insert_with(new).clone();
        // If it was closed at this very moment, `close` may have missed the queue.
        if self.is_closed() {
            queue.semaphore.close();
        }
        Ok(Waiter { queues: self.clone(), account, counted, queue: Some(queue) })
    }
}

/// A waiting request. Dropped, it leaves its queue; the last one removes the queue.
pub(crate) struct Waiter {
    queues: Arc<WaitQueues>,
    account: u64,
    counted: bool,
    queue: Option<Arc<WaitQueue>>,
}

impl Waiter {
    fn queue(&self) -> &WaitQueue {
        match &self.queue {
            Some(queue) => queue,
            None => unreachable!("it is taken when the waiter is dropped"),
        }
    }

    pub(crate) fn account(&self) -> u64 {
        self.account
    }

    /// Waits to be the head of the queue, for at most `max_wait`.
    pub(crate) fn become_head(&self, max_wait: Duration) -> Acquire<FixedCapacity> {
        self.queue().semaphore.acquire_within(max_wait)
    }

    /// Passes the head of the queue on to the next waiter.
    pub(crate) fn pass_on(&self, place: Place) {
        self.queue().semaphore.settle(place, Outcome::Ignored);
    }

    /// Sets the waker of the head of the queue.
    pub(crate) fn set_waker(&self, waker: Waker) {
        let old = recover(self.queue().head.lock()).replace(waker);
        drop(old);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        drop(self.queue.take());
        self.queues.remove_unused(self.account);
        if self.counted {
            self.queues.state.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for WaitQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued, limit) = (self.queued(), self.queue_limit());
        f.debug_struct("WaitQueues").field("queued", &queued).field("queue_limit", &limit).finish()
    }
}
