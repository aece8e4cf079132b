//! Building a group of workers.

use super::config::WorkersConfig;
use super::worker::Worker;
use super::{Shared, Workers};
use crate::bitmap::Bitmap;
use crate::chunks::Chunks;
use plimsoll_core::parts::sync::{AtomicBool, AtomicUsize, Mutex};
use plimsoll_core::parts::{Identity, Setup};
use plimsoll_core::{ConfigError, setup_setters};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Builds [`Workers`]. Created by [`Workers::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct WorkersBuilder<J> {
    config: WorkersConfig,
    setup: Setup,
    job: PhantomData<fn(J)>,
}

impl<J> Workers<J> {
    /// Creates a handle to submit jobs to, and this number of workers.
    ///
    /// # Errors
    /// Returns an error if `workers` is 0 or above 2²⁰.
    pub fn new(workers: u32) -> Result<(Self, Vec<Worker<J>>), ConfigError> {
        Self::builder().workers(workers).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> WorkersBuilder<J> {
        WorkersBuilder::default()
    }
}

impl<J> WorkersBuilder<J> {
    /// Sets the number of workers. Default: 10. Range: 1 to 2²⁰.
    pub fn workers(mut self, workers: u32) -> Self {
        self.config.workers = workers;
        self
    }

    setup_setters!(WorkersConfig: clock, dice, observe);

    /// Builds the handle and the workers. Each worker is idle once it waits for a job.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<(Workers<J>, Vec<Worker<J>>), ConfigError> {
        self.config.validate()?;
        let WorkersConfig { name, workers } = self.config;
        let Identity { name, clock, dice, observer } = self.setup.identity(&name);
        let (idle, handoffs) = (Bitmap::new(), Chunks::new());
        idle.grow(workers);
        handoffs.grow(workers);
        let shared = Arc::new(Shared {
            name,
            clock,
            observer,
            dice,
            workers,
            handles: AtomicUsize::new(1),
            closed: AtomicBool::new(false),
            idle,
            handoffs,
            missing: Mutex::default(),
            stranded: Mutex::default(),
            stranded_count: AtomicUsize::new(0),
        });
        let all = (0..workers).map(|index| Worker::new(shared.clone(), index)).collect();
        Ok((Workers(shared), all))
    }
}

impl<J> Default for WorkersBuilder<J> {
    fn default() -> Self {
        let (config, setup) = (WorkersConfig::default(), Setup::default());
        WorkersBuilder { config, setup, job: PhantomData }
    }
}

impl<J> Clone for WorkersBuilder<J> {
    fn clone(&self) -> Self {
        let (config, setup) = (self.config.clone(), self.setup.clone());
        WorkersBuilder { config, setup, job: PhantomData }
    }
}

impl<J> fmt::Debug for WorkersBuilder<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkersBuilder").field("config", &self.config).field("setup", &self.setup).finish()
    }
}
