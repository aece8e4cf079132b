//! Phase, flags and generation in one word: all that the fast path reads.

use crate::machine::CircuitState;

pub(crate) const CLOSED: u64 = 0;
pub(crate) const OPEN: u64 = 1;
pub(crate) const HALF_OPEN: u64 = 2;
pub(crate) const RAMP: u64 = 3;
/// The phase, without the flags.
pub(crate) const PHASE: u64 = 3;
pub(crate) const DISABLED: u64 = 4;
pub(crate) const BLOCKED: u64 = 8;
pub(crate) const FAULTY: u64 = 16;
/// Phase and flags, without the generation.
pub(crate) const LOW: u64 = 255;
/// The first bit of the generation.
pub(crate) const GENERATION: u32 = 8;

pub(crate) const fn code(phase: CircuitState) -> u64 {
    match phase {
        CircuitState::Closed => CLOSED,
        CircuitState::Open => OPEN,
        CircuitState::HalfOpen => HALF_OPEN,
        CircuitState::Ramp => RAMP,
    }
}

/// Returns the generation in a word.
pub(crate) const fn generation(word: u64) -> u32 {
    (word >> GENERATION) as u32
}
