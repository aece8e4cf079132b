//! Dice: the only way in which chance enters a guard.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number
//! generators*, OOPSLA 2014). Its state moves by addition. So the same algorithm works on a plain
//! cell of each thread, and on one atomic word that dice with a seed share. The seeds of the
//! threads come from `rand`.
//!
//! The numbers are good enough to drop requests and to spread retries, but never for secrets.

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

#[cold]
#[expect(clippy::disallowed_methods, reason = "the dice are where random numbers are read")]
fn seed() -> u64 {
    let seed = rand::rngs::SysRng.try_next_u64();
    // Even without a source of entropy, `std` gives each of its hash maps a different secret.
    seed.unwrap_or_else(|_| RandomState::new().hash_one(0)) | 1
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
                    now = seed();
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
    pub fn hasher(&self) -> KeyedHashState {
        let secret = self.bits();
        KeyedHashState::new(secret, mix(secret.wrapping_add(GOLDEN)))
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
