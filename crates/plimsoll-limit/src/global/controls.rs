//! Changing a rate limiter while it runs, and charges after the fact.

use super::RateLimiter;
use crate::Quota;
use crate::setup::queue_controls;
use plimsoll_core::ControlError;

impl RateLimiter {
    /// Changes the quota. Units that are charged stay charged.
    ///
    /// If the new burst is smaller, what is owed beyond it is forgiven. So nobody waits for longer
    /// than the new burst takes to be replenished. If it is larger, the difference can be taken at
    /// once, except what a change has just forgiven. However the quota is changed, no more is
    /// admitted than by the largest of its quotas.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid. Nothing has changed then.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ControlError> {
        self.change_quota(|_| Ok(quota))
    }

    pub(super) fn change_quota(
        &self,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<(), ControlError> {
        self.0.bucket.update(self.0.common.now(), change)?;
        self.0.common.queues.wake_all();
        Ok(())
    }

    /// Charges `units` for work that was done, whether or not there are enough of them.
    ///
    /// For costs that are known only afterwards, where no
    /// [permit](plimsoll_core::Permit::settle_units) is at hand. What is missing becomes debt, of
    /// at most one burst, which later requests wait for.
    pub fn debit(&self, units: u32) {
        let inner = &*self.0;
        inner.bucket.charge(inner.time(), units);
    }

    /// Gives back up to `units`, so that they can be taken at once. The burst is never exceeded.
    pub fn credit(&self, units: u32) {
        let inner = &*self.0;
        inner.bucket.credit(inner.common.now(), units);
        inner.wake_waiters();
    }

    /// Forgives all that is owed: the whole burst can be taken at once.
    pub fn reset(&self) {
        self.credit(u32::MAX);
    }

    /// Returns the quota.
    pub fn quota(&self) -> Quota {
        self.0.bucket.quota()
    }

    /// Returns the number of units that remain now.
    pub fn remaining(&self) -> u32 {
        self.0.bucket.read().remaining(self.0.common.now())
    }

    queue_controls!(limiter => limiter.0.common);
}
