//! Conditions under which a breaker opens.

use plimsoll_core::parts::check;
use plimsoll_core::{ConfigError, OpenCause, Outcome};
use std::fmt;
use std::time::Duration;

/// The maximum number of consecutive probes that are bad, or without a verdict.
pub(crate) const MAX_PROBES: u32 = 10;
/// The probability below which a run of bad probes is not bad luck.
const UNLIKELY: f64 = 0.01;
/// The number of standard deviations beyond which a share is not bad luck: one of 740 cases.
const DEVIATIONS: f64 = 3.0;

/// A condition under which a breaker opens.
///
/// It states which calls are bad, how many of them are too many, and within which time.
/// A breaker opens as soon as one of its trips is fulfilled. Trips are evaluated when a bad call is
/// counted, never on a success.
///
/// ```
/// use plimsoll_breaker::Trip;
/// use std::time::Duration;
///
/// // Half of at least twenty calls within ten seconds …
/// let most_fail = Trip::failures().ratio(0.5, 20);
/// // … or five consecutive ones, at most a minute apart …
/// let dead = Trip::failures().consecutive(5).within(Duration::from_secs(60));
/// // … or a third of at least fifty take a second or longer.
/// let slow = Trip::slow(Duration::from_secs(1)).ratio(0.33, 50);
/// assert_eq!(most_fail.to_string(), "50% of ≥ 20 failures within 10s");
/// # let _ = (dead, slow);
/// ```
///
/// In a settings file (feature `serde`), a trip is a table with the same words:
///
/// ```toml
/// trips = [
///     { on = "failures", ratio = 0.5, min_calls = 20, within = "10s" },
///     { on = "failures", consecutive = 5, within = "60s" },
///     { on = "slow", longer_than = "1s", ratio = 0.33, min_calls = 50 },
/// ]
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "crate::trip_table::TripTable", into = "crate::trip_table::TripTable")
)]
pub struct Trip {
    pub(crate) of: Of,
    pub(crate) when: When,
    pub(crate) within: Duration,
}

/// Which calls are bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Of {
    Failures,
    Errors,
    Timeouts,
    Slow(Duration),
    Overloads,
    Cancellations,
}

/// How many bad calls are too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    Count(u32),
    Consecutive(u32),
    Ratio { share: f64, min_calls: u32 },
}

impl Trip {
    pub(crate) const fn of(of: Of) -> Self {
        Trip { of, when: When::Ratio { share: 0.5, min_calls: 20 }, within: Duration::from_secs(10) }
    }

    /// Creates the trip of a constructor.
    #[cfg(feature = "serde")]
    pub(crate) const fn default_of(of: Of) -> Self {
        match of {
            Of::Overloads => Self::overloads(),
            Of::Cancellations => Self::cancellations(),
            of => Self::of(of),
        }
    }

    /// Counts failures and time-outs as bad.
    ///
    /// Default: half of at least 20 calls within 10 s, as in Hystrix.
    pub const fn failures() -> Self {
        Self::of(Of::Failures)
    }

    /// Counts only failures as bad, without time-outs.
    pub const fn errors() -> Self {
        Self::of(Of::Errors)
    }

    /// Counts only time-outs as bad, including calls cancelled after the call time-out.
    pub const fn timeouts() -> Self {
        Self::of(Of::Timeouts)
    }

    /// Counts calls of this duration or longer as bad, whatever their outcome.
    ///
    /// That includes cancelled calls. With such a trip, each call reads the clock twice.
    #[doc(alias = "slow call rate")]
    pub const fn slow(longer_than: Duration) -> Self {
        Self::of(Of::Slow(longer_than))
    }

    /// Counts calls as bad that the dependency rejected: 429, 503, RESOURCE_EXHAUSTED.
    ///
    /// Of the other trips, only one of slow calls counts them, if they were slow. Default: 90 % of
    /// at least 20 calls within 10 s. A dependency that sheds part of its load still works, but one
    /// that rejects nearly all calls does not.
    pub const fn overloads() -> Self {
        Self::of(Of::Overloads).ratio(0.9, 20)
    }

    /// Counts calls as bad that their callers gave up on, and successes as good. No other counts.
    ///
    /// If a time-out outside the breaker drops a call, its outcome is never known. But if calls are
    /// cancelled and none succeeds, the dependency hangs. Default: all of at least 20 calls within
    /// 10 s, so a single success prevents it.
    pub const fn cancellations() -> Self {
        Self::of(Of::Cancellations).ratio(1.0, 20)
    }

    /// Opens on the `n`th bad call within the time. Range: at least 1.
    pub const fn count(mut self, n: u32) -> Self {
        self.when = When::Count(n);
        self
    }

    /// Opens on the `n`th consecutive bad call. Range: 1 to 65,535.
    ///
    /// A success, or a pause longer than the time, ends the streak.
    pub const fn consecutive(mut self, n: u32) -> Self {
        self.when = When::Consecutive(n);
        self
    }

    /// Opens if at least `share` of the calls within the time are bad, once there are `min_calls`.
    ///
    /// Default: 0.5 of 20 calls. Range: `share` above 0.0, to 1.0; `min_calls` at least 1.
    #[doc(alias = "failure rate")]
    #[doc(alias = "failure_rate_threshold")]
    #[doc(alias = "minimum_number_of_calls")]
    pub const fn ratio(mut self, share: f64, min_calls: u32) -> Self {
        self.when = When::Ratio { share, min_calls };
        self
    }

    /// Sets the time after which calls no longer count. Default: 10 s. Range: 1 ms to 1 h.
    ///
    /// Calls expire at most a tenth of the time late.
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Returns an error naming the first invalid number.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match self.when {
            When::Count(n) => check::within("count", n, 1..=u32::MAX)?,
            When::Consecutive(n) => check::within("consecutive", n, 1..=u32::from(u16::MAX))?,
            When::Ratio { share, .. } if !(share > 0.0 && share <= 1.0) => {
                return Err(ConfigError::new("ratio", share, "above 0.0, to 1.0"));
            }
            When::Ratio { min_calls, .. } => check::within("min_calls", min_calls, 1..=u32::MAX)?,
        }
        check::within("within", self.within, Duration::from_millis(1)..=Duration::from_secs(3_600))?;
        match self.of {
            Of::Slow(longer_than) => check::above_zero("longer_than", longer_than),
            _ => Ok(()),
        }
    }

    /// Returns which calls are bad, in one or two words for labels.
    pub const fn as_str(&self) -> &'static str {
        match self.of {
            Of::Failures => "failures",
            Of::Errors => "errors",
            Of::Timeouts => "time-outs",
            Of::Slow(_) => "slow calls",
            Of::Overloads => "overloads",
            Of::Cancellations => "cancelled calls",
        }
    }

    /// Returns the cause that rejections carry after this trip.
    pub(crate) const fn cause(&self) -> OpenCause {
        match self.of {
            Of::Failures => OpenCause::Failures,
            Of::Errors => OpenCause::Errors,
            Of::Timeouts => OpenCause::Timeouts,
            Of::Slow(_) => OpenCause::SlowCalls,
            Of::Overloads => OpenCause::Overloads,
            Of::Cancellations => OpenCause::Cancellations,
        }
    }

    /// Returns how many consecutive probes may be bad before a half-open breaker opens again.
    ///
    /// A closed breaker tolerates fewer than that. For a share, a run that long is bad luck in at
    /// most one of a hundred cases.
    pub(crate) fn max_bad_probes(&self) -> u32 {
        let run = match self.when {
            When::Count(n) | When::Consecutive(n) => n,
            When::Ratio { share, min_calls } => {
                let run = (UNLIKELY.ln() / share.ln()).ceil();
                // Not finite for a share of 1.
                if run.is_finite() && run < f64::from(min_calls) { run as u32 } else { min_calls }
            }
        };
        run.clamp(1, MAX_PROBES)
    }

    /// Returns whether these numbers of calls show that the share of bad ones is at least that of
    /// the trip, beyond bad luck.
    ///
    /// After the breaker has opened, counting begins anew. The first few calls then exceed a share
    /// by chance far more often than a full window does.
    pub(crate) fn is_beyond_chance(&self, all: u64, bad: u64) -> bool {
        let When::Ratio { share, .. } = self.when else { return true };
        let all = all as f64;
        // The standard deviation of the number of bad calls, if their share is that of the trip.
        let deviation = (all * share * (1.0 - share)).sqrt();
        bad as f64 >= share * all + DEVIATIONS * deviation
    }

    /// Returns the number of bad ones among `all` calls that fulfills the trip.
    pub(crate) fn allowed(&self, all: u64) -> u64 {
        match self.when {
            When::Count(n) | When::Consecutive(n) => u64::from(n),
            When::Ratio { share, .. } => (share * all as f64).ceil() as u64,
        }
    }

    /// Returns the time within which calls count.
    pub(crate) fn window(&self) -> Duration {
        self.within
    }

    /// Returns whether a success counts for the trip however long it took.
    pub(crate) fn counts_every_success(&self) -> bool {
        !self.needs_elapsed() && matches!(self.when, When::Ratio { .. })
    }

    /// Returns whether the call was slow for this trip.
    fn is_slow(&self, call: Call) -> bool {
        matches!((self.of, call.elapsed), (Of::Slow(longer_than), Some(took)) if took >= longer_than)
    }

    /// Returns whether calls must be timed for this trip.
    pub(crate) fn needs_elapsed(&self) -> bool {
        self.slow_after().is_some()
    }

    /// Returns the duration from which on a call is slow, for a trip of slow calls.
    pub(crate) fn slow_after(&self) -> Option<Duration> {
        match self.of {
            Of::Slow(longer_than) => Some(longer_than),
            _ => None,
        }
    }

    /// Returns whether a call counts as bad or as good, or `None` if it does not count.
    pub(crate) fn weighs(&self, call: Call) -> Option<bool> {
        match (self.of, call.outcome) {
            // A call that was cancelled after this time was slow, whatever a cancelled call counts
            // as.
            (Of::Slow(_), _) if call.cancelled && self.is_slow(call) => Some(true),
            (Of::Cancellations, Outcome::Success) => Some(false),
            (Of::Cancellations, _) => call.cancelled.then_some(true),
            (_, Outcome::Ignored | Outcome::Cancelled) => None,
            (Of::Slow(_), Outcome::Overloaded) => self.is_slow(call).then_some(true),
            (Of::Slow(_), _) => call.elapsed.map(|_| self.is_slow(call)),
            (Of::Overloads, outcome) => Some(outcome == Outcome::Overloaded),
            (_, Outcome::Overloaded) => None,
            (Of::Failures, outcome) => Some(outcome != Outcome::Success),
            (Of::Errors, outcome) => Some(outcome == Outcome::Failure),
            (Of::Timeouts, outcome) => Some(outcome == Outcome::TimedOut),
        }
    }
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Count(n) => write!(f, "{n} ")?,
            When::Consecutive(n) => write!(f, "{n} consecutive ")?,
            When::Ratio { share, min_calls } => {
                write!(f, "{}% of ≥ {min_calls} ", (share * 1e5).round() / 1e3)?;
            }
        }
        match self.of {
            Of::Failures => f.write_str("failures")?,
            Of::Errors => f.write_str("errors")?,
            Of::Timeouts => f.write_str("time-outs")?,
            Of::Slow(longer_than) => write!(f, "calls of {longer_than:?} and longer")?,
            Of::Overloads => f.write_str("overloads")?,
            Of::Cancellations => f.write_str("cancelled calls")?,
        }
        write!(f, " within {:?}", self.within)
    }
}

/// The end of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// What the call counts as.
    pub(crate) outcome: Outcome,
    /// Whether the call was cancelled, whatever that counts as.
    pub(crate) cancelled: bool,
    /// The time that the call took, if calls are timed.
    pub(crate) elapsed: Option<Duration>,
}
