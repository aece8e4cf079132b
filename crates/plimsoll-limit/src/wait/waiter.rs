//! A waiting request, in the queue of its account or in that of a shared limit.

use super::queue::WaitQueue;
use super::queues::WaitQueues;
use super::reserve::Size;
use plimsoll_core::parts::sync::recover;
use plimsoll_core::parts::{Acquire, FairTicket, FixedCapacity, Place, wake};
use plimsoll_core::{Account, Outcome, Rejected};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// A waiting request. Dropped, it leaves its queue.
pub(crate) struct Waiter {
    pub(super) queues: Arc<WaitQueues>,
    pub(super) of: WaitsIn,
}

/// The queue in which a request waits.
pub(super) enum WaitsIn {
    /// That of its account. The last request removes it.
    Account { account: u64, ticket: FairTicket, queue: Option<Arc<WaitQueue>> },
    /// That of a shared limit.
    Shared { index: usize, size: Size },
}

/// Why a request does not join the queue.
pub(super) enum NotQueued {
    /// The number of waiting requests.
    Full(u32),
    Hopeless(Rejected),
}

impl WaitQueues {
    /// Adds a request to its account's queue, unless it would wait too long: `hopeless` decides by
    /// the number of units for which requests of the account wait.
    ///
    /// If the queue is full, the newest request of the account with the most requests is evicted,
    /// unless this account would have as many.
    pub(super) fn join(
        self: &Arc<Self>,
        account: u64,
        units: u32,
        waker: Waker,
        hopeless: impl FnOnce(u64) -> Option<Rejected>,
    ) -> Result<Waiter, NotQueued> {
        let mut places = self.places();
        if let Some(rejected) = hopeless(places.weight_of(Account::new(account))) {
            return Err(NotQueued::Hopeless(rejected));
        }
        let queued = places.len() as u32;
        let pushed = places.push(Account::new(account), units, waker);
        // Under the lock, so that the number never seems smaller than it is.
        self.count(&places);
        drop(places);
        let ticket = match pushed {
            Ok((ticket, displaced)) => {
                displaced.into_iter().for_each(wake);
                ticket
            }
            Err(waker) => {
                drop(waker);
                return Err(NotQueued::Full(queued));
            }
        };
        // Cloned at once, so that the lock of the map is held for no other code.
        let new = || Arc::new(WaitQueue::new(self.name, &self.clock));
        let queue = self.queues.entry(account).or_insert_with(new).clone();
        // If it was closed at this very moment, `close` may have missed the queue.
        if self.is_closed() {
            queue.semaphore.close();
        }
        Ok(Waiter { queues: self.clone(), of: WaitsIn::Account { account, ticket, queue: Some(queue) } })
    }

    /// Adds a request to the queue of a shared limit. It keeps its place in that of its account.
    pub(super) fn join_shared(self: &Arc<Self>, index: usize, size: Size) -> Waiter {
        let shared = self.shared(index);
        shared.join(size, self.now());
        if self.is_closed() {
            shared.queue(size).semaphore.close();
        }
        Waiter { queues: self.clone(), of: WaitsIn::Shared { index, size } }
    }
}

impl Waiter {
    fn queue(&self) -> &WaitQueue {
        match &self.of {
            WaitsIn::Account { queue: Some(queue), .. } => queue,
            WaitsIn::Account { .. } => unreachable!("it is taken when the waiter is dropped"),
            WaitsIn::Shared { index, size } => self.queues.shared(*index).queue(*size),
        }
    }

    /// Returns the shared limit for which it waits.
    pub(super) fn standing(&self) -> Option<(usize, Size)> {
        match self.of {
            WaitsIn::Account { .. } => None,
            WaitsIn::Shared { index, size } => Some((index, size)),
        }
    }

    /// Returns whether the request still has its place in the queue of all accounts, and leaves the
    /// waker there.
    pub(super) fn has_place(&self, waker: Waker) -> bool {
        let WaitsIn::Account { ticket, .. } = self.of else { return true };
        let mut places = self.queues.places();
        let old = places.get_mut(ticket).map(|place| std::mem::replace(place, waker));
        // A waker is foreign code: it is dropped after the lock is released.
        drop(places);
        old.is_some()
    }

    /// Waits to be the head of the queue, for at most `max_wait`.
    pub(super) fn become_head(&self, max_wait: Duration) -> Acquire<FixedCapacity> {
        self.queue().semaphore.acquire_within(max_wait)
    }

    /// Passes the head of the queue on to the next waiter.
    pub(super) fn pass_on(&self, place: Place) {
        self.queue().semaphore.settle(place, Outcome::Ignored);
    }

    /// Sets the waker of the head of the queue.
    pub(super) fn set_waker(&self, waker: Waker) {
        let old = recover(self.queue().head.lock()).replace(waker);
        drop(old);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        match &mut self.of {
            WaitsIn::Account { account, ticket, queue } => {
                drop(queue.take());
                self.queues.remove_unused(*account);
                self.queues.give_up(*ticket);
            }
            WaitsIn::Shared { index, size } => {
                let now = self.queues.now();
                self.queues.shared(*index).leave(*size, now);
            }
        }
    }
}
