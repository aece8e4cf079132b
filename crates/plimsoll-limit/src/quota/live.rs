//! A quota that can be changed while it is read.

use super::gcra::{Rate, Withheld};
use crate::Quota;
use plimsoll_core::ControlError;
use plimsoll_core::parts::sync::{AtomicU64, Mutex, MutexGuard, Ordering, recover};

/// A quota as it is now, for readers that wait for no writer.
///
/// There are two slots. A change writes the one that is not in use, and then counts itself. A
/// reader that is overtaken by a whole change reads again.
#[derive(Debug)]
pub(crate) struct LiveQuota {
    // The number of changes. Its last bit is the slot in use.
    changes: AtomicU64,
    even: RateWords,
    odd: RateWords,
    // Read and changed by operators. Also serialises changes.
    setting: Mutex<Setting>,
}

#[derive(Debug)]
struct RateWords {
    interval: AtomicU64,
    // The burst, and in the lower half the units of any window.
    units: AtomicU64,
}

/// The quota, and the highest burst that has applied until lately.
#[derive(Debug)]
pub(crate) struct Setting {
    quota: Quota,
    peak: u32,
    // From then on, a bucket of that burst would be full again, whatever was taken before.
    peak_until: u64,
    // The instant from which a bucket owes nothing that owed its whole burst when that was lowered,
    // and from which nothing was taken since. One that owes less was forgiven nothing.
    forgiven: u64,
}

/// A change of a quota.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) quota: Quota,
    pub(crate) rate: Rate,
    /// What is withheld, because the burst was raised again after lowering it has forgiven units.
    pub(crate) withheld: Withheld,
    /// Whether the interval has changed, so that requests notice the change as well.
    pub(crate) raced: bool,
}

impl RateWords {
    fn new(rate: Rate) -> Self {
        RateWords { interval: AtomicU64::new(rate.interval), units: AtomicU64::new(rate.units()) }
    }
}

impl LiveQuota {
    pub(crate) fn new(quota: Quota) -> Self {
        let slot = || RateWords::new(quota.gcra());
        let setting = Mutex::new(Setting::new(quota));
        LiveQuota { changes: AtomicU64::new(0), even: slot(), odd: slot(), setting }
    }

    #[inline(always)]
    fn slot(&self, changes: u64) -> &RateWords {
        if changes & 1 == 0 { &self.even } else { &self.odd }
    }

    #[inline(always)]
    pub(crate) fn rate(&self) -> Rate {
        loop {
            // Acquire: pairs with the Release store of the count in `update`.
            let changes = self.changes.load(Ordering::Acquire);
            let slot = self.slot(changes);
            // Acquire: pairs with the Release stores in `update`. A reader that sees a number of
            // the change after the next one sees the count of the next one below.
            let interval = slot.interval.load(Ordering::Acquire);
            let units = slot.units.load(Ordering::Acquire);
            if self.changes.load(Ordering::Relaxed) == changes {
                return Rate::new(interval, units);
            }
        }
    }

    /// Replaces the quota by what `change` makes of the present one. No other change comes between.
    /// If the new quota is invalid, nothing changes.
    pub(crate) fn update(
        &self,
        now: u64,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<Change, ControlError> {
        let mut setting = self.lock();
        let change = setting.update(now, change)?;
        let changes = self.changes.load(Ordering::Relaxed) + 1;
        let slot = self.slot(changes);
        // Release: pairs with the Acquire loads in `rate`. A reader that sees one of the numbers
        // also sees the count of the change before.
        slot.interval.store(change.rate.interval, Ordering::Release);
        slot.units.store(change.rate.units(), Ordering::Release);
        self.changes.store(changes, Ordering::Release);
        Ok(change)
    }

    pub(crate) fn quota(&self) -> Quota {
        self.lock().quota()
    }

    fn lock(&self) -> MutexGuard<'_, Setting> {
        recover(self.setting.lock())
    }
}

impl Setting {
    pub(crate) fn new(quota: Quota) -> Self {
        Setting { quota, peak: 0, peak_until: 0, forgiven: 0 }
    }

    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    /// Replaces the quota by what `change` makes of it. If that is invalid, nothing changes.
    pub(crate) fn update(
        &mut self,
        now: u64,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<Change, ControlError> {
        let old = self.quota.gcra();
        let quota = change(self.quota)?;
        quota.validate()?;
        let rate = quota.gcra();
        let withheld = self.change(quota, old, rate, now);
        Ok(Change { quota, rate, withheld, raced: rate.interval != old.interval })
    }

    /// Sets the quota. Returns the units that are withheld, and from which buckets.
    ///
    /// A bucket whose burst is lowered forgives what is owed beyond it. If the burst is raised
    /// again before the larger one would have filled up, the difference is not given out: else each
    /// change to and fro would be a burst. Buckets that were forgiven nothing lose nothing.
    fn change(&mut self, quota: Quota, old: Rate, new: Rate, now: u64) -> Withheld {
        if now >= self.peak_until {
            (self.peak, self.peak_until, self.forgiven) = (0, 0, u64::MAX);
        }
        // A nanosecond less: see `Entry::rescale`.
        let carried = |withheld| match self.forgiven {
            u64::MAX => u64::MAX,
            free => new.carried(free, now, old.interval, withheld, new.span()).saturating_sub(1),
        };
        let units = self.peak.min(new.burst).saturating_sub(old.burst);
        let (from, forgiven) = (carried(0), carried(units));
        self.forgiven = forgiven;
        if new.burst < old.burst {
            self.peak = self.peak.max(old.burst);
            self.peak_until = self.peak_until.max(now.saturating_add(old.span()));
            self.forgiven = forgiven.min(now.saturating_add(new.span()).saturating_sub(1));
        }
        self.quota = quota;
        Withheld { units, from }
    }
}
