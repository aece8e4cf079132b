//! The current decision, as the hot path reads it.

use super::machine::Decision;
use super::threshold::{BINS, COHORTS, Threshold};
use plimsoll_core::Dice;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::atomic::{AtomicU64, Ordering};

/// The fields of a decision, as atomics.
// Relaxed: each field is an estimate until the next tick, and a decision may mix old and new ones.
pub(super) struct Published {
    threshold: AtomicU64,
    keep_rate: AtomicU64,
    ceiling: AtomicU64,
    capacity: AtomicU64,
    // The state at the time of the decision.
    now: AtomicU64,
    admitted: AtomicU64,
    depth: AtomicU64,
    // When the next tick is due.
    due: AtomicU64,
    due_admitted: AtomicU64,
}

/// A threshold in one word: the bin and, in the bits above it, the keep rate as a threshold of
/// dice.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct PackedThreshold(u64);

const BIN_BITS: u32 = BINS.trailing_zeros();

impl PackedThreshold {
    /// The packed [`Threshold::KEEP_ALL`]: bin 0, and all 2⁵³ values of a draw.
    const KEEP_ALL: PackedThreshold = PackedThreshold(1 << (53 + BIN_BITS));

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

    /// Returns whether the ceiling applies to requests in this bin.
    ///
    /// It applies to the level that is cut. More important requests are kept however many wait.
    #[inline]
    pub(super) fn is_capped(self, bin: usize) -> bool {
        self != PackedThreshold::KEEP_ALL && bin / COHORTS == self.bin() / COHORTS
    }
}

impl Published {
    pub(super) fn new(decision: &Decision) -> Self {
        let published = Published {
            threshold: AtomicU64::new(0),
            keep_rate: AtomicU64::new(0),
            ceiling: AtomicU64::new(0),
            capacity: AtomicU64::new(0),
            now: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            due: AtomicU64::new(0),
            due_admitted: AtomicU64::new(0),
        };
        published.store(decision);
        published
    }

    /// Publishes a decision.
    pub(super) fn store(&self, decision: &Decision) {
        self.threshold.store(PackedThreshold::new(decision.threshold).0, Ordering::Relaxed);
        self.keep_rate.store(decision.keep_rate.to_bits(), Ordering::Relaxed);
        self.ceiling.store(decision.ceiling, Ordering::Relaxed);
        self.set_capacity(decision.capacity);
        self.now.store(decision.now, Ordering::Relaxed);
        self.admitted.store(decision.admitted, Ordering::Relaxed);
        self.depth.store(decision.depth, Ordering::Relaxed);
        self.due_admitted.store(decision.due_admitted, Ordering::Relaxed);
        self.due.store(decision.due, Ordering::Relaxed);
    }

    /// Replaces the capacity until the next decision.
    pub(super) fn set_capacity(&self, capacity: Option<f64>) {
        self.capacity.store(capacity.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
    }

    /// Postpones the next tick to this instant.
    pub(super) fn postpone(&self, due: u64) {
        self.due.store(due, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn threshold(&self) -> PackedThreshold {
        PackedThreshold(self.threshold.load(Ordering::Relaxed))
    }

    pub(super) fn keep_rate(&self) -> f64 {
        f64::from_bits(self.keep_rate.load(Ordering::Relaxed))
    }

    pub(super) fn ceiling(&self) -> u64 {
        self.ceiling.load(Ordering::Relaxed)
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
        assert!(PackedThreshold::new(Threshold::KEEP_ALL) == PackedThreshold::KEEP_ALL);
        let half = PackedThreshold::new(Threshold { bin: 700, keep_rate: 0.5 });
        let dice = Dice::seeded(1);
        assert!(half.bin() == 700 && half.keeps(701, &dice) && !half.keeps(699, &dice));
        let kept = (0..10_000).filter(|_| half.keeps(700, &dice)).count();
        assert!((4_800..5_200).contains(&kept), "{kept}");
        assert!(half.is_capped(5 * COHORTS) && !half.is_capped(6 * COHORTS));
    }
}
