//! The settings of a breaker.

use crate::meter::MAX_TRIPS;
use crate::trip::Trip;
use plimsoll_core::parts::check;
use plimsoll_core::{ConfigError, Outcome};
use std::time::Duration;

/// The settings of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// Plain data. It is validated when a breaker is built or changed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct CircuitBreakerConfig {
    /// The name that rejections carry. Default: "breaker".
    pub name: String,
    /// The trips. The breaker opens as soon as one of them is fulfilled.
    ///
    /// Without trips, only [`trip`](crate::CircuitBreaker::trip) opens it. Default:
    /// [`Trip::failures`], half of at least 20 calls within 10 s, as in Hystrix. Range: 0 to 8
    /// trips.
    pub trips: Vec<Trip>,
    /// How long the breaker stays open.
    pub open_time: OpenTime,
    /// How a half-open breaker probes the dependency.
    pub probes: Probes,
    /// How the breaker ramps up after its probes have succeeded.
    pub ramp: Ramp,
    /// The time after which a cancelled call counts as timed out.
    ///
    /// Default: `None`. Range: above 0.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", with = "plimsoll_core::parts::duration_text::option")
    )]
    pub call_timeout: Option<Duration>,
    /// What a call counts as that is cancelled before the call time-out.
    ///
    /// A caller that gives up early reveals nothing about the dependency. Default:
    /// [`Outcome::Ignored`].
    pub cancelled: Outcome,
    /// Whether health checks, instead of probes, decide that the dependency works again.
    ///
    /// No call is a probe then, so something must run the checks: see
    /// [`run_health_checks`](crate::CircuitBreaker::run_health_checks). If nothing does, an open
    /// breaker stays open until [`reset`](crate::CircuitBreaker::reset). Default: `false`.
    pub health_checked: bool,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        CircuitBreakerConfig {
            name: "breaker".into(),
            trips: vec![Trip::failures()],
            open_time: OpenTime::default(),
            probes: Probes::default(),
            ramp: Ramp::default(),
            call_timeout: None,
            cancelled: Outcome::Ignored,
            health_checked: false,
        }
    }
}

impl CircuitBreakerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        if self.trips.len() > MAX_TRIPS {
            let given = format!("{} trips", self.trips.len());
            return Err(ConfigError::new("trips", given, format!("at most {MAX_TRIPS}")));
        }
        for (n, trip) in self.trips.iter().enumerate() {
            trip.validate().map_err(|e| {
                let given = format!("{} (in trips[{n}])", e.value());
                ConfigError::new(e.field(), given, e.allowed().to_owned())
            })?;
        }
        self.open_time.validate()?;
        self.probes.validate()?;
        self.ramp.validate()?;
        self.call_timeout.map_or(Ok(()), |timeout| check::above_zero("call_timeout", timeout))
    }
}

/// How long a breaker stays open.
///
/// The first open time is `first`. Each time the breaker opens again without having been closed,
/// the open time is multiplied by `factor`, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[doc(alias = "backoff")]
#[doc(alias = "reset timeout")]
#[doc(alias = "wait duration")]
pub struct OpenTime {
    /// The first open time. Default: 5 s, as in Hystrix. Range: above 0.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub first: Duration,
    /// The factor from one open time to the next. Default: 2.0. Range: at least 1.0.
    pub factor: f64,
    /// The longest open time. Default: 60 s. Range: at least `first`.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max: Duration,
    /// The largest share by which an open time is shortened at random.
    ///
    /// It spreads the probes of breakers that opened together. Default: 0.1. Range: 0.0 to 1.0.
    pub jitter: f64,
}

impl Default for OpenTime {
    fn default() -> Self {
        OpenTime { first: Duration::from_secs(5), factor: 2.0, max: Duration::from_secs(60), jitter: 0.1 }
    }
}

impl OpenTime {
    /// Creates an open time that is always exactly `time`.
    pub const fn fixed(time: Duration) -> Self {
        OpenTime { first: time, factor: 1.0, max: time, jitter: 0.0 }
    }

    /// Returns an error naming the first invalid number.
    fn validate(&self) -> Result<(), ConfigError> {
        let OpenTime { first, factor, max, jitter } = *self;
        check::above_zero("open_time.first", first)?;
        if !(factor >= 1.0 && factor.is_finite()) {
            return Err(ConfigError::new("open_time.factor", factor, "at least 1.0"));
        }
        if max < first {
            return Err(ConfigError::new(
                "open_time.max",
                format_args!("{max:?}"),
                "at least open_time.first",
            ));
        }
        check::share("open_time.jitter", jitter)
    }

    /// Returns the open time after `before` earlier ones. `luck` is random, from 0.0 to 1.0.
    pub(crate) fn after(&self, before: u32, luck: f64) -> Duration {
        let grown = self.first.as_secs_f64() * self.factor.powf(f64::from(before.min(1_000)));
        let time = grown.min(self.max.as_secs_f64()) * (1.0 - self.jitter * luck);
        Duration::try_from_secs_f64(time).unwrap_or(self.max)
    }
}

/// How a half-open breaker probes the dependency: how many calls it admits, and what they must
/// show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[doc(alias = "half-open")]
pub struct Probes {
    /// The maximum number of probes in flight. Default: 1. Range: 1 to 1,024.
    pub concurrency: u32,
    /// The number of probes that must succeed. Default: 1, because a ramp follows. Range: at least
    /// 1.
    pub successes: u32,
    /// The maximum time that a probe may be in flight.
    ///
    /// A probe that takes longer counts as failed, and its later result is ignored. Choose a little
    /// more than the call time-out. Default: 30 s. Range: above 0.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub lease: Duration,
}

impl Default for Probes {
    fn default() -> Self {
        Probes { concurrency: 1, successes: 1, lease: Duration::from_secs(30) }
    }
}

impl Probes {
    /// Returns an error naming the first invalid number.
    fn validate(&self) -> Result<(), ConfigError> {
        check::within("probes.concurrency", self.concurrency, 1..=1_024)?;
        check::within("probes.successes", self.successes, 1..=u32::MAX)?;
        check::above_zero("probes.lease", self.lease)
    }
}

/// How a breaker ramps up after its probes have succeeded: it admits a growing share of the calls.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[doc(alias = "slow start")]
pub struct Ramp {
    /// The time until all calls are admitted. Default: 5 s. 0 closes the breaker at once.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub duration: Duration,
    /// The share of calls that is admitted at first. Default: 0.1. Range: 0.0 to 1.0.
    pub start: f64,
    /// The share of the calls on the ramp that may fail.
    ///
    /// At 0.1, one failure among the first nine calls opens the breaker again, for a longer time.
    /// Default: 0.1. Range: 0.0 to 1.0.
    pub tolerance: f64,
}

impl Default for Ramp {
    fn default() -> Self {
        Ramp { duration: Duration::from_secs(5), start: 0.1, tolerance: 0.1 }
    }
}

impl Ramp {
    /// No ramp: the breaker closes as soon as its probes have succeeded.
    pub const NONE: Ramp = Ramp { duration: Duration::ZERO, start: 1.0, tolerance: 0.0 };

    /// Returns an error naming the first invalid number.
    fn validate(&self) -> Result<(), ConfigError> {
        check::share("ramp.start", self.start)?;
        check::share("ramp.tolerance", self.tolerance)
    }
}
