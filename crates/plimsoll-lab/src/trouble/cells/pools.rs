//! A pool as a loss system: arrivals at random, exponential holding times, and no queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll::{Dice, Rejected};

/// A pool of slots or workers.
pub(super) trait Pool {
    /// Takes one, and returns its number.
    fn take(&mut self) -> Result<usize, Rejected>;
    /// Releases the one with this number.
    fn release(&mut self, number: usize);
}

/// What happened to the arrivals of a loss system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// The share of arrivals that were rejected.
    pub(super) rejected: f64,
    /// The rejections whose numbers were not those of the pool.
    pub(super) untrue: u32,
    /// The largest number in use at once.
    pub(super) peak: usize,
}

/// Offers `load` times the holding time to a pool of `slots`, of which `held` are in use for ever.
pub(super) fn loss_system(pool: &mut impl Pool, slots: u32, held: u32, load: f64, dice: &Dice) -> Losses {
    const ARRIVALS: u32 = 20_000;
    let exponential = || -(1.0 - dice.uniform()).ln();
    let mut ends: BinaryHeap<(Reverse<u64>, usize)> = BinaryHeap::new();
    let (mut now, mut losses, mut rejected) = (0.0, Losses::default(), 0);
    for _ in 0..ARRIVALS {
        now += exponential() / load;
        // Positive numbers have the order of their bits.
        while let Some(&(Reverse(end), number)) = ends.peek()
            && f64::from_bits(end) <= now
        {
            ends.pop();
            pool.release(number);
        }
        match pool.take() {
            Ok(number) => ends.push((Reverse((now + exponential()).to_bits()), number)),
            Err(busy) => {
                rejected += 1;
                let all = Some(u64::from(slots));
                let full = ends.len() + held as usize == slots as usize;
                losses.untrue += u32::from(!full || (busy.limit(), busy.observed()) != (all, all));
            }
        }
        losses.peak = losses.peak.max(ends.len() + held as usize);
    }
    while let Some((_, number)) = ends.pop() {
        pool.release(number);
    }
    losses.rejected = f64::from(rejected) / f64::from(ARRIVALS);
    losses
}
