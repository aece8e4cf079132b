//! The counts of a load shedder: arrivals and permits.

use super::held::{GENERATIONS, Held};
use super::signal::SignalReading;
use super::threshold::BINS;
use plimsoll_core::parts::sync::recover;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// The counts of a load shedder.
// Relaxed: a tick reads each count on its own, and a late one is in the next tick.
pub(super) struct Counters {
    // The arrivals since the last tick, by bin.
    arrivals: Box<[AtomicU32]>,
    admitted: AtomicU64,
    // The permits in flight by generation, and the generation of new ones.
    in_flight: [AtomicU64; GENERATIONS],
    generation: AtomicU8,
    // The permits that have ended, and those of them that did not show what the server can do.
    ended: AtomicU64,
    unfinished: AtomicU64,
    // The number of permits that are served at once, and whether fewer were in flight at any time
    // since the last tick.
    workers: AtomicU64,
    was_idle: AtomicBool,
    // The number of permits that have been in flight for many generations.
    held: AtomicU64,
    finder: Mutex<Held>,
}

impl Counters {
    pub(super) fn new(workers: u32) -> Self {
        Counters {
            arrivals: (0..BINS).map(|_| AtomicU32::new(0)).collect(),
            admitted: AtomicU64::new(0),
            in_flight: [const { AtomicU64::new(0) }; GENERATIONS],
            generation: AtomicU8::new(0),
            ended: AtomicU64::new(0),
            unfinished: AtomicU64::new(0),
            workers: AtomicU64::new(u64::from(workers)),
            was_idle: AtomicBool::new(false),
            held: AtomicU64::new(0),
            finder: Mutex::default(),
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

    /// Counts a new permit. Returns its generation.
    #[inline]
    pub(super) fn start(&self) -> u8 {
        let generation = self.generation.load(Ordering::Relaxed);
        if let Some(in_flight) = self.in_flight.get(usize::from(generation)) {
            in_flight.fetch_add(1, Ordering::Relaxed);
        }
        generation
    }

    /// Counts the end of a permit.
    pub(super) fn end(&self, generation: u8, is_finished: bool) {
        if let Some(in_flight) = self.in_flight.get(usize::from(generation)) {
            in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
        if !is_finished {
            self.unfinished.fetch_add(1, Ordering::Relaxed);
        }
        if !self.was_idle.load(Ordering::Relaxed) && self.active() < self.workers.load(Ordering::Relaxed) {
            self.was_idle.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.iter().map(|in_flight| in_flight.load(Ordering::Relaxed)).sum()
    }

    /// Returns the number of permits in flight that are not held.
    fn active(&self) -> u64 {
        self.in_flight().saturating_sub(self.held.load(Ordering::Relaxed))
    }

    /// Returns the number of permits whose work has completed.
    ///
    /// Those of a service that only drops its permits count as completed, too.
    pub(super) fn completed(&self) -> u64 {
        let ended = self.ended.load(Ordering::Relaxed);
        match ended.saturating_sub(self.unfinished.load(Ordering::Relaxed)) {
            0 => ended,
            finished => finished,
        }
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
        self.active().saturating_sub(self.workers.load(Ordering::Relaxed))
    }

    /// Reads the permits as a signal.
    pub(super) fn reading(&self) -> SignalReading {
        let in_flight = self.in_flight.each_ref().map(|in_flight| in_flight.load(Ordering::Relaxed));
        let (generation, held) = recover(self.finder.lock()).find(in_flight, self.completed());
        self.generation.store(generation, Ordering::Relaxed);
        self.held.store(held, Ordering::Relaxed);
        let (active, workers) = (self.active(), u64::from(self.workers()));
        let was_idle = self.was_idle.swap(active < workers, Ordering::Relaxed);
        let depth = active.saturating_sub(workers);
        SignalReading::new().depth(depth).busy(!was_idle && active >= workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends a permit for each one that it starts, and reads the counts after each `each`-th.
    fn serve(counters: &Counters, requests: u32, each: u32) {
        for n in 0..requests {
            let generation = counters.start();
            if n % each == 0 {
                counters.reading();
            }
            counters.end(generation, true);
        }
    }

    #[test]
    fn held_permits_are_not_counted_until_they_end() {
        let counters = Counters::new(4);
        let polls: Vec<u8> = (0..20).map(|_| counters.start()).collect();
        assert_eq!((counters.queued(), counters.in_flight()), (16, 20));
        serve(&counters, 1_000, 10);
        assert_eq!((counters.queued(), counters.active(), counters.in_flight()), (0, 0, 20));
        polls.into_iter().for_each(|generation| counters.end(generation, false));
        counters.reading();
        assert_eq!((counters.in_flight(), counters.held.load(Ordering::Relaxed)), (0, 0));
    }

    /// Twenty permits that need no worker fill four workers. A few probes end before them.
    #[test]
    fn held_permits_before_any_other_are_found_by_probes() {
        let counters = Counters::new(4);
        let _polls: Vec<u8> = (0..20).map(|_| counters.start()).collect();
        for _ in 0..60 {
            assert_eq!(counters.reading().depth, Some(16));
        }
        let probes: Vec<u8> = (0..8).map(|_| counters.start()).collect();
        assert_eq!(counters.reading().depth, Some(24));
        probes.into_iter().for_each(|generation| counters.end(generation, true));
        assert_eq!(counters.reading().depth, Some(0));
    }

    #[test]
    fn stalled_permits_keep_their_place() {
        let counters = Counters::new(4);
        serve(&counters, 1_000, 10);
        let waiting: Vec<u8> = (0..20).map(|_| counters.start()).collect();
        for _ in 0..10_000 {
            assert_eq!(counters.reading().depth, Some(16));
        }
        // They are served in order, and others take their places.
        for generation in waiting {
            counters.start();
            counters.end(generation, true);
            assert_eq!(counters.reading().depth, Some(16));
        }
    }
}
