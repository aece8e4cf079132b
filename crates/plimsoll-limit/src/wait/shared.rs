//! The requests that wait for a limit which many accounts share: one of each account.

use super::queue::WaitQueue;
use super::reserve::{Reserve, Size};
use crate::quota::gcra::Rate;
use plimsoll_core::Clock;
use plimsoll_core::parts::nanos;
use plimsoll_core::parts::sync::{AtomicU32, Mutex, MutexGuard, Ordering, recover};
use std::time::Duration;

/// The queues of a shared limit: small and large requests, each in order, side by side.
pub(crate) struct SharedQueue {
    small: WaitQueue,
    large: WaitQueue,
    // A copy of the number of waiting accounts.
    waiting: AtomicU32,
    reserve: Mutex<Reserve>,
}

impl SharedQueue {
    pub(super) fn new(name: &'static str, clock: &Clock) -> Self {
        SharedQueue {
            small: WaitQueue::new(name, clock),
            large: WaitQueue::new(name, clock),
            waiting: AtomicU32::new(0),
            reserve: Mutex::new(Reserve::default()),
        }
    }

    pub(super) fn queue(&self, size: Size) -> &WaitQueue {
        match size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        }
    }

    /// Returns whether a request waits. One load.
    pub(super) fn is_occupied(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(super) fn both(&self) -> [&WaitQueue; 2] {
        [&self.small, &self.large]
    }

    fn reserve(&self) -> MutexGuard<'_, Reserve> {
        recover(self.reserve.lock())
    }

    pub(super) fn join(&self, size: Size, now: u64) {
        let mut reserve = self.reserve();
        let [small, large] = reserve.resize(size, true, now);
        self.waiting.store(small + large, Ordering::Relaxed);
    }

    /// Removes a request. The other head may be served earlier then, and is woken.
    pub(super) fn leave(&self, size: Size, now: u64) {
        let mut reserve = self.reserve();
        let waiting @ [small, large] = reserve.resize(size, false, now);
        self.waiting.store(small + large, Ordering::Relaxed);
        drop(reserve);
        match size {
            Size::Large if small > 0 => self.small.wake_head(),
            // While others of its size wait, a small request that leaves changes little.
            Size::Small if waiting[0] == 0 && large > 0 => self.large.wake_head(),
            _ => {}
        }
    }

    /// Returns the number of small requests that wait.
    pub(crate) fn small(&self) -> u64 {
        u64::from(self.small.len())
    }

    /// Returns what has to remain of the limit, in nanoseconds, when the head is served.
    pub(crate) fn kept_from(&self, size: Size, units: u32, rate: Rate, now: u64) -> u64 {
        self.reserve().kept_from(size, units, rate, now)
    }

    pub(super) fn spend(&self, size: Size) {
        if size == Size::Large {
            self.reserve().spend();
        }
    }

    pub(super) fn patience(&self, size: Size, missing: Duration) -> Duration {
        Duration::from_nanos(self.reserve().patience(size, nanos(missing)))
    }

    /// Takes what is kept for requests that do not wait. Returns when there is enough as an error.
    pub(crate) fn pass(&self, account: u64, units: u32, rate: Rate, now: u64) -> Result<(), u64> {
        self.reserve().pass(account, units, rate, now).map_err(|wait| now.saturating_add(wait.max(1)))
    }

    /// Returns what [`pass`](Self::pass) took.
    pub(crate) fn unpass(&self, units: u32, rate: Rate) {
        self.reserve().unpass(units, rate);
    }
}
