//! The one door of chance.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number
//! generators*, OOPSLA 2014). Its state moves by addition, so that one algorithm serves twice: as
//! a plain cell in each thread, and as one shared atomic word for dice with a seed. `rand` gives
//! the seeds of the threads. It is fit for dropping requests and spreading retries, never for secrets.

use super::sip::KeyedHashState;
use rand::TryRng;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of chance. Cheap to clone; every guard that decides by chance takes one.
///
/// The default draws from a generator of the calling thread. [`Dice::seeded`] repeats itself:
/// asked from one thread, the same seed gives the same answers; clones draw from one sequence.
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
    // Zero: not seeded yet. A constant start keeps the check for a first use out of every draw.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

#[cold]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn seed() -> u64 {
    let seed = rand::rngs::SysRng.try_next_u64();
    // A system without a source of entropy still gives every map its own keys.
    seed.unwrap_or_else(|_| RandomState::new().hash_one(0)) | 1
}

impl Dice {
    /// One in 2⁵³: the grain of every [`chance`](Dice::chance).
    pub const GRAIN: f64 = 1.0 / (1u64 << 53) as f64;

    /// Dice of the calling thread, seeded by the system.
    pub const fn thread() -> Self {
        Dice(None)
    }

    /// Dice that repeat themselves.
    pub fn seeded(seed: u64) -> Self {
        Dice(Some(Arc::new(AtomicU64::new(mix(seed)))))
    }

    /// 64 random bits.
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
            // Relaxed: the draws need no order among other memory, only to be different.
            Some(state) => mix(state.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN)),
        }
    }

    /// A number in `0.0..1.0`, in steps of 2⁻⁵³.
    #[inline]
    pub fn uniform(&self) -> f64 {
        (self.bits() >> 11) as f64 * Self::GRAIN
    }

    /// `true` with probability `p`; never for `p ≤ 0` (or NaN), always for `p ≥ 1`.
    #[inline]
    pub fn chance(&self, p: f64) -> bool {
        self.uniform() < p
    }

    /// `p` for [`under`](Self::under): worked out once where the same chance is asked for often.
    ///
    /// A draw has 2⁵³ equally likely values; this is how many of them are below `p`.
    pub fn threshold(p: f64) -> u64 {
        // The cast saturates: NaN and what is negative are 0, what is above 1 is capped.
        ((p / Self::GRAIN).ceil() as u64).min(1 << 53)
    }

    /// A hasher for maps whose keys come from outside, seeded by these dice.
    pub fn hasher(&self) -> KeyedHashState {
        let secret = self.bits();
        KeyedHashState::new(secret, mix(secret.wrapping_add(GOLDEN)))
    }

    /// `true` with the probability that `threshold` was made from: the same as
    /// [`chance`](Self::chance), without the arithmetic.
    #[inline]
    pub fn under(&self, threshold: u64) -> bool {
        self.bits() >> 11 < threshold
    }

    /// A number in `0..n`, 0 if `n` is 0. Its bias is at most n/2⁶⁴.
    #[inline]
    pub fn below(&self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A duration in `0..=d`, every one as likely ("full jitter").
    pub fn jitter(&self, d: Duration) -> Duration {
        let nanos = crate::time::instant::nanos(d);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }
}
