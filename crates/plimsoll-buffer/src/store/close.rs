//! The end of a mailbox: closed, or without an inbox.

use super::Store;
use crate::mailbox::Orphaned;
use plimsoll_core::parts::sync::Ordering;

impl<T> Store<T> {
    /// Returns whether every shard is closed.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release store in `close`, so that every shard is seen closed.
        self.closed.load(Ordering::Acquire)
    }

    /// Closes every shard and wakes all waiters.
    pub(crate) fn close(&self) {
        // The lock keeps out `set_shards`, which closes a new shard if the first one is closed.
        {
            let mut state = self.first.lock();
            state.closed = true;
            self.update_plain(&mut state);
        }
        for shard in self.shards() {
            let mut state = shard.lock();
            state.closed = true;
            shard.publish(&state);
        }
        // Release: pairs with the Acquire load in `is_closed`.
        self.closed.store(true, Ordering::Release);
        drop(self.first.lock());
        self.mail.notify_all();
        self.space.notify_all();
    }

    /// Returns what `attempt` finds.
    ///
    /// `Some(None)` if it finds nothing and the mailbox is closed. `last` states whether the caller
    /// sleeps if nothing is found.
    pub(crate) fn try_until_closed<R>(
        &self,
        last: bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<Option<R>> {
        if last {
            self.catch_up();
        }
        loop {
            // Read before the attempt: an item accepted before the closing is found by it.
            let closed = self.is_closed();
            match attempt() {
                // Read after it, too: `close` notifies waiters after it has held the locks that the
                // attempt has held.
                None if !closed && self.is_closed() => {}
                None if !closed => return None,
                found => return Some(found),
            }
        }
    }

    /// Returns why no inbox is open. `None` if one is.
    pub(crate) fn orphaned(&self) -> Option<Orphaned> {
        drop(self.first.lock());
        let orphaned = self.inboxes.load(Ordering::Acquire) == 0;
        // Relaxed: written before the decrement that the load above pairs with.
        orphaned.then(|| Orphaned::from_code(self.inbox_end.load(Ordering::Relaxed)))
    }

    /// Notes that an inbox was dropped, and how.
    pub(crate) fn drop_inbox(&self) {
        let end = if std::thread::panicking() { Orphaned::Panicked } else { Orphaned::Dropped };
        self.inbox_end.store(end as u32, Ordering::Relaxed);
        // AcqRel: pairs with the Acquire load in `orphaned`.
        if self.inboxes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.notify_orphaned();
        }
    }

    /// Wakes the tasks that wait for the last inbox to be dropped.
    fn notify_orphaned(&self) {
        // A waiter registers before it reads the number of inboxes in `orphaned`. The lock of
        // the first shard orders both against the decrement that the caller has done.
        drop(self.first.lock());
        self.orphaned.notify_all();
    }
}
