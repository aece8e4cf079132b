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
    /// Without trips, only [`trip`](crate::CircuitBreaker::trip) opens it. Default, each of at
    /// least 20 calls within 10 s: half of them [fail](Trip::failures), as in Hystrix. The
    /// dependency rejects 90 % [itself](Trip::overloads). Or calls are
    /// [cancelled](Trip::cancellations) and none succeeds. Range: 0 to 8 trips.
    pub trips: Vec<Trip>,
    /// How long the breaker stays open.
    pub open_time: OpenTime,
    /// How a half-open breaker probes the dependency.
    pub probes: Probes,
    /// How the breaker ramps up after its probes have succeeded.
    pub ramp: Ramp,
    /// The time after which a call counts as timed out, however it ends.
    ///
    /// A call in flight counts as soon as it is that old, at most a tenth late, when the next call
    /// arrives. Nothing is cancelled: that is the task of a time-out around the call. Through a
    /// layer, a call ends at the head of the response. Default: 10 s. Range: above 0, or `None`.
    ///
    /// In a settings file, "0s" is `None`.
    #[cfg_attr(feature = "serde", serde(with = "zero_is_none"))]
    pub call_timeout: Option<Duration>,
    /// What a call counts as that is cancelled before the call time-out.
    ///
    /// A caller that gives up early reveals nothing about the dependency. Only
    /// [`Trip::cancellations`] counts such calls. Default: [`Outcome::Ignored`].
    pub cancelled: Outcome,
    /// Whether health checks, instead of probes, decide that the dependency works again.
    ///
    /// Something must run the checks: see
    /// [`run_health_checks`](crate::CircuitBreaker::run_health_checks). If no check ends within two
    /// [leases](Probes::lease) of the open time's end, calls probe the dependency after all.
    /// Default: `false`.
    pub health_checked: bool,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        CircuitBreakerConfig {
            name: "breaker".into(),
            trips: vec![Trip::failures(), Trip::overloads(), Trip::cancellations()],
            open_time: OpenTime::default(),
            probes: Probes::default(),
            ramp: Ramp::default(),
            call_timeout: Some(CALL_TIMEOUT),
            cancelled: Outcome::Ignored,
            health_checked: false,
        }
    }
}

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest default of a ramp.
const RAMP: Duration = Duration::from_secs(5);

impl CircuitBreakerConfig {
    /// Returns how long a ramp lasts.
    pub(crate) fn ramp_duration(&self) -> Duration {
        self.ramp.duration.unwrap_or(RAMP.min(self.open_time.first))
    }

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

/// A call time-out in a settings file. It is left out for the default, so `None` is written as 0.
#[cfg(feature = "serde")]
pub(crate) mod zero_is_none {
    use plimsoll_core::parts::duration_text;
    use serde::{Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(timeout: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration_text::serialize(&timeout.unwrap_or_default(), to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        duration_text::option::deserialize(from).map(|timeout| timeout.filter(|timeout| !timeout.is_zero()))
    }
}

/// How long a breaker stays open.
///
/// The first open time is `first`. Each time the breaker opens again without having been closed,
/// the open time is multiplied by `factor`, up to `max`. It is closed when its ramp ends.
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
    /// The number of consecutive bad probes that open the breaker again.
    ///
    /// Default: `None`, which derives it from each [trip](crate::Trip), so that what a closed
    /// breaker tolerates does not keep it open. That is the trip's number of calls, or for a share
    /// the shortest run that is bad luck in one of a hundred cases, such as 7 for 0.5. It is at
    /// most 10 and at most the trip's `min_calls`. Range: at least 1.
    ///
    /// By default, a probe that the dependency rejects, by 429 or 503, opens the breaker again at
    /// once if a trip counts [overloads](crate::Trip::overloads). Such a dependency may still work,
    /// so the breaker stays open for the first open time. From the number above on, in a row over
    /// all openings, the open time grows.
    ///
    /// As many as 10 consecutive probes may end without a verdict, cancelled or ignored. Then the
    /// breaker opens again, and the open time does not grow.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub failures: Option<u32>,
    /// The maximum time that a probe may be in flight.
    ///
    /// A probe that takes longer counts as bad, and its later result is ignored. Default: 10 s, the
    /// call time-out. Range: above 0.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub lease: Duration,
}

impl Default for Probes {
    fn default() -> Self {
        Probes { concurrency: 1, successes: 1, failures: None, lease: CALL_TIMEOUT }
    }
}

impl Probes {
    /// Returns an error naming the first invalid number.
    fn validate(&self) -> Result<(), ConfigError> {
        check::within("probes.concurrency", self.concurrency, 1..=1_024)?;
        check::within("probes.successes", self.successes, 1..=u32::MAX)?;
        check::within("probes.failures", self.failures.unwrap_or(1), 1..=u32::MAX)?;
        check::above_zero("probes.lease", self.lease)
    }
}

/// How a breaker ramps up after its probes have succeeded: it admits a growing share of the calls.
///
/// The [trips](CircuitBreakerConfig::trips) apply on the ramp as when it is closed. Until their
/// windows are full again, one of a share opens the breaker only if the share is exceeded by three
/// standard deviations. So what a closed breaker tolerates does not keep it open.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[doc(alias = "slow start")]
pub struct Ramp {
    /// The time until all calls are admitted. 0 closes the breaker at once.
    ///
    /// Default: `None`, which is as long as the [first open time](OpenTime::first), at most 5 s.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", with = "plimsoll_core::parts::duration_text::option")
    )]
    pub duration: Option<Duration>,
    /// The share of calls that is admitted at first. Default: 0.1. Range: 0.0 to 1.0.
    pub start: f64,
}

impl Default for Ramp {
    fn default() -> Self {
        Ramp { duration: None, start: 0.1 }
    }
}

impl Ramp {
    /// No ramp: the breaker closes as soon as its probes have succeeded.
    pub const NONE: Ramp = Ramp { duration: Some(Duration::ZERO), start: 1.0 };

    /// Returns an error naming the first invalid number.
    fn validate(&self) -> Result<(), ConfigError> {
        check::share("ramp.start", self.start)
    }
}
