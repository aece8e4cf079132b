//! Building a pool.

use super::config::DispatchConfig;
use super::{Dispatch, Inner, idle};
use crate::SlotPick;
use crate::chunks::Chunks;
use crate::slots::Slots;
use plimsoll_core::parts::{Identity, Semaphore, Setup};
use plimsoll_core::{ConfigError, setup_setters};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Builds a [`Dispatch`]. Created by [`Dispatch::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct DispatchBuilder<T> {
    config: DispatchConfig,
    setup: Setup,
    resource: PhantomData<fn(T)>,
}

impl<T> Dispatch<T> {
    /// Creates a pool with this number of slots, all of them empty.
    ///
    /// # Errors
    /// Returns an error if `slots` is 0 or above 2²⁰.
    pub fn new(slots: u32) -> Result<Self, ConfigError> {
        Self::builder().slots(slots).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> DispatchBuilder<T> {
        DispatchBuilder::default()
    }
}

impl<T> DispatchBuilder<T> {
    /// Sets the number of slots. Default: 10. Range: 1 to 2²⁰.
    #[doc(alias = "size")]
    #[doc(alias = "max_size")]
    pub fn slots(mut self, slots: u32) -> Self {
        self.config.slots = slots;
        self
    }

    /// Sets the maximum number of callers that wait for a slot.
    ///
    /// Default: 1,024. Range: 0 to 2³¹ − 1.
    pub fn queue(mut self, queue: u32) -> Self {
        self.config.queue = queue;
        self
    }

    /// Sets which of the free slots is granted. Default: [`Random`](SlotPick::Random).
    pub fn pick(mut self, pick: SlotPick) -> Self {
        self.config.pick = pick;
        self
    }

    /// Sets the longest time a resource may lie idle. Default: `None`, which means no limit.
    #[doc(alias = "idle_timeout")]
    pub fn max_idle(mut self, max_idle: impl Into<Option<Duration>>) -> Self {
        self.config.max_idle = max_idle.into();
        self
    }

    /// Sets whether the resource of a lease that was only dropped is used again. Default: `false`.
    ///
    /// See [`DispatchConfig::reuse_dropped`].
    pub fn reuse_dropped(mut self, reuse: bool) -> Self {
        self.config.reuse_dropped = reuse;
        self
    }

    setup_setters!(DispatchConfig: clock, dice, observe);

    /// Builds the pool. All of its slots are empty.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<Dispatch<T>, ConfigError> {
        self.config.validate()?;
        let DispatchConfig { name, slots, queue, pick, max_idle, reuse_dropped } = self.config;
        let Identity { name, clock, dice, observer } = self.setup.identity(&name);
        let cells = Chunks::new();
        cells.grow(slots);
        let hasher = dice.hasher();
        let slots = Slots::new(slots, pick, dice);
        // Each caller brings its own longest wait.
        let semaphore = Semaphore::new(name, slots, clock.clone(), queue, Duration::MAX);
        Ok(Dispatch(Arc::new(Inner {
            name,
            clock,
            hasher,
            semaphore: Arc::new(semaphore.observe(observer.clone())),
            observer,
            cells,
            max_idle: idle::nanos(max_idle).into(),
            reuse_dropped: reuse_dropped.into(),
        })))
    }
}

impl<T> Default for DispatchBuilder<T> {
    fn default() -> Self {
        let (config, setup) = (DispatchConfig::default(), Setup::default());
        DispatchBuilder { config, setup, resource: PhantomData }
    }
}

impl<T> Clone for DispatchBuilder<T> {
    fn clone(&self) -> Self {
        let (config, setup) = (self.config.clone(), self.setup.clone());
        DispatchBuilder { config, setup, resource: PhantomData }
    }
}

impl<T> fmt::Debug for DispatchBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatchBuilder").field("config", &self.config).field("setup", &self.setup).finish()
    }
}
