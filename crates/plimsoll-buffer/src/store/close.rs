//! The end of a mailbox: closed, or without an inbox.

use super::Store;
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

    /// Returns whether no inbox is open.
    pub(crate) fn is_orphaned(&self) -> bool {
        drop(self.first.lock());
        self.inboxes.load(Ordering::Acquire) == 0
    }

    /// Wakes the tasks that wait for the last inbox to be dropped.
    pub(crate) fn notify_orphaned(&self) {
        // A waiter registers before it reads the number of inboxes in `is_orphaned`. The lock of
        // the first shard orders both against the decrement that the caller has done.
        drop(self.first.lock());
        self.orphaned.notify_all();
    }
}
