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
    /// The number of reasons that four bits can hold.
    #[cfg(feature = "metrics")]
    pub(crate) const MAX: usize = 16;

    /// Returns the reason whose `as u64` is this number.
    #[inline]
    pub(crate) const fn from_number(number: u64) -> Self {
        match number {
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

/// Why a circuit breaker rejected a request with [`Reason::Open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenCause {
    /// Too many calls failed or timed out.
    Failures = 1,
    /// Too many calls failed.
    Errors,
    /// Too many calls timed out.
    Timeouts,
    /// Too many calls were slow.
    SlowCalls,
    /// The dependency rejected too many calls itself.
    Overloads,
    /// The callers gave up on too many calls, and too few succeeded.
    Cancellations,
    /// Too many probes failed.
    ProbesFailed,
    /// A health check failed.
    HealthCheckFailed,
    /// An operator opened it.
    Operator,
    /// An operator has blocked it.
    Blocked,
    /// An operator has it reject calls at random, as a test.
    InjectedFault,
    /// It is half-open, and the maximum number of probes is in flight.
    Probing,
    /// It admits a growing share of the calls, and this call was not among them.
    Ramp,
}

impl OpenCause {
    /// Returns one to three words in lower case, for labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            OpenCause::Failures => "failures",
            OpenCause::Errors => "errors",
            OpenCause::Timeouts => "time-outs",
            OpenCause::SlowCalls => "slow calls",
            OpenCause::Overloads => "overloads",
            OpenCause::Cancellations => "cancelled calls",
            OpenCause::ProbesFailed => "failed probes",
            OpenCause::HealthCheckFailed => "failed health check",
            OpenCause::Operator => "operator",
            OpenCause::Blocked => "blocked",
            OpenCause::InjectedFault => "injected fault",
            OpenCause::Probing => "probing",
            OpenCause::Ramp => "ramp",
        }
    }

    /// Returns the cause with this number, or `None` if there is none.
    fn from_number(number: u64) -> Option<Self> {
        use OpenCause::*;
        let rest = [Operator, Blocked, InjectedFault, Probing, Ramp];
        let trips = [Failures, Errors, Timeouts, SlowCalls, Overloads, Cancellations];
        let all = trips.into_iter().chain([ProbesFailed, HealthCheckFailed]).chain(rest);
        (1..).zip(all).find(|(n, _)| *n == number).map(|(_, cause)| cause)
    }
}

impl fmt::Display for OpenCause {
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
    // The reason and the cause in four bits each, then the limit and the observed number, 28 bits
    // each. A rejection is moved two or three times on its way out, sixteen bytes at a time. Such a
    // move stalls on two words that were just written separately, longer than everything else
    // takes.
    facts: u64,
}

const UNKNOWN: u64 = u64::MAX;

fn known(n: u64) -> Option<u64> {
    (n != UNKNOWN).then_some(n)
}

const CAUSE: u32 = 4;
/// The bits of the reason and the cause.
const WORDS: u64 = 0xff;
const LIMIT: u32 = 8;
const OBSERVED: u32 = LIMIT + BITS;
const BITS: u32 = 28;
const NO_NUMBER: u64 = (1 << BITS) - 1;

const fn number(n: u64) -> u64 {
    if n < NO_NUMBER { n } else { NO_NUMBER - 1 }
}

impl Rejected {
    /// Creates a rejection by the guard named `by`.
    #[inline]
    pub const fn new(by: &'static str, reason: Reason) -> Self {
        let facts = reason as u64 | NO_NUMBER << LIMIT | NO_NUMBER << OBSERVED;
        Rejected { by, window: UNKNOWN, retry_after: UNKNOWN, facts }
    }

    /// Sets the limit and the number that was observed. Range: 0 to 268,435,454; larger numbers are
    /// stored as that.
    #[inline]
    pub const fn numbers(mut self, limit: u64, observed: u64) -> Self {
        // One branch that is nearly always predicted, instead of two choices on every rejection.
        let (limit, observed) = if (limit | observed) < NO_NUMBER {
            (limit, observed)
        } else {
            (number(limit), number(observed))
        };
        self.facts = self.facts & WORDS | limit << LIMIT | observed << OBSERVED;
        self
    }

    /// Sets why a circuit breaker is open.
    #[inline]
    pub const fn because(self, cause: OpenCause) -> Self {
        self.because_number(cause as u64)
    }

    /// Sets the cause by its number, the lowest four bits. 0 is none.
    #[doc(hidden)]
    #[inline]
    pub const fn because_number(mut self, cause: u64) -> Self {
        self.facts = self.facts & !(15 << CAUSE) | (cause & 15) << CAUSE;
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
        Reason::from_number(self.facts & 15)
    }

    /// Returns why the circuit breaker is open, if one rejected the request.
    pub fn cause(&self) -> Option<OpenCause> {
        OpenCause::from_number(self.facts >> CAUSE & 15)
    }

    const fn number(&self, shift: u32) -> Option<u64> {
        let n = (self.facts >> shift) & NO_NUMBER;
        if n == NO_NUMBER { None } else { Some(n) }
    }

    /// Returns the limit, if the guard stated one.
    pub const fn limit(&self) -> Option<u64> {
        self.number(LIMIT)
    }

    /// Returns the observed number, if the guard stated one.
    pub const fn observed(&self) -> Option<u64> {
        self.number(OBSERVED)
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
        match self.cause() {
            Some(cause) => self.fmt_cause(f, cause)?,
            None => self.fmt_numbers(f)?,
        }
        match self.retry_after() {
            Some(after) => write!(f, ", retry after {:?}", rounded(after)),
            None => Ok(()),
        }
    }
}

impl Rejected {
    /// Writes why a circuit breaker is open, and what it counted.
    fn fmt_cause(&self, f: &mut fmt::Formatter<'_>, cause: OpenCause) -> fmt::Result {
        match (self.observed(), self.window(), self.limit()) {
            (Some(observed), Some(window), Some(limit)) => {
                write!(f, " ({observed} {cause} in {window:?}, limit {limit})")
            }
            _ => write!(f, " ({cause})"),
        }
    }

    /// Writes the numbers behind the decision.
    fn fmt_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        Ok(())
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
            .field("cause", &self.cause())
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
            let rejected = rejected.numbers(0, 268_435_454);
            assert_eq!(
                (rejected.reason(), rejected.limit(), rejected.observed()),
                (reason, Some(0), Some(268_435_454))
            );
            let rejected =
                rejected.numbers(u64::MAX, 7).over(Duration::from_secs(1)).retry_in(Duration::ZERO);
            assert_eq!(
                (rejected.reason(), rejected.limit(), rejected.observed()),
                (reason, Some(268_435_454), Some(7))
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

    /// A ratio trip read "open (10 of 5 in 10s)", and a block like a failure.
    #[test]
    fn open_breaker_states_its_cause() {
        let open = Rejected::new("payments", Reason::Open);
        assert_eq!((open.cause(), open.to_string()), (None, "payments rejected: open".into()));
        let failed = open.because(OpenCause::Failures).numbers(5, 10).over(Duration::from_secs(10));
        assert_eq!(failed.to_string(), "payments rejected: open (10 failures in 10s, limit 5)");
        for number in 1..=13 {
            let cause = OpenCause::from_number(number).unwrap();
            let rejected = open.because(OpenCause::Ramp).numbers(1, 2).because(cause);
            assert_eq!(
                (cause as u64, rejected.cause(), rejected.reason()),
                (number, Some(cause), Reason::Open)
            );
            assert_eq!((rejected.limit(), rejected.observed()), (Some(1), Some(2)));
            assert_eq!(open.because(cause).to_string(), format!("payments rejected: open ({cause})"));
        }
        assert!(OpenCause::from_number(0).or(OpenCause::from_number(14)).is_none());
    }

    #[test]
    fn a_rejection_has_forty_bytes() {
        assert_eq!(size_of::<Rejected>(), 40);
        assert_eq!(size_of::<Result<(), Rejected>>(), 40);
    }
}
