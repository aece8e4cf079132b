//! A refusal: who refused, why, and when to come back.

use crate::time::instant::nanos;
use std::fmt;
use std::time::Duration;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The caller has used up its own quota.
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
    /// It is larger than all there is: asking again never helps.
    TooLarge,
    /// Its consumer's filter threw it out. Items are lost for this; no request is refused for it.
    Filtered,
    /// A rate that many callers share is used up, whoever used it.
    Throttled,
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
            Reason::TooLarge => "too_large",
            Reason::Filtered => "filtered",
            Reason::Throttled => "throttled",
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
/// let rejected = Rejected::new("orders", Reason::Full).numbers(16, 16).retry_in(Duration::from_millis(20));
/// assert_eq!(rejected.to_string(), "orders rejected: full (16 of 16), retry after 20ms");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    by: &'static str,
    // `u64::MAX` is "not known": an `Option` each would double what a refusal has to write.
    window: u64,
    retry_after: u64,
    // The reason in the low four bits, then the limit and the observed number, thirty bits each. A
    // refusal is moved two or three times on its way out, sixteen bytes at a time: what was written
    // as two words just before would have to reach memory first, which takes longer than all else.
    facts: u64,
}

const UNKNOWN: u64 = u64::MAX;

fn known(n: u64) -> Option<u64> {
    (n != UNKNOWN).then_some(n)
}

const BITS: u32 = 30;
const NO_NUMBER: u64 = (1 << BITS) - 1;

const fn number(n: u64) -> u64 {
    if n < NO_NUMBER { n } else { NO_NUMBER - 1 }
}

impl Rejected {
    /// A refusal by the guard named `by`.
    #[inline]
    pub const fn new(by: &'static str, reason: Reason) -> Self {
        let facts = reason as u64 | NO_NUMBER << 4 | NO_NUMBER << (4 + BITS);
        Rejected { by, window: UNKNOWN, retry_after: UNKNOWN, facts }
    }

    /// The same, with the number allowed and the number found; a number above 1,073,741,822 is told
    /// as that.
    #[inline]
    pub const fn numbers(mut self, limit: u64, observed: u64) -> Self {
        // One branch that is always the same, in place of two choices on the way of every refusal.
        let (limit, observed) = if (limit | observed) < NO_NUMBER {
            (limit, observed)
        } else {
            (number(limit), number(observed))
        };
        self.facts = self.facts & 15 | limit << 4 | observed << (4 + BITS);
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

    /// [`over`](Self::over), in nanoseconds: for those who refuse in a few of them.
    #[doc(hidden)]
    #[inline]
    pub const fn over_nanos(mut self, window: u64) -> Self {
        self.window = window;
        self
    }

    /// [`retry_in`](Self::retry_in), in nanoseconds.
    #[doc(hidden)]
    #[inline]
    pub const fn retry_in_nanos(mut self, after: u64) -> Self {
        self.retry_after = after;
        self
    }

    /// The same, by the guard named `by`.
    #[must_use]
    pub const fn named(mut self, by: &'static str) -> Self {
        self.by = by;
        self
    }

    /// The name of the guard that refused.
    pub const fn by(&self) -> &'static str {
        self.by
    }

    /// Why.
    #[inline]
    pub const fn reason(&self) -> Reason {
        match self.facts & 15 {
            0 => Reason::Limited,
            1 => Reason::Open,
            2 => Reason::Full,
            3 => Reason::Dropped,
            4 => Reason::Expired,
            5 => Reason::Evicted,
            6 => Reason::Busy,
            7 => Reason::Overdue,
            8 => Reason::Closed,
            9 => Reason::Unavailable,
            10 => Reason::TooLarge,
            11 => Reason::Filtered,
            _ => Reason::Throttled,
        }
    }

    const fn number(&self, shift: u32) -> Option<u64> {
        let n = (self.facts >> shift) & NO_NUMBER;
        if n == NO_NUMBER { None } else { Some(n) }
    }

    /// The number allowed, where there is one.
    pub const fn limit(&self) -> Option<u64> {
        self.number(4)
    }

    /// The number found, where there is one.
    pub const fn observed(&self) -> Option<u64> {
        self.number(4 + BITS)
    }

    /// The time over which the numbers are counted; for `Expired`, the time it waited.
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
        write!(f, "{} rejected: {}", self.by, self.reason())?;
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
            .field("reason", &self.reason())
            .field("limit", &self.limit())
            .field("observed", &self.observed())
            .field("window", &self.window())
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

impl std::error::Error for Rejected {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        use Reason::*;
        let given = [Limited, Open, Full, Dropped, Expired, Evicted, Busy, Overdue, Closed, Unavailable];
        for reason in given.into_iter().chain([TooLarge, Filtered, Throttled]) {
            let rejected = Rejected::new("x", reason);
            assert_eq!((rejected.reason(), rejected.limit(), rejected.observed()), (reason, None, None));
            let rejected = rejected.numbers(0, 1_073_741_822);
            assert_eq!(
                (rejected.reason(), rejected.limit(), rejected.observed()),
                (reason, Some(0), Some(1_073_741_822))
            );
            let rejected =
                rejected.numbers(u64::MAX, 7).over(Duration::from_secs(1)).retry_in(Duration::ZERO);
            assert_eq!(
                (rejected.reason(), rejected.limit(), rejected.observed()),
                (reason, Some(1_073_741_822), Some(7))
            );
            assert_eq!(
                (rejected.window(), rejected.retry_after()),
                (Some(Duration::from_secs(1)), Some(Duration::ZERO))
            );
        }
    }

    #[test]
    fn a_refusal_is_small() {
        assert_eq!(size_of::<Rejected>(), 40);
        assert_eq!(size_of::<Result<(), Rejected>>(), 40);
    }
}
