//! What can be set on a valve.

use crate::Valve;
use plimsoll_core::{
    Clock, ConfigError, Discipline, FixedCapacity, Observe, Observer, Semaphore, check_name, intern,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Valve`]. Plain data; checked when a valve is built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValveConfig {
    /// The name that refusals carry. Default "valve".
    pub name: String,
    /// How many may be inside at once, 1 to 2³¹ − 1. Default 1; set it to what the bottleneck can
    /// serve at once.
    pub concurrency: u32,
    /// How many may wait for a place. Default 0: ask now or never.
    ///
    /// A room that takes longer to serve than the longest wait only holds callers who will be
    /// turned away anyway: it need not be larger than `longest_wait × inside ÷ service time`.
    pub queue: u32,
    /// How long one may wait. Default 100 ms. Choose a fraction of the callers' own time-out, so
    /// that enough of it is left for the work.
    pub max_wait: Duration,
    /// Who of those who wait is next, and who goes when the room is full. Default
    /// [`KeepOldest`](Discipline::KeepOldest): the one who came first, and newcomers are refused.
    pub discipline: Discipline,
}

impl Default for ValveConfig {
    fn default() -> Self {
        ValveConfig {
            name: "valve".into(),
            concurrency: 1,
            queue: 0,
            max_wait: Duration::from_millis(100),
            discipline: Discipline::KeepOldest,
        }
    }
}

impl ValveConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_name(&self.name)?;
        check_inside(self.concurrency)?;
        check_room(self.queue, self.max_wait)?;
        self.discipline.validate()
    }
}

pub(crate) fn check_inside(inside: u32) -> Result<(), ConfigError> {
    if inside == 0 || inside > FixedCapacity::MAX {
        return Err(ConfigError::new("inside", inside, "1 to 2147483647"));
    }
    Ok(())
}

pub(crate) fn check_room(room: u32, longest: Duration) -> Result<(), ConfigError> {
    if room > FixedCapacity::MAX {
        return Err(ConfigError::new("room", room, "0 to 2147483647"));
    }
    if room > 0 && longest.is_zero() {
        return Err(ConfigError::new("longest_wait", "0ns", "above 0 where anyone may wait (room > 0)"));
    }
    Ok(())
}

/// Builds a [`Valve`]; from [`Valve::builder`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ValveBuilder {
    config: ValveConfig,
    clock: Clock,
    observer: Option<Arc<dyn Observe>>,
}

impl ValveBuilder {
    /// Starts from these settings.
    pub fn config(mut self, config: ValveConfig) -> Self {
        self.config = config;
        self
    }

    /// The name that refusals carry. See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// How many may be inside at once, 1 to 2³¹ − 1.
    pub fn concurrency(mut self, inside: u32) -> Self {
        self.config.concurrency = inside;
        self
    }

    /// How many may wait for a place.
    pub fn queue(mut self, room: u32) -> Self {
        self.config.queue = room;
        self
    }

    /// How long one may wait.
    pub fn max_wait(mut self, longest: Duration) -> Self {
        self.config.max_wait = longest;
        self
    }

    /// Who of those who wait is next, and who goes when the room is full.
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.config.discipline = discipline;
        self
    }

    /// The clock to wait by; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells `observer` each decision.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The valve.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<Valve, ConfigError> {
        self.config.validate()?;
        let ValveConfig { name, concurrency: inside, queue: room, max_wait: longest_wait, discipline } =
            self.config;
        let name = intern(&name);
        let observer = self.observer.map_or(Observer::none(), |o| Observer::new(o, name));
        let room = Semaphore::new(name, FixedCapacity::new(inside), self.clock, room, longest_wait)
            .observe(observer);
        room.set_discipline(discipline);
        Ok(Valve(Arc::new(room)))
    }
}

impl fmt::Debug for ValveBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.observer.is_some();
        f.debug_struct("Builder").field("config", &self.config).field("observed", &observed).finish()
    }
}
