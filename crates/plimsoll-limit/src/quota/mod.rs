//! Quotas: a rate and a burst, as a value.

pub(crate) mod gcra;
pub(crate) mod live;
pub(crate) mod packed;
#[cfg(feature = "serde")]
mod settings;

use gcra::Rate;
use plimsoll_core::parts::{check, nanos};
use plimsoll_core::{Allowance, ConfigError, ControlError};
use std::fmt;
use std::time::Duration;

/// A rate and a burst: `units` are replenished evenly over `period`, and at most `burst` can be
/// taken at once.
///
/// | quota | burst | lasting rate | at most in any span d |
/// |---|---|---|---|
/// | `per_second(50)` | 50 | 50 a second | 50 + 50·d |
/// | `per_second(50).burst(100)` | 100 | 50 a second | 100 + 50·d |
/// | `at_most(100, minute)` | 50 | 51 a minute | 100, if d is a minute or less |
///
/// One unit is replenished every [`interval`](Self::interval), a whole number of nanoseconds. It is
/// rounded *up*, so that rounding never admits more: 3 million units a second become 2,994,012.
///
/// ```
/// use plimsoll_limit::Quota;
/// use std::time::Duration;
///
/// const FREE: Quota = Quota::per_minute(60).burst(10);
/// assert_eq!(FREE.interval(), Duration::from_secs(1));
/// assert_eq!(FREE.to_string(), "60 per 60s, burst 10");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "crate::quota::settings::QuotaTable", into = "crate::quota::settings::QuotaTable")
)]
#[doc(alias = "GCRA")]
#[doc(alias = "token bucket")]
pub struct Quota {
    pub(crate) units: u32,
    pub(crate) period: u64,
    pub(crate) burst: u32,
    pub(crate) sliding: bool,
    interval: u64,
}

const SECOND: u64 = 1_000_000_000;
/// The longest interval between two units: 54 bits of nanoseconds, which are 208 days. The tag of
/// an entry has no more bits for it.
const MAX_INTERVAL: u64 = (1 << 54) - 1;
/// The longest time to replenish a burst: 2⁶¹ ns, which are 73 years. Sums with it do not overflow.
const MAX_FILL_TIME: u64 = 1 << 61;

impl Quota {
    /// Creates a quota of `units` a second, with a burst of as many.
    pub const fn per_second(units: u32) -> Self {
        Self::new(units, SECOND)
    }

    /// Creates a quota of `units` a minute, with a burst of as many.
    pub const fn per_minute(units: u32) -> Self {
        Self::new(units, 60 * SECOND)
    }

    /// Creates a quota of `units` an hour, with a burst of as many.
    pub const fn per_hour(units: u32) -> Self {
        Self::new(units, 3_600 * SECOND)
    }

    /// Creates a quota of `units` a day, with a burst of as many.
    pub const fn per_day(units: u32) -> Self {
        Self::new(units, 86_400 * SECOND)
    }

    /// Creates a quota of `units` in each `period`, with a burst of as many.
    pub const fn per(units: u32, period: Duration) -> Self {
        Self::new(units, nanos(period))
    }

    /// Creates a quota of at most `units` in *any* `window`, wherever it begins.
    ///
    /// This guarantee costs throughput. A caller that takes the burst at once and continues at the
    /// lasting rate must not exceed the limit either. So the lasting rate is `units − burst + 1` in
    /// a window. With a small burst that is nearly all of `units`. Default burst: half of `units`,
    /// rounded up.
    ///
    /// Decisions read the precise clock, which takes about 20 ns more. Allowances and rejections
    /// state `units` and `window`. No more than the burst remains of them at once.
    #[doc(alias = "sliding window")]
    pub const fn at_most(units: u32, window: Duration) -> Self {
        let quota = Quota { units, period: nanos(window), burst: 0, sliding: true, interval: 0 };
        quota.burst(units.div_ceil(2))
    }

    const fn new(units: u32, period: u64) -> Self {
        let quota = Quota { units, period, burst: 0, sliding: false, interval: 0 };
        quota.burst(units)
    }

    /// Sets the maximum number of units that can be taken at once.
    #[must_use]
    pub const fn burst(mut self, units: u32) -> Self {
        self.burst = units;
        self.interval = if self.sliding {
            // Within the window, less than one unit more than `units − burst` may be replenished.
            (self.period / (self.units.saturating_sub(units) as u64 + 1)).saturating_add(1)
        } else if self.units == 0 {
            MAX_INTERVAL
        } else {
            self.period.div_ceil(self.units as u64)
        };
        self
    }

    /// Returns the maximum number of units that can be taken at once.
    pub const fn burst_size(&self) -> u32 {
        self.burst
    }

    /// Returns the time in which one unit is replenished.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Returns the number of units that are replenished in a second.
    pub fn rate(&self) -> f64 {
        SECOND as f64 / self.interval as f64
    }

    /// Returns the time in which the whole burst is replenished.
    pub const fn fills_in(&self) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(self.burst as u64))
    }

    /// Returns a quota of `rate` units a second with the same burst.
    ///
    /// The interval is the shortest one that does not exceed the rate. It is found by its rate,
    /// because a [rate](Self::rate) that was read is rounded. Computed back, its interval may be a
    /// little above or below the whole number that it was.
    pub(crate) fn at_rate(&self, rate: f64) -> Quota {
        let shorter = (SECOND as f64 / rate).floor();
        let interval = if SECOND as f64 / shorter <= rate { shorter } else { shorter + 1.0 };
        Quota { units: 1, period: interval as u64, burst: 0, sliding: false, interval: 0 }.burst(self.burst)
    }

    /// Returns the interval and the burst. Those of an invalid quota admit nothing.
    #[inline]
    pub(crate) const fn gcra(&self) -> Rate {
        let fills = self.interval.saturating_mul(self.burst as u64) <= MAX_FILL_TIME;
        let sliding = !self.sliding || self.burst <= self.units;
        if self.units > 0 && self.period > 0 && self.interval <= MAX_INTERVAL && fills && sliding {
            let at_most = if self.sliding { self.units } else { 0 };
            Rate { interval: self.interval, burst: self.burst, at_most }
        } else {
            Rate { interval: MAX_INTERVAL, burst: 0, at_most: 0 }
        }
    }

    /// Checks the quota. Limiters do so themselves; an invalid quota from a closure admits nothing.
    ///
    /// # Errors
    /// Returns an error if the quota admits nothing, if a unit takes more than 208 days to be
    /// replenished, or if the burst takes more than 73 years.
    pub fn validate(&self) -> Result<(), ConfigError> {
        Err(match self.fault() {
            None => return Ok(()),
            Some(Fault::NoUnits) => ConfigError::new("quota.units", 0, "1 or more"),
            Some(Fault::NoBurst) => ConfigError::new("quota.burst", 0, "1 or more"),
            Some(Fault::BurstAboveUnits) => {
                ConfigError::new("quota.burst", self.burst, "at most the units of any window")
            }
            Some(Fault::NoPeriod) => ConfigError::new("quota.period", "0ns", "above 0"),
            Some(Fault::LongInterval) => {
                let interval = format_args!("{:?} a unit", self.interval()).to_string();
                ConfigError::new("quota.period", interval, "at most 208 days a unit")
            }
            Some(Fault::LongFillTime) => {
                let fills = format_args!("{:?} to fill up", self.fills_in()).to_string();
                ConfigError::new("quota.burst", fills, "at most 73 years to fill up")
            }
        })
    }

    /// Returns the quota, or panics if it is invalid. In a constant that is a compile error.
    ///
    /// For a quota that is known when the program is written. [`validate`](Self::validate) returns
    /// an error instead.
    ///
    /// ```
    /// use plimsoll_limit::{Quota, RateLimiter};
    ///
    /// const FREE: Quota = Quota::per_minute(60).burst(10).assert_valid();
    /// let limiter = RateLimiter::new(FREE)?;
    /// # Ok::<(), plimsoll_core::ConfigError>(())
    /// ```
    ///
    /// ```compile_fail,E0080
    /// # use plimsoll_limit::Quota;
    /// const NOTHING: Quota = Quota::per_minute(0).assert_valid();
    /// ```
    ///
    /// # Panics
    /// Panics if `validate` returns an error.
    #[must_use]
    #[track_caller]
    pub const fn assert_valid(self) -> Self {
        // A constant can print no number, so only the value 0 is named.
        match self.fault() {
            None => self,
            Some(Fault::NoUnits) => panic!("quota.units = 0 is not allowed: it must be 1 or more"),
            Some(Fault::NoBurst) => panic!("quota.burst = 0 is not allowed: it must be 1 or more"),
            Some(Fault::BurstAboveUnits) => panic!("quota.burst must be at most the units of any window"),
            Some(Fault::NoPeriod) => panic!("quota.period = 0ns is not allowed: it must be above 0"),
            Some(Fault::LongInterval) => panic!("quota.period must be at most 208 days a unit"),
            Some(Fault::LongFillTime) => panic!("quota.burst must take at most 73 years to fill up"),
        }
    }

    /// Returns the first check that the quota does not pass.
    const fn fault(&self) -> Option<Fault> {
        if self.units == 0 {
            Some(Fault::NoUnits)
        } else if self.burst == 0 {
            Some(Fault::NoBurst)
        } else if self.sliding && self.burst > self.units {
            Some(Fault::BurstAboveUnits)
        } else if self.period == 0 {
            Some(Fault::NoPeriod)
        } else if self.interval > MAX_INTERVAL {
            Some(Fault::LongInterval)
        } else if self.interval.saturating_mul(self.burst as u64) > MAX_FILL_TIME {
            Some(Fault::LongFillTime)
        } else {
            None
        }
    }
}

/// What makes a quota invalid.
enum Fault {
    NoUnits,
    NoBurst,
    /// The burst of a quota for any window is above its units.
    BurstAboveUnits,
    NoPeriod,
    /// One unit takes too long to be replenished.
    LongInterval,
    /// The burst takes too long to be replenished.
    LongFillTime,
}

impl Quota {
    /// Calls `each` with the readings of a quota.
    pub(crate) fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("rate", self.rate());
        each("burst", f64::from(self.burst_size()));
    }

    /// Returns the quota with another `rate` (units a second) or `burst` (units).
    pub(crate) fn with_setting(self, setting: &str, value: f64) -> Result<Quota, ControlError> {
        match setting {
            "rate" if self.sliding => {
                let allowed = "left unchanged, because this quota limits the units in any window";
                Err(ControlError::new("rate", value, allowed))
            }
            "rate" if value > 0.0 && value <= 1e9 => Ok(self.at_rate(value)),
            "rate" => Err(ControlError::new("rate", value, "above 0, at most 1e9 units a second")),
            "burst" => Ok(self.burst(check::whole("burst", value)?)),
            _ => Err(ControlError::unknown(setting, &["rate", "burst", "queue", "max_wait"])),
        }
    }
}

/// Returns what remains of a quota.
pub(crate) fn allowance(name: &'static str, rate: Rate, free: u64, now: u64) -> Allowance {
    let (limit, window) = rate.stated();
    Allowance::new(name, limit, Duration::from_nanos(window))
        .remaining(u64::from(rate.remaining(free, now)), Duration::from_nanos(free.saturating_sub(now)))
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = Duration::from_nanos(self.period);
        if self.sliding {
            write!(f, "at most {} in any {period:?}, burst {}", self.units, self.burst)
        } else {
            write!(f, "{} per {period:?}, burst {}", self.units, self.burst)
        }
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota({self})")
    }
}
