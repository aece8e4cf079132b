//! The settings of a random drop, and its builder.

use super::rates::KeepRates;
use super::{Inner, RandomDrop};
use crate::level::{LEVELS, level};
use plimsoll_core::parts::{Identity, Setup, check};
use plimsoll_core::{ConfigError, Dice, Priority, setup_setters};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// The settings of a [`RandomDrop`]. Plain data; validated when one is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RandomDropConfig {
    /// The name that rejections carry. Default: "drop".
    pub name: String,
    /// The share that is kept of each level without a rate of its own. Default: 1.0, everything.
    /// Range: 0.0 to 1.0.
    pub keep_rate: f64,
    /// The levels with a rate of their own: pairs of a priority and the share that is kept of its
    /// level. Default: none. Range: 0.0 to 1.0.
    ///
    /// There are eight levels of 32 priorities each. If two pairs name one level, the later one
    /// applies.
    pub keep_rate_for: Vec<(u8, f64)>,
}

impl Default for RandomDropConfig {
    fn default() -> Self {
        RandomDropConfig { name: "drop".into(), keep_rate: 1.0, keep_rate_for: Vec::new() }
    }
}

impl RandomDropConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        check::share("keep_rate", self.keep_rate)?;
        self.keep_rate_for.iter().try_for_each(|(_, rate)| check::share("keep_rate_for", *rate))
    }

    /// Returns the base rate and the levels' own rates.
    fn rates(&self) -> KeepRates {
        let mut rates = KeepRates { base: self.keep_rate, own: [None; LEVELS] };
        for (priority, keep_rate) in &self.keep_rate_for {
            rates.set_own(level(Priority(*priority)), Some(*keep_rate));
        }
        rates
    }
}

/// Builds a [`RandomDrop`]. Created by [`RandomDrop::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct RandomDropBuilder {
    config: RandomDropConfig,
    setup: Setup,
}

impl RandomDrop {
    /// Creates a random drop that keeps the share `keep_rate`. Range: 0.0 to 1.0.
    ///
    /// Both ends are exact: 0.0 keeps nothing, and 1.0 keeps everything.
    ///
    /// # Errors
    /// Returns an error if `keep_rate` is out of range or not a number.
    pub fn new(keep_rate: f64) -> Result<Self, ConfigError> {
        Self::builder().keep_rate(keep_rate).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> RandomDropBuilder {
        RandomDropBuilder::default()
    }
}

impl RandomDropBuilder {
    /// Sets the share that is kept of each level without a rate of its own.
    ///
    /// Default: 1.0, everything. Range: 0.0 to 1.0.
    #[doc(alias = "sample rate")]
    pub fn keep_rate(mut self, keep_rate: f64) -> Self {
        self.config.keep_rate = keep_rate;
        self
    }

    /// Gives the level of a priority its own share that is kept. Range: 0.0 to 1.0.
    ///
    /// There are eight levels of 32 priorities each. Default: [`keep_rate`](Self::keep_rate).
    pub fn keep_rate_for(mut self, priority: Priority, keep_rate: f64) -> Self {
        self.config.keep_rate_for.push((priority.0, keep_rate));
        self
    }

    setup_setters!(RandomDropConfig: dice, observe);

    /// Builds the random drop.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<RandomDrop, ConfigError> {
        self.config.validate()?;
        let Identity { name, dice, observer, .. } = self.setup.identity(&self.config.name);
        let keep_rates = self.config.rates();
        let thresholds = keep_rates.levels().map(|rate| AtomicU64::new(Dice::threshold(rate)));
        Ok(RandomDrop(Arc::new(Inner {
            name,
            dice,
            keep_rates: Mutex::new(keep_rates),
            thresholds,
            observer,
        })))
    }
}
