//! The counts of an adaptive throttle, over a window whose length can change.

use plimsoll_core::Instant;
use plimsoll_core::parts::SlidingWindow;
use plimsoll_core::parts::sync::recover;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const REQUESTS: usize = 0;
const ACCEPTS: usize = 1;

/// The number of requests and accepts over a window.
pub(super) struct Window {
    // Counts here take no lock. Once the length has changed, the replacement counts.
    first: SlidingWindow<2>,
    is_replaced: AtomicBool,
    replacement: RwLock<Option<SlidingWindow<2>>>,
    nanos: AtomicU64,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Window {
            first: SlidingWindow::new(length),
            is_replaced: AtomicBool::new(false),
            replacement: RwLock::new(None),
            nanos: AtomicU64::new(length.as_nanos() as u64),
        }
    }

    /// Replaces the window by an empty one of this length.
    pub(super) fn replace(&self, length: Duration) {
        *recover(self.replacement.write()) = Some(SlidingWindow::new(length));
        self.nanos.store(length.as_nanos() as u64, Ordering::Relaxed);
        // Relaxed: the lock publishes the replacement. A thread that does not see this store yet
        // counts in the old window.
        self.is_replaced.store(true, Ordering::Relaxed);
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// Counts a request.
    #[inline(always)]
    pub(super) fn add(&self, is_accepted: bool, now: Instant) {
        match self.is_replaced.load(Ordering::Relaxed) {
            true => self.add_to_replacement(is_accepted, now),
            false => add(&self.first, is_accepted, now),
        }
    }

    #[cold]
    #[inline(never)]
    fn add_to_replacement(&self, is_accepted: bool, now: Instant) {
        add(recover(self.replacement.read()).as_ref().unwrap_or(&self.first), is_accepted, now);
    }

    /// Returns the number of requests and the number of accepts within the window.
    pub(super) fn sum(&self, now: Instant) -> [u64; 2] {
        recover(self.replacement.read()).as_ref().unwrap_or(&self.first).sum(0, now)
    }
}

#[inline(always)]
fn add(window: &SlidingWindow<2>, is_accepted: bool, now: Instant) {
    window.add(REQUESTS, 0, now);
    if is_accepted {
        window.add(ACCEPTS, 0, now);
    }
}
