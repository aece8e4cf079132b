//! Counting consecutive bad calls.

use plimsoll_core::Instant;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of consecutive bad calls and the time of the last one, in one word.
///
/// ```text
/// 8 bits: life │ 40 bits: time of the last call, in steps of 8,192 ns │ 16 bits: count
/// ```
///
/// A call of an earlier life that is counted late does not join the streak of a later life.
#[derive(Debug)]
pub(crate) struct Streak(AtomicU64);

const COUNT_BITS: u32 = 16;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const LIFE_SHIFT: u32 = 56;
/// The bits of a time. Times wrap around after 104 days.
const TIMES: u64 = (1 << (LIFE_SHIFT - COUNT_BITS)) - 1;
/// A step of time is 2¹³ ns.
const STEP_BITS: u32 = 13;
/// The number of steps that the clock of another thread may be ahead, about a second.
const AHEAD: u64 = 1 << 17;

/// Returns the lowest bits of a life, in their place.
const fn tag(life: u32) -> u64 {
    (life as u64 & 0xff) << LIFE_SHIFT
}

impl Streak {
    pub(crate) fn new() -> Self {
        Streak(AtomicU64::new(0))
    }

    /// Begins a life with an empty streak.
    pub(crate) fn begin(&self, life: u32) {
        // Relaxed, as throughout: the word stands for itself.
        self.0.store(tag(life), Ordering::Relaxed);
    }

    /// Counts a bad call. Returns the length of the streak, or 0 if the call is of an earlier life.
    ///
    /// A pause longer than `within` begins a new streak.
    pub(crate) fn add(&self, life: u32, now: Instant, within: Duration) -> u64 {
        let time = now.as_nanos() >> STEP_BITS & TIMES;
        // Rounded up: a pause of exactly `within` may span one more step than `within` has.
        let within = within.as_nanos().div_ceil(1 << STEP_BITS) as u64;
        let next = |word: u64| {
            let ahead = (word >> LIFE_SHIFT) as u8 as i8;
            if ahead.wrapping_sub(life as i8) > 0 {
                return None;
            }
            let age = time.wrapping_sub(word >> COUNT_BITS) & TIMES;
            let over = age > within && age < TIMES - AHEAD;
            let new = over || ahead != life as i8;
            let count = if new { 0 } else { word & COUNT };
            Some(tag(life) | time << COUNT_BITS | (count + 1).min(COUNT))
        };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(before) => next(before).map_or(0, |word| word & COUNT),
            Err(_) => 0,
        }
    }

    /// Ends the streak, because a call has succeeded.
    #[inline]
    pub(crate) fn end(&self, life: u32) {
        let word = self.0.load(Ordering::Relaxed);
        // Read first, so that consecutive successes write nothing. No read-modify-write: a failure
        // between the load and the store counts as earlier than the success.
        if word & COUNT != 0 && word & tag(u32::MAX) == tag(life) {
            self.0.store(tag(life), Ordering::Relaxed);
        }
    }

    /// Returns the length of the streak.
    pub(crate) fn len(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & COUNT
    }
}
