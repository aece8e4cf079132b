//! The tasks that wait until a pool is drained.

use plimsoll_core::parts::sync::{Mutex, MutexGuard, recover};
use plimsoll_core::parts::wake;
use std::collections::BTreeMap;
use std::task::Waker;

/// The wakers of these tasks, each under a number of its own.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// The entry of one task. Dropped, it is removed.
pub(crate) struct Watcher<'a> {
    watchers: &'a Watchers,
    id: u64,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        recover(self.0.lock())
    }

    /// Creates an entry, without a waker yet.
    pub(crate) fn watch(&self) -> Watcher<'_> {
        let mut entries = self.lock();
        entries.next += 1;
        Watcher { watchers: self, id: entries.next }
    }

    pub(crate) fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.lock().wakers);
        wakers.into_values().for_each(wake);
    }
}

impl Watcher<'_> {
    /// Stores the waker.
    pub(crate) fn set_waker(&self, waker: Waker) {
        let old = self.watchers.lock().wakers.insert(self.id, waker);
        // Foreign code: it runs after the lock is released.
        drop(old);
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        let waker = self.watchers.lock().wakers.remove(&self.id);
        drop(waker);
    }
}
