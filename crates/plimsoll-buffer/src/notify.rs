//! Waking producers and consumers in the order in which they began to wait.
//!
//! A notifier changes a shard under its lock, then looks for waiters. A waiter registers first,
//! then looks at the shard once more under the same lock. So one of the two sees the other.

use plimsoll_core::parts::sync::{AtomicBool, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::parts::wake;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// A list of waiters.
#[derive(Debug)]
pub(crate) struct Notify {
    // Whether there is a waiter. Written under the lock of the list. Without waiters, notifying
    // costs one load.
    waiting: AtomicBool,
    waiters: Mutex<WaiterList>,
}

#[derive(Debug, Default)]
struct WaiterList {
    next: u64,
    // In ascending order of their numbers. An entry without a waker was woken and has not been
    // polled since.
    entries: VecDeque<(u64, Option<Waker>)>,
    // No waiter with a lower number is asleep.
    first_asleep: u64,
}

impl WaiterList {
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.0)
    }

    /// Takes the waker of the first sleeping waiter whose number is at least `number`.
    fn wake_from(&mut self, number: u64) -> Option<Waker> {
        let (Ok(at) | Err(at)) = self.find(number);
        let (woken, waker) = self.entries.range_mut(at..).find_map(|(n, waker)| Some((*n, waker.take()?)))?;
        if number <= self.first_asleep {
            self.first_asleep = woken + 1;
        }
        Some(waker)
    }
}

/// When a waiter attempts what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polling {
    /// At every poll, however many waiters are ahead.
    Eager,
    /// Only when it is the first or was woken: a newcomer does not overtake.
    InOrder,
    /// At every poll, but only after it has registered, so once a poll.
    Once,
}

/// The number of a registered waiter.
pub(crate) type WaiterNumber = Option<u64>;

impl Notify {
    pub(crate) fn new() -> Self {
        Notify { waiting: AtomicBool::new(false), waiters: Mutex::new(WaiterList::default()) }
    }

    fn lock(&self) -> MutexGuard<'_, WaiterList> {
        recover(self.waiters.lock())
    }

    /// Returns whether there is a waiter.
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        // Relaxed: the lock of the changed shard orders it against the registration, as above.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Wakes the first sleeping waiter.
    #[inline]
    pub(crate) fn notify_one(&self) {
        if self.has_waiters() {
            self.wake(1);
        }
    }

    /// Wakes the first `max` sleeping waiters.
    #[inline]
    pub(crate) fn notify_many(&self, max: usize) {
        if self.has_waiters() {
            self.wake(max);
        }
    }

    #[cold]
    fn wake(&self, max: usize) {
        for _ in 0..max {
            let mut waiters = self.lock();
            let from = waiters.first_asleep;
            let waker = waiters.wake_from(from);
            drop(waiters);
            match waker {
                Some(waker) => wake(waker),
                None => return,
            }
        }
    }

    /// Wakes the first sleeping waiter behind this one.
    ///
    /// Called if this waiter cannot use what it was woken for.
    pub(crate) fn notify_after(&self, number: &WaiterNumber) {
        let waker = number.and_then(|own| self.lock().wake_from(own + 1));
        waker.into_iter().for_each(wake);
    }

    /// Wakes all waiters.
    pub(crate) fn notify_all(&self) {
        if self.has_waiters() {
            // Bounded by the present length: a waker that polls at once may register again.
            let max = self.lock().entries.len();
            self.wake(max);
        }
    }

    /// Returns whether this waiter is the first of all.
    pub(crate) fn is_first(&self, number: &WaiterNumber) -> bool {
        number.is_some() && self.lock().entries.front().map(|entry| entry.0) == *number
    }

    /// Registers a waiter or renews its waker. Returns whether it may attempt: it is the first or
    /// was woken.
    fn enqueue(&self, number: &mut WaiterNumber, waker: Waker) -> bool {
        let mut waiters = self.lock();
        let found = number.and_then(|n| waiters.find(n).ok());
        let mut old = None;
        let turn = match found.and_then(|at| waiters.entries.get_mut(at).map(|s| (at, s))) {
            Some((at, (own, entry))) => {
                old = entry.replace(waker);
                let own = *own;
                waiters.first_asleep = waiters.first_asleep.min(own);
                at == 0 || old.is_none()
            }
            None => {
                let own = waiters.next;
                waiters.next += 1;
                waiters.entries.push_back((own, Some(waker)));
                *number = Some(own);
                self.waiting.store(true, Ordering::Relaxed);
                waiters.entries.len() == 1
            }
        };
        drop(waiters);
        drop(old);
        turn
    }

    /// Removes this waiter and wakes the next one.
    ///
    /// A waiter that leaves after a wake-up would otherwise swallow it. One that took a single item
    /// of several must pass the wake-up on, too.
    pub(crate) fn leave(&self, number: &mut WaiterNumber) {
        let Some(own) = number.take() else { return };
        let mut waiters = self.lock();
        let old = match waiters.find(own) {
            Ok(at) => waiters.entries.remove(at),
            Err(_) => None,
        };
        if waiters.entries.is_empty() && waiters.entries.capacity() > 1_024 {
            waiters.entries = VecDeque::new();
        }
        self.waiting.store(!waiters.entries.is_empty(), Ordering::Relaxed);
        drop(waiters);
        drop(old);
        self.notify_one();
    }

    /// Polls `attempt` for a result. Its argument says whether the waiter sleeps if there is none.
    pub(crate) fn poll<R>(
        &self,
        number: &mut WaiterNumber,
        cx: &mut Context<'_>,
        polling: Polling,
        mut attempt: impl FnMut(bool) -> Option<R>,
    ) -> Poll<R> {
        let early = match polling {
            Polling::Eager => number.is_none(),
            Polling::InOrder => number.is_none() && !self.has_waiters(),
            Polling::Once => false,
        };
        let mut found = if early { attempt(false) } else { None };
        if found.is_none() {
            // Cloned outside the lock: a waker is foreign code.
            let turn = self.enqueue(number, cx.waker().clone());
            if turn || polling != Polling::InOrder {
                found = attempt(true);
            }
        }
        match found {
            Some(found) => {
                self.leave(number);
                Poll::Ready(found)
            }
            None => Poll::Pending,
        }
    }
}
