//! When a breaker opens: values that combine.

use plimsoll_core::parts::SlidingWindow;
use plimsoll_core::{ConfigError, Instant, Outcome};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// One reason to open: what is bad, how much of it is too much, and over which time.
///
/// A breaker opens as soon as any of its trips says so. It is decided when something bad is counted,
/// never by a success.
///
/// ```
/// use plimsoll_breaker::Trip;
/// use std::time::Duration;
///
/// // Half of at least twenty calls within ten seconds …
/// let most_fail = Trip::failures().ratio(0.5, 20);
/// // … or five in a row, not more than a minute apart …
/// let dead = Trip::failures().consecutive(5).within(Duration::from_secs(60));
/// // … or a third of at least fifty take a second and more.
/// let slow = Trip::slow(Duration::from_secs(1)).ratio(0.33, 50);
/// assert_eq!(most_fail.to_string(), "50% of ≥ 20 failures within 10s");
/// # let _ = (dead, slow);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trip {
    of: Of,
    when: When,
    within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Failures,
    Errors,
    Timeouts,
    Slow(Duration),
    Overloads,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Count(u32),
    Consecutive(u32),
    Ratio { share: f64, calls: u32 },
}

impl Trip {
    const fn of(of: Of) -> Self {
        Trip { of, when: When::Ratio { share: 0.5, calls: 20 }, within: Duration::from_secs(10) }
    }

    /// Failures and time-outs. Unless set otherwise: half of at least 20 calls within 10 s, as Hystrix
    /// has it.
    pub const fn failures() -> Self {
        Self::of(Of::Failures)
    }

    /// Failures alone, without time-outs.
    pub const fn errors() -> Self {
        Self::of(Of::Errors)
    }

    /// Time-outs alone; also calls that were cancelled after at least the call time-out.
    pub const fn timeouts() -> Self {
        Self::of(Of::Timeouts)
    }

    /// Calls that took this long and longer, however they ended, cancelled ones included. Each call then
    /// reads the clock twice.
    pub const fn slow(longer_than: Duration) -> Self {
        Self::of(Of::Slow(longer_than))
    }

    /// Calls that the inner side itself pushed back: 429, 503, RESOURCE_EXHAUSTED. They count in no other
    /// trip.
    pub const fn overloads() -> Self {
        Self::of(Of::Overloads)
    }

    /// Opens on the `n`th within the time; at least 1.
    pub const fn count(mut self, n: u32) -> Self {
        self.when = When::Count(n);
        self
    }

    /// Opens on the `n`th in a row, with no good one between and no longer pause than the time; 1 to 65,535.
    pub const fn consecutive(mut self, n: u32) -> Self {
        self.when = When::Consecutive(n);
        self
    }

    /// Opens when `share` of the calls within the time and more are bad, above 0.0 to 1.0, once there are
    /// at least `calls`.
    pub const fn ratio(mut self, share: f64, calls: u32) -> Self {
        self.when = When::Ratio { share, calls };
        self
    }

    /// Over which time; a millisecond to an hour. Default 10 s. What is older is forgotten, at most a tenth
    /// of the time late.
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let no = |field, given: String, allowed| Err(ConfigError::new(field, given, allowed));
        match self.when {
            When::Count(0) => return no("count", "0".into(), "at least 1"),
            When::Consecutive(n) if n == 0 || n > u32::from(u16::MAX) => {
                return no("consecutive", n.to_string(), "1 to 65535");
            }
            When::Ratio { share, .. } if !(share > 0.0 && share <= 1.0) => {
                return no("ratio", share.to_string(), "above 0.0, to 1.0");
            }
            When::Ratio { calls: 0, .. } => return no("calls", "0".into(), "at least 1"),
            _ => {}
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(3_600)).contains(&self.within) {
            return no("within", format!("{:?}", self.within), "1ms to 1h");
        }
        match self.of {
            Of::Slow(Duration::ZERO) => no("slow", "0ns".into(), "above 0"),
            _ => Ok(()),
        }
    }

    /// What it is about, in a word.
    pub const fn as_str(&self) -> &'static str {
        match self.of {
            Of::Failures => "failures",
            Of::Errors => "errors",
            Of::Timeouts => "time-outs",
            Of::Slow(_) => "slow calls",
            Of::Overloads => "overloads",
        }
    }

    pub(crate) fn is_slow(&self, call: Call) -> bool {
        matches!((self.of, call.elapsed), (Of::Slow(longer_than), Some(took)) if took >= longer_than)
    }

    pub(crate) fn needs_elapsed(&self) -> bool {
        matches!(self.of, Of::Slow(_))
    }

    pub(crate) fn span(&self) -> Duration {
        self.within
    }

    /// Whether a call that ended so counts here at all, and whether as bad.
    pub(crate) fn weighs(&self, call: Call) -> Option<bool> {
        match (self.of, call.outcome) {
            // A caller who gives up after so long says that it was slow, if nothing else.
            (Of::Slow(_), _) if call.cancelled && self.is_slow(call) => Some(true),
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
            When::Ratio { share, calls } => write!(f, "{}% of ≥ {calls} ", (share * 1e5).round() / 1e3)?,
        }
        match self.of {
            Of::Failures => f.write_str("failures")?,
            Of::Errors => f.write_str("errors")?,
            Of::Timeouts => f.write_str("time-outs")?,
            Of::Slow(longer_than) => write!(f, "calls of {longer_than:?} and longer")?,
            Of::Overloads => f.write_str("overloads")?,
        }
        write!(f, " within {:?}", self.within)
    }
}

const ALL: usize = 0;
const BAD: usize = 1;

/// A call that has ended, as it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) outcome: Outcome,
    /// Whether it was cancelled, whatever that counts as.
    pub(crate) cancelled: bool,
    /// Where calls are timed.
    pub(crate) elapsed: Option<Duration>,
}

/// A trip at work. Counting costs the same however much is in the window.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) trip: Trip,
    window: SlidingWindow<2>,
    // How many in a row, and when the last of them was, in steps of 1,024 ns.
    row: AtomicU64,
}

const ROW_BITS: u32 = 16;
const ROW_TICKS: u64 = u64::MAX >> ROW_BITS;
/// About a second.
const ROW_AHEAD: u64 = 1 << 20;

impl Meter {
    pub(crate) fn new(trip: Trip) -> Self {
        Meter { trip, window: SlidingWindow::new(trip.within), row: AtomicU64::new(0) }
    }

    /// Counts a call; answers whether that opens the breaker.
    #[inline]
    pub(crate) fn count(&self, call: Call, life: u32, now: Instant) -> bool {
        match self.trip.weighs(call) {
            None => false,
            // A row is broken by a success, not by what is bad for another trip.
            Some(false)
                if call.outcome != Outcome::Success && matches!(self.trip.when, When::Consecutive(_)) =>
            {
                false
            }
            Some(false) => {
                self.count_good(life, now);
                false
            }
            Some(true) => self.count_bad(life, now),
        }
    }

    /// Counts a call that was good: any success is, but for a trip of slow calls.
    #[inline]
    pub(crate) fn count_good(&self, life: u32, now: Instant) {
        match self.trip.when {
            When::Count(_) => {}
            When::Ratio { .. } => self.window.add(ALL, life, now),
            // Looked at first: a row of good ones writes nothing.
            When::Consecutive(_) if self.row.load(Ordering::Relaxed) == 0 => {}
            When::Consecutive(_) => self.row.store(0, Ordering::Relaxed),
        }
    }

    #[cold]
    fn count_bad(&self, life: u32, now: Instant) -> bool {
        match self.trip.when {
            When::Count(n) => {
                self.window.add(BAD, life, now);
                // Two at once must not both miss the other: each has to be seen before it looks.
                fence(Ordering::SeqCst);
                self.window.sum(life, now)[BAD] >= u64::from(n)
            }
            When::Ratio { share, calls } => {
                self.window.add(ALL, life, now);
                self.window.add(BAD, life, now);
                fence(Ordering::SeqCst);
                let [all, bad] = self.window.sum(life, now);
                all >= u64::from(calls) && bad as f64 >= share * all as f64
            }
            When::Consecutive(n) => {
                let tick = now.as_nanos() >> 10;
                // Of a span that is cut at both ends, and so never taken for a longer one.
                let within = self.trip.within.as_nanos().div_ceil(1 << 10) as u64;
                let next = |row: u64| {
                    // Ticks go round, in nine years; and another thread's clock may be a little ahead.
                    let age = tick.wrapping_sub(row >> ROW_BITS) & ROW_TICKS;
                    let over = age > within && age < ROW_TICKS - ROW_AHEAD;
                    let count = if over { 0 } else { row & u64::from(u16::MAX) };
                    tick << ROW_BITS | (count + 1).min(u64::from(u16::MAX))
                };
                let before =
                    self.row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |row| Some(next(row)));
                let (Ok(before) | Err(before)) = before;
                next(before) & u64::from(u16::MAX) >= u64::from(n)
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.row.store(0, Ordering::Relaxed);
    }

    /// How many bad ones there may be at most before it opens, and how many there are.
    pub(crate) fn counts(&self, life: u32, now: Instant) -> (u64, u64) {
        let [all, bad] = self.window.sum(life, now);
        match self.trip.when {
            When::Consecutive(n) => (u64::from(n), self.row.load(Ordering::Relaxed) & u64::from(u16::MAX)),
            When::Count(n) => (u64::from(n), bad),
            When::Ratio { share, .. } => ((share * all as f64).ceil() as u64, bad),
        }
    }
}
