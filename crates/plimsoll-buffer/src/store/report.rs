//! What consumers are told of losses.

use super::Store;
use crate::lost::Lost;
use plimsoll_core::parts::StripedCounter;
use plimsoll_core::parts::sync::Ordering;

impl<T> Store<T> {
    /// What was lost, to be told now.
    pub(crate) fn report_losses(&self) -> Lost {
        let mut lost = Lost::default();
        for shard in self.shards() {
            let mut state = shard.lock();
            lost += shard.report_losses(&mut state, &self.clock);
        }
        (lost + self.report_rejections()).normalized()
    }

    /// Refusals that were only counted, since they were last told.
    pub(super) fn report_rejections(&self) -> Lost {
        let Some(rejections) = self.rejections.get() else { return Lost::default() };
        let total = rejections.total();
        let count = total.saturating_sub(self.rejections_reported.fetch_max(total, Ordering::AcqRel));
        if count == 0 {
            return Lost::default();
        }
        Lost { rejected: count, since: Some(self.clock.wall(self.clock.now())), ..Lost::default() }
    }

    /// Before the last look of one who is about to sleep: rejections that are being counted are counted, or
    /// their producers see that they have to call him.
    pub(super) fn catch_up(&self) {
        if let Some(rejections) = self.rejections.get() {
            rejections.catch_up();
        }
    }

    /// Takes back a telling that did not arrive.
    pub(crate) fn restore_losses(&self, lost: Lost) {
        let mut state = self.first.lock();
        let gap = state.queue.front();
        state.losses.restore(lost, gap, &self.clock);
        drop(state);
        self.mail.notify_one();
    }

    /// Whether there is anything to tell.
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
