//! The settings of a mailbox.

use plimsoll_core::parts::{Bounds, check};
use plimsoll_core::{ConfigError, Discipline};
use std::time::Duration;

/// The settings of a [`Mailbox`](crate::Mailbox). Plain data; validated when a mailbox is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct MailboxConfig {
    /// The name that rejections carry. Default: "mailbox".
    pub name: String,
    /// The queue discipline. Default: [`Fifo`](Discipline::Fifo), which evicts the oldest.
    ///
    /// It states the order in which items are taken, and which of them is evicted when the mailbox
    /// is full.
    pub discipline: Discipline,
    /// The maximum number of items in each shard.
    ///
    /// Default: 1,024, as in logplex. Range: 1 to 2³² − 1.
    pub capacity: usize,
    /// The maximum total weight of the items in each shard, in units of the weigher. Default:
    /// `u64::MAX`, no bound. Range: 1 to 2⁶⁴ − 1.
    ///
    /// A bound needs a weigher, which [`max_weight`](crate::MailboxBuilder::max_weight) or
    /// [`max_bytes`](crate::MailboxBuilder::max_bytes) of the builder sets.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_unlimited"))]
    pub max_weight: u64,
    /// The maximum age of an item. Default: `None`, no bound. Above 0.
    ///
    /// From 200 ms on, arrivals are stamped by the coarse system clock, which is cheaper. An item
    /// may then expire up to two ticks early (4 to 10 ms each).
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", with = "plimsoll_core::parts::duration_text::option")
    )]
    pub max_age: Option<Duration>,
    /// The number of shards that producers are spread over. Default: 1. Range: 1 to 64.
    ///
    /// With more shards, producers on many threads contend less. Items in different shards have no
    /// order among each other.
    pub shards: usize,
    /// How a producer picks its shard. Default: [`TwoChoices`](ShardPick::TwoChoices).
    pub pick: ShardPick,
}

/// Left out of a settings file: TOML has no integer as large as `u64::MAX`.
#[cfg(feature = "serde")]
fn is_unlimited(max_weight: &u64) -> bool {
    *max_weight == u64::MAX
}

/// How a producer picks one of several shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ShardPick {
    /// One at random.
    Random,
    /// The emptier of two at random.
    ///
    /// For `n` shards the fullest exceeds the average by O(log log n) items (Mitzenmacher, "The
    /// Power of Two Choices in Randomized Load Balancing").
    #[doc(alias = "power of two choices")]
    #[default]
    TwoChoices,
}

/// The maximum number of shards.
pub(crate) const MAX_SHARDS: usize = 64;

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
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        self.discipline.validate()?;
        check_bounds(self.bounds())?;
        check_shards(self.shards)
    }

    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { capacity: self.capacity, max_weight: self.max_weight, max_age: self.max_age }
    }
}

pub(crate) fn check_bounds(bounds: Bounds) -> Result<(), ConfigError> {
    check::within("capacity", bounds.capacity, 1..=u32::MAX as usize)?;
    check::within("max_weight", bounds.max_weight, 1..=u64::MAX)?;
    bounds.max_age.map_or(Ok(()), |max_age| check::above_zero("max_age", max_age))
}

pub(crate) fn check_shards(shards: usize) -> Result<(), ConfigError> {
    check::within("shards", shards, 1..=MAX_SHARDS)
}
