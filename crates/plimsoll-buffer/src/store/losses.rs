//! The unreported losses of a shard.

use crate::lost::Lost;
use plimsoll_core::parts::Ticket;
use plimsoll_core::{Clock, Instant, Reason};

/// The losses since the last report, and where in the queue they belong.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) lost: Lost,
    // Read from the clock only at the first loss since the last report.
    since: Option<Instant>,
    /// The gap: the report comes before the item with this ticket. `None` if nothing was lost.
    pub(super) gap: Option<Ticket>,
}

impl Losses {
    /// Returns whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.gap.is_none()
    }

    /// Counts a loss whose gap is before `gap`.
    #[inline]
    pub(super) fn add(&mut self, reason: Reason, count: u64, gap: Ticket, clock: &Clock) {
        self.lost.count(reason, count);
        match self.gap {
            Some(at) if at <= gap => {}
            _ => self.open(gap, clock),
        }
    }

    /// Opens the gap, or moves it forward.
    #[cold]
    fn open(&mut self, gap: Ticket, clock: &Clock) {
        if self.since.is_none() {
            self.since = Some(clock.now());
        }
        self.gap = Some(gap);
    }

    /// Takes back a report that was not delivered.
    pub(super) fn restore(&mut self, lost: Lost, gap: Ticket, clock: &Clock) {
        if !lost.is_empty() {
            self.lost += lost;
            if lost.since.is_none() && self.since.is_none() {
                self.since = Some(clock.now());
            }
            self.gap = Some(self.gap.map_or(gap, |at| at.min(gap)));
        }
    }

    /// Takes the report.
    pub(super) fn take(&mut self, clock: &Clock) -> Lost {
        let since = self.since.take().map(|at| clock.wall(at));
        self.gap = None;
        let mut lost = std::mem::take(&mut self.lost);
        lost.since = lost.since.into_iter().chain(since).min();
        lost
    }
}
