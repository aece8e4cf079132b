//! Those who wait for something to happen to a mailbox, in the order in which they came.
//!
//! Who rings has changed something under a shard's lock before; who waits stands in the row first and
//! then looks once more under the same lock. One of the two sees the other.

use plimsoll_core::parts::sync::{AtomicBool, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::parts::wake;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// A row of entries.
#[derive(Debug)]
pub(crate) struct Notify {
    // Whether anyone stands in the row; written with it locked. Ringing for nobody is one load.
    waiting: AtomicBool,
    waiters: Mutex<WaiterList>,
}

#[derive(Debug, Default)]
struct WaiterList {
    next: u64,
    // By ascending number. Without a waker: woken, and not yet polled again.
    entries: VecDeque<(u64, Option<Waker>)>,
    // Nobody below this number sleeps.
    first_asleep: u64,
}

impl WaiterList {
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.0)
    }

    /// The first entry from `number` on is no longer one.
    fn wake_from(&mut self, number: u64) -> Option<Waker> {
        let (Ok(at) | Err(at)) = self.find(number);
        let (woken, waker) = self.entries.range_mut(at..).find_map(|(n, waker)| Some((*n, waker.take()?)))?;
        if number <= self.first_asleep {
            self.first_asleep = woken + 1;
        }
        Some(waker)
    }
}

/// In which order those who wait try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polling {
    /// Each when it is polled: whoever comes takes what is there.
    Eager,
    /// The first, and those who were called: newcomers do not overtake.
    InOrder,
    /// Each when it is polled, once a poll.
    Once,
}

/// One's number in the row, while one stands in it.
pub(crate) type WaiterNumber = Option<u64>;

impl Notify {
    pub(crate) fn new() -> Self {
        Notify { waiting: AtomicBool::new(false), waiters: Mutex::new(WaiterList::default()) }
    }

    fn lock(&self) -> MutexGuard<'_, WaiterList> {
        recover(self.waiters.lock())
    }

    /// Whether anyone waits.
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        // Relaxed: ordered by the lock of the shard that was changed; see above.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Wakes the first who sleeps.
    #[inline]
    pub(crate) fn notify_one(&self) {
        if self.has_waiters() {
            self.wake(1);
        }
    }

    /// Wakes the first `max` who sleep.
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

    /// Wakes the first who sleeps behind this one, for whom it was not what it waits for.
    pub(crate) fn notify_after(&self, number: &WaiterNumber) {
        let waker = number.and_then(|own| self.lock().wake_from(own + 1));
        waker.into_iter().for_each(wake);
    }

    /// Wakes everyone.
    pub(crate) fn notify_all(&self) {
        if self.has_waiters() {
            // So many: a waker that polls at once may stand in the row again.
            let max = self.lock().entries.len();
            self.wake(max);
        }
    }

    /// Whether this one is the first of all who wait.
    pub(crate) fn is_first(&self, number: &WaiterNumber) -> bool {
        number.is_some() && self.lock().entries.front().map(|entry| entry.0) == *number
    }

    /// Stands in the row, or goes on doing so; answers whether it is its turn to look: it is the
    /// first, or was woken.
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

    /// Leaves the waiters. Who was woken and leaves without having taken what it was woken for must pass
    /// it on, and who took one of several things must, too: so the next one is woken in any case.
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

    /// Waits until `attempt` gives something. It is told whether it is the last look before sleeping.
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
            // Cloned here: a waker is somebody else's code, and the row is locked in there.
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
