//! A quota that can be changed while it is read.

use super::gcra::Rate;
use crate::Quota;
use plimsoll_core::ControlError;
use plimsoll_core::parts::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, pause, recover};

/// The interval and the burst of a quota, behind a sequence count. Readers do not block each other.
#[derive(Debug)]
pub(crate) struct LiveQuota {
    // Odd while the other two change.
    version: AtomicU64,
    interval: AtomicU64,
    burst: AtomicU32,
    // Read and changed by operators. Also serialises changes.
    quota: Mutex<Quota>,
}

impl LiveQuota {
    pub(crate) fn new(quota: Quota) -> Self {
        let Rate { interval, burst } = quota.gcra();
        LiveQuota {
            version: AtomicU64::new(0),
            interval: AtomicU64::new(interval),
            burst: AtomicU32::new(burst),
            quota: Mutex::new(quota),
        }
    }

    #[inline(always)]
    pub(crate) fn rate(&self) -> Rate {
        loop {
            let version = self.version.load(Ordering::Acquire);
            // Acquire: pairs with the Release stores in `update`. A reader that sees a number that
            // is being set sees the odd version, or a later one, below.
            let interval = self.interval.load(Ordering::Acquire);
            let burst = self.burst.load(Ordering::Acquire);
            if version & 1 == 0 && self.version.load(Ordering::Relaxed) == version {
                return Rate { interval, burst };
            }
            pause();
        }
    }

    /// Replaces the quota by what `change` makes of the present one, and returns it. No other
    /// change comes between. If the new quota is invalid, nothing changes.
    pub(crate) fn update(
        &self,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<Quota, ControlError> {
        let mut current = self.lock();
        let quota = change(*current)?;
        quota.validate()?;
        *current = quota;
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        let Rate { interval, burst } = quota.gcra();
        // Release: pairs with the Acquire loads in `rate`. A reader that sees one of the numbers
        // also sees the odd version.
        self.interval.store(interval, Ordering::Release);
        self.burst.store(burst, Ordering::Release);
        self.version.store(version + 2, Ordering::Release);
        Ok(quota)
    }

    pub(crate) fn quota(&self) -> Quota {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Quota> {
        recover(self.quota.lock())
    }
}
