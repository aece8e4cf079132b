//! Those who wait for something to happen to a mailbox, in the order in which they came.
//!
//! Who rings has changed something under a shard's lock before; who waits stands in the row first and
//! then looks once more under the same lock. One of the two sees the other.

use plimsoll_core::parts::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use plimsoll_core::parts::wake;
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

/// A row of sleepers.
#[derive(Debug)]
pub(crate) struct Notify {
    // Whether anyone stands in the row; written with it locked. Ringing for nobody is one load.
    waiting: AtomicBool,
    row: Mutex<Row>,
}

#[derive(Debug, Default)]
struct Row {
    next: u64,
    // By ascending number. Without a waker: woken, and not yet polled again.
    sleepers: VecDeque<(u64, Option<Waker>)>,
    // Nobody below this number sleeps.
    asleep: u64,
}

impl Row {
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.sleepers.binary_search_by_key(&number, |sleeper| sleeper.0)
    }

    /// The first sleeper from `number` on is no longer one.
    fn wake_from(&mut self, number: u64) -> Option<Waker> {
        let (Ok(at) | Err(at)) = self.find(number);
        let (mine, waker) = self.sleepers.range_mut(at..).find_map(|(n, waker)| Some((*n, waker.take()?)))?;
        if number <= self.asleep {
            self.asleep = mine + 1;
        }
        Some(waker)
    }
}

/// In which order those who wait try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each when it is polled: whoever comes takes what is there.
    Any,
    /// The first, and those who were called: newcomers do not overtake.
    Turns,
    /// Each when it is polled, once a poll.
    Once,
}

/// One's number in the row, while one stands in it.
pub(crate) type Number = Option<u64>;

impl Notify {
    pub(crate) fn new() -> Self {
        Notify { waiting: AtomicBool::new(false), row: Mutex::new(Row::default()) }
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anyone waits.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        // Relaxed: ordered by the lock of the shard that was changed; see above.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Wakes the first who sleeps.
    #[inline]
    pub(crate) fn ring(&self) {
        if self.is_awaited() {
            self.wake(1);
        }
    }

    /// Wakes the first `most` who sleep.
    #[inline]
    pub(crate) fn ring_for(&self, most: usize) {
        if self.is_awaited() {
            self.wake(most);
        }
    }

    #[cold]
    fn wake(&self, most: usize) {
        for _ in 0..most {
            let mut row = self.row();
            let from = row.asleep;
            let waker = row.wake_from(from);
            drop(row);
            match waker {
                Some(waker) => wake(waker),
                None => return,
            }
        }
    }

    /// Wakes the first who sleeps behind this one, for whom it was not what it waits for.
    pub(crate) fn ring_behind(&self, number: &Number) {
        let waker = number.and_then(|mine| self.row().wake_from(mine + 1));
        waker.into_iter().for_each(wake);
    }

    /// Wakes everyone.
    pub(crate) fn ring_all(&self) {
        if self.is_awaited() {
            // So many: a waker that polls at once may stand in the row again.
            let most = self.row().sleepers.len();
            self.wake(most);
        }
    }

    /// Whether this one is the first of all who wait.
    pub(crate) fn is_first(&self, number: &Number) -> bool {
        number.is_some() && self.row().sleepers.front().map(|sleeper| sleeper.0) == *number
    }

    /// Stands in the row, or goes on doing so; answers whether it is its turn to look: it is the
    /// first, or was woken.
    fn stand(&self, number: &mut Number, waker: Waker) -> bool {
        let mut row = self.row();
        let found = number.and_then(|n| row.find(n).ok());
        let mut old = None;
        let turn = match found.and_then(|at| row.sleepers.get_mut(at).map(|s| (at, s))) {
            Some((at, (mine, sleeper))) => {
                old = sleeper.replace(waker);
                let mine = *mine;
                row.asleep = row.asleep.min(mine);
                at == 0 || old.is_none()
            }
            None => {
                let mine = row.next;
                row.next += 1;
                row.sleepers.push_back((mine, Some(waker)));
                *number = Some(mine);
                self.waiting.store(true, Ordering::Relaxed);
                row.sleepers.len() == 1
            }
        };
        drop(row);
        drop(old);
        turn
    }

    /// Leaves the row. Who was woken and leaves without having taken what it was woken for must pass
    /// it on, and who took one of several things must, too: so the next one is woken in any case.
    pub(crate) fn leave(&self, number: &mut Number) {
        let Some(mine) = number.take() else { return };
        let mut row = self.row();
        let old = match row.find(mine) {
            Ok(at) => row.sleepers.remove(at),
            Err(_) => None,
        };
        if row.sleepers.is_empty() && row.sleepers.capacity() > 1_024 {
            row.sleepers = VecDeque::new();
        }
        self.waiting.store(!row.sleepers.is_empty(), Ordering::Relaxed);
        drop(row);
        drop(old);
        self.ring();
    }

    /// Waits until `attempt` gives something. It is told whether it is the last look before sleeping.
    pub(crate) fn poll<R>(
        &self,
        number: &mut Number,
        cx: &mut Context<'_>,
        order: Order,
        mut attempt: impl FnMut(bool) -> Option<R>,
    ) -> Poll<R> {
        let early = match order {
            Order::Any => number.is_none(),
            Order::Turns => number.is_none() && !self.is_awaited(),
            Order::Once => false,
        };
        let mut found = if early { attempt(false) } else { None };
        if found.is_none() {
            // Cloned here: a waker is somebody else's code, and the row is locked in there.
            let turn = self.stand(number, cx.waker().clone());
            if turn || order != Order::Turns {
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
