//! Reading and changing the settings of a mailbox while it runs.

use super::config::{check_bounds, check_shards};
use super::{Mailbox, ShardPick};
use plimsoll_core::parts::{Bounds, check};
use plimsoll_core::{ControlError, Discipline, Inspect};
use std::time::Duration;

impl<T> Mailbox<T> {
    /// What is taken first, and what goes when it is full.
    pub fn discipline(&self) -> Discipline {
        self.0.settings().0
    }

    /// Changes the discipline. What is held stays, in the order of its arrival, as far as the new one
    /// lets it; ages count from now if the old one kept none.
    ///
    /// # Errors
    /// If one of its numbers will not do; nothing has changed then.
    pub fn set_discipline(&self, discipline: Discipline) -> Result<(), ControlError> {
        discipline.validate()?;
        self.0.set(|current, _| *current = discipline);
        Ok(())
    }

    /// The bounds of each shard.
    pub fn bounds(&self) -> Bounds {
        self.0.settings().1
    }

    /// Changes all bounds of each shard at once. A bound by weight needs a weigher from the
    /// [builder](Self::builder).
    ///
    /// # Errors
    /// If one of them will not do; nothing has changed then.
    pub fn set_bounds(&self, bounds: Bounds) -> Result<(), ControlError> {
        check_bounds(bounds)?;
        self.check_weighed(bounds.max_weight)?;
        self.0.set(|_, current| *current = bounds);
        Ok(())
    }

    /// How many items each shard may hold.
    pub fn capacity(&self) -> usize {
        self.bounds().capacity
    }

    /// Changes how many items each shard may hold, 1 to 2³² − 1. What is too much goes and is told as
    /// evicted: the newest under [`Discipline::KeepOldest`], else the oldest.
    ///
    /// # Errors
    /// If `capacity` is 0 or above 2³² − 1; nothing has changed then.
    #[doc(alias = "resize")]
    pub fn set_capacity(&self, capacity: usize) -> Result<(), ControlError> {
        check_bounds(Bounds::with_capacity(capacity))?;
        self.0.set(|_, bounds| bounds.capacity = capacity);
        Ok(())
    }

    /// How heavy all items of a shard may be.
    pub fn max_weight(&self) -> u64 {
        self.bounds().max_weight
    }

    /// Changes how heavy all items of a shard may be.
    ///
    /// # Errors
    /// If it is 0, or nothing is weighed; nothing has changed then.
    pub fn set_max_weight(&self, max_weight: u64) -> Result<(), ControlError> {
        check_bounds(Bounds { max_weight, ..Bounds::with_capacity(1) })?;
        self.check_weighed(max_weight)?;
        self.0.set(|_, bounds| bounds.max_weight = max_weight);
        Ok(())
    }

    fn check_weighed(&self, max_weight: u64) -> Result<(), ControlError> {
        if max_weight == u64::MAX || self.0.is_weighed() {
            return Ok(());
        }
        let allowed = "18446744073709551615 (none) where items are not weighed";
        Err(ControlError::new("max_weight", max_weight, allowed))
    }

    /// How old an item may get.
    pub fn max_age(&self) -> Option<Duration> {
        self.bounds().max_age
    }

    /// Changes how old an item may get.
    ///
    /// # Errors
    /// If it is zero; nothing has changed then.
    pub fn set_max_age(&self, max_age: Option<Duration>) -> Result<(), ControlError> {
        check_bounds(Bounds { max_age, ..Bounds::with_capacity(1) })?;
        self.0.set(|_, bounds| bounds.max_age = max_age);
        Ok(())
    }

    /// Over how many shards producers are spread.
    pub fn shards(&self) -> usize {
        self.0.shard_count()
    }

    /// Changes over how many shards producers are spread, 1 to 64. What a shard holds that is no longer
    /// offered to is still taken.
    ///
    /// # Errors
    /// If `shards` is 0 or above 64; nothing has changed then.
    pub fn set_shards(&self, shards: usize) -> Result<(), ControlError> {
        check_shards(shards)?;
        self.0.set_shards(shards);
        Ok(())
    }

    /// How a producer picks its shard.
    pub fn pick(&self) -> ShardPick {
        self.0.pick()
    }

    /// Changes how a producer picks its shard.
    pub fn set_pick(&self, pick: ShardPick) {
        self.0.set_pick(pick);
    }
}

impl<T: Send> Inspect for Mailbox<T> {
    fn name(&self) -> &'static str {
        Mailbox::name(self)
    }
    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        let usage = self.usage();
        each("len", usage.len as f64);
        each("weight", usage.weight as f64);
        each("capacity", usage.bounds.capacity as f64);
        each("max_weight", usage.bounds.max_weight as f64);
        each("max_age", usage.bounds.max_age.map_or(f64::INFINITY, |max_age| max_age.as_secs_f64()));
        each("shards", usage.shards as f64);
        each("inboxes", self.inboxes() as f64);
    }
    /// Settings: `capacity` (items), `max_weight` (units of the weigher), `max_age` (seconds; infinite for
    /// any age), `shards`.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError> {
        match setting {
            "capacity" => self.set_capacity(check::whole("capacity", value)?),
            "max_weight" => self.set_max_weight(check::whole("max_weight", value)?),
            "max_age" if value == f64::INFINITY => self.set_max_age(None),
            "max_age" => self.set_max_age(Some(check::seconds("max_age", value)?)),
            "shards" => self.set_shards(check::whole("shards", value)?),
            _ => Err(ControlError::unknown(setting, &["capacity", "max_weight", "max_age", "shards"])),
        }
    }
}
