//! What can be set on a random drop.

use crate::RandomDrop;
use crate::cursor::LEVELS;
use crate::random::Inner;
use plimsoll_core::parts::intern;
use plimsoll_core::{ConfigError, Dice, Observe, Observer};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// The settings of a [`RandomDrop`]. Plain data; checked when one is built from it.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomDropConfig {
    /// The name that refusals carry. Default "drop".
    pub name: String,
    /// The share that is kept, 0.0 to 1.0. Default 1.0: everything.
    pub keep: f64,
}

impl Default for RandomDropConfig {
    fn default() -> Self {
        RandomDropConfig { name: "drop".into(), keep: 1.0 }
    }
}

impl RandomDropConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        plimsoll_core::parts::check::name(&self.name)?;
        check(self.keep)
    }
}

pub(crate) fn check(keep: f64) -> Result<(), ConfigError> {
    if (0.0..=1.0).contains(&keep) {
        Ok(())
    } else {
        Err(ConfigError::new("keep", keep, "0.0 (drop all) to 1.0 (keep all)"))
    }
}

/// Builds a [`RandomDrop`]; from [`RandomDrop::builder`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct RandomDropBuilder {
    config: RandomDropConfig,
    dice: Dice,
    observer: Option<Arc<dyn Observe>>,
}

impl RandomDropBuilder {
    /// Starts from these settings.
    pub fn config(mut self, config: RandomDropConfig) -> Self {
        self.config = config;
        self
    }

    /// The name that refusals carry. See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// The share that is kept, 0.0 to 1.0.
    pub fn keep(mut self, keep: f64) -> Self {
        self.config.keep = keep;
        self
    }

    /// The dice to roll; the calling thread's own unless set.
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` each decision.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The random drop.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<RandomDrop, ConfigError> {
        self.config.validate()?;
        let name = intern(&self.config.name);
        let observer = self.observer.map_or(Observer::none(), |o| Observer::new(o, name));
        let keep = self.config.keep;
        let thresholds = std::array::from_fn(|_| AtomicU64::new(Dice::threshold(keep)));
        let keep = Mutex::new([keep; LEVELS]);
        Ok(RandomDrop(Arc::new(Inner { name, dice: self.dice, keep, thresholds, observer })))
    }
}

impl fmt::Debug for RandomDropBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.observer.is_some();
        f.debug_struct("Builder").field("config", &self.config).field("observed", &observed).finish()
    }
}
