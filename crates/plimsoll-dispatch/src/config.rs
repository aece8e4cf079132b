//! What can be set on a dispatch pool.

use crate::slots::MOST;
use crate::{Dispatch, SlotPick};
use plimsoll_core::parts::intern;
use plimsoll_core::{Clock, ConfigError, Dice, Observe, Observer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Dispatch`]. Plain data; checked when one is built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchConfig {
    /// The name that refusals carry. Default "dispatch".
    pub name: String,
    /// How many slots, 1 to 2²⁰. Default 10, as dispcount.
    pub slots: u32,
    /// Which slot is tried first. Default [`Pick::Random`].
    pub pick: SlotPick,
    /// How many slots are tried before the answer is "busy", 1 and more. Default 8: a pool of up to eight is
    /// busy only if all are. dispcount tries 1.
    pub probes: u32,
    /// A resource that has lain idle for longer is dropped rather than used again. Default: never.
    pub max_idle: Option<Duration>,
    /// Whether a resource is kept whose lease was only dropped, not [put back](crate::Lease::put_back): that of
    /// a future which was cancelled in the middle of using it, for one. Default `true`; `false` is right where what
    /// was left half done is no good. After a panic it is never kept.
    pub keep_dropped: bool,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        DispatchConfig {
            name: "dispatch".into(),
            slots: 10,
            pick: SlotPick::Random,
            probes: 8,
            max_idle: None,
            keep_dropped: true,
        }
    }
}

impl DispatchConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        plimsoll_core::parts::check::name(&self.name)?;
        check_slots(self.slots)?;
        if self.probes == 0 {
            return Err(ConfigError::new("probes", 0, "1 or more"));
        }
        Ok(())
    }
}

pub(crate) fn check_slots(slots: u32) -> Result<(), ConfigError> {
    if slots == 0 || slots > MOST {
        return Err(ConfigError::new("slots", slots, "1 to 1048576"));
    }
    Ok(())
}

/// Builds a [`Dispatch`]; from [`Dispatch::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct DispatchBuilder<T> {
    pub(crate) config: DispatchConfig,
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    pub(crate) observer: Option<Arc<dyn Observe>>,
    of: PhantomData<fn(T)>,
}

impl<T> Default for DispatchBuilder<T> {
    fn default() -> Self {
        let (config, clock, dice) = (DispatchConfig::default(), Clock::system(), Dice::thread());
        DispatchBuilder { config, clock, dice, observer: None, of: PhantomData }
    }
}

impl<T> DispatchBuilder<T> {
    /// Starts from these settings.
    pub fn config(mut self, config: DispatchConfig) -> Self {
        self.config = config;
        self
    }

    /// The name that refusals carry. See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// How many slots, 1 to 2²⁰.
    pub fn slots(mut self, slots: u32) -> Self {
        self.config.slots = slots;
        self
    }

    /// Which slot is tried first.
    pub fn pick(mut self, pick: SlotPick) -> Self {
        self.config.pick = pick;
        self
    }

    /// How many slots are tried before the answer is "busy".
    pub fn probes(mut self, probes: u32) -> Self {
        self.config.probes = probes;
        self
    }

    /// How long a resource may lie idle.
    pub fn max_idle(mut self, longest: Duration) -> Self {
        self.config.max_idle = Some(longest);
        self
    }

    /// Whether a resource is kept whose lease was only dropped.
    pub fn keep_dropped(mut self, keep: bool) -> Self {
        self.config.keep_dropped = keep;
        self
    }

    /// The clock; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The dice; the thread's unless set.
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` each decision.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The name and the observer.
    pub(crate) fn known(&self) -> (&'static str, Observer) {
        let name = intern(&self.config.name);
        let observer = self.observer.clone().map_or(Observer::none(), |o| Observer::new(o, name));
        (name, observer)
    }

    /// The pool. Nothing is made yet: the resource of a slot is made by who first checks it out.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<Dispatch<T>, ConfigError> {
        self.config.validate()?;
        Ok(Dispatch::of(self))
    }
}

impl<T> Clone for DispatchBuilder<T> {
    fn clone(&self) -> Self {
        DispatchBuilder {
            config: self.config.clone(),
            clock: self.clock.clone(),
            dice: self.dice.clone(),
            observer: self.observer.clone(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for DispatchBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.observer.is_some();
        f.debug_struct("Builder").field("config", &self.config).field("observed", &observed).finish()
    }
}
