//! What was lost and is not told yet.

use crate::lost::Lost;
use plimsoll_core::parts::Ticket;
use plimsoll_core::{Clock, Instant, Reason};

/// What was lost and is not told yet.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) lost: Lost,
    // Read only when something is lost for the first time since the last telling.
    since: Option<Instant>,
    /// The gap: to be told before the one that stands here.
    pub(super) gap: Option<Ticket>,
}

impl Losses {
    pub(super) fn is_empty(&self) -> bool {
        self.gap.is_none()
    }

    /// Counts what was lost, before the place `gap`.
    #[inline]
    pub(super) fn add(&mut self, reason: Reason, count: u64, gap: Ticket, clock: &Clock) {
        self.lost.count(reason, count);
        match self.gap {
            Some(at) if at <= gap => {}
            _ => self.open(gap, clock),
        }
    }

    #[cold]
    fn open(&mut self, gap: Ticket, clock: &Clock) {
        if self.since.is_none() {
            self.since = Some(clock.now());
        }
        self.gap = Some(gap);
    }

    /// Takes back what was told and did not arrive.
    pub(super) fn restore(&mut self, lost: Lost, gap: Ticket, clock: &Clock) {
        if !lost.is_empty() {
            self.lost += lost;
            if lost.since.is_none() && self.since.is_none() {
                self.since = Some(clock.now());
            }
            self.gap = Some(self.gap.map_or(gap, |at| at.min(gap)));
        }
    }

    pub(super) fn take(&mut self, clock: &Clock) -> Lost {
        let since = self.since.take().map(|at| clock.wall(at));
        self.gap = None;
        let mut lost = std::mem::take(&mut self.lost);
        lost.since = lost.since.into_iter().chain(since).min();
        lost
    }
}
