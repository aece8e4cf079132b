//! Whether the server has recovered, so that earlier rejections count less.

use plimsoll_core::Instant;
use plimsoll_core::parts::SlidingWindow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SENT: usize = 0;
const OVERLOADED: usize = 1;

/// The time over which the answers of the server are counted.
const RECENT: Duration = Duration::from_secs(2);
/// While the server accepts everything, the weight falls by a factor of e in this time in seconds,
const FALL: f64 = 0.5;
/// and while it rejects everything, the weight grows by a factor of e in this one.
const RISE: f64 = 0.2;
/// The least weight.
const MIN_WEIGHT: f64 = 1e-4;

/// The recent answers of the server, and the weight of requests that were not accepted.
pub(super) struct Recovery {
    recent: SlidingWindow<2>,
    // The bits of the weight, and the instant of the last update.
    weight: AtomicU64,
    updated: AtomicU64,
}

// Relaxed: the weight and its instant are estimates, which one thread at a time updates.
impl Recovery {
    pub(super) fn new() -> Self {
        Recovery {
            recent: SlidingWindow::new(RECENT),
            weight: AtomicU64::new(1.0_f64.to_bits()),
            updated: AtomicU64::new(0),
        }
    }

    /// Counts an answer of the server.
    #[inline]
    pub(super) fn add(&self, is_accepted: bool, now: Instant) {
        self.recent.add(SENT, 0, now);
        if !is_accepted {
            self.recent.add(OVERLOADED, 0, now);
        }
    }

    /// Returns the weight of a request that was not accepted, 0.0001 to 1.
    pub(super) fn weight(&self) -> f64 {
        f64::from_bits(self.weight.load(Ordering::Relaxed))
    }

    /// Updates the weight. `is_throttling` states whether requests are rejected at a weight of 1.
    ///
    /// A throttle in balance has the share (K − 1) / K of its requests rejected by the server. If
    /// the server rejects less, the weight falls. Without an answer nothing is known, and it stays.
    pub(super) fn update(&self, now: Instant, multiplier: f64, is_throttling: bool) {
        let updated = self.updated.swap(now.as_nanos(), Ordering::Relaxed);
        let dt = (now.as_nanos().saturating_sub(updated) as f64 / 1e9).min(FALL);
        let [sent, overloaded] = self.recent.sum(0, now);
        let balance = (multiplier - 1.0) / multiplier;
        let growth = match overloaded as f64 / sent.max(1) as f64 {
            0.0 => -dt / FALL,
            share if share < balance => dt / FALL * (share / balance - 1.0),
            share => dt / RISE * (share - balance) / (1.0 - balance),
        };
        let weight = match (is_throttling, sent) {
            (false, _) => 1.0,
            (true, 0) => self.weight(),
            (true, _) => (self.weight() * growth.exp()).clamp(MIN_WEIGHT, 1.0),
        };
        self.weight.store(weight.to_bits(), Ordering::Relaxed);
    }
}
