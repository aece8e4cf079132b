//! What can be set on a mailbox.

use plimsoll_core::parts::{Bounds, check};
use plimsoll_core::{ConfigError, Discipline};
use std::time::Duration;

/// The settings of a [`Mailbox`](crate::Mailbox). Plain data; checked when a mailbox is built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct MailboxConfig {
    /// The name that rejections carry. Default "mailbox".
    pub name: String,
    /// What is taken first, and what goes when it is full. Default [`Discipline::Fifo`]: a queue that
    /// evicts the oldest.
    pub discipline: Discipline,
    /// How many items each shard may hold, 1 to 2³² − 1. Default 1,024, as logplex has it.
    pub capacity: usize,
    /// How heavy all items of a shard together may be, in the unit of the weigher. Default `u64::MAX`.
    /// Anything else needs a weigher: [`max_weight`](crate::MailboxBuilder::max_weight) or [`max_bytes`](crate::MailboxBuilder::max_bytes).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_unlimited"))]
    pub max_weight: u64,
    /// How old an item may get; `None`, the default, for any age. With 200 ms and more, arrivals are
    /// stamped by the system's coarse clock, and an item may go up to two ticks (4 to 10 ms each) early.
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "Option::is_none", with = "plimsoll_core::parts::duration_text::option")
    )]
    pub max_age: Option<Duration>,
    /// Over how many shards producers are spread, 1 to 64. Default 1. More of them keep many producers
    /// out of each other's way, at the price of the order among items of different shards.
    pub shards: usize,
    /// How a producer picks its shard. Default [`ShardPick::TwoChoices`].
    pub pick: ShardPick,
}

/// TOML has no number as large as `u64::MAX`.
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
    /// Any.
    Random,
    /// The emptier of two at random, which keeps the fullest shard within log log n of the emptiest
    /// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
    #[doc(alias = "power of two choices")]
    #[default]
    TwoChoices,
}

/// The most shards there can be.
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
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that will not do, the value and what is allowed.
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
