//! The counts of an adaptive throttle, over a window whose length can change.

use plimsoll_core::Instant;
use plimsoll_core::parts::SlidingWindow;
use plimsoll_core::parts::sync::recover;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const SENT: usize = 0;
const ACCEPTS: usize = 1;
const LOCAL: usize = 2;

/// The number of requests over a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WindowCounts {
    /// Requests that were sent and answered.
    pub(super) sent: u64,
    /// Requests that the server accepted.
    pub(super) accepts: u64,
    /// Requests that were rejected locally.
    pub(super) local: u64,
}

/// Counts requests over a window.
pub(super) struct Window {
    counts: SlidingWindow<3>,
    // Each length has a life of its own, in which earlier counts are not seen.
    life: AtomicU32,
    nanos: AtomicU64,
    // Held while the length changes.
    changes: Mutex<()>,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Window {
            counts: SlidingWindow::new(length),
            life: AtomicU32::new(0),
            nanos: AtomicU64::new(length.as_nanos() as u64),
            changes: Mutex::new(()),
        }
    }

    /// Changes the length. All counts begin at 0 again. `now` reads the precise clock.
    pub(super) fn set_length(&self, length: Duration, now: impl FnOnce() -> Instant) {
        let _changes = recover(self.changes.lock());
        self.counts.set_span(length, now());
        self.nanos.store(length.as_nanos() as u64, Ordering::Relaxed);
        // Release: pairs with the Acquire load in `life`. A thread that counts in the new life also
        // sees its span.
        self.life.fetch_add(1, Ordering::Release);
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn life(&self) -> u32 {
        self.life.load(Ordering::Acquire)
    }

    /// Counts a request that was sent and answered.
    #[inline(always)]
    pub(super) fn add(&self, is_accepted: bool, now: Instant) {
        let life = self.life();
        self.counts.add(SENT, life, now);
        if is_accepted {
            self.counts.add(ACCEPTS, life, now);
        }
    }

    /// Counts a request that was rejected locally.
    #[inline(always)]
    pub(super) fn add_local(&self, now: Instant) {
        self.counts.add(LOCAL, self.life(), now);
    }

    /// Returns the counts within the window.
    pub(super) fn sum(&self, now: Instant) -> WindowCounts {
        let [sent, accepts, local] = self.counts.sum(self.life(), now);
        WindowCounts { sent, accepts, local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    /// The length was once stored after the lock of the window had been released, so that the last
    /// of two changes could leave the length of the first.
    #[test]
    fn racing_changes_agree_on_the_length() {
        let (window, is_done) = (Window::new(SECOND), AtomicU32::new(0));
        let clock = Clock::system();
        let wrong = std::thread::scope(|scope| {
            for thread in 1..3 {
                let (window, is_done, clock) = (&window, &is_done, &clock);
                scope.spawn(move || {
                    while is_done.load(Ordering::Relaxed) == 0 {
                        window.set_length(thread * 10 * SECOND, || clock.now());
                    }
                });
            }
            let mut wrong = 0;
            for _ in 0..10_000 {
                let _no_changes = recover(window.changes.lock());
                // A request is counted for the length of the window, and at most a tenth longer.
                let (length, start) = (window.length(), clock.now());
                window.add(false, start);
                let counted = [length, length * 6 / 5].map(|after| window.sum(start + after).sent);
                wrong += u32::from(counted[0] == 0 || counted[1] != 0);
            }
            is_done.store(1, Ordering::Relaxed);
            wrong
        });
        assert_eq!(wrong, 0, "rounds in which the length was not that of the window");
    }

    #[test]
    fn counts_begin_at_zero_with_each_length() {
        let (window, start) = (Window::new(SECOND), Instant::default() + 100 * SECOND);
        let counts = |sent, accepts, local| WindowCounts { sent, accepts, local };
        window.add(true, start);
        window.add_local(start);
        assert_eq!(window.sum(start), counts(1, 1, 1));
        window.set_length(10 * SECOND, || start);
        assert_eq!((window.sum(start), window.length()), (counts(0, 0, 0), 10 * SECOND));
        window.add(false, start);
        assert_eq!(window.sum(start + 10 * SECOND), counts(1, 0, 0));
        // The same length again begins anew, too.
        window.set_length(10 * SECOND, || start);
        assert_eq!(window.sum(start), counts(0, 0, 0));
    }
}
