//! The settings of a load shedder, and its builder.

use super::controllers::{Control, Controller, CurveSource};
use super::counters::Counters;
use super::machine::{Steering, tick_interval};
use super::published::Published;
use super::signal::{InFlight, Signal, SignalFn, SignalReading};
use super::{Inner, LoadShedder};
use plimsoll_core::parts::{Identity, Setup, check, nanos};
use plimsoll_core::{ConfigError, Dice, setup_setters};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// The settings of a [`LoadShedder`]. Plain data; validated when one is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LoadShedderConfig {
    /// The name that rejections carry. Default: "shedder".
    pub name: String,
    /// The target delay of the queue behind the shedder. Default: 5 ms. Range: 1 µs to 1 h.
    ///
    /// Five times the mean service time is a good choice. A target below the mean lets workers
    /// idle, because the queue is too short to bridge the variation of service times.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub target: Duration,
    /// The way in which it is steered. Default: [`Control::Rate`].
    pub control: Control,
    /// The approximate capacity of the bottleneck, in requests a second. Default: unknown.
    /// Range: above 0, at most 10⁹.
    ///
    /// With a hint, the shedder reacts at once to the first overload after a start. Later it
    /// measures the capacity. Only [`Control::Rate`] uses it, and only if a depth is known. It has
    /// no effect with a delay alone, under another control or with a function.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub capacity_hint: Option<f64>,
    /// The time for which an account stays in its cohort. Default: 1 min. Range: 1 s or more.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub reshuffle_every: Duration,
    /// The seed by which accounts are spread over the cohorts. Default: a random one.
    ///
    /// Shedders with the same seed and the same time between reshuffles cut the same accounts, also
    /// in other processes of the same build. A request that passes several of them is then kept or
    /// dropped by all. Keep it secret: a client that knows it can choose favourable account names.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub cohort_seed: Option<u64>,
    /// The number of requests in flight that are served at once. Range: 1 to 2³² − 1.
    ///
    /// The other requests in flight count as waiting. It has no default: a shedder needs it unless
    /// it has a [signal](LoadShedderBuilder::signal), which replaces it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub workers: Option<u32>,
}

impl Default for LoadShedderConfig {
    fn default() -> Self {
        LoadShedderConfig {
            name: "shedder".into(),
            target: Duration::from_millis(5),
            control: Control::Rate,
            capacity_hint: None,
            reshuffle_every: Duration::from_secs(60),
            cohort_seed: None,
            workers: None,
        }
    }
}

impl LoadShedderConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check_target(self.target)?;
        self.control.validate()?;
        check_capacity_hint(self.capacity_hint)?;
        check_reshuffle_every(self.reshuffle_every)?;
        self.workers.map_or(Ok(()), check_workers)
    }
}

pub(super) fn check_target(target: Duration) -> Result<(), ConfigError> {
    check::within("target", target, Duration::from_micros(1)..=Duration::from_secs(3_600))
}

pub(super) fn check_capacity_hint(hint: Option<f64>) -> Result<(), ConfigError> {
    match hint {
        Some(hint) if !(hint > 0.0 && hint <= 1e9) => {
            Err(ConfigError::new("capacity_hint", hint, "above 0, at most 1e9 requests a second"))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_reshuffle_every(reshuffle_every: Duration) -> Result<(), ConfigError> {
    match reshuffle_every < Duration::from_secs(1) {
        true => Err(ConfigError::new("reshuffle_every", format!("{reshuffle_every:?}"), "1s or more")),
        false => Ok(()),
    }
}

pub(super) fn check_workers(workers: u32) -> Result<(), ConfigError> {
    check::within("workers", workers, 1..=u32::MAX)
}

/// Builds a [`LoadShedder`]. Created by [`LoadShedder::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct LoadShedderBuilder<S = InFlight> {
    config: LoadShedderConfig,
    setup: Setup,
    signal: Option<SignalFn>,
    // A function that replaces the control.
    controller: Option<Controller>,
    kind: PhantomData<fn() -> S>,
}

impl Default for LoadShedderBuilder {
    fn default() -> Self {
        let config = LoadShedderConfig::default();
        let (setup, kind) = (Setup::default(), PhantomData);
        LoadShedderBuilder { config, setup, signal: None, controller: None, kind }
    }
}

impl<S> Clone for LoadShedderBuilder<S> {
    fn clone(&self) -> Self {
        LoadShedderBuilder {
            config: self.config.clone(),
            setup: self.setup.clone(),
            signal: self.signal.clone(),
            controller: self.controller.clone(),
            kind: PhantomData,
        }
    }
}

impl LoadShedder {
    /// Creates a load shedder in front of a service with `workers` workers and a queue.
    ///
    /// The target delay is 5 ms.
    ///
    /// # Errors
    /// Returns an error if `workers` is 0.
    pub fn new(workers: u32) -> Result<Self, ConfigError> {
        Self::builder().workers(workers).build()
    }

    /// Returns a builder with the default settings. It needs [`workers`] or a [`signal`].
    ///
    /// [`workers`]: LoadShedderBuilder::workers
    /// [`signal`]: LoadShedderBuilder::signal
    pub fn builder() -> LoadShedderBuilder {
        LoadShedderBuilder::default()
    }
}

impl<S> LoadShedderBuilder<S> {
    /// Sets the target delay of the queue behind the shedder.
    ///
    /// Five times the mean service time is a good choice. A target below the mean lets workers
    /// idle, because the queue is too short to bridge the variation of service times.
    /// Default: 5 ms. Range: 1 µs to 1 h.
    pub fn target(mut self, target: Duration) -> Self {
        self.config.target = target;
        self
    }

    /// Sets the way in which the shedder is steered. Default: [`Control::Rate`].
    pub fn control(mut self, control: Control) -> Self {
        self.config.control = control;
        self
    }

    /// Steers by a function from the load to the share that is kept.
    ///
    /// It replaces the [control](Self::control). The load is that of [`Control::Curve`]. The result
    /// is limited to the range from 0.0 to 1.0. If it is not a number, everything is kept.
    ///
    /// The function is called at each tick, on the thread of a caller. It must be quick, and must
    /// not read or change the settings of the shedder.
    pub fn curve_fn(mut self, keep_rate: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        self.controller = Some(Controller::Curve(CurveSource::Function(Arc::new(keep_rate))));
        self
    }

    /// Steers like [`curve_fn`](Self::curve_fn), by the average load of [`Control::Red`].
    pub fn red_fn(mut self, keep_rate: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        self.controller = Some(Controller::red(CurveSource::Function(Arc::new(keep_rate))));
        self
    }

    /// Sets the function that reads the queue behind the shedder.
    ///
    /// It replaces the number of [workers](Self::workers). It is called at each tick, on the thread
    /// of a caller. It must be quick, and must not take a lock that callers hold.
    ///
    /// A signal that panics, knows nothing, or does not move for a second while requests are
    /// admitted, is not trusted. The shedder then admits at most the last known capacity, or
    /// everything if none is known. A [`StateChanged`](plimsoll_core::Event::StateChanged) to
    /// "blind" reports it, at most once a minute.
    pub fn signal(
        self,
        read: impl Fn() -> SignalReading + Send + Sync + 'static,
    ) -> LoadShedderBuilder<Signal> {
        let LoadShedderBuilder { config, setup, controller, .. } = self;
        LoadShedderBuilder { config, setup, signal: Some(Arc::new(read)), controller, kind: PhantomData }
    }

    /// Sets the number of requests in flight that are served at once.
    ///
    /// The other requests in flight count as waiting. A [signal](Self::signal) replaces it. Range:
    /// 1 to 2³² − 1. No default: a shedder without a signal needs it.
    #[doc(alias = "concurrency")]
    pub fn workers(mut self, workers: u32) -> Self {
        self.config.workers = Some(workers);
        self
    }

    /// Sets the approximate capacity of the bottleneck, in requests a second.
    ///
    /// With a hint, the shedder reacts at once to the first overload after a start. Later it
    /// measures the capacity. Only [`Control::Rate`] uses it, and only if a depth is known. It has
    /// no effect with a delay alone, under another control or with a function. Default: unknown.
    /// Range: above 0, at most 10⁹.
    pub fn capacity_hint(mut self, rate: f64) -> Self {
        self.config.capacity_hint = Some(rate);
        self
    }

    /// Sets the time for which an account stays in its cohort. Default: 1 min. Range: 1 s or more.
    pub fn reshuffle_every(mut self, reshuffle_every: Duration) -> Self {
        self.config.reshuffle_every = reshuffle_every;
        self
    }

    /// Sets the seed by which accounts are spread over the cohorts. Default: a random one.
    ///
    /// Shedders with the same seed and the same time between reshuffles cut the same accounts, also
    /// in other processes of the same build. A request that passes several of them is then kept or
    /// dropped by all. Keep it secret: a client that knows it can choose favourable account names.
    pub fn cohort_seed(mut self, seed: u64) -> Self {
        self.config.cohort_seed = Some(seed);
        self
    }

    setup_setters!(LoadShedderConfig: clock, dice, observe);

    /// Builds the load shedder.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<LoadShedder<S>, ConfigError> {
        self.config.validate()?;
        let LoadShedderConfig { name, target, control, capacity_hint, reshuffle_every, .. } = self.config;
        let LoadShedderConfig { cohort_seed, workers, .. } = self.config;
        if workers.is_none() && self.signal.is_none() {
            return Err(ConfigError::new(
                "workers",
                "none",
                "1 or more, by workers(..), without a signal(..)",
            ));
        }
        let Identity { name, clock, dice, observer } = self.setup.identity(&name);
        let (seconds, tick) = (target.as_secs_f64(), tick_interval(target).as_secs_f64());
        let controller = self.controller.unwrap_or_else(|| Controller::new(control, seconds, tick));
        let steering = Steering::new(target, controller, capacity_hint, self.signal.is_none());
        let now = clock.now();
        let first = steering.first_decision(now.as_nanos(), capacity_hint);
        let wall = clock.wall(now).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let inner = Inner {
            name,
            hasher: cohort_seed.map_or_else(|| dice.hasher(), |seed| Dice::seeded(seed).hasher()),
            epoch: nanos(wall).saturating_sub(now.as_nanos()),
            clock,
            dice,
            observer,
            signal: self.signal,
            target: AtomicU64::new(target.as_nanos() as u64),
            reshuffle_every: AtomicU64::new(nanos(reshuffle_every)),
            capacity_hint: AtomicU64::new(capacity_hint.unwrap_or(0.0).to_bits()),
            counters: Counters::new(workers.unwrap_or(1)),
            published: Published::new(&first),
            is_ticking: AtomicBool::new(false),
            steering: Mutex::new(steering),
        };
        Ok(LoadShedder(Arc::new(inner), PhantomData))
    }
}

impl<S> fmt::Debug for LoadShedderBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShedderBuilder")
            .field("config", &self.config)
            .field("setup", &self.setup)
            .field("controller", &self.controller)
            .field("signal", &self.signal.is_some())
            .finish()
    }
}
