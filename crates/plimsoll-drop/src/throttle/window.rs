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
        let mut replacement = recover(self.replacement.write());
        *replacement = Some(SlidingWindow::new(length));
        // The lock keeps the length in step with the window.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The length was once stored after the lock of the window had been released, so that the last
    /// of two changes could leave the length of the first.
    #[test]
    fn racing_replacements_agree_on_the_length() {
        let window = Window::new(SECOND);
        window.replace(SECOND);
        let is_done = AtomicBool::new(false);
        let wrong = std::thread::scope(|scope| {
            for thread in 1..3 {
                let (window, is_done) = (&window, &is_done);
                scope.spawn(move || {
                    while !is_done.load(Ordering::Relaxed) {
                        window.replace(thread * 10 * SECOND);
                    }
                });
            }
            let mut wrong = 0;
            for round in 1..10_000 {
                let locked = recover(window.replacement.read());
                // A request is counted for the length of the window, and at most a tenth longer.
                let (length, start) = (window.length(), Instant::default() + round * 100 * SECOND);
                let counts = locked.as_ref().unwrap_or(&window.first);
                add(counts, false, start);
                let counted = [length, length * 6 / 5].map(|after| counts.sum(0, start + after)[REQUESTS]);
                wrong += u32::from(counted != [1, 0]);
            }
            is_done.store(true, Ordering::Relaxed);
            wrong
        });
        assert_eq!(wrong, 0, "rounds in which the length was not that of the window");
    }
}
