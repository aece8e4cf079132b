//! Counting bad calls in a row.

use plimsoll_core::Instant;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of bad calls in a row and the time of the last one, in one word.
///
/// ```text
/// 8 bits: life │ 40 bits: time of the last one, in steps of 8,192 ns │ 16 bits: count
/// ```
///
/// A call of an earlier life that is counted late does not get into the row of a later one.
#[derive(Debug)]
pub(crate) struct Streak(AtomicU64);

const COUNT_BITS: u32 = 16;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const LIFE_SHIFT: u32 = 56;
/// Times wrap after 104 days.
const TIMES: u64 = (1 << (LIFE_SHIFT - COUNT_BITS)) - 1;
/// 2¹³ ns are a step.
const STEP_BITS: u32 = 13;
/// The clock of another thread may be ahead by this number of steps, about a second.
const AHEAD: u64 = 1 << 17;

/// A life, shortened to its lowest bits.
const fn tag(life: u32) -> u64 {
    (life as u64 & 0xff) << LIFE_SHIFT
}

impl Streak {
    pub(crate) fn new() -> Self {
        Streak(AtomicU64::new(0))
    }

    /// Begins a life, without a row.
    pub(crate) fn begin(&self, life: u32) {
        self.0.store(tag(life), Ordering::Relaxed);
    }

    /// Counts a bad call. Returns the length of the row, or 0 if the call is of an earlier life.
    ///
    /// A pause longer than `within` begins a new row.
    pub(crate) fn add(&self, life: u32, now: Instant, within: Duration) -> u64 {
        let time = now.as_nanos() >> STEP_BITS & TIMES;
        // A pause loses a part of a step at both ends, and so is never taken for a longer one.
        let within = within.as_nanos().div_ceil(1 << STEP_BITS) as u64;
        let next = |row: u64| {
            let ahead = (row >> LIFE_SHIFT) as u8 as i8;
            if ahead.wrapping_sub(life as i8) > 0 {
                return None;
            }
            let age = time.wrapping_sub(row >> COUNT_BITS) & TIMES;
            let over = age > within && age < TIMES - AHEAD;
            let new = over || ahead != life as i8;
            let count = if new { 0 } else { row & COUNT };
            Some(tag(life) | time << COUNT_BITS | (count + 1).min(COUNT))
        };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(before) => next(before).map_or(0, |row| row & COUNT),
            Err(_) => 0,
        }
    }

    /// Ends the row, because a call has succeeded.
    #[inline]
    pub(crate) fn end(&self, life: u32) {
        let row = self.0.load(Ordering::Relaxed);
        // Read first, so that successes in a row write nothing. No read-modify-write: a failure that
        // comes in between came before the success.
        if row & COUNT != 0 && row & tag(u32::MAX) == tag(life) {
            self.0.store(tag(life), Ordering::Relaxed);
        }
    }

    /// Returns the length of the row.
    pub(crate) fn len(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & COUNT
    }
}
