//! The sleepers of a manual clock or of the timer thread, and when each is due.

use crate::parts::sync::{recover, wake};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::task::Waker;
use std::time::Duration;

/// The instant at which a sleeper is due, and a number that is different for each sleeper.
type Key = (Instant, u64);

#[derive(Debug, Default)]
struct Sleepers {
    wakers: BTreeMap<Key, Waker>,
    next: u64,
}

/// A list of sleepers. Wakers are called and dropped only after its lock is released.
#[derive(Debug)]
pub(super) struct Timers {
    sleepers: Mutex<Sleepers>,
    changed: Condvar,
    /// When the first sleeper is due; `u64::MAX` if there is none. It is written under the lock and
    /// read without it: a clock that moves before any sleeper is due does not take the lock.
    first: AtomicU64,
}

impl Default for Timers {
    fn default() -> Self {
        Timers { sleepers: Mutex::default(), changed: Condvar::new(), first: AtomicU64::new(u64::MAX) }
    }
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        recover(self.sleepers.lock())
    }

    /// Returns the earliest instant that a sleeper waits for.
    pub(super) fn next(&self) -> Option<Instant> {
        // SeqCst: pairs with the store in `note` and with the clock's accesses. A sleeper joins the
        // list and then reads the clock. Another thread moves the clock and then reads this. One of
        // the two must see the other.
        let first = self.first.load(Ordering::SeqCst);
        (first != u64::MAX).then(|| Instant::from_nanos(first))
    }

    /// Publishes the first instant. Called after every change of the list, under its lock.
    fn note(&self, sleepers: &Sleepers) {
        let first = sleepers.wakers.first_key_value().map_or(u64::MAX, |(&(at, _), _)| at.as_nanos());
        self.first.store(first, Ordering::SeqCst);
    }

    /// Wakes all sleepers that are due at `now`, and returns their number.
    pub(super) fn wake_due(&self, now: Instant) -> usize {
        let mut woken = 0;
        while self.next().is_some_and(|next| next <= now) {
            let mut sleepers = self.lock();
            let waker = match sleepers.wakers.first_entry() {
                Some(first) if first.key().0 <= now => first.remove(),
                _ => break,
            };
            self.note(&sleepers);
            drop(sleepers);
            wake(waker);
            woken += 1;
        }
        woken
    }

    /// Blocks the calling thread until the next sleeper is due or the list changes.
    fn rest(&self, now: impl Fn() -> Instant) {
        let sleepers = self.lock();
        let pause = sleepers.wakers.first_key_value().map(|(&(at, _), _)| at.since(now()));
        match pause {
            Some(Duration::ZERO) => {}
            Some(pause) => drop(self.changed.wait_timeout(sleepers, pause)),
            None => drop(self.changed.wait(sleepers)),
        }
    }
}

/// A sleeper's entry in the list, removed when dropped.
#[derive(Debug)]
pub(super) struct Sleeper {
    timers: Arc<Timers>,
    key: Key,
}

impl Sleeper {
    pub(super) fn new(timers: Arc<Timers>, at: Instant, waker: Waker) -> Sleeper {
        let mut sleepers = timers.lock();
        let key = (at, sleepers.next);
        sleepers.next += 1;
        sleepers.wakers.insert(key, waker);
        timers.note(&sleepers);
        let first = sleepers.wakers.first_key_value().is_some_and(|(&first, _)| first == key);
        drop(sleepers);
        if first {
            timers.changed.notify_all();
        }
        Sleeper { timers, key }
    }

    /// Replaces the waker: the sleeper was polled again, perhaps by another task.
    pub(super) fn renew(&self, waker: Waker) {
        let mut sleepers = self.timers.lock();
        let old = sleepers.wakers.insert(self.key, waker);
        self.timers.note(&sleepers);
        drop(sleepers);
        if old.is_none() {
            // It had been woken and now waits again.
            self.timers.changed.notify_all();
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let mut sleepers = self.timers.lock();
        let old = sleepers.wakers.remove(&self.key);
        self.timers.note(&sleepers);
        drop(sleepers);
        drop(old);
    }
}

/// Returns the sleepers of the timer thread, which is started by the first call.
///
/// Returns `None` if the thread cannot be started. The caller then has to poll.
pub(super) fn thread(now: fn() -> Instant) -> Option<Arc<Timers>> {
    static THREAD: OnceLock<Arc<Timers>> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(timers) = THREAD.get() {
        return Some(timers.clone());
    }
    let _one_at_a_time = recover(STARTING.lock());
    if let Some(timers) = THREAD.get() {
        return Some(timers.clone());
    }
    let timers = Arc::new(Timers::default());
    let worker = timers.clone();
    let run = move || {
        loop {
            worker.wake_due(now());
            worker.rest(now);
        }
    };
    std::thread::Builder::new().name("plimsoll-timer".into()).spawn(run).ok()?;
    Some(THREAD.get_or_init(|| timers).clone())
}
