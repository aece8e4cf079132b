//! Controlled delay: RFC 8289, in a line.

use crate::line::{Note, Position};
use crate::{Instant, Queue, Reason};
use std::time::Duration;

/// The state of controlled delay, by the names of RFC 8289.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoDel {
    first_above: Option<Instant>,
    drop_next: Instant,
    count: u32,
    last_count: u32,
    dropping: bool,
}

impl CoDel {
    pub(crate) fn emptied(&mut self) {
        self.first_above = None;
        self.dropping = false;
    }

    /// A spell of dropping begins, near the rate that was right at the end of the last one if that was
    /// not long ago.
    fn begin(&mut self, interval: Duration, now: Instant) {
        let delta = self.count.saturating_sub(self.last_count);
        let recent = now.since(self.drop_next) < interval.saturating_mul(16);
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = now + law(interval, self.count);
        self.dropping = true;
    }
}

/// The time until the next drop falls with the square root of their number.
fn law(interval: Duration, count: u32) -> Duration {
    interval.div_f64(f64::from(count.max(1)).sqrt())
}

impl<T> Queue<T> {
    /// Taking as RFC 8289 has it (section 5, `dequeue`): what is thrown out goes at the head, before
    /// the one that is taken.
    pub(crate) fn pick_controlled<L: FnMut(T, Reason)>(
        &mut self,
        target: Duration,
        interval: Duration,
        now: Instant,
        lost: &mut L,
    ) -> Option<(T, Position)> {
        let (mut item, mut note, mut may_drop) = self.take_judged(target, interval, now)?;
        if self.codel.dropping {
            self.codel.dropping = may_drop;
            while self.codel.dropping && self.codel.drop_next <= now {
                lost(item, Reason::Expired);
                self.codel.count = self.codel.count.saturating_add(1);
                (item, note, may_drop) = self.take_judged(target, interval, now)?;
                if may_drop {
                    self.codel.drop_next = self.codel.drop_next + law(interval, self.codel.count);
                } else {
                    self.codel.dropping = false;
                }
            }
        } else if may_drop {
            lost(item, Reason::Expired);
            (item, note, _) = self.take_judged(target, interval, now)?;
            self.codel.begin(interval, now);
        }
        Some((item, Position { note, front: true, pushes: self.pushes }))
    }

    /// The RFC's `dodequeue`: the one at the head, and whether it may be thrown out.
    fn take_judged(&mut self, target: Duration, interval: Duration, now: Instant) -> Option<(T, Note, bool)> {
        let Some((item, note)) = self.take_front() else {
            self.codel.emptied();
            return None;
        };
        // The RFC leaves the last packet alone; so do we the last item.
        if now.since(note.at) < target || self.is_empty() {
            self.codel.first_above = None;
            return Some((item, note, false));
        }
        let first_above = *self.codel.first_above.get_or_insert(now + interval);
        Some((item, note, first_above <= now))
    }
}
