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
    // In ascending order of their numbers. Neither end is a waiter that has left.
    entries: VecDeque<(u64, WaiterState)>,
    // The number of entries of waiters that have left.
    left: usize,
    // No waiter with a lower number is asleep.
    first_asleep: u64,
}

#[derive(Debug)]
enum WaiterState {
    Asleep(Waker),
    /// Woken and not polled since.
    Woken,
    /// Its entry is removed later, so that leaving from the middle moves no other entry.
    Left,
}

impl WaiterState {
    /// Takes the waker, if the waiter is asleep.
    fn wake(&mut self) -> Option<Waker> {
        match std::mem::replace(self, WaiterState::Woken) {
            WaiterState::Asleep(waker) => Some(waker),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl WaiterList {
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.0)
    }

    fn is_first(&self, number: u64) -> bool {
        self.entries.front().is_some_and(|entry| entry.0 == number)
    }

    /// Takes the waker of the first sleeping waiter whose number is at least `number`.
    fn wake_from(&mut self, number: u64) -> Option<Waker> {
        let (Ok(at) | Err(at)) = self.find(number);
        let (woken, waker) =
            self.entries.range_mut(at..).find_map(|(n, waiter)| Some((*n, waiter.wake()?)))?;
        if number <= self.first_asleep {
            self.first_asleep = woken + 1;
        }
        Some(waker)
    }

    /// Removes a waiter. Takes constant time on average, besides the search.
    fn remove(&mut self, number: u64) -> Option<WaiterState> {
        let at = self.find(number).ok()?;
        let waiter = std::mem::replace(&mut self.entries.get_mut(at)?.1, WaiterState::Left);
        self.left += 1;
        while matches!(self.entries.front(), Some((_, WaiterState::Left))) {
            self.entries.pop_front();
            self.left -= 1;
        }
        while matches!(self.entries.back(), Some((_, WaiterState::Left))) {
            self.entries.pop_back();
            self.left -= 1;
        }
        if self.left > 32 && 2 * self.left > self.entries.len() {
            self.entries.retain(|(_, waiter)| !matches!(waiter, WaiterState::Left));
            self.left = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > 1_024 {
            self.entries = VecDeque::new();
        }
        Some(waiter)
    }
}

/// When a waiter attempts what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polling {
    /// At every poll, however many waiters are ahead.
    Eager,
    /// Only when it is the first: no waiter overtakes another.
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
        number.is_some_and(|number| self.lock().is_first(number))
    }

    /// Registers a waiter or renews its waker. Returns whether it is the first.
    fn enqueue(&self, number: &mut WaiterNumber, waker: Waker) -> bool {
        let mut waiters = self.lock();
        let found = number.and_then(|n| waiters.find(n).ok());
        let (old, own) = match found.and_then(|at| waiters.entries.get_mut(at)) {
            Some((own, entry)) => (std::mem::replace(entry, WaiterState::Asleep(waker)), *own),
            None => {
                let own = waiters.next;
                waiters.next += 1;
                waiters.entries.push_back((own, WaiterState::Asleep(waker)));
                self.waiting.store(true, Ordering::Relaxed);
                (WaiterState::Woken, own)
            }
        };
        *number = Some(own);
        waiters.first_asleep = waiters.first_asleep.min(own);
        let first = waiters.is_first(own);
        drop(waiters);
        drop(old);
        first
    }

    /// Removes this waiter, which gives up, and wakes the next one if that is necessary.
    ///
    /// A waiter that leaves after a wake-up would otherwise swallow it. Behind the first waiter,
    /// another one may find what it waits for.
    pub(crate) fn leave(&self, number: &mut WaiterNumber) {
        self.remove(number, false);
    }

    /// Removes a waiter. If it `took` something, there may be more: wakes the next one.
    fn remove(&self, number: &mut WaiterNumber, took: bool) {
        let Some(own) = number.take() else { return };
        let mut waiters = self.lock();
        let next = took || waiters.is_first(own);
        let old = waiters.remove(own);
        self.waiting.store(!waiters.entries.is_empty(), Ordering::Relaxed);
        drop(waiters);
        if next || matches!(old, Some(WaiterState::Woken)) {
            self.notify_one();
        }
        drop(old);
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
                self.remove(number, true);
                Poll::Ready(found)
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Enter,
        Leave(prop::sample::Index),
        Wake,
        Poll(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Enter),
            2 => any::<prop::sample::Index>().prop_map(Step::Leave),
            1 => Just(Step::Wake),
            1 => any::<prop::sample::Index>().prop_map(Step::Poll),
        ];
        prop::collection::vec(step, 0..600)
    }

    proptest! {
        /// Compares with a plain list. Waiters that have left never outnumber the others by much.
        ///
        /// A waiter that left from the middle moved all behind it: 200,000 took five seconds.
        #[test]
        fn waiters_may_leave_from_any_position(steps in steps()) {
            let notify = Notify::new();
            // The number of each waiter, and whether it is asleep.
            let mut model: Vec<(u64, bool)> = vec![];
            for step in steps {
                match step {
                    Step::Enter => {
                        let mut number = None;
                        let first = notify.enqueue(&mut number, Waker::noop().clone());
                        prop_assert_eq!(first, model.is_empty());
                        model.push((number.unwrap(), true));
                    }
                    Step::Leave(at) if !model.is_empty() => {
                        let at = at.index(model.len());
                        let (number, asleep) = model.remove(at);
                        notify.leave(&mut Some(number));
                        if at == 0 || !asleep {
                            model.iter_mut().find(|w| w.1).into_iter().for_each(|w| w.1 = false);
                        }
                    }
                    Step::Wake => {
                        notify.notify_one();
                        model.iter_mut().find(|w| w.1).into_iter().for_each(|w| w.1 = false);
                    }
                    Step::Poll(at) if !model.is_empty() => {
                        let at = at.index(model.len());
                        let first = notify.enqueue(&mut Some(model[at].0), Waker::noop().clone());
                        prop_assert_eq!(first, at == 0);
                        model[at].1 = true;
                    }
                    _ => {}
                }
                let waiters = notify.lock();
                let entries = waiters.entries.iter().filter_map(|(number, waiter)| match waiter {
                    WaiterState::Asleep(_) => Some((*number, true)),
                    WaiterState::Woken => Some((*number, false)),
                    WaiterState::Left => None,
                });
                prop_assert_eq!(entries.collect::<Vec<_>>(), model.clone());
                prop_assert!(waiters.entries.len() <= 2 * model.len() + 33);
                drop(waiters);
                prop_assert_eq!(notify.has_waiters(), !model.is_empty());
            }
        }
    }
}
