//! What is reported to consumers about losses.

use super::Store;
use crate::lost::Lost;
use plimsoll_core::parts::StripedCounter;
use plimsoll_core::parts::sync::Ordering;

impl<T> Store<T> {
    /// Takes the report of all losses since the last one.
    pub(crate) fn report_losses(&self) -> Lost {
        let mut lost = Lost::default();
        for shard in self.shards() {
            let mut state = shard.lock();
            lost += shard.report_losses(&mut state, &self.unmarked, &self.clock);
        }
        (lost + self.report_rejections()).normalized()
    }

    /// Takes the report of the rejections that were only counted.
    pub(super) fn report_rejections(&self) -> Lost {
        let Some(rejections) = self.rejections.get() else { return Lost::default() };
        let total = rejections.total();
        let count = total.saturating_sub(self.rejections_reported.fetch_max(total, Ordering::AcqRel));
        if count == 0 {
            return Lost::default();
        }
        Lost { rejected: count, since: Some(self.clock.wall(self.clock.now())), ..Lost::default() }
    }

    /// Completes the count of rejections before a consumer sleeps.
    ///
    /// After this, a rejection in progress is counted, or its producer sees that it must wake a
    /// consumer. Once is enough after each time that a mark was removed: it is expensive.
    pub(super) fn catch_up(&self) {
        // Acquire: pairs with the Release in `report_losses`, so the mark is seen removed.
        let unmarked = self.unmarked.load(Ordering::Acquire);
        // Acquire: pairs with the Release below, so the caller sees what was counted before it.
        if self.caught_up.load(Ordering::Acquire) < unmarked
            && let Some(rejections) = self.rejections.get()
        {
            rejections.catch_up();
            self.caught_up.fetch_max(unmarked, Ordering::Release);
        }
    }

    /// Takes back a report that was not delivered.
    pub(crate) fn restore_losses(&self, lost: Lost) {
        let mut state = self.first.lock();
        let gap = state.queue.front();
        state.losses.restore(lost, gap, &self.clock);
        drop(state);
        self.mail.notify_one();
    }

    /// Returns whether there are items or unreported losses.
    pub(crate) fn has_mail(&self) -> bool {
        let counted = || {
            self.rejections.get().map_or(0, StripedCounter::total)
                > self.rejections_reported.load(Ordering::Acquire)
        };
        self.shards().any(|shard| {
            let state = shard.lock();
            !state.queue.is_empty() || !state.losses.is_empty()
        }) || counted()
    }
}
