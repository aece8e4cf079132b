//! The clock: the only way in which time enters a guard.

use super::manual::Shared;
use super::{Instant, ManualTime, system};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A source of time. Cheap to clone; every guard has one.
///
/// The default is the system's monotonic clock. [`ManualTime`] provides clocks that stand still
/// until a test or a simulator moves them.
///
/// A sleep in a task of a tokio runtime uses the timer of that runtime. Elsewhere, and if the
/// runtime has no timer, one timer thread serves all sleepers. The first sleeper starts it.
///
/// With the feature `test-util` the system clock follows tokio's paused time.
#[derive(Clone, Debug, Default)]
pub struct Clock(pub(super) Kind);

#[derive(Clone, Debug, Default)]
pub(super) enum Kind {
    #[default]
    System,
    Manual(Arc<Shared>),
}

/// How far the coarse clock may be behind, in nanoseconds: two ticks of the system, of 4 to 10 ms
/// each.
pub const TWO_TICKS: u64 = 20_000_000;

impl Clock {
    /// Creates a handle to the system's monotonic clock.
    pub const fn system() -> Self {
        Clock(Kind::System)
    }

    /// Returns the current time, to the nanosecond where the system provides it.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Kind::System => system::now(),
            Kind::Manual(shared) => shared.now(),
        }
    }

    /// Returns the current time in the resolution of the system's tick.
    ///
    /// It costs a quarter of [`now`](Self::now). The result is never ahead of [`now`](Self::now),
    /// and usually at most two ticks behind it. A tick takes 4 to 10 ms, so use this for spans that
    /// are long compared with that.
    ///
    /// On a [test clock](Self::is_test), or without a coarse clock of the system, the time is
    /// exact. A [`ManualTime`] may have [a tick](ManualTime::set_tick).
    #[inline]
    pub fn coarse(&self) -> Instant {
        match &self.0 {
            Kind::System => system::coarse(),
            Kind::Manual(shared) => shared.coarse(),
        }
    }

    /// Converts `at` into wall-clock time. A [`ManualTime`] starts at the Unix epoch.
    pub fn wall(&self, at: Instant) -> SystemTime {
        match &self.0 {
            Kind::System => {
                let now = system::now();
                #[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
                let wall = SystemTime::now();
                let wall =
                    if at <= now { wall.checked_sub(now.since(at)) } else { wall.checked_add(at.since(now)) };
                wall.unwrap_or(SystemTime::UNIX_EPOCH)
            }
            Kind::Manual(_) => SystemTime::UNIX_EPOCH + Duration::from_nanos(at.as_nanos()),
        }
    }

    /// Returns whether this clock may differ from real time.
    ///
    /// It may if it is manual, or if the feature `test-util` is on.
    pub fn is_test(&self) -> bool {
        cfg!(feature = "test-util") || matches!(self.0, Kind::Manual(_))
    }
}

impl ManualTime {
    /// Creates a clock that shows this time.
    pub fn clock(&self) -> Clock {
        Clock(Kind::Manual(self.shared()))
    }
}
