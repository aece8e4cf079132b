//! Who wants to be woken when: the sleepers of a manual clock and of the timer thread.

use crate::Instant;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// When a sleeper is due, and a number that tells apart those due at the same instant.
type Key = (Instant, u64);

#[derive(Debug, Default)]
struct Book {
    sleepers: BTreeMap<Key, Waker>,
    next: u64,
}

/// A book of sleepers. Wakers are always called with the book closed.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    book: Mutex<Book>,
    changed: Condvar,
}

impl Timers {
    fn open(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The earliest instant anyone waits for.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.open().sleepers.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Wakes everyone who is due at `now`; answers how many.
    pub(crate) fn wake_due(&self, now: Instant) -> usize {
        let mut woken = 0;
        loop {
            let mut book = self.open();
            let waker = match book.sleepers.first_entry() {
                Some(first) if first.key().0 <= now => first.remove(),
                _ => return woken,
            };
            drop(book);
            waker.wake();
            woken += 1;
        }
    }

    /// Sleeps on the calling thread until the next sleeper is due, or the book changes.
    fn rest(&self, now: impl Fn() -> Instant) {
        let book = self.open();
        let pause = book.sleepers.first_key_value().map(|(&(at, _), _)| at.since(now()));
        match pause {
            Some(Duration::ZERO) => {}
            Some(pause) => drop(self.changed.wait_timeout(book, pause)),
            None => drop(self.changed.wait(book)),
        }
    }
}

/// One sleeper's line in the book; crossed out when dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    timers: Arc<Timers>,
    key: Key,
}

impl Entry {
    pub(crate) fn new(timers: Arc<Timers>, at: Instant, waker: Waker) -> Entry {
        let mut book = timers.open();
        let key = (at, book.next);
        book.next += 1;
        book.sleepers.insert(key, waker);
        let first = book.sleepers.first_key_value().is_some_and(|(&first, _)| first == key);
        drop(book);
        if first {
            timers.changed.notify_all();
        }
        Entry { timers, key }
    }

    /// The sleeper was polled again, perhaps by another task.
    pub(crate) fn renew(&self, waker: Waker) {
        let old = self.timers.open().sleepers.insert(self.key, waker);
        drop(old);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let old = self.timers.open().sleepers.remove(&self.key);
        drop(old);
    }
}

/// The sleepers of the one timer thread, which is started by the first of them.
///
/// `None` if the thread cannot be started; the caller then has to poll.
pub(crate) fn thread(now: fn() -> Instant) -> Option<Arc<Timers>> {
    static THREAD: OnceLock<Arc<Timers>> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(timers) = THREAD.get() {
        return Some(timers.clone());
    }
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(timers) = THREAD.get() {
        return Some(timers.clone());
    }
    let timers = Arc::new(Timers::default());
    let its = timers.clone();
    let run = move || {
        loop {
            its.wake_due(now());
            its.rest(now);
        }
    };
    std::thread::Builder::new().name("plimsoll-timer".into()).spawn(run).ok()?;
    Some(THREAD.get_or_init(|| timers).clone())
}
