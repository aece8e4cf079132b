//! A refusal: who refused, why, and when to come back.

use crate::instant::nanos;
use std::fmt;
use std::time::Duration;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A rate was used up; `retry_after` says when there is more.
    Limited,
    /// A circuit breaker is open.
    Open,
    /// Every place is taken, and so is every place to wait.
    Full,
    /// Chance decided: random drop.
    Dropped,
    /// It waited too long.
    Expired,
    /// It waited and had to make room for another.
    Evicted,
    /// Every slot is in use; there is no waiting here.
    Busy,
    /// Its deadline has passed, or would before it is done.
    Overdue,
    /// The guard was closed.
    Closed,
    /// What decides cannot be reached.
    Unavailable,
}

impl Reason {
    /// The reason as one lower-case word, for labels and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Limited => "limited",
            Reason::Open => "open",
            Reason::Full => "full",
            Reason::Dropped => "dropped",
            Reason::Expired => "expired",
            Reason::Evicted => "evicted",
            Reason::Busy => "busy",
            Reason::Overdue => "overdue",
            Reason::Closed => "closed",
            Reason::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A refusal. It always means that the work never began.
///
/// Small and `Copy`; making one allocates nothing. It says who refused and why and, where the
/// guard knows them, the numbers behind the decision and the time after which asking again may help.
///
/// ```
/// use plimsoll_core::{Reason, Rejected};
/// use std::time::Duration;
///
/// let no = Rejected::new("orders", Reason::Full).numbers(16, 16).retry_in(Duration::from_millis(20));
/// assert_eq!(no.to_string(), "orders refused: full (16 of 16), retry after 20ms");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    by: &'static str,
    // `u64::MAX` is "not known": an `Option` each would double what a refusal has to write.
    limit: u64,
    observed: u64,
    window: u64,
    retry_after: u64,
    reason: Reason,
}

const UNKNOWN: u64 = u64::MAX;

fn known(n: u64) -> Option<u64> {
    (n != UNKNOWN).then_some(n)
}

impl Rejected {
    /// A refusal by the guard named `by`.
    #[inline]
    pub const fn new(by: &'static str, reason: Reason) -> Self {
        Rejected { by, reason, limit: UNKNOWN, observed: UNKNOWN, window: UNKNOWN, retry_after: UNKNOWN }
    }

    /// The same, with the number allowed and the number found.
    #[inline]
    pub const fn numbers(mut self, limit: u64, observed: u64) -> Self {
        (self.limit, self.observed) = (limit, observed);
        self
    }

    /// The same, with the time over which those numbers are counted.
    pub fn over(mut self, window: Duration) -> Self {
        self.window = nanos(window);
        self
    }

    /// The same, with the time after which asking again may help.
    pub fn retry_in(mut self, after: Duration) -> Self {
        self.retry_after = nanos(after);
        self
    }

    /// The name of the guard that refused.
    pub const fn by(&self) -> &'static str {
        self.by
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The number allowed, where there is one.
    pub fn limit(&self) -> Option<u64> {
        known(self.limit)
    }

    /// The number found, where there is one.
    pub fn observed(&self) -> Option<u64> {
        known(self.observed)
    }

    /// The time over which the numbers are counted.
    pub fn window(&self) -> Option<Duration> {
        known(self.window).map(Duration::from_nanos)
    }

    /// How long to wait before asking again; `None` where the guard cannot know.
    pub fn retry_after(&self) -> Option<Duration> {
        known(self.retry_after).map(Duration::from_nanos)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.by, self.reason)?;
        match (self.limit(), self.observed()) {
            (Some(limit), Some(observed)) => write!(f, " ({observed} of {limit}")?,
            (Some(limit), None) => write!(f, " (limit {limit}")?,
            _ => {}
        }
        if self.limit().is_some() {
            match self.window() {
                Some(window) => write!(f, " in {window:?})")?,
                None => f.write_str(")")?,
            }
        } else if let Some(window) = self.window() {
            write!(f, " after {window:?}")?;
        }
        match self.retry_after() {
            Some(after) => write!(f, ", retry after {after:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("by", &self.by)
            .field("reason", &self.reason)
            .field("limit", &self.limit())
            .field("observed", &self.observed())
            .field("window", &self.window())
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

impl std::error::Error for Rejected {}
