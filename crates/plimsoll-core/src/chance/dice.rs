//! Dice: the only way in which chance enters a guard.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number
//! generators*, OOPSLA 2014). Its state moves by addition. So the same algorithm works on a plain
//! cell of each thread, and on one atomic word that dice with a seed share. The seeds of the
//! threads come from `rand`.
//!
//! The numbers are good enough to drop requests and to spread retries, but never for secrets. The
//! secret of a hash state comes from the system each time.

use super::sip::KeyedHashState;
use rand::TryRng;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of random numbers. Cheap to clone; every guard that decides at random has one.
///
/// The default is a generator of the calling thread. [`Dice::seeded`] is reproducible: on one
/// thread, the same seed yields the same numbers. Clones draw from one sequence.
///
/// ```
/// use plimsoll_core::Dice;
///
/// let dice = Dice::seeded(7);
/// let again = Dice::seeded(7);
/// assert!((0..100).all(|_| dice.chance(0.3) == again.chance(0.3)));
/// assert!(!dice.chance(0.0) && dice.chance(1.0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dice(Option<Arc<AtomicU64>>);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

thread_local! {
    // Zero stands for "not seeded". A constant start keeps the check for the first use out of
    // every draw.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Returns 64 random bits of the system, good enough for a secret.
#[cold]
#[expect(clippy::disallowed_methods, reason = "the dice are where random numbers are read")]
fn system_bits() -> u64 {
    let bits = rand::rngs::SysRng.try_next_u64();
    // Even without a source of entropy, `std` gives each of its hash maps a different secret.
    bits.unwrap_or_else(|_| RandomState::new().hash_one(0))
}

impl Dice {
    /// The resolution of a probability: 2⁻⁵³.
    pub const GRAIN: f64 = 1.0 / (1u64 << 53) as f64;

    /// Creates dice that use the calling thread's generator, seeded by the system.
    pub const fn thread() -> Self {
        Dice(None)
    }

    /// Creates dice that yield the same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Dice(Some(Arc::new(AtomicU64::new(mix(seed)))))
    }

    /// Returns 64 random bits.
    #[inline]
    pub fn bits(&self) -> u64 {
        match &self.0 {
            None => STATE.with(|state| {
                let mut now = state.get();
                if now == 0 {
                    now = system_bits() | 1;
                }
                let next = now.wrapping_add(GOLDEN);
                state.set(next);
                mix(next)
            }),
            // Relaxed: the draws must differ; nothing else is ordered by them.
            Some(state) => mix(state.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN)),
        }
    }

    /// Returns a number in `0.0..1.0`, in steps of 2⁻⁵³.
    #[inline]
    pub fn uniform(&self) -> f64 {
        (self.bits() >> 11) as f64 * Self::GRAIN
    }

    /// Returns `true` with probability `p`. Never for `p ≤ 0` or NaN, always for `p ≥ 1`.
    #[inline]
    pub fn chance(&self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Converts `p` into a threshold for [`under`](Self::under).
    ///
    /// Worth it for a probability that is used often. A draw has 2⁵³ equally likely values. The
    /// threshold is the number of them below `p`.
    pub fn threshold(p: f64) -> u64 {
        // The cast saturates: NaN and negative numbers become 0.
        ((p / Self::GRAIN).ceil() as u64).min(1 << 53)
    }

    /// Creates a hash state with a random secret. For maps whose keys come from outside.
    ///
    /// The secret has 128 bits of the system's randomness. That of [seeded](Self::seeded) dice is
    /// the next of their sequence, and no secret.
    pub fn hasher(&self) -> KeyedHashState {
        match &self.0 {
            None => KeyedHashState::new(system_bits(), system_bits()),
            Some(_) => {
                let secret = self.bits();
                KeyedHashState::new(secret, mix(secret.wrapping_add(GOLDEN)))
            }
        }
    }

    /// Returns `true` with the probability of `threshold`.
    ///
    /// This is [`chance`](Self::chance) without the arithmetic.
    #[inline]
    pub fn under(&self, threshold: u64) -> bool {
        self.bits() >> 11 < threshold
    }

    /// Returns a number in `0..n`, or 0 if `n` is 0. Its bias is at most n/2⁶⁴.
    #[inline]
    pub fn below(&self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Returns a duration in `0..=d`, all equally likely ("full jitter").
    pub fn jitter(&self, d: Duration) -> Duration {
        let nanos = crate::time::instant::nanos(d);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of a hash state was a number of the thread's generator, which says "never for
    /// secrets": the numbers drawn before and after gave it away.
    #[test]
    fn secret_of_a_hash_state_is_no_number_of_the_generator() {
        let dice = Dice::thread();
        let before = dice.bits();
        let state = STATE.get();
        let hashes: Vec<_> = (0..64).map(|_| dice.hasher().hash_one(before)).collect();
        assert_eq!(STATE.get(), state, "nothing was drawn");
        assert!(hashes.iter().enumerate().all(|(n, hash)| !hashes[..n].contains(hash)), "{hashes:?}");
    }

    #[test]
    fn seeded_dice_build_the_same_hash_states() {
        let [dice, again] = [Dice::seeded(7), Dice::seeded(7)];
        assert!((0..9).all(|n| dice.hasher().hash_one(n) == again.hasher().hash_one(n)));
        assert_ne!(dice.hasher().hash_one(1), dice.hasher().hash_one(1));
    }
}
