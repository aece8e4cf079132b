//! Calls in flight beyond the call time-out.

use crate::state::word::ONE_GENERATION;
use plimsoll_core::Instant;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use plimsoll_core::parts::{SlidingWindow, nanos};
use std::time::Duration;

/// The starts and the ends of calls, both counted at the time of the start.
///
/// The window is as long as the call time-out. Calls that started in a slice that has left it and
/// did not end are overdue. Each slice is looked at once, when it leaves.
pub(super) struct OverdueCalls {
    /// When to look next in nanoseconds, or `u64::MAX` without a call time-out.
    next: AtomicU64,
    /// The time from one look to the next in nanoseconds.
    pause: AtomicU64,
    window: SlidingWindow<2>,
}

const STARTED: usize = 0;
const ENDED: usize = 1;
const NEVER: u64 = u64::MAX;

// Relaxed throughout: each number stands for itself. A look that misses a call is made up for when
// that call ends, because it counts as late then.
impl OverdueCalls {
    pub(super) fn new(call_timeout: Option<Duration>, now: Instant) -> Self {
        let window = SlidingWindow::new(call_timeout.unwrap_or(Duration::from_secs(1)));
        let this = OverdueCalls { next: AtomicU64::new(NEVER), pause: AtomicU64::new(0), window };
        this.set(call_timeout, now);
        this
    }

    /// Changes the call time-out. Calls in flight count when they end, if they are late then.
    pub(super) fn set(&self, call_timeout: Option<Duration>, now: Instant) {
        let Some(timeout) = call_timeout else { return self.next.store(NEVER, Ordering::Relaxed) };
        self.window.set_span(timeout, now);
        let pause = (nanos(timeout) / 10).max(1_000_000);
        self.pause.store(pause, Ordering::Relaxed);
        self.next.store(now.as_nanos().saturating_add(pause).min(NEVER - 1), Ordering::Relaxed);
    }

    /// Counts the start of a call, or returns `false` if a look is due first.
    #[inline]
    pub(super) fn start(&self, generation: u32, now: Instant) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        if now.as_nanos() >= next {
            return false;
        }
        if next != NEVER {
            self.window.add(STARTED, life(generation), now);
        }
        true
    }

    /// Counts the end of a call.
    #[inline]
    pub(super) fn end(&self, generation: u32, started: Instant) {
        if self.next.load(Ordering::Relaxed) != NEVER {
            self.window.add(ENDED, life(generation), started);
        }
    }

    /// Returns whether a look has counted a call that started then and was still in flight.
    pub(super) fn is_counted(&self, started: Instant) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let last = next.saturating_sub(self.pause.load(Ordering::Relaxed));
        next != NEVER && self.window.has_left(started, Instant::from_nanos(last))
    }

    /// Returns the number of calls that have become overdue since the last look, or `None` if no
    /// look is due or another thread makes it.
    pub(super) fn look(&self, generation: u32, now: Instant) -> Option<u64> {
        let (next, pause) = (self.next.load(Ordering::Relaxed), self.pause.load(Ordering::Relaxed));
        let then = now.as_nanos().saturating_add(pause).min(NEVER - 1);
        let due = next != NEVER && now.as_nanos() >= next;
        if !due || self.next.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return None;
        }
        let (last, mut overdue) = (Instant::from_nanos(next.saturating_sub(pause)), 0);
        self.window.each_that_left(life(generation), last, now, |[started, ended]| {
            overdue += started.saturating_sub(ended);
        });
        Some(overdue)
    }
}

/// Returns the life of the window in which calls of this generation count.
#[inline]
fn life(generation: u32) -> u32 {
    generation / ONE_GENERATION
}
