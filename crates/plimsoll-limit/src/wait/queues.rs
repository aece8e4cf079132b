//! The queues of waiting requests: one for each account that has any.

use super::queue::WaitQueue;
use super::shared::SharedQueue;
use crate::table::sparse::SparseMap;
use plimsoll_core::parts::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::parts::{FairQueue, FairTicket, check, nanos};
use plimsoll_core::{Account, Clock, ConfigError};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

/// All queues of a limiter.
pub(crate) struct WaitQueues {
    pub(super) name: &'static str,
    pub(super) clock: Clock,
    pub(super) queues: SparseMap<Arc<WaitQueue>>,
    // The places of all waiting requests. An account that takes too many loses the newest.
    places: Mutex<FairQueue<Waker>>,
    // Created when a request first waits for the limit.
    shared: Box<[OnceLock<SharedQueue>]>,
    // The number of waiting requests, and whether the limiter was closed.
    state: AtomicU64,
    queue_limit: AtomicU32,
    // Nanoseconds.
    max_wait: AtomicU64,
    // Held while the limits of the queues change, so that they are valid together.
    changes: Mutex<()>,
}

const CLOSED: u64 = 1 << 63;

impl WaitQueues {
    /// Creates the queues of a limiter with `shared` limits.
    pub(crate) fn new(
        name: &'static str,
        clock: Clock,
        queue: u32,
        max_wait: Duration,
        shared: usize,
    ) -> Self {
        WaitQueues {
            name,
            clock,
            queues: SparseMap::default(),
            places: Mutex::new(FairQueue::with_capacity(queue as usize)),
            shared: (0..shared).map(|_| OnceLock::new()).collect(),
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
        self.places().set_capacity(queue as usize);
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

    /// The same for a thread that has changed what a request may wait for.
    ///
    /// It writes, too. So either it sees a request that joins at this moment, or that request sees
    /// the change: the Acquire of its own write in `count` pairs with the Release here.
    fn is_quiet_in_order(&self) -> bool {
        self.state.fetch_or(0, Ordering::AcqRel) == 0
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

    pub(super) fn places(&self) -> MutexGuard<'_, FairQueue<Waker>> {
        recover(self.places.lock())
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    pub(super) fn shared(&self, index: usize) -> &SharedQueue {
        match self.shared.get(index) {
            Some(queue) => queue.get_or_init(|| SharedQueue::new(self.name, &self.clock)),
            None => unreachable!("the limiter has fewer shared limits"),
        }
    }

    /// Returns the queue of a shared limit, if a request waits for that limit.
    pub(crate) fn occupied(&self, index: usize) -> Option<&SharedQueue> {
        self.shared.get(index)?.get().filter(|queue| queue.is_occupied())
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
        for queue in self.shared.iter().filter_map(OnceLock::get).flat_map(SharedQueue::both) {
            queue.semaphore.close();
            queue.wake_head();
        }
    }

    /// Wakes the head of every queue, so that it tries again.
    pub(crate) fn wake_all(&self) {
        if !self.is_quiet_in_order() {
            for (account, queue) in self.all() {
                queue.wake_head();
                drop(queue);
                // Its last waiter may have left while this thread held the queue.
                self.remove_unused(account);
            }
            (0..self.shared.len()).for_each(|index| self.wake_shared(index));
        }
    }

    /// Wakes the heads that wait for a shared limit, so that they try again.
    pub(crate) fn wake_shared(&self, index: usize) {
        if !self.is_quiet_in_order()
            && let Some(shared) = self.occupied(index)
        {
            shared.both().into_iter().for_each(WaitQueue::wake_head);
        }
    }

    /// Wakes the head of this account's queue, so that it tries again.
    #[inline]
    pub(crate) fn wake(&self, account: u64) {
        if !self.is_quiet_in_order()
            && let Some(queue) = self.queues.get(&account).map(|queue| queue.clone())
        {
            queue.wake_head();
            drop(queue);
            self.remove_unused(account);
        }
    }

    /// Removes a queue in which no request waits. The lock of its part of the map keeps new ones
    /// out.
    pub(super) fn remove_unused(&self, account: u64) {
        self.queues.remove_if(&account, |_, queue| Arc::strong_count(queue) == 1);
    }

    // Returns copies, because wakers run other code and must not be called under a lock of the map.
    fn all(&self) -> Vec<(u64, Arc<WaitQueue>)> {
        self.queues.iter().map(|queue| (*queue.key(), queue.clone())).collect()
    }

    /// Returns the number of units for which requests of this account wait.
    pub(crate) fn ahead(&self, account: u64) -> u64 {
        self.places().weight_of(Account::new(account))
    }

    /// Gives up a place, unless the request was evicted from it.
    pub(super) fn give_up(&self, ticket: FairTicket) {
        let mut places = self.places();
        let waker = places.remove(ticket);
        self.count(&places);
        drop(places);
        drop(waker);
    }

    /// Publishes the number of waiting requests. Called after every change, under the lock.
    pub(super) fn count(&self, places: &FairQueue<Waker>) {
        let queued = places.len() as u64;
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| Some(state & CLOSED | queued));
    }
}

impl fmt::Debug for WaitQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued, limit) = (self.queued(), self.queue_limit());
        f.debug_struct("WaitQueues").field("queued", &queued).field("queue_limit", &limit).finish()
    }
}
