//! The end of a mailbox: closed, or without an inbox.

use super::Store;
use plimsoll_core::parts::sync::Ordering;

impl<T> Store<T> {
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: whoever sees it finds every shard closed.
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        // The first one's lock keeps out `set_shards`, which makes new ones as the first one is.
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
        self.closed.store(true, Ordering::Release);
        drop(self.first.lock());
        self.mail.notify_all();
        self.space.notify_all();
    }

    /// What `attempt` finds; `Some(None)` if it finds nothing although nothing can come any more.
    /// `last`: before sleeping.
    pub(crate) fn try_until_closed<R>(
        &self,
        last: bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<Option<R>> {
        if last {
            self.catch_up();
        }
        loop {
            // Looked at first: whatever was let in before is found then.
            let closed = self.is_closed();
            match attempt() {
                // And after: whoever closes rings after the lock that the attempt has had as well.
                None if !closed && self.is_closed() => {}
                None if !closed => return None,
                found => return Some(found),
            }
        }
    }

    pub(crate) fn is_orphaned(&self) -> bool {
        drop(self.first.lock());
        self.inboxes.load(Ordering::Acquire) == 0
    }

    /// The last inbox has gone.
    pub(crate) fn notify_orphaned(&self) {
        // An heir stands in the row before it looks at the number; the lock of the first shard orders
        // that against the number being changed here.
        drop(self.first.lock());
        self.orphaned.notify_all();
    }
}
