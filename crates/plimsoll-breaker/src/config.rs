//! What can be set on a breaker.

use crate::{CircuitBreaker, KeyedCircuitBreaker, Trip};
use plimsoll_core::parts::intern;
use plimsoll_core::{Clock, ConfigError, Dice, Observe, Observer, Outcome};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`CircuitBreaker`]. Plain data; checked when a breaker is built from it.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreakerConfig {
    /// The name that refusals carry. Default "breaker".
    pub name: String,
    /// When it opens: as soon as any of these says so. Default [`Trip::failures`], as Hystrix has it: half of
    /// at least 20 calls within 10 s. None at all: only by hand.
    pub trips: Vec<Trip>,
    /// How long it stays open.
    pub open: OpenTime,
    /// How it tries whether it works again.
    pub probes: Probes,
    /// How it lets calls back in.
    pub ramp: Ramp,
    /// How long a call may take. A call that is cancelled after this time counts as timed out. Default `None`:
    /// a cancelled call never does.
    pub call_timeout: Option<Duration>,
    /// What a call counts as that is cancelled earlier. Default [`Outcome::Ignored`]: a caller who gives up
    /// says nothing about the dependency.
    pub cancelled: Outcome,
    /// Whether a check of yours decides if it works again, instead of calls: see
    /// [`tend`](CircuitBreaker::run). Default false.
    pub health_checked: bool,
}

/// How long a breaker stays open: `first`, and `factor` times as long each time it has to open again without
/// having been closed, up to `most`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenTime {
    /// The first time. Default 5 s, as Hystrix has it.
    pub first: Duration,
    /// How much longer the next, at least 1.0. Default 2.0; 1.0 is fixed.
    pub factor: f64,
    /// The longest. Default 60 s.
    pub max: Duration,
    /// The share of it that is left to chance, 0.0 to 1.0, so that many do not come back at once. Default
    /// 0.1: up to a tenth shorter.
    pub jitter: f64,
}

impl Default for OpenTime {
    fn default() -> Self {
        OpenTime { first: Duration::from_secs(5), factor: 2.0, max: Duration::from_secs(60), jitter: 0.1 }
    }
}

impl OpenTime {
    /// Always the same, to the instant.
    pub const fn fixed(time: Duration) -> Self {
        OpenTime { first: time, factor: 1.0, max: time, jitter: 0.0 }
    }

    pub(crate) fn after(&self, before: u32, luck: f64) -> Duration {
        let grown = self.first.as_secs_f64() * self.factor.powf(f64::from(before.min(1_000)));
        let time = grown.min(self.max.as_secs_f64()) * (1.0 - self.jitter * luck);
        Duration::try_from_secs_f64(time).unwrap_or(self.max)
    }
}

/// How a half-open breaker tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// How many calls may be out at once, 1 to 1,024. Default 1.
    pub concurrency: u32,
    /// How many have to succeed, at least 1. Default 1: what follows is the ramp.
    pub successes: u32,
    /// How long one may be out. One that is not back then counts as failed; what it brings later counts for
    /// nothing. Default 30 s; choose a little more than the call time-out.
    pub lease: Duration,
}

impl Default for Probes {
    fn default() -> Self {
        Probes { concurrency: 1, successes: 1, lease: Duration::from_secs(30) }
    }
}

/// How a breaker that works again lets calls back in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Over how long the share grows to all of them. Default 5 s; zero: at once.
    pub duration: Duration,
    /// The share that it begins with, 0.0 to 1.0. Default 0.1.
    pub start: f64,
    /// The share of the calls since it began that may fail, 0.0 to 1.0. Default 0.1: one failure
    /// among the first nine sends it back, for longer.
    pub tolerance: f64,
}

impl Default for Ramp {
    fn default() -> Self {
        Ramp { duration: Duration::from_secs(5), start: 0.1, tolerance: 0.1 }
    }
}

impl Ramp {
    /// No ramp: all at once.
    pub const NONE: Ramp = Ramp { duration: Duration::ZERO, start: 1.0, tolerance: 0.0 };
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        CircuitBreakerConfig {
            name: "breaker".into(),
            trips: vec![Trip::failures()],
            open: OpenTime::default(),
            probes: Probes::default(),
            ramp: Ramp::default(),
            call_timeout: None,
            cancelled: Outcome::Ignored,
            health_checked: false,
        }
    }
}

impl CircuitBreakerConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        plimsoll_core::parts::check::name(&self.name)?;
        self.trips.iter().try_for_each(Trip::validate)?;
        let above_zero = |field, given: Duration| match given.is_zero() {
            true => Err(ConfigError::new(field, "0ns", "above 0")),
            false => Ok(()),
        };
        let share = |field, given: f64| match (0.0..=1.0).contains(&given) {
            true => Ok(()),
            false => Err(ConfigError::new(field, given, "0.0 to 1.0")),
        };
        let OpenTime { first, factor, max: most, jitter } = self.open;
        above_zero("open.first", first)?;
        if !(factor >= 1.0 && factor.is_finite()) {
            return Err(ConfigError::new("open.factor", factor, "at least 1.0"));
        }
        if most < first {
            return Err(ConfigError::new("open.most", format!("{most:?}"), "at least the first"));
        }
        share("open.jitter", jitter)?;
        let Probes { concurrency: at_once, successes, lease } = self.probes;
        if !(1..=1_024).contains(&at_once) {
            return Err(ConfigError::new("probes.at_once", at_once, "1 to 1024"));
        }
        if successes == 0 {
            return Err(ConfigError::new("probes.successes", 0, "at least 1"));
        }
        above_zero("probes.lease", lease)?;
        share("ramp.from", self.ramp.start)?;
        share("ramp.tolerate", self.ramp.tolerance)?;
        self.call_timeout.map_or(Ok(()), |timeout| above_zero("call_timeout", timeout))
    }
}

pub(crate) fn check_rate(rate: f64) -> Result<(), ConfigError> {
    if (0.0..=1.0).contains(&rate) {
        Ok(())
    } else {
        Err(ConfigError::new("fault", rate, "0.0 (none) to 1.0 (all)"))
    }
}

/// Builds a [`CircuitBreaker`]; from [`CircuitBreaker::builder`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct CircuitBreakerBuilder {
    config: CircuitBreakerConfig,
    // The first trip that is given replaces the default.
    given: bool,
    clock: Clock,
    dice: Dice,
    observer: Option<Arc<dyn Observe>>,
}

impl CircuitBreakerBuilder {
    /// Starts from these settings.
    pub fn config(mut self, config: CircuitBreakerConfig) -> Self {
        self.config = config;
        self.given = true;
        self
    }

    /// The name that refusals carry. See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Opens for this reason, too. The first that is given takes the place of the default.
    pub fn trip(mut self, trip: Trip) -> Self {
        if !std::mem::replace(&mut self.given, true) {
            self.config.trips.clear();
        }
        self.config.trips.push(trip);
        self
    }

    /// How long it stays open.
    pub fn open(mut self, open: OpenTime) -> Self {
        self.config.open = open;
        self
    }

    /// How it tries whether it works again.
    pub fn probes(mut self, probes: Probes) -> Self {
        self.config.probes = probes;
        self
    }

    /// How it lets calls back in.
    pub fn ramp(mut self, ramp: Ramp) -> Self {
        self.config.ramp = ramp;
        self
    }

    /// How long a call may take before cancelling it counts as a time-out.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.config.call_timeout = Some(timeout);
        self
    }

    /// What a call counts as that is cancelled earlier.
    pub fn cancelled(mut self, outcome: Outcome) -> Self {
        self.config.cancelled = outcome;
        self
    }

    /// Lets a check of yours decide whether it works again, instead of calls.
    pub fn health_checked(mut self) -> Self {
        self.config.health_checked = true;
        self
    }

    /// The clock; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The dice; the calling thread's own unless set.
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` each decision, outcome and turn.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The breaker.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        self.config.validate()?;
        let name = intern(&self.config.name);
        let observer = self.observer.map_or(Observer::none(), |o| Observer::new(o, name));
        Ok(CircuitBreaker::of(name, Arc::new(self.config), self.clock, self.dice, observer))
    }
}

impl CircuitBreakerBuilder {
    /// A breaker of these settings for each key, `most` of them at once, 1 to 2³² − 1. See [`KeyedCircuitBreaker`].
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn keyed<K: Hash + Eq + Clone>(self, most: usize) -> Result<KeyedCircuitBreaker<K>, ConfigError> {
        self.config.validate()?;
        if most == 0 || u32::try_from(most).is_err() {
            return Err(ConfigError::new("most", most, "1 to 4294967295"));
        }
        let name = intern(&self.config.name);
        let observer = self.observer.map_or(Observer::none(), |o| Observer::new(o, name));
        Ok(KeyedCircuitBreaker::of(name, Arc::new(self.config), most, self.clock, self.dice, observer))
    }
}

impl fmt::Debug for CircuitBreakerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.observer.is_some();
        f.debug_struct("Builder").field("config", &self.config).field("observed", &observed).finish()
    }
}
