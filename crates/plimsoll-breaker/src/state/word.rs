//! Phase, flags, generation and life in one word: all that the fast path reads to admit a call.
//!
//! ```text
//! 32 bits: life │ 26 bits: generation │ 4 bits: flags │ 2 bits: phase
//! ```
//!
//! A call belongs to the generation in which it was admitted, and counts only in it. Each change of
//! state begins a generation. A count belongs to a life. The breaker begins a life when it closes
//! and when its trips change.
//!
//! A generation is stored unshifted: it equals the lower half of the word of a closed breaker
//! without flags.

pub(crate) const CLOSED: u64 = 0;
pub(crate) const OPEN: u64 = 1;
pub(crate) const HALF_OPEN: u64 = 2;
pub(crate) const RAMP: u64 = 3;
/// A mask for the phase.
pub(crate) const PHASE: u64 = 3;
pub(crate) const DISABLED: u64 = 4;
pub(crate) const BLOCKED: u64 = 8;
pub(crate) const FAULTY: u64 = 16;
/// A mask for phase and flags.
pub(crate) const LOW: u64 = (1 << 6) - 1;
/// The difference between a generation and the next.
pub(crate) const ONE_GENERATION: u32 = 1 << 6;
/// The first bit of the life.
const LIFE: u32 = 32;

/// Returns the word of a closed breaker without flags.
pub(crate) const fn word(generation: u32, life: u32) -> u64 {
    generation as u64 | (life as u64) << LIFE
}

/// Returns the generation in a word.
#[inline]
pub(crate) const fn generation(word: u64) -> u32 {
    word as u32 & !(LOW as u32)
}

/// Returns the life in a word.
#[inline]
pub(crate) const fn life(word: u64) -> u32 {
    (word >> LIFE) as u32
}
