//! Those who wait for something to happen to a mailbox, in the order in which they came.
//!
//! Who rings has changed something under a shard's lock before; who waits stands in the row first and
//! then looks once more under the same lock. One of the two sees the other.

use plimsoll_core::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use plimsoll_core::wake;
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

/// A row of sleepers.
#[derive(Debug)]
pub(crate) struct Bell {
    // Whether anyone stands in the row; written with it locked. Ringing for nobody is one load.
    waiting: AtomicBool,
    row: Mutex<Row>,
}

#[derive(Debug, Default)]
struct Row {
    next: u64,
    // By ascending number. Without a waker: woken, and not yet polled again.
    sleepers: VecDeque<(u64, Option<Waker>)>,
}

/// One's number in the row, while one stands in it.
pub(crate) type Number = Option<u64>;

impl Bell {
    pub(crate) fn new() -> Self {
        Bell { waiting: AtomicBool::new(false), row: Mutex::new(Row::default()) }
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
            self.ring_for_someone();
        }
    }

    #[cold]
    fn ring_for_someone(&self) {
        let waker = self.row().sleepers.iter_mut().find_map(|(_, waker)| waker.take());
        waker.into_iter().for_each(wake);
    }

    /// Wakes everyone.
    pub(crate) fn ring_all(&self) {
        if self.is_awaited() {
            let wakers: Vec<_> =
                self.row().sleepers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
            wakers.into_iter().for_each(wake);
        }
    }

    /// Stands in the row, or goes on doing so; answers whether it is its turn to look: it is the
    /// first, or was woken.
    fn stand(&self, number: &mut Number, waker: Waker) -> bool {
        let mut row = self.row();
        let found = number.and_then(|n| row.sleepers.binary_search_by_key(&n, |s| s.0).ok());
        let mut old = None;
        let turn = match found.and_then(|at| row.sleepers.get_mut(at).map(|s| (at, s))) {
            Some((at, (_, sleeper))) => {
                old = sleeper.replace(waker);
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
        let old = match row.sleepers.binary_search_by_key(&mine, |s| s.0) {
            Ok(at) => row.sleepers.remove(at),
            Err(_) => None,
        };
        self.waiting.store(!row.sleepers.is_empty(), Ordering::Relaxed);
        drop(row);
        drop(old);
        self.ring();
    }

    /// Waits until `attempt` gives something. With `in_order`, newcomers do not try while others wait.
    pub(crate) fn poll<R>(
        &self,
        number: &mut Number,
        cx: &mut Context<'_>,
        in_order: bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        let first = number.is_none() && (!in_order || !self.is_awaited());
        let mut found = if first { attempt() } else { None };
        if found.is_none() {
            // Cloned here: a waker is somebody else's code, and the row is locked in there.
            let turn = self.stand(number, cx.waker().clone());
            if turn || !in_order {
                found = attempt();
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
