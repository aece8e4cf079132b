//! Queue disciplines: the order in which items are taken, and which of them leave.

use crate::ConfigError;
use crate::parts::check;
use std::fmt;
use std::time::Duration;

/// The order in which waiting items are taken, and which of them leave when the queue is full or an
/// item is too old.
///
/// | discipline | taken first | when full | leaves by age |
/// |---|---|---|---|
/// | [`Fifo`](Self::Fifo) | the oldest | evicts the oldest | – |
/// | [`KeepOldest`](Self::KeepOldest) | the oldest | rejects the newcomer | – |
/// | [`Lifo`](Self::Lifo) | the newest | evicts the oldest | – |
/// | [`LifoWithAge`](Self::LifoWithAge) | the newest | evicts the oldest | all items, once the newest is too old |
/// | [`CoDel`](Self::CoDel) | the oldest | evicts the oldest | some, faster and faster, while the wait stays above a target |
/// | [`AdaptiveLifo`](Self::AdaptiveLifo) | the oldest; the newest under overload | evicts the oldest | what waited too long, by two limits |
/// | [`TimeBuckets`](Self::TimeBuckets) | the newest | evicts the oldest | a whole time slice at once |
///
/// A bound on the age ([`Bounds::max_age`]) can be set beside any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
#[non_exhaustive]
pub enum Discipline {
    /// A queue: the oldest item first. When full, it evicts the oldest: what has waited longest is
    /// worth least.
    #[default]
    #[doc(alias = "queue")]
    #[doc(alias = "ring buffer")]
    #[doc(alias = "drop oldest")]
    Fifo,
    /// A queue that keeps its items and rejects newcomers. For streams whose first items matter
    /// most, and for callers that are better rejected at once.
    #[doc(alias = "drop newest")]
    #[doc(alias = "tail drop")]
    KeepOldest,
    /// A stack: the newest item first. When full, it evicts the oldest, at the bottom.
    ///
    /// Items that are served have waited briefly. Under lasting overload the bottom is never
    /// served: in a stack of `n` items, an item is evicted once `n` newer ones are above it.
    #[doc(alias = "stack")]
    Lifo,
    /// A stack that drops all items once even the newest is older than `max_age`: their callers
    /// have given up by then.
    LifoWithAge {
        /// The maximum age of the newest item. Above 0.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        max_age: Duration,
    },
    /// Controlled delay (RFC 8289): a queue that drops items at its head once the wait has stayed
    /// above `target` for longer than `interval`. The longer that lasts, the more often it drops.
    ///
    /// [`CODEL`](Self::CODEL) has the numbers of the RFC.
    #[cfg_attr(feature = "serde", serde(rename = "codel"))]
    #[doc(alias = "controlled delay")]
    #[doc(alias = "AQM")]
    CoDel {
        /// The wait that is acceptable as a standing state. Above 0.
        ///
        /// It should not be below the time that one item takes, or every burst looks like overload.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        target: Duration,
        /// The time for which the wait may stay above the target. At least the target. In the RFC
        /// it is a worst-case round trip.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        interval: Duration,
    },
    /// A queue that becomes a stack under overload.
    ///
    /// If it was empty within the last `interval`, the oldest item is first and may wait
    /// `interval`. If not, the newest is first and no item may wait longer than `target`. The idea
    /// is that of "Fail at Scale" (Maurer, ACM Queue 2015). [`ADAPTIVE_LIFO`](Self::ADAPTIVE_LIFO)
    /// has its numbers.
    AdaptiveLifo {
        /// The longest wait under overload. Above 0, and not below the time that one item takes.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        target: Duration,
        /// The longest wait otherwise. A queue that has not been empty for this time is overloaded.
        /// At least the target.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        interval: Duration,
    },
    /// Time slices, each a stack. The newest slice is first, and one that is too old leaves whole.
    ///
    /// For data that is worthless after a time, as the overload chapter of *Erlang in Anger*
    /// describes it. An item leaves at an age of `slice × (slices − 1)` to `slice × slices`,
    /// depending on where in its slice it arrived.
    TimeBuckets {
        /// The length of a slice. Above 0.
        #[cfg_attr(feature = "serde", serde(with = "crate::parts::duration_text"))]
        slice: Duration,
        /// The number of slices that are held, including the current one. At least 2, so that a new
        /// slice does not empty the queue.
        slices: u32,
    },
}

impl Discipline {
    /// CoDel with the numbers of RFC 8289: a target of 5 ms and an interval of 100 ms.
    ///
    /// They were chosen for packets. If one item takes longer, raise the target to that.
    pub const CODEL: Self =
        Discipline::CoDel { target: Duration::from_millis(5), interval: Duration::from_millis(100) };
    /// Adaptive LIFO with the numbers of "Fail at Scale": 5 ms and 100 ms.
    ///
    /// If one item takes longer, raise the target to that.
    pub const ADAPTIVE_LIFO: Self =
        Discipline::AdaptiveLifo { target: Duration::from_millis(5), interval: Duration::from_millis(100) };

    /// Returns the name in lower case, for labels and tables.
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

    /// Checks the numbers of the discipline.
    ///
    /// # Errors
    /// Returns an error naming the invalid number, its value and the allowed range.
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

    /// Returns whether a full queue rejects newcomers rather than evict items.
    #[inline]
    pub(crate) const fn keeps_oldest(&self) -> bool {
        matches!(self, Discipline::KeepOldest)
    }

    /// Returns whether it needs the ages of items.
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
            Discipline::LifoWithAge { max_age } => write!(f, " {max_age:?}"),
            Discipline::CoDel { target, interval } | Discipline::AdaptiveLifo { target, interval } => {
                write!(f, " {target:?}/{interval:?}")
            }
            Discipline::TimeBuckets { slice, slices } => write!(f, " {slices} × {slice:?}"),
        }
    }
}

/// The bounds of a queue: its length, its weight, and the age of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The maximum number of items.
    pub capacity: usize,
    /// The maximum weight of all items together, in the unit of the weights.
    pub max_weight: u64,
    /// The maximum age of an item; `None` for any age.
    pub max_age: Option<Duration>,
}

impl Bounds {
    /// Creates bounds for `capacity` items of any weight and age.
    pub const fn with_capacity(capacity: usize) -> Self {
        Bounds { capacity, max_weight: u64::MAX, max_age: None }
    }
}
