//! Building a valve.

use crate::{Valve, ValveConfig};
use plimsoll_core::parts::{FixedCapacity, Semaphore, Setup};
use plimsoll_core::{ConfigError, Discipline, setup_setters};
use std::sync::Arc;
use std::time::Duration;

/// Builds a [`Valve`]. Created by [`Valve::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ValveBuilder {
    config: ValveConfig,
    setup: Setup,
}

impl Valve {
    /// Creates a valve that admits `concurrency` requests at once and lets none wait.
    ///
    /// # Errors
    /// Returns an error if `concurrency` is 0 or above 2³¹ − 1.
    pub fn new(concurrency: u32) -> Result<Self, ConfigError> {
        Self::builder().concurrency(concurrency).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> ValveBuilder {
        ValveBuilder::default()
    }
}

impl ValveBuilder {
    /// Sets the maximum number of requests in flight. Default: 1. Range: 1 to 2³¹ − 1.
    pub fn concurrency(mut self, concurrency: u32) -> Self {
        self.config.concurrency = concurrency;
        self
    }

    /// Sets the maximum number of waiting requests. Default: 0. Range: 0 to 2³¹ − 1.
    pub fn queue(mut self, queue: u32) -> Self {
        self.config.queue = queue;
        self
    }

    /// Sets the longest wait. Default: 100 ms. Above 0 if requests may wait.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.config.max_wait = max_wait;
        self
    }

    /// Sets the queue discipline. Default: [`KeepOldest`](Discipline::KeepOldest).
    ///
    /// It is the order in which waiting requests are served, and which of them is evicted when the
    /// queue is full.
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.config.discipline = discipline;
        self
    }

    setup_setters!(ValveConfig: clock, observe);

    /// Builds the valve.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<Valve, ConfigError> {
        self.config.validate()?;
        let ValveConfig { name, concurrency, queue, max_wait, discipline } = self.config;
        let setup = self.setup.identity(&name);
        let capacity = FixedCapacity::new(concurrency);
        let semaphore = Semaphore::new(setup.name, capacity, setup.clock, queue, max_wait);
        semaphore.set_discipline(discipline);
        Ok(Valve(Arc::new(semaphore.observe(setup.observer))))
    }
}
