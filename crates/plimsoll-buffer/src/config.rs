//! What can be set on a mailbox.

use crate::shared::{Shared, Weigher};
use crate::{Mailbox, Weigh};
use plimsoll_core::parts::{Bounds, intern};
use plimsoll_core::{Clock, ConfigError, Dice, Discipline, Observe, Observer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Mailbox`]. Plain data; checked when a mailbox is built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxConfig {
    /// The name that refusals carry. Default "mailbox".
    pub name: String,
    /// What is taken first, and what goes when it is full. Default [`Discipline::Fifo`]: a queue that
    /// evicts the oldest.
    pub discipline: Discipline,
    /// How many items each shard may hold, 1 to 2³² − 1. Default 1,024, as logplex has it.
    pub capacity: usize,
    /// How heavy all items of a shard together may be, in the unit of the weigher. Default `u64::MAX`.
    /// Anything else needs a weigher: [`Builder::weight`] or [`Builder::bytes`].
    pub max_weight: u64,
    /// How old an item may get; `None`, the default, for any age. With 200 ms and more, arrivals are
    /// stamped by the system's coarse clock, and an item may go up to two ticks (4 to 10 ms each) early.
    pub max_age: Option<Duration>,
    /// Over how many shards producers are spread, 1 to 64. Default 1. More of them keep many producers
    /// out of each other's way, at the price of the order among items of different shards.
    pub shards: usize,
    /// How a producer picks its shard. Default [`Pick::TwoChoices`].
    pub pick: ShardPick,
}

/// How a producer picks one of several shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardPick {
    /// Any.
    Random,
    /// The emptier of two at random, which keeps the fullest shard within log log n of the emptiest
    /// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
    #[default]
    TwoChoices,
}

/// The most shards there can be.
pub(crate) const MOST_SHARDS: usize = 64;

impl Default for MailboxConfig {
    fn default() -> Self {
        MailboxConfig {
            name: "mailbox".into(),
            discipline: Discipline::Fifo,
            capacity: 1_024,
            max_weight: u64::MAX,
            max_age: None,
            shards: 1,
            pick: ShardPick::default(),
        }
    }
}

impl MailboxConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        plimsoll_core::parts::check::name(&self.name)?;
        self.discipline.validate()?;
        check_bounds(self.bounds())?;
        check_shards(self.shards)
    }

    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { capacity: self.capacity, max_weight: self.max_weight, max_age: self.max_age }
    }
}

pub(crate) fn check_bounds(bounds: Bounds) -> Result<(), ConfigError> {
    if bounds.capacity == 0 || u32::try_from(bounds.capacity).is_err() {
        return Err(ConfigError::new("count", bounds.capacity, "1 to 4294967295"));
    }
    if bounds.max_weight == 0 {
        return Err(ConfigError::new("weight", 0, "at least 1"));
    }
    if bounds.max_age.is_some_and(|age| age.is_zero()) {
        return Err(ConfigError::new("age", "0ns", "above 0; `None` for any age"));
    }
    Ok(())
}

pub(crate) fn check_shards(shards: usize) -> Result<(), ConfigError> {
    if (1..=MOST_SHARDS).contains(&shards) {
        Ok(())
    } else {
        Err(ConfigError::new("shards", shards, "1 to 64"))
    }
}

/// Builds a [`Mailbox`]; from [`Mailbox::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct MailboxBuilder<T> {
    config: MailboxConfig,
    weigher: Option<Weigher<T>>,
    clock: Clock,
    dice: Dice,
    observer: Option<Arc<dyn Observe>>,
}

impl<T> Default for MailboxBuilder<T> {
    fn default() -> Self {
        MailboxBuilder {
            config: MailboxConfig::default(),
            weigher: None,
            clock: Clock::system(),
            dice: Dice::default(),
            observer: None,
        }
    }
}

impl<T> MailboxBuilder<T> {
    /// Starts from these settings.
    pub fn config(mut self, config: MailboxConfig) -> Self {
        self.config = config;
        self
    }

    /// The name that refusals carry. See [`intern`] for what a name costs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// What is taken first, and what goes when it is full.
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.config.discipline = discipline;
        self
    }

    /// How many items each shard may hold, 1 to 2³² − 1.
    pub fn capacity(mut self, count: usize) -> Self {
        self.config.capacity = count;
        self
    }

    /// How heavy all items of a shard together may be, as `weigh` weighs them. An item heavier than
    /// the whole bound is rejected with `TooLarge`.
    ///
    /// `weigh` is called once an offer, by its producer, before anything is locked.
    pub fn max_weight(mut self, most: u64, weigh: impl Fn(&T) -> u32 + Send + Sync + 'static) -> Self {
        self.config.max_weight = most;
        self.weigher = Some(Box::new(weigh));
        self
    }

    /// How many bytes all items of a shard together may hold.
    pub fn max_bytes(self, most: u64) -> Self
    where
        T: Weigh,
    {
        self.max_weight(most, |item| u32::try_from(item.bytes_held()).unwrap_or(u32::MAX))
    }

    /// How old an item may get.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.config.max_age = Some(age);
        self
    }

    /// Over how many shards producers are spread, 1 to 64.
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// How a producer picks its shard.
    pub fn pick(mut self, pick: ShardPick) -> Self {
        self.config.pick = pick;
        self
    }

    /// The clock that ages are told by; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The dice that shards are picked by; the calling thread's own unless set.
    pub fn dice(mut self, dice: Dice) -> Self {
        self.dice = dice;
        self
    }

    /// Tells `observer` what becomes of each item.
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The mailbox.
    ///
    /// # Errors
    /// A setting that will not do, named with its value and what is allowed.
    pub fn build(self) -> Result<Mailbox<T>, ConfigError> {
        self.config.validate()?;
        if self.config.max_weight != u64::MAX && self.weigher.is_none() {
            let allowed = "set together with a weigher, by `weight` or `bytes` of the builder";
            return Err(ConfigError::new("weight", self.config.max_weight, allowed));
        }
        let name = intern(&self.config.name);
        let observer = self.observer.map_or(Observer::none(), |o| Observer::new(o, name));
        Ok(Mailbox::of(Shared::new(name, &self.config, self.weigher, self.clock, self.dice, observer)))
    }
}

impl<T> fmt::Debug for MailboxBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("weighed", &self.weigher.is_some())
            .field("observed", &self.observer.is_some())
            .finish()
    }
}
