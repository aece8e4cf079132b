//! Counting for a trip.

use crate::trip::{Call, Trip, When};
use plimsoll_core::parts::SlidingWindow;
use plimsoll_core::{Instant, Outcome};
use std::sync::atomic::{AtomicU64, Ordering, fence};

const ALL: usize = 0;
const BAD: usize = 1;

/// A trip at work. Counting costs the same however much is in the window.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) trip: Trip,
    window: SlidingWindow<2>,
    // How many in a row, and when the last of them was, in steps of 1,024 ns.
    row: AtomicU64,
}

const ROW_BITS: u32 = 16;
const ROW_TICKS: u64 = u64::MAX >> ROW_BITS;
/// About a second.
const ROW_AHEAD: u64 = 1 << 20;

impl Meter {
    pub(crate) fn new(trip: Trip) -> Self {
        Meter { trip, window: SlidingWindow::new(trip.within), row: AtomicU64::new(0) }
    }

    /// Counts a call; answers whether that opens the breaker.
    #[inline]
    pub(crate) fn count(&self, call: Call, life: u32, now: Instant) -> bool {
        match self.trip.weighs(call) {
            None => false,
            // A row is broken by a success, not by what is bad for another trip.
            Some(false)
                if call.outcome != Outcome::Success && matches!(self.trip.when, When::Consecutive(_)) =>
            {
                false
            }
            Some(false) => {
                self.count_good(life, now);
                false
            }
            Some(true) => self.count_bad(life, now),
        }
    }

    /// Counts a call that was good: any success is, but for a trip of slow calls.
    #[inline]
    pub(crate) fn count_good(&self, life: u32, now: Instant) {
        match self.trip.when {
            When::Count(_) => {}
            When::Ratio { .. } => self.window.add(ALL, life, now),
            // Looked at first: a row of good ones writes nothing.
            When::Consecutive(_) if self.row.load(Ordering::Relaxed) == 0 => {}
            When::Consecutive(_) => self.row.store(0, Ordering::Relaxed),
        }
    }

    #[cold]
    fn count_bad(&self, life: u32, now: Instant) -> bool {
        match self.trip.when {
            When::Count(n) => {
                self.window.add(BAD, life, now);
                // Two at once must not both miss the other: each has to be seen before it looks.
                fence(Ordering::SeqCst);
                self.window.sum(life, now)[BAD] >= u64::from(n)
            }
            When::Ratio { share, min_calls } => {
                self.window.add(ALL, life, now);
                self.window.add(BAD, life, now);
                fence(Ordering::SeqCst);
                let [all, bad] = self.window.sum(life, now);
                all >= u64::from(min_calls) && bad as f64 >= share * all as f64
            }
            When::Consecutive(n) => {
                let tick = now.as_nanos() >> 10;
                // Of a span that is cut at both ends, and so never taken for a longer one.
                let within = self.trip.within.as_nanos().div_ceil(1 << 10) as u64;
                let next = |row: u64| {
                    // Ticks go round, in nine years; and another thread's clock may be a little ahead.
                    let age = tick.wrapping_sub(row >> ROW_BITS) & ROW_TICKS;
                    let over = age > within && age < ROW_TICKS - ROW_AHEAD;
                    let count = if over { 0 } else { row & u64::from(u16::MAX) };
                    tick << ROW_BITS | (count + 1).min(u64::from(u16::MAX))
                };
                let before =
                    self.row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |row| Some(next(row)));
                let (Ok(before) | Err(before)) = before;
                next(before) & u64::from(u16::MAX) >= u64::from(n)
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.row.store(0, Ordering::Relaxed);
    }

    /// How many bad ones there may be at most before it opens, and how many there are.
    pub(crate) fn counts(&self, life: u32, now: Instant) -> (u64, u64) {
        let [all, bad] = self.window.sum(life, now);
        match self.trip.when {
            When::Consecutive(n) => (u64::from(n), self.row.load(Ordering::Relaxed) & u64::from(u16::MAX)),
            When::Count(n) => (u64::from(n), bad),
            When::Ratio { share, .. } => ((share * all as f64).ceil() as u64, bad),
        }
    }
}
