//! The current decision, as the hot path reads it.

use super::machine::{Ceilings, Decision};
use super::threshold::{BINS, COHORTS, Threshold};
use plimsoll_core::Dice;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The fields of a decision, as atomics.
// Relaxed: each field is an estimate until the next tick, and a decision may mix old and new ones.
pub(super) struct Published {
    threshold: AtomicU64,
    keep_rate: AtomicU64,
    // The ceilings, and the first bin to which the higher one applies.
    low_ceiling: AtomicU64,
    high_ceiling: AtomicU64,
    first_high: AtomicUsize,
    // The numbers of waiting and of admitted requests up to which nothing is dropped.
    spared: AtomicU64,
    spared_admitted: AtomicU64,
    capacity: AtomicU64,
    // The state at the time of the decision.
    now: AtomicU64,
    admitted: AtomicU64,
    depth: AtomicU64,
    // When the next tick is due.
    due: AtomicU64,
    due_admitted: AtomicU64,
    is_open: AtomicBool,
}

/// A threshold in one word: the bin and, in the bits above it, the keep rate as a threshold of
/// dice.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct PackedThreshold(u64);

const BIN_BITS: u32 = BINS.trailing_zeros();

impl PackedThreshold {
    fn new(threshold: Threshold) -> Self {
        PackedThreshold(Dice::threshold(threshold.keep_rate) << BIN_BITS | threshold.bin as u64)
    }

    #[inline]
    fn bin(self) -> usize {
        (self.0 & (BINS as u64 - 1)) as usize
    }

    /// Returns whether a request in this bin is kept.
    #[inline]
    pub(super) fn keeps(self, bin: usize, dice: &Dice) -> bool {
        match bin.cmp(&self.bin()) {
            Greater => true,
            Less => false,
            Equal => dice.under(self.0 >> BIN_BITS),
        }
    }
}

impl Published {
    pub(super) fn new(decision: &Decision) -> Self {
        let published = Published {
            threshold: AtomicU64::new(0),
            keep_rate: AtomicU64::new(0),
            low_ceiling: AtomicU64::new(0),
            high_ceiling: AtomicU64::new(0),
            first_high: AtomicUsize::new(0),
            spared: AtomicU64::new(0),
            spared_admitted: AtomicU64::new(0),
            capacity: AtomicU64::new(0),
            now: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            due: AtomicU64::new(0),
            due_admitted: AtomicU64::new(0),
            is_open: AtomicBool::new(true),
        };
        published.store(decision);
        published
    }

    /// Publishes a decision.
    pub(super) fn store(&self, decision: &Decision) {
        self.threshold.store(PackedThreshold::new(decision.threshold).0, Ordering::Relaxed);
        self.keep_rate.store(decision.keep_rate.to_bits(), Ordering::Relaxed);
        let Ceilings { level, low, high } = decision.ceilings;
        self.low_ceiling.store(low, Ordering::Relaxed);
        self.high_ceiling.store(high, Ordering::Relaxed);
        self.first_high.store((level + 1) * COHORTS, Ordering::Relaxed);
        self.spared.store(decision.spared, Ordering::Relaxed);
        self.spared_admitted.store(decision.spared_admitted, Ordering::Relaxed);
        self.set_capacity(decision.capacity);
        self.now.store(decision.now, Ordering::Relaxed);
        self.admitted.store(decision.admitted, Ordering::Relaxed);
        self.depth.store(decision.depth, Ordering::Relaxed);
        self.due_admitted.store(decision.due_admitted, Ordering::Relaxed);
        self.is_open.store(decision.is_open, Ordering::Relaxed);
        self.due.store(decision.due, Ordering::Relaxed);
    }

    /// Makes a tick due before an unexpected drop, at most 5,000 times a second.
    ///
    /// Returns whether it is due.
    pub(super) fn hasten(&self, now: u64) -> bool {
        let is_due = self.is_open.load(Ordering::Relaxed) && self.since(now) >= 200_000;
        if is_due {
            self.due.store(0, Ordering::Relaxed);
        }
        is_due
    }

    /// Replaces the capacity until the next decision.
    pub(super) fn set_capacity(&self, capacity: Option<f64>) {
        self.capacity.store(capacity.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn threshold(&self) -> PackedThreshold {
        PackedThreshold(self.threshold.load(Ordering::Relaxed))
    }

    pub(super) fn keep_rate(&self) -> f64 {
        f64::from_bits(self.keep_rate.load(Ordering::Relaxed))
    }

    /// Returns the maximum number of waiting requests that this bin allows, or `u64::MAX`.
    #[inline]
    pub(super) fn ceiling(&self, bin: usize) -> u64 {
        match self.low_ceiling.load(Ordering::Relaxed) {
            u64::MAX => u64::MAX,
            low if bin < self.first_high.load(Ordering::Relaxed) => low,
            _ => self.high_ceiling.load(Ordering::Relaxed),
        }
    }

    /// Returns the number of waiting requests up to which nothing is dropped.
    pub(super) fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
    }

    /// Returns whether nothing is dropped after this number of admitted requests.
    pub(super) fn is_spared_after(&self, admitted: u64) -> bool {
        admitted < self.spared_admitted.load(Ordering::Relaxed)
    }

    pub(super) fn capacity(&self) -> Option<f64> {
        Some(f64::from_bits(self.capacity.load(Ordering::Relaxed))).filter(|capacity| *capacity > 0.0)
    }

    pub(super) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Returns whether the next tick is due at this instant.
    #[inline]
    pub(super) fn is_due_at(&self, now: u64) -> bool {
        now >= self.due.load(Ordering::Relaxed)
    }

    /// Returns whether the next tick is due after this number of admitted requests.
    #[inline]
    pub(super) fn is_due_after(&self, admitted: u64) -> bool {
        admitted >= self.due_admitted.load(Ordering::Relaxed)
    }

    /// Returns the time since the last tick.
    pub(super) fn since(&self, now: u64) -> u64 {
        now.saturating_sub(self.now.load(Ordering::Relaxed))
    }

    /// Returns the number of requests that wait now if none has left since the last tick.
    pub(super) fn max_depth(&self, admitted: u64) -> u64 {
        let new = admitted.saturating_sub(self.admitted.load(Ordering::Relaxed));
        self.depth.load(Ordering::Relaxed).saturating_add(new)
    }

    /// Returns the number of requests that have left since the last tick, estimated by the
    /// capacity.
    pub(super) fn departures(&self, now: u64) -> u64 {
        let capacity = f64::from_bits(self.capacity.load(Ordering::Relaxed));
        (capacity * self.since(now) as f64 / 1e9) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_threshold_has_the_same_bin_and_rate() {
        let (all, none) = (Threshold::KEEP_ALL, Threshold::DROP_ALL);
        assert!([all, none].map(|of| PackedThreshold::new(of).keeps(0, &Dice::seeded(1))) == [true, false]);
        let half = PackedThreshold::new(Threshold { bin: 700, keep_rate: 0.5 });
        let dice = Dice::seeded(1);
        assert!(half.bin() == 700 && half.keeps(701, &dice) && !half.keeps(699, &dice));
        let kept = (0..10_000).filter(|_| half.keeps(700, &dice)).count();
        assert!((4_800..5_200).contains(&kept), "{kept}");
    }
}
