//! Reading and changing the settings of a mailbox while it runs.

use super::config::{check_bounds, check_shards};
use super::{Mailbox, ShardPick};
use plimsoll_core::parts::{Bounds, check};
use plimsoll_core::{ControlError, Discipline, Inspect};
use std::time::Duration;

impl<T> Mailbox<T> {
    /// Returns the queue discipline.
    pub fn discipline(&self) -> Discipline {
        self.0.settings().0
    }

    /// Changes the queue discipline. Items stay in the order of arrival, as far as the new one
    /// permits.
    ///
    /// If arrivals were not stamped before and the new discipline needs ages, they count from now.
    ///
    /// # Errors
    /// Returns an error if a number of the discipline is out of range. Nothing has changed then.
    pub fn set_discipline(&self, discipline: Discipline) -> Result<(), ControlError> {
        discipline.validate()?;
        self.0.set(|current, _| *current = discipline);
        Ok(())
    }

    /// Returns the bounds of each shard.
    pub fn bounds(&self) -> Bounds {
        self.0.settings().1
    }

    /// Changes all bounds of each shard at once.
    ///
    /// # Errors
    /// Returns an error if a bound is out of range, or if `max_weight` is bounded and items are not
    /// weighed. Nothing has changed then.
    pub fn set_bounds(&self, bounds: Bounds) -> Result<(), ControlError> {
        check_bounds(bounds)?;
        self.check_weighed(bounds.max_weight)?;
        self.0.set(|_, current| *current = bounds);
        Ok(())
    }

    /// Returns the maximum number of items in each shard.
    pub fn capacity(&self) -> usize {
        self.bounds().capacity
    }

    /// Changes the maximum number of items in each shard. Range: 1 to 2³² − 1.
    ///
    /// Items that no longer fit are evicted: the newest under [`Discipline::KeepOldest`], else the
    /// oldest.
    ///
    /// # Errors
    /// Returns an error if `capacity` is out of range. Nothing has changed then.
    #[doc(alias = "resize")]
    pub fn set_capacity(&self, capacity: usize) -> Result<(), ControlError> {
        check_bounds(Bounds::with_capacity(capacity))?;
        self.0.set(|_, bounds| bounds.capacity = capacity);
        Ok(())
    }

    /// Returns the maximum total weight of the items in each shard.
    ///
    /// `u64::MAX` stands for no bound.
    pub fn max_weight(&self) -> u64 {
        self.bounds().max_weight
    }

    /// Changes the maximum total weight of the items in each shard.
    ///
    /// `u64::MAX` stands for no bound. Items that no longer fit are evicted, as by
    /// [`set_capacity`](Self::set_capacity).
    ///
    /// # Errors
    /// Returns an error if `max_weight` is 0, or if it is a bound and items are not weighed.
    /// Nothing has changed then.
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
        let allowed = "18446744073709551615 (no bound), because items are not weighed";
        Err(ControlError::new("max_weight", max_weight, allowed))
    }

    /// Returns the maximum age of an item; `None` for no bound.
    pub fn max_age(&self) -> Option<Duration> {
        self.bounds().max_age
    }

    /// Changes the maximum age of an item; `None` for no bound.
    ///
    /// # Errors
    /// Returns an error if `max_age` is zero. Nothing has changed then.
    pub fn set_max_age(&self, max_age: Option<Duration>) -> Result<(), ControlError> {
        check_bounds(Bounds { max_age, ..Bounds::with_capacity(1) })?;
        self.0.set(|_, bounds| bounds.max_age = max_age);
        Ok(())
    }

    /// Returns the number of shards that producers are spread over.
    pub fn shards(&self) -> usize {
        self.0.shard_count()
    }

    /// Changes the number of shards that producers are spread over. Range: 1 to 64.
    ///
    /// A shard that receives no more offers keeps its items until they are taken.
    ///
    /// # Errors
    /// Returns an error if `shards` is out of range. Nothing has changed then.
    pub fn set_shards(&self, shards: usize) -> Result<(), ControlError> {
        check_shards(shards)?;
        self.0.set_shards(shards);
        Ok(())
    }

    /// Returns how a producer picks its shard.
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
    /// Settings: `capacity` (items), `max_weight` (units of the weigher), `max_age` (seconds,
    /// infinite for no bound), `shards`.
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
