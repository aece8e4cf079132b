//! The three phases of a day.

use std::ops::Range;
use std::time::Duration;

/// The figures of the first seconds are those of an empty system, and are not counted.
const WARM_UP: Duration = Duration::from_secs(2);

/// The lengths of calm, trouble and aftermath.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phases {
    calm: Duration,
    trouble: Duration,
    after: Duration,
}

impl Phases {
    /// Creates the phases of a day. The calm lasts longer than two seconds.
    pub(crate) fn new(calm: Duration, trouble: Duration, after: Duration) -> Self {
        Phases { calm, trouble, after }
    }

    /// Returns when the trouble begins.
    pub(crate) fn begins(&self) -> Duration {
        self.calm
    }

    /// Returns how long the trouble lasts.
    pub(crate) fn lasts(&self) -> Duration {
        self.trouble
    }

    /// Returns when the day ends.
    pub(crate) fn end(&self) -> Duration {
        self.calm + self.trouble + self.after
    }

    /// Returns the calm, without its first two seconds.
    pub(crate) fn before(&self) -> Range<Duration> {
        WARM_UP.min(self.calm)..self.calm
    }

    /// Returns the time of the trouble.
    pub(crate) fn during(&self) -> Range<Duration> {
        self.calm..self.calm + self.trouble
    }

    /// Returns the time after the trouble.
    pub(crate) fn after(&self) -> Range<Duration> {
        self.calm + self.trouble..self.end()
    }
}
