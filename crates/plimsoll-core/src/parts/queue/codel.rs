//! Controlled delay (RFC 8289). A machine: it sees each item that is taken and decides about drops.

use crate::Instant;
use std::time::Duration;

/// The state of controlled delay, in the names of RFC 8289.
#[derive(Clone, Debug, Default)]
pub(super) struct CoDel {
    first_above: Option<Instant>,
    drop_next: Instant,
    count: u32,
    last_count: u32,
    dropping: bool,
}

/// An item at the head of the queue.
pub(super) struct Head<T> {
    pub(super) item: T,
    /// How long it has waited.
    pub(super) waited: Duration,
    /// Whether the queue is empty without it.
    pub(super) last: bool,
}

/// The settings and the current time.
#[derive(Clone, Copy)]
pub(super) struct CoDelParams {
    pub(super) target: Duration,
    pub(super) interval: Duration,
    pub(super) now: Instant,
}

/// Returns the time until the next drop.
///
/// It is `interval` divided by the square root of `count`, the number of drops.
fn control_law(interval: Duration, count: u32) -> Duration {
    interval.div_f64(f64::from(count.max(1)).sqrt())
}

impl CoDel {
    /// Notes that the queue has become empty.
    pub(super) fn emptied(&mut self) {
        self.first_above = None;
        self.dropping = false;
    }

    /// Returns the next item to serve (section 5 of the RFC, `dequeue`).
    ///
    /// `take` removes and returns the item at the head. Items that are dropped on the way are
    /// passed to `drop`.
    pub(super) fn dequeue<T>(
        &mut self,
        at: CoDelParams,
        mut take: impl FnMut() -> Option<Head<T>>,
        mut drop: impl FnMut(T),
    ) -> Option<T> {
        let (mut item, mut may_drop) = self.judge(at, take())?;
        if self.dropping {
            self.dropping = may_drop;
            while self.dropping && self.drop_next <= at.now {
                drop(item);
                self.count = self.count.saturating_add(1);
                (item, may_drop) = self.judge(at, take())?;
                if may_drop {
                    self.drop_next = self.drop_next + control_law(at.interval, self.count);
                } else {
                    self.dropping = false;
                }
            }
        } else if may_drop {
            drop(item);
            (item, _) = self.judge(at, take())?;
            self.begin(at);
        }
        Some(item)
    }

    /// Returns the item and whether it may be dropped (the RFC's `dodequeue`).
    fn judge<T>(&mut self, at: CoDelParams, head: Option<Head<T>>) -> Option<(T, bool)> {
        let Some(Head { item, waited, last }) = head else {
            self.emptied();
            return None;
        };
        // The RFC never drops the last packet.
        if waited < at.target || last {
            self.first_above = None;
            return Some((item, false));
        }
        let first_above = *self.first_above.get_or_insert(at.now + at.interval);
        Some((item, first_above <= at.now))
    }

    /// Begins to drop items. If dropping ended recently, it resumes near the rate it had then.
    fn begin(&mut self, at: CoDelParams) {
        let delta = self.count.saturating_sub(self.last_count);
        let recent = at.now.since(self.drop_next) < at.interval.saturating_mul(16);
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = at.now + control_law(at.interval, self.count);
        self.dropping = true;
    }
}
