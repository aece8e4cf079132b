//! An alarm with hysteresis.

use crate::breaker::CircuitBreaker;
use crate::machine::CircuitState;

/// What a monitor has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The breaker is not closed any more, or blocked.
    Raised,
    /// It has been closed at so many looks in a row.
    Cleared,
}

/// Looks at a breaker now and then: raises an alarm at once, and clears it only after some clean looks,
/// so that a breaker that opens and closes does not ring the bell each time. After fuse's monitor.
///
/// ```
/// use plimsoll_breaker::{Alarm, CircuitBreaker, Monitor};
///
/// let breaker = CircuitBreaker::new("mail")?;
/// let mut monitor = Monitor::new(breaker.clone(), 3);
/// breaker.trip("test");
/// assert_eq!(monitor.poll(), Some(Alarm::Raised));
/// breaker.reset();
/// assert_eq!([monitor.poll(), monitor.poll(), monitor.poll()], [None, None, Some(Alarm::Cleared)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Monitor {
    breaker: CircuitBreaker,
    clean: u32,
    // Clean looks that are still wanting; none while there is no alarm.
    wanting: u32,
}

impl Monitor {
    /// Watches `breaker`; `clean` looks in a row clear an alarm. fuse has three, a minute apart.
    pub fn new(breaker: CircuitBreaker, clean: u32) -> Self {
        Monitor { breaker, clean: clean.max(1), wanting: 0 }
    }

    /// Whether there is an alarm.
    pub fn is_raised(&self) -> bool {
        self.wanting > 0
    }

    /// Looks; to be called in regular intervals. HttpOptions if that changes something.
    pub fn poll(&mut self) -> Option<Alarm> {
        let status = self.breaker.status();
        let well = status.disabled || (status.state == CircuitState::Closed && status.blocked.is_none());
        let before = self.wanting;
        self.wanting = if well { before.saturating_sub(1) } else { self.clean };
        match (before > 0, self.wanting > 0) {
            (false, true) => Some(Alarm::Raised),
            (true, false) => Some(Alarm::Cleared),
            _ => None,
        }
    }
}
