//! Changing a tiered limiter while it runs.

use super::classes::{Class, ClassLimits, SharedLimit};
use super::{Assigned, Tiered, TieredRateLimiter};
use crate::Quota;
use crate::keyed::policy::QuotaPolicy;
use crate::quota::gcra::Withheld;
use crate::setup::when_full_controls;
use plimsoll_core::ControlError;
use std::hash::Hash;

impl<K: ?Sized> Tiered<K> {
    pub(super) fn change_shared(
        &self,
        limit: &SharedLimit,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<(), ControlError> {
        limit.bucket.update(self.common.now(), change)?;
        self.common.queues.wake_all();
        Ok(())
    }

    fn check_class(&self, class: &str) -> Result<u16, ControlError> {
        let allowed = "one of the classes that the limiter was built with";
        self.class_named(class).ok_or_else(|| ControlError::new("class", class, allowed))
    }
}

impl<K: Hash + ?Sized> TieredRateLimiter<K> {
    /// Assigns this account to a class. Units that are charged stay charged.
    ///
    /// If the new burst is smaller, what is owed beyond it is forgiven: the account waits for no
    /// longer than the new burst takes to be replenished. If it is larger, the difference can be
    /// taken at once, even if it has just been forgiven.
    ///
    /// It overrides the class that [`class_of`](crate::TieredRateLimiterBuilder::class_of) states.
    /// Each assignment takes some memory until the account is [unassigned](Self::unassign).
    ///
    /// # Errors
    /// Returns an error if there is no such class. Nothing has changed then.
    pub fn assign(&self, key: &K, class: &str) -> Result<(), ControlError> {
        let class = self.0.check_class(class)?;
        self.alter(key, |assigned| Assigned { class: Some(class), ..assigned });
        Ok(())
    }

    /// Assigns this account a quota of its own, instead of that of its class.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid. Nothing has changed then.
    pub fn assign_quota(&self, key: &K, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        self.alter(key, |assigned| Assigned { quota: Some(quota), ..assigned });
        Ok(())
    }

    fn alter(&self, key: &K, change: impl FnOnce(Assigned) -> Assigned) {
        let hash = self.0.accounts.table.hash(key);
        self.0.assigned.alter(hash, |assigned| change(assigned.unwrap_or_default()));
        self.recount(key);
    }

    /// Removes the class and the quota that were assigned to this account. Units that are charged
    /// stay charged.
    pub fn unassign(&self, key: &K) {
        self.0.assigned.remove(self.0.accounts.table.hash(key));
        self.recount(key);
    }

    /// Counts what an account owes by its present quota from now on.
    fn recount(&self, key: &K) {
        let caller = self.0.caller(key);
        let own = self.0.accounts.table.find(caller.hash);
        if let (Some(rate), Some((_, entry))) = (self.0.limits(caller).each, own) {
            entry.recount(rate, Withheld::default(), false, self.0.common.now());
        }
        self.0.common.queues.wake_all();
    }
}

impl<K: ?Sized> TieredRateLimiter<K> {
    when_full_controls!();

    /// Returns the quota that all accounts share, if the limiter was built with one.
    pub fn global(&self) -> Option<Quota> {
        self.0.global.as_ref().map(|limit| limit.bucket.quota())
    }

    /// Returns the classes with their present quotas.
    pub fn classes(&self) -> Vec<Class> {
        self.0.classes.iter().map(ClassLimits::to_class).collect()
    }

    /// Changes the quota that all accounts share. Units that are charged stay charged.
    ///
    /// If the new burst is smaller, what is owed beyond it is forgiven. If it is larger, the
    /// difference can be taken at once, except what a change has just forgiven.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid, or if the limiter was built without one. Nothing
    /// has changed then.
    pub fn set_global(&self, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let Some(limit) = &self.0.global else {
            return Err(ControlError::new("global", quota, "absent, as the limiter was built without one"));
        };
        self.0.change_shared(limit, |_| Ok(quota))
    }

    /// Changes the quota of each account in a class. Units that are charged stay charged.
    ///
    /// Until the next request of an account, its units are replenished at the old rate. If the new
    /// burst is smaller, what is owed beyond it is forgiven then. If it is raised again, that is
    /// not withheld: each change to and fro admits up to the larger burst once more.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid, if there is no such class, or if the class was
    /// built without one. Nothing has changed then.
    pub fn set_each(&self, class: &str, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let Some(live) = &self.0.class(self.0.check_class(class)?).each else {
            return Err(ControlError::new("each", quota, "absent, as the class was built without one"));
        };
        live.update(self.0.common.now(), |_| Ok(quota))?;
        self.0.common.queues.wake_all();
        Ok(())
    }

    /// Changes the quota that all accounts in a class share. Units that are charged stay charged.
    ///
    /// # Errors
    /// As for [`set_each`](Self::set_each).
    pub fn set_all(&self, class: &str, quota: Quota) -> Result<(), ControlError> {
        quota.validate()?;
        let Some(limit) = &self.0.class(self.0.check_class(class)?).all else {
            return Err(ControlError::new("all", quota, "absent, as the class was built without one"));
        };
        self.0.change_shared(limit, |_| Ok(quota))
    }
}
