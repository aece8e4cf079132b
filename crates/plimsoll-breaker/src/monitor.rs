//! An alarm with hysteresis.

use crate::breaker::CircuitBreaker;
use crate::machine::CircuitState;

/// A change that a [`Monitor`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The breaker is not closed, or is blocked, and is not disabled.
    Raised,
    /// The breaker has been closed or disabled at enough consecutive polls.
    Cleared,
}

/// Raises an alarm when a breaker opens, and clears it after several polls that find it closed.
///
/// A breaker that opens and closes again and again thus raises one alarm. The model is fuse's
/// monitor.
///
/// ```
/// use plimsoll_breaker::{Alarm, CircuitBreaker, Monitor};
///
/// let breaker = CircuitBreaker::new("mail")?;
/// let mut monitor = Monitor::new(breaker.clone(), 3);
/// breaker.trip("test");
/// assert_eq!(monitor.poll(), Some(Alarm::Raised));
/// breaker.reset();
/// let polls = [monitor.poll(), monitor.poll(), monitor.poll()];
/// assert_eq!(polls, [None, None, Some(Alarm::Cleared)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Monitor {
    breaker: CircuitBreaker,
    clean: u32,
    // The number of clean polls until the alarm is cleared, or 0 if there is no alarm.
    remaining: u32,
}

impl Monitor {
    /// Creates a monitor whose alarm is cleared by `clean` consecutive polls.
    ///
    /// In fuse it is three, a minute apart. Range: at least 1.
    pub fn new(breaker: CircuitBreaker, clean: u32) -> Self {
        Monitor { breaker, clean: clean.max(1), remaining: 0 }
    }

    /// Returns whether there is an alarm.
    pub fn is_raised(&self) -> bool {
        self.remaining > 0
    }

    /// Looks at the breaker and returns a change of the alarm, if any.
    ///
    /// Call it at regular intervals.
    pub fn poll(&mut self) -> Option<Alarm> {
        let status = self.breaker.status();
        let healthy = status.disabled || (status.state == CircuitState::Closed && status.blocked.is_none());
        let before = self.remaining;
        self.remaining = if healthy { before.saturating_sub(1) } else { self.clean };
        match (before > 0, self.remaining > 0) {
            (false, true) => Some(Alarm::Raised),
            (true, false) => Some(Alarm::Cleared),
            _ => None,
        }
    }
}
