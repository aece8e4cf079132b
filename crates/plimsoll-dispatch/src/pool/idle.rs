//! Idle resources: how long they may lie in their slots, and taking them out.

use super::{Dispatch, Inner};
use crate::cell::Cell;
use plimsoll_core::parts::Capacity;
use plimsoll_core::parts::sync::Ordering;
use std::time::Duration;

/// Stands for no limit.
const NEVER: u64 = u64::MAX;

/// Converts a limit into nanoseconds.
pub(super) fn nanos(max_idle: Option<Duration>) -> u64 {
    max_idle.map_or(NEVER, |max_idle| u64::try_from(max_idle.as_nanos()).unwrap_or(NEVER).min(NEVER - 1))
}

impl<T> Dispatch<T> {
    /// Changes the longest time a resource may lie idle. `None` means no limit.
    ///
    /// Resources that are too old for the new limit are dropped at their next checkout, or by
    /// [`sweep`](Self::sweep). If there was no limit before, the time counts from now.
    pub fn set_max_idle(&self, max_idle: impl Into<Option<Duration>>) {
        let (inner, new) = (&*self.0, nanos(max_idle.into()));
        let mut old = inner.max_idle.load(Ordering::Relaxed);
        loop {
            if old == NEVER && new != NEVER {
                // Without a limit, `note_idle` has not written any time.
                let now = inner.clock.coarse();
                inner.cells.iter().for_each(|cell| cell.set_since(now));
            }
            // Release: pairs with the Acquire load in `is_stale`, which then sees the times above.
            match inner.max_idle.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }

    /// Returns the longest time a resource may lie idle. `None` means no limit.
    pub fn max_idle(&self) -> Option<Duration> {
        let nanos = self.0.max_idle.load(Ordering::Relaxed);
        (nanos != NEVER).then_some(Duration::from_nanos(nanos))
    }

    /// Returns the number of idle resources, which lie in free slots. It reads a bit of every slot.
    pub fn idle(&self) -> usize {
        self.0.slots().idle()
    }

    /// Drops the resources that were idle for too long, and returns their number.
    ///
    /// The limit is [`max_idle`](Self::max_idle). Without this call, each is dropped at its next
    /// checkout. Call it now and then if unused connections should be closed in time.
    pub fn sweep(&self) -> usize {
        let (inner, slots) = (&*self.0, self.0.slots());
        let mut swept = vec![];
        for (index, cell) in (0..slots.limit()).zip(inner.cells.iter()) {
            if !slots.is_idle(index) || !inner.is_stale(cell) {
                continue;
            }
            // The slot is in use for a moment, and only if its resource seems to be too old.
            let wait = slots.seize_idle(index).map_or_else(
                |wait| wait,
                |mut slot| {
                    // Its holder decides: it may have been used since.
                    if inner.is_stale(cell) {
                        swept.extend(cell.take());
                        slot = slot.filled_if(false);
                    }
                    slots.finish(slot)
                },
            );
            if wait {
                inner.semaphore.admit_waiters();
            }
        }
        swept.len()
    }
}

impl<T> Inner<T> {
    /// Returns whether the resource in this cell was idle for too long.
    #[inline(always)]
    pub(super) fn is_stale(&self, cell: &Cell<T>) -> bool {
        // Acquire: pairs with the Release exchange in `set_max_idle`, which may have written the
        // time.
        let max_idle = self.max_idle.load(Ordering::Acquire);
        max_idle != NEVER && self.clock.coarse().since(cell.since()) > Duration::from_nanos(max_idle)
    }

    /// Notes that the resource in this cell is idle from now on, if there is a limit.
    #[inline(always)]
    pub(super) fn note_idle(&self, cell: &Cell<T>) {
        // Relaxed: if the limit is set right now, `set_max_idle` writes the time.
        if self.max_idle.load(Ordering::Relaxed) != NEVER {
            cell.set_since(self.clock.coarse());
        }
    }
}
