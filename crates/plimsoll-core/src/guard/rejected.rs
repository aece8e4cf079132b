//! Rejections: which guard rejected a request, why, and when to retry.

use crate::time::instant::nanos;
use std::fmt;
use std::time::Duration;

/// The reason of a rejection, or of the loss of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The caller has used up its own quota.
    Limited,
    /// A circuit breaker is open.
    Open,
    /// There is no room: every place that the request could take is taken, or others wait for one.
    Full,
    /// The request was dropped at random, to shed load.
    Dropped,
    /// The request waited too long.
    Expired,
    /// The request was removed from the queue to make room for another.
    Evicted,
    /// Every slot is in use, and the request does not wait for one.
    Busy,
    /// The deadline has passed, or would pass before the work is done.
    Overdue,
    /// The guard was closed.
    Closed,
    /// The service that decides cannot be reached.
    Unavailable,
    /// The request is larger than the whole limit. A retry never succeeds.
    TooLarge,
    /// The filter of a consumer discarded the item. Requests are never rejected for this.
    Filtered,
    /// A rate that several callers share is used up. This caller may have used little of it.
    Throttled,
    /// The request does not state the account that it belongs to, and this guard requires one.
    Unidentified,
}

impl Reason {
    /// Returns the reason in lower case, for labels and responses.
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
            Reason::Unidentified => "unidentified",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A rejection. It always means that the work never began.
///
/// It is small and `Copy`, and creating one allocates nothing. It names the guard and the reason.
/// If the guard knows them, it also states the numbers behind the decision and the time after which
/// a retry may succeed.
///
/// ```
/// use plimsoll_core::{Reason, Rejected};
/// use std::time::Duration;
///
/// let soon = Duration::from_millis(20);
/// let rejected = Rejected::new("orders", Reason::Full).numbers(16, 16).retry_in(soon);
/// assert_eq!(rejected.to_string(), "orders rejected: full (16 of 16), retry after 20ms");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(alias = "RateLimitExceeded")]
#[doc(alias = "NotUntil")]
pub struct Rejected {
    by: &'static str,
    // `u64::MAX` stands for "not known". Two `Option`s would double what a rejection writes.
    window: u64,
    retry_after: u64,
    // The reason in the low four bits, then the limit and the observed number, thirty bits each. A
    // rejection is moved two or three times on its way out, sixteen bytes at a time. Such a move
    // stalls on two words that were just written separately, longer than everything else takes.
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
    /// Creates a rejection by the guard named `by`.
    #[inline]
    pub const fn new(by: &'static str, reason: Reason) -> Self {
        let facts = reason as u64 | NO_NUMBER << 4 | NO_NUMBER << (4 + BITS);
        Rejected { by, window: UNKNOWN, retry_after: UNKNOWN, facts }
    }

    /// Sets the limit and the number that was observed. Range: 0 to 1,073,741,822; larger numbers
    /// are stored as that.
    #[inline]
    pub const fn numbers(mut self, limit: u64, observed: u64) -> Self {
        // One branch that is nearly always predicted, instead of two choices on every rejection.
        let (limit, observed) = if (limit | observed) < NO_NUMBER {
            (limit, observed)
        } else {
            (number(limit), number(observed))
        };
        self.facts = self.facts & 15 | limit << 4 | observed << (4 + BITS);
        self
    }

    /// Sets the time over which the numbers are counted.
    pub fn over(mut self, window: Duration) -> Self {
        self.window = nanos(window);
        self
    }

    /// Sets the time after which a retry may succeed.
    pub fn retry_in(mut self, after: Duration) -> Self {
        self.retry_after = nanos(after);
        self
    }

    /// Sets the time of [`over`](Self::over) in nanoseconds, without a conversion.
    #[doc(hidden)]
    #[inline]
    pub const fn over_nanos(mut self, window: u64) -> Self {
        self.window = window;
        self
    }

    /// Sets the time of [`retry_in`](Self::retry_in) in nanoseconds, without a conversion.
    #[doc(hidden)]
    #[inline]
    pub const fn retry_in_nanos(mut self, after: u64) -> Self {
        self.retry_after = after;
        self
    }

    /// Sets the name of the guard.
    #[must_use]
    pub const fn named(mut self, by: &'static str) -> Self {
        self.by = by;
        self
    }

    /// Returns the name of the guard.
    #[doc(alias = "guard")]
    pub const fn by(&self) -> &'static str {
        self.by
    }

    /// Returns the reason.
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
            12 => Reason::Throttled,
            _ => Reason::Unidentified,
        }
    }

    const fn number(&self, shift: u32) -> Option<u64> {
        let n = (self.facts >> shift) & NO_NUMBER;
        if n == NO_NUMBER { None } else { Some(n) }
    }

    /// Returns the limit, if the guard stated one.
    pub const fn limit(&self) -> Option<u64> {
        self.number(4)
    }

    /// Returns the observed number, if the guard stated one.
    pub const fn observed(&self) -> Option<u64> {
        self.number(4 + BITS)
    }

    /// Returns the time over which the numbers are counted.
    ///
    /// After a wait (`Expired`, `Evicted`) it is the time that the request waited.
    pub fn window(&self) -> Option<Duration> {
        known(self.window).map(Duration::from_nanos)
    }

    /// Returns the time after which a retry may succeed, if the guard knows it.
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
        let waited = matches!(self.reason(), Reason::Expired | Reason::Evicted);
        match self.window().filter(|_| !waited) {
            Some(window) if self.limit().is_some() => write!(f, " in {window:?})")?,
            _ if self.limit().is_some() => f.write_str(")")?,
            _ => {}
        }
        if let Some(wait) = self.window().filter(|_| waited) {
            write!(f, " after {:?}", rounded(wait))?;
        }
        match self.retry_after() {
            Some(after) => write!(f, ", retry after {:?}", rounded(after)),
            None => Ok(()),
        }
    }
}

/// Rounds a duration up to three or four digits, for display.
fn rounded(duration: Duration) -> Duration {
    let nanos = duration.as_nanos();
    let step = 10_u128.pow(nanos.checked_ilog10().unwrap_or(0).saturating_sub(3));
    let up = nanos.div_ceil(step).saturating_mul(step);
    u64::try_from(up).map_or(duration, Duration::from_nanos)
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
    fn every_field_is_read_back_as_set() {
        use Reason::*;
        let given = [Limited, Open, Full, Dropped, Expired, Evicted, Busy, Overdue, Closed, Unavailable];
        for reason in given.into_iter().chain([TooLarge, Filtered, Throttled, Unidentified]) {
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
    fn displayed_waits_are_rounded_up() {
        let wait = Duration::from_nanos(70_635_412);
        let evicted = Rejected::new("orders", Reason::Evicted).numbers(10, 10).over(wait);
        assert_eq!(evicted.to_string(), "orders rejected: evicted (10 of 10) after 70.64ms");
        let expired = Rejected::new("orders", Reason::Expired).over(Duration::from_millis(100));
        assert_eq!(expired.to_string(), "orders rejected: expired after 100ms");
        let limited = Rejected::new("api", Reason::Limited).numbers(5, 5).over(Duration::from_secs(1));
        let limited = limited.retry_in(Duration::from_nanos(474_000_604));
        assert_eq!(limited.to_string(), "api rejected: limited (5 of 5 in 1s), retry after 474.1ms");
    }

    #[test]
    fn a_rejection_has_forty_bytes() {
        assert_eq!(size_of::<Rejected>(), 40);
        assert_eq!(size_of::<Result<(), Rejected>>(), 40);
    }
}
