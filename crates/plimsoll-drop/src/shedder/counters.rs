//! The counts of a load shedder: arrivals and permits.

use super::signal::SignalReading;
use super::threshold::BINS;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The counts of a load shedder.
// Relaxed: a tick reads each count on its own, and a late one is in the next tick.
pub(super) struct Counters {
    // The arrivals since the last tick, by bin.
    arrivals: Box<[AtomicU32]>,
    admitted: AtomicU64,
    // The permits that are in flight, and those that have completed.
    in_flight: AtomicU64,
    completed: AtomicU64,
    // The number of permits that are served at once, and whether fewer were in flight at any time
    // since the last tick.
    workers: AtomicU64,
    was_idle: AtomicBool,
}

impl Counters {
    pub(super) fn new(workers: u32) -> Self {
        Counters {
            arrivals: (0..BINS).map(|_| AtomicU32::new(0)).collect(),
            admitted: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            workers: AtomicU64::new(u64::from(workers)),
            was_idle: AtomicBool::new(false),
        }
    }

    /// Counts the arrival of a request in this bin.
    #[inline]
    pub(super) fn arrive(&self, bin: usize) {
        if let Some(arrivals) = self.arrivals.get(bin) {
            arrivals.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the arrivals since the last call, by bin.
    pub(super) fn take_arrivals(&self) -> [u32; BINS] {
        let mut counts = [0; BINS];
        for (count, arrivals) in counts.iter_mut().zip(&self.arrivals) {
            if arrivals.load(Ordering::Relaxed) > 0 {
                *count = arrivals.swap(0, Ordering::Relaxed);
            }
        }
        counts
    }

    #[inline]
    pub(super) fn admit(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Counts a new permit.
    #[inline]
    pub(super) fn start(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a permit.
    pub(super) fn end(&self, is_completed: bool) {
        let in_flight = self.in_flight.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        if is_completed {
            self.completed.fetch_add(1, Ordering::Relaxed);
        }
        if in_flight < self.workers.load(Ordering::Relaxed) && !self.was_idle.load(Ordering::Relaxed) {
            self.was_idle.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    pub(super) fn workers(&self) -> u32 {
        self.workers.load(Ordering::Relaxed) as u32
    }

    pub(super) fn set_workers(&self, workers: u32) {
        self.workers.store(u64::from(workers), Ordering::Relaxed);
    }

    /// Returns the number of permits that wait for a worker.
    #[inline]
    pub(super) fn queued(&self) -> u64 {
        self.in_flight().saturating_sub(self.workers.load(Ordering::Relaxed))
    }

    /// Reads the permits as a signal.
    pub(super) fn reading(&self) -> SignalReading {
        let (in_flight, workers) = (self.in_flight(), u64::from(self.workers()));
        let was_idle = self.was_idle.swap(in_flight < workers, Ordering::Relaxed);
        let depth = in_flight.saturating_sub(workers);
        SignalReading::new().depth(depth).busy(!was_idle && in_flight >= workers)
    }
}
