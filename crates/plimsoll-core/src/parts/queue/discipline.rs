//! What waits in which order, and what has to go: the settings. The machine is [`Line`](super::Queue).

use crate::ConfigError;
use crate::parts::check;
use std::fmt;
use std::time::Duration;

/// In which order things that wait are taken, and which of them go when there are too many or they
/// wait too long. [`Line`](super::Queue) carries it out.
///
/// | discipline | taken first | when full | goes by age |
/// |---|---|---|---|
/// | [`Fifo`](Self::Fifo) | the oldest | evicts the oldest | – |
/// | [`KeepOldest`](Self::KeepOldest) | the oldest | refuses the new one | – |
/// | [`Lifo`](Self::Lifo) | the newest | evicts the oldest | – |
/// | [`LifoWithAge`](Self::LifoWithAge) | the newest | evicts the oldest | everything, once the newest is too old |
/// | [`CoDel`](Self::CoDel) | the oldest | evicts the oldest | some, faster and faster, while the wait stays above a target |
/// | [`AdaptiveLifo`](Self::AdaptiveLifo) | the oldest; the newest under overload | evicts the oldest | what waited too long, by two measures |
/// | [`TimeBuckets`](Self::TimeBuckets) | the newest | evicts the oldest | a whole time slice at once |
///
/// A bound by age ([`Bounds::age`](Bounds::max_age)) can be set beside any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
#[non_exhaustive]
pub enum Discipline {
    /// A queue: the oldest first. Full, it evicts the oldest: what has waited longest is worth least.
    #[default]
    Fifo,
    /// A queue that keeps what it has and refuses the new. For work whose start is worth more than
    /// its end, and for callers who are better told at once.
    KeepOldest,
    /// A stack: the newest first. Full, it evicts the oldest, at the bottom. Latency is low for those
    /// who are served; under lasting overload the bottom is never served and goes by eviction: in a
    /// stack of `n`, an item that `n` newer ones have come after is gone.
    Lifo,
    /// A stack in which everything goes once even the newest is older than `age`: whoever could have
    /// used it has given up.
    LifoWithAge {
        /// How old the newest may be; above zero.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        max_age: Duration,
    },
    /// Controlled delay (RFC 8289): a queue from whose head items are thrown out while the wait of
    /// those taken stays above `target` for longer than `interval`; the longer it does, the more.
    /// [`CODEL`](Self::CODEL) has the numbers of the RFC.
    #[cfg_attr(feature = "serde", serde(rename = "codel"))]
    CoDel {
        /// The wait that is acceptable as a standing state. Not below the time that one item's work
        /// takes, or every burst looks like overload.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        target: Duration,
        /// How long the wait may stay above it: a worst-case round trip in the RFC.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        interval: Duration,
    },
    /// A queue that becomes a stack under overload. While it has been empty within the last
    /// `interval`, the oldest goes first and may wait `interval`; when it has not, the newest goes
    /// first and none may wait longer than `target`. After "Fail at Scale" (Maurer, ACM Queue 2015), whose
    /// numbers [`ADAPTIVE_LIFO`](Self::ADAPTIVE_LIFO) has.
    AdaptiveLifo {
        /// The longest wait under overload. Not below the time that one item's work takes.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        target: Duration,
        /// The longest wait otherwise; also, for how long it must not have been empty to be overloaded.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        interval: Duration,
    },
    /// Time slices, each a stack, the newest slice first: the fresh goes first, and a slice that is
    /// too old goes whole. The overload chapter of *Erlang in Anger* describes it, for data that is
    /// worthless after a time.
    ///
    /// `slices` of them are kept, so nothing is served that is older than `slice × slices`; what goes
    /// is between that and one slice younger.
    TimeBuckets {
        /// How long a slice is; above zero.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        slice: Duration,
        /// How many are kept, the current one included; at least 2, so that a new slice does not
        /// empty the buffer.
        slices: u32,
    },
}

impl Discipline {
    /// CoDel with the numbers of RFC 8289: a target of 5 ms, an interval of 100 ms. They were made for
    /// packets; raise the target to the time one item's work takes, if that is longer.
    pub const CODEL: Self =
        Discipline::CoDel { target: Duration::from_millis(5), interval: Duration::from_millis(100) };
    /// Adaptive LIFO with the numbers of "Fail at Scale": 5 ms and 100 ms. Raise the target to the
    /// time one item's work takes, if that is longer.
    pub const ADAPTIVE_LIFO: Self =
        Discipline::AdaptiveLifo { target: Duration::from_millis(5), interval: Duration::from_millis(100) };

    /// Its name in lower case, for labels and tables.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Discipline::Fifo => "fifo",
            Discipline::KeepOldest => "keep-oldest",
            Discipline::Lifo => "lifo",
            Discipline::LifoWithAge { .. } => "lifo-with-age",
            Discipline::CoDel { .. } => "codel",
            Discipline::AdaptiveLifo { .. } => "adaptive-lifo",
            Discipline::TimeBuckets { .. } => "time-buckets",
        }
    }

    /// Checks its numbers.
    ///
    /// # Errors
    /// Names the number that will not do, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Discipline::Fifo | Discipline::KeepOldest | Discipline::Lifo => Ok(()),
            Discipline::LifoWithAge { max_age } => check::above_zero("max_age", max_age),
            Discipline::CoDel { target, interval } | Discipline::AdaptiveLifo { target, interval } => {
                check::above_zero("target", target)?;
                if interval < target {
                    let given = format!("{interval:?}");
                    return Err(ConfigError::new("interval", given, "at least the target"));
                }
                Ok(())
            }
            Discipline::TimeBuckets { slice, slices } => {
                check::above_zero("slice", slice)?;
                check::within("slices", slices, 2..=u32::MAX)
            }
        }
    }

    /// Whether it refuses the new when full, rather than evict the old.
    #[inline]
    pub(crate) const fn keeps_oldest(&self) -> bool {
        matches!(self, Discipline::KeepOldest)
    }

    /// Whether it needs to know how old things are.
    #[inline]
    pub(crate) const fn is_timed(&self) -> bool {
        !matches!(self, Discipline::Fifo | Discipline::KeepOldest | Discipline::Lifo)
    }
}

impl fmt::Display for Discipline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Discipline::Fifo | Discipline::KeepOldest | Discipline::Lifo => Ok(()),
            Discipline::LifoWithAge { max_age: age } => write!(f, " {age:?}"),
            Discipline::CoDel { target, interval } | Discipline::AdaptiveLifo { target, interval } => {
                write!(f, " {target:?}/{interval:?}")
            }
            Discipline::TimeBuckets { slice, slices } => write!(f, " {slices} × {slice:?}"),
        }
    }
}

/// How much may wait, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many.
    pub capacity: usize,
    /// How heavy, all together, in whatever unit weights are given.
    pub max_weight: u64,
    /// How long each; `None` for any time.
    pub max_age: Option<Duration>,
}

impl Bounds {
    /// `count` of any weight and age.
    pub const fn with_capacity(count: usize) -> Self {
        Bounds { capacity: count, max_weight: u64::MAX, max_age: None }
    }
}
