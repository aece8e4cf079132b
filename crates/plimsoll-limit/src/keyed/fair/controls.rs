//! Changing a fair limiter while it runs.

use super::config::{advise, check_quota, check_tail};
use super::{Fair, FairRateLimiter};
use crate::Quota;
use plimsoll_core::ControlError;
use plimsoll_core::parts::sync::Ordering;

impl<K: ?Sized> Fair<K> {
    pub(super) fn change_quota(
        &self,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<(), ControlError> {
        let quota = self.bucket.update(self.common.now(), |current| {
            let quota = change(current)?;
            check_quota(&quota)?;
            Ok(quota)
        })?;
        advise(&self.common, &quota);
        self.common.queues.wake_all();
        Ok(())
    }

    pub(super) fn set_tail(&self, tail: f64) -> Result<(), ControlError> {
        check_tail(tail)?;
        // Relaxed: the value stands for itself.
        self.tail.store(tail.to_bits(), Ordering::Relaxed);
        self.common.queues.wake_all();
        Ok(())
    }
}

impl<K: ?Sized> FairRateLimiter<K> {
    /// Changes the quota that is shared. Units that are charged stay charged.
    ///
    /// If the new burst is smaller, what is owed beyond it is forgiven. If it is larger, the
    /// difference can be taken at once, except what a change has just forgiven.
    ///
    /// # Errors
    /// Returns an error if the quota is invalid, or its burst is below 2. Nothing has changed then.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ControlError> {
        self.0.change_quota(|_| Ok(quota))
    }

    /// Returns the quota that is shared.
    pub fn quota(&self) -> Quota {
        self.0.bucket.quota()
    }

    /// Changes the share of the quota that new accounts get together.
    ///
    /// Range: above 0.0, at most 1.0.
    ///
    /// # Errors
    /// Returns an error if `tail` is out of range. Nothing has changed then.
    pub fn set_tail(&self, tail: f64) -> Result<(), ControlError> {
        self.0.set_tail(tail)
    }

    /// Returns the share of the quota that new accounts get together.
    pub fn tail(&self) -> f64 {
        self.0.tail()
    }

    /// Returns the fair share of an account of weight 1, in units a second.
    ///
    /// It is 16 times the shared rate after a while in which no account was short of units.
    pub fn fair_share(&self) -> f64 {
        self.0.level()
    }
}
