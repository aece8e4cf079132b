//! Building a mailbox.

use super::{Mailbox, MailboxConfig, ShardPick};
use crate::store::Store;
use crate::store::weigh::{Weigh, Weigher};
use plimsoll_core::parts::Setup;
use plimsoll_core::{ConfigError, Discipline, setup_setters};
use std::fmt;
use std::time::Duration;

impl<T> Mailbox<T> {
    /// Creates a queue of at most `capacity` items. When it is full it evicts the oldest.
    ///
    /// # Errors
    /// Returns an error if `capacity` is 0 or above 2³² − 1.
    pub fn new(capacity: usize) -> Result<Self, ConfigError> {
        Self::builder().capacity(capacity).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> MailboxBuilder<T> {
        MailboxBuilder::default()
    }
}

/// Builds a [`Mailbox`]. Created by [`Mailbox::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct MailboxBuilder<T> {
    config: MailboxConfig,
    weigher: Option<Weigher<T>>,
    setup: Setup,
}

// Not derived: an item need not be `Default`.
impl<T> Default for MailboxBuilder<T> {
    fn default() -> Self {
        MailboxBuilder { config: MailboxConfig::default(), weigher: None, setup: Setup::default() }
    }
}

impl<T> MailboxBuilder<T> {
    /// Sets the queue discipline. Default: [`Fifo`](Discipline::Fifo).
    ///
    /// It states the order in which items are taken, and which of them is evicted when the mailbox
    /// is full.
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.config.discipline = discipline;
        self
    }

    /// Sets the maximum number of items in each shard. Default: 1,024. Range: 1 to 2³² − 1.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.config.capacity = capacity;
        self
    }

    /// Sets the maximum total weight of the items in each shard. Default: no bound. Above 0.
    ///
    /// An item heavier than the whole bound is rejected with `TooLarge`. `weigh` returns the weight
    /// of an item. It is called once for each offer, by the producer, while no lock is held.
    pub fn max_weight(mut self, max_weight: u64, weigh: impl Fn(&T) -> u32 + Send + Sync + 'static) -> Self {
        self.config.max_weight = max_weight;
        self.weigher = Some(Box::new(weigh));
        self
    }

    /// Sets the maximum number of bytes that the items in each shard hold.
    ///
    /// Default: no bound. Above 0.
    pub fn max_bytes(self, max_bytes: u64) -> Self
    where
        T: Weigh,
    {
        self.max_weight(max_bytes, |item| u32::try_from(item.bytes_held()).unwrap_or(u32::MAX))
    }

    /// Sets the maximum age of an item. Default: no bound. Above 0.
    #[doc(alias = "ttl")]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.config.max_age = Some(max_age);
        self
    }

    /// Sets the number of shards that producers are spread over. Default: 1. Range: 1 to 64.
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// Sets how a producer picks its shard. Default: [`TwoChoices`](ShardPick::TwoChoices).
    pub fn pick(mut self, pick: ShardPick) -> Self {
        self.config.pick = pick;
        self
    }

    setup_setters!(MailboxConfig: clock, dice, observe);

    /// Builds the mailbox.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<Mailbox<T>, ConfigError> {
        self.config.validate()?;
        if self.config.max_weight != u64::MAX && self.weigher.is_none() {
            let allowed = "set together with a weigher, by `max_weight` or `max_bytes` of the builder";
            return Err(ConfigError::new("max_weight", self.config.max_weight, allowed));
        }
        let setup = self.setup.identity(&self.config.name);
        Ok(Mailbox::from_store(Store::new(setup, &self.config, self.weigher)))
    }
}

impl<T> fmt::Debug for MailboxBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxBuilder")
            .field("config", &self.config)
            .field("weighed", &self.weigher.is_some())
            .field("setup", &self.setup)
            .finish()
    }
}
