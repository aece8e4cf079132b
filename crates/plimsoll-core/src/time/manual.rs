//! Time that a test or a simulator moves.

use super::Instant;
use super::instant::nanos;
use super::timers::Timers;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time that stands still until it is advanced. For tests and simulators.
///
/// ```
/// use plimsoll_core::ManualTime;
/// use std::time::Duration;
///
/// let time = ManualTime::new();
/// let clock = time.clock();
/// let start = clock.now();
/// time.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().since(start), Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "mock clock")]
#[doc(alias = "fake clock")]
pub struct ManualTime(Arc<Shared>);

/// The current time and the sleepers of all clocks of one [`ManualTime`].
#[derive(Debug, Default)]
pub(super) struct Shared {
    nanos: AtomicU64,
    // The tick of the coarse time in nanoseconds, or 0 if it is exact.
    tick: AtomicU64,
    timers: Arc<Timers>,
}

impl Shared {
    pub(super) fn now(&self) -> Instant {
        // SeqCst: pairs with the SeqCst accesses of `Timers::next` and `Timers::note`.
        Instant::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    pub(super) fn coarse(&self) -> Instant {
        let now = self.now();
        let behind = now.as_nanos().checked_rem(self.tick.load(Ordering::Relaxed));
        Instant::from_nanos(now.as_nanos() - behind.unwrap_or(0))
    }

    pub(super) fn timers(&self) -> Arc<Timers> {
        self.timers.clone()
    }

    fn move_to(&self, at: Instant) {
        // Many events happen at one instant, and a load costs less than a write.
        if self.now() < at {
            self.nanos.fetch_max(at.as_nanos(), Ordering::SeqCst);
        }
        self.timers.wake_due(at);
    }
}

impl ManualTime {
    /// Creates a time that starts at the origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances time by `duration`, stopping at the instant of each sleeper on the way.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.0.now() + duration);
    }

    /// Advances time to `at`, stopping at the instant of each sleeper on the way.
    ///
    /// Does nothing if `at` has passed: time never moves back.
    pub fn advance_to(&self, at: Instant) {
        while let Some(next) = self.next_sleeper().filter(|&next| next < at) {
            self.0.move_to(next);
        }
        self.0.move_to(at);
    }

    /// Sets the tick of the [coarse time](super::Clock::coarse), which is then the last multiple of
    /// it. Default: zero, the coarse time is exact.
    pub fn set_tick(&self, tick: Duration) {
        self.0.tick.store(nanos(tick), Ordering::Relaxed);
    }

    /// Returns the earliest instant that a sleeper waits for.
    pub fn next_sleeper(&self) -> Option<Instant> {
        self.0.timers.next()
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        self.0.clone()
    }
}
