//! A quota that many callers share, with its state: one bucket, and no lock for requests.
//!
//! Three words: the state, the units of the quota, and a tag. The tag holds the interval of the
//! quota, a version, and a bit that is set while the words change together. The highest bit of the
//! state is the turn, which each change of the quota flips. The others are the instant from which
//! nothing is owed.
//!
//! A thread that takes units reads all three words, reads the tag again, and exchanges the state. A
//! change of the quota sets the bit in the tag, exchanges the state for one *of the other turn*,
//! and then writes the other words. So a state that was read with its tag, and has not changed
//! since, is counted by the quota that was read with it. No unit is taken by a quota of the past,
//! unless the quota was changed twice since it was read, and the state is the same to the very
//! nanosecond.

use crate::Quota;
use crate::quota::allowance;
use crate::quota::gcra::{NEVER, Rate, refunded};
use crate::quota::live::{Change, Setting};
use plimsoll_core::parts::sync::{AtomicU64, Backoff, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::{Allowance, ControlError};

/// A quota that many callers share, with its state.
#[derive(Debug)]
pub(crate) struct LiveBucket {
    tag: AtomicU64,
    units: AtomicU64,
    state: AtomicU64,
    // Read and changed by operators. Also serialises changes.
    setting: Mutex<Setting>,
}

const CHANGING: u64 = 1;
const VERSION: u64 = 2;
const SHIFT: u32 = 10;

const TURN: u64 = 1 << 63;

/// A bucket as it was read: its words belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) rate: Rate,
    state: u64,
}

impl Reading {
    /// Returns the instant from which nothing is owed.
    #[inline(always)]
    pub(crate) fn free(self) -> u64 {
        self.state & !TURN
    }

    /// Takes `units` at `now`. Returns the next state, or the instant before which there are not
    /// enough.
    #[inline(always)]
    pub(crate) fn take(self, now: u64, units: u32) -> Result<u64, u64> {
        // The burst is never zero: see `Quota::validate`. So one unit needs no check.
        if units > 1 && units > self.rate.burst {
            return Err(NEVER);
        }
        // Both instants in the present turn.
        let now = now | self.state & TURN;
        self.rate.take_some(self.state, now, units).map_err(|at| at & !TURN)
    }

    /// Returns the instant before which there are not `units`, if `owed` is charged first.
    pub(crate) fn not_before(self, owed: u64, now: u64, units: u32) -> Option<u64> {
        self.rate.not_before(self.free(), owed, now, units)
    }

    /// Returns the number of whole units that remain at `now`.
    pub(crate) fn remaining(self, now: u64) -> u32 {
        self.rate.remaining(self.free(), now)
    }

    /// Returns what remains at `now`.
    pub(crate) fn allowance(self, name: &'static str, now: u64) -> Allowance {
        allowance(name, self.rate, self.free(), now).shared(true)
    }
}

impl LiveBucket {
    pub(crate) fn new(quota: Quota) -> Self {
        let rate = quota.gcra();
        LiveBucket {
            tag: AtomicU64::new(rate.interval << SHIFT),
            units: AtomicU64::new(rate.units()),
            state: AtomicU64::new(0),
            setting: Mutex::new(Setting::new(quota)),
        }
    }

    #[inline(always)]
    pub(crate) fn read(&self) -> Reading {
        loop {
            if let Some(seen) = self.read_once() {
                return seen;
            }
            self.wait();
        }
    }

    /// Waits until no change is in progress. Out of line, so that requests do not prepare to wait.
    #[cold]
    #[inline(never)]
    fn wait(&self) {
        let mut backoff = Backoff::default();
        // Relaxed: a hint. The tag is read again.
        while self.tag.load(Ordering::Relaxed) & CHANGING != 0 {
            backoff.wait();
        }
    }

    #[inline(always)]
    fn read_once(&self) -> Option<Reading> {
        // Acquire: pairs with the Release store of the tag in `update`, so that the words are at
        // least as new as the tag.
        let tag = self.tag.load(Ordering::Acquire);
        if tag & CHANGING != 0 {
            return None;
        }
        // Acquire: pairs with the Release store of the units and the exchange of the state in
        // `update`, so that the tag loaded below is at least as new as both.
        let units = self.units.load(Ordering::Acquire);
        let state = self.state.load(Ordering::Acquire);
        let settled = self.tag.load(Ordering::Relaxed) == tag;
        settled.then(|| Reading { rate: Rate::new(tag >> SHIFT, units), state })
    }

    /// Replaces the state that was [read](Self::read). Returns whether nothing had changed since.
    #[inline(always)]
    pub(crate) fn exchange(&self, seen: Reading, state: u64) -> bool {
        self.state.compare_exchange(seen.state, state, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes `units`. Returns the rate by which it decided, with the instant before which there are
    /// not enough as an error.
    #[inline(always)]
    pub(crate) fn take(&self, mut seen: Reading, now: u64, units: u32) -> Result<Rate, (Rate, u64)> {
        loop {
            match seen.take(now, units) {
                Ok(state) if self.exchange(seen, state) => return Ok(seen.rate),
                Ok(_) => seen = self.read(),
                Err(at) => return Err((seen.rate, at)),
            }
        }
    }

    /// Refunds all but the kept ones of `units` that were taken at `at` by `interval`: see
    /// [`refunded`].
    ///
    /// It computes with the shorter of both intervals, so that no refund returns too much. If the
    /// present one is shorter, units count as replenished sooner than they were. If the earlier one
    /// is shorter, less is refunded for each unit.
    pub(crate) fn refund(&self, now: u64, units: [u32; 2], at: u64, interval: u64) {
        self.alter(|seen| refunded(seen.free(), now, seen.rate.interval.min(interval), units, at));
    }

    /// Gives back up to `units`. Then less is owed, or nothing.
    pub(crate) fn credit(&self, now: u64, units: u32) {
        self.refund(now, [units, 0], now, u64::MAX);
    }

    /// Charges `units` for work that was done, whether or not there are enough.
    pub(crate) fn charge(&self, now: u64, units: u32) {
        self.alter(|seen| seen.rate.charged(seen.free(), now, units));
    }

    fn alter(&self, change: impl Fn(Reading) -> u64) {
        loop {
            let seen = self.read();
            let free = change(seen);
            if free == seen.free() || self.exchange(seen, free | seen.state & TURN) {
                return;
            }
        }
    }

    /// Replaces the quota by what `change` makes of the present one, and returns it. What is owed
    /// is counted by the new one from now on. No other change comes between. If the new quota is
    /// invalid, nothing changes.
    pub(crate) fn update(
        &self,
        now: u64,
        change: impl FnOnce(Quota) -> Result<Quota, ControlError>,
    ) -> Result<Quota, ControlError> {
        let mut setting = self.lock();
        let Change { quota, rate, withheld, .. } = setting.update(now, change)?;
        let tag = self.tag.load(Ordering::Relaxed);
        // Relaxed: the exchange of the state releases it.
        self.tag.store(tag | CHANGING, Ordering::Relaxed);
        let turned = |state: u64| {
            let free = state & !TURN;
            let carried = rate.recounted(free, now, tag >> SHIFT, withheld, rate.span());
            // If nothing is owed, the instant stays. By the coarse clock it may not have come yet.
            let free = if carried == free.max(now) { free } else { carried };
            Some(free | !state & TURN)
        };
        // Release: pairs with the Acquire load in `read`. A thread that sees the new state also
        // sees `CHANGING`, or a later tag. Acquire: the state of a charge is that of a request
        // before the change.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, turned);
        // Release: as for the state.
        self.units.store(rate.units(), Ordering::Release);
        let version = tag.wrapping_add(VERSION) & ((1 << SHIFT) - VERSION);
        self.tag.store(rate.interval << SHIFT | version, Ordering::Release);
        Ok(quota)
    }

    pub(crate) fn quota(&self) -> Quota {
        self.lock().quota()
    }

    fn lock(&self) -> MutexGuard<'_, Setting> {
        recover(self.setting.lock())
    }
}
