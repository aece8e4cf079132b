//! How often something happened lately: counts over a window that slides.

use super::striped::{CELLS, index};
use crate::Instant;
use crate::time::instant::nanos;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts `K` kinds of events over the last `span` of time.
///
/// The span is cut into ten slices; the count is that of the current slice and the ten before it, so an
/// event is remembered for at least `span` and forgotten at most a tenth of it later. Counting costs
/// the same however many are in the window, and so does asking.
///
/// Who wants to forget everything begins another *life*, with a number one higher: what is counted in a life
/// is seen in no other, however late it is counted.
///
/// Each thread counts in a ring of its own, made when it first counts: a load and a store, no locked
/// instruction. Threads beyond the first 32 share one. A sum may miss what is counted while it is taken.
///
/// ```
/// use plimsoll_core::{Instant, parts::SlidingWindow};
/// use std::time::Duration;
///
/// let window = SlidingWindow::<1>::new(Duration::from_secs(10));
/// let start = Instant::default();
/// window.add(0, 0, start);
/// window.add(0, 0, start + Duration::from_secs(5));
/// assert_eq!(window.sum(0, start + Duration::from_secs(10)), [2]);
/// assert_eq!(window.sum(0, start + Duration::from_secs(12)), [1]);
/// assert_eq!(window.sum(0, start + Duration::from_secs(17)), [0]);
/// ```
pub struct SlidingWindow<const K: usize> {
    span: Duration,
    // 2⁶⁴ over the length of a slice: multiplying is several times faster than dividing. Rounded down, it
    // makes slices longer by less than one in 10⁹, never shorter.
    per_nano: u64,
    own: Box<[OnceLock<Box<Ring<K>>>]>,
    shared: OnceLock<Box<Ring<K>>>,
}

/// Into how many slices the span is cut.
const SLICES: u64 = 10;
/// Those, the current one and some more, to make it a power of two.
const RING: usize = 16;

/// A tick and a count in one word, so that one is never read with the other's value.
const COUNT_BITS: u32 = 28;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// Ticks go round: of a millisecond's window once in 80 days.
const TICKS: u64 = u64::MAX >> COUNT_BITS;
/// So far may another thread's clock be ahead.
const AHEAD: u64 = RING as u64;
/// So far ahead is what a later life has counted; what seems to be further ahead is from long ago.
const LATER: u64 = 1 << 12;

/// How many ticks before `tick` the word is from; nothing if it is dated a little later.
#[inline]
fn age(word: u64, tick: u64) -> u64 {
    let age = tick.wrapping_sub(word >> COUNT_BITS) & TICKS;
    if age > TICKS - AHEAD { 0 } else { age }
}

#[repr(align(128))] // two lines: the prefetcher of x86 fetches them in pairs
struct Ring<const K: usize>([[AtomicU64; K]; RING]);

impl<const K: usize> Ring<K> {
    fn new() -> Box<Self> {
        Box::new(Ring(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)))))
    }

    #[inline]
    fn cell(&self, kind: usize, tick: u64) -> Option<&AtomicU64> {
        self.0.get(tick as usize % RING)?.get(kind)
    }
}

/// The word after one more in `tick`.
#[inline]
fn one_more(word: u64, tick: u64) -> u64 {
    let age = age(word, tick);
    if word != 0 && age > TICKS - LATER {
        // A later life has begun to count here: it is not to see this one.
        word
    } else if word == 0 || age > 0 {
        tick << COUNT_BITS | 1
    } else if word & COUNT == COUNT {
        word
    } else {
        word + 1
    }
}

impl<const K: usize> SlidingWindow<K> {
    /// A window over the last `span`, at least a microsecond.
    pub fn new(span: Duration) -> Self {
        let slice = nanos(span).div_ceil(SLICES).max(100);
        SlidingWindow {
            span: Duration::from_nanos(slice.saturating_mul(SLICES)),
            per_nano: u64::MAX / slice,
            own: (0..CELLS).map(|_| OnceLock::new()).collect(),
            shared: OnceLock::new(),
        }
    }

    #[inline]
    fn tick(&self, life: u32, now: Instant) -> u64 {
        let tick = (u128::from(now.as_nanos()) * u128::from(self.per_nano)) >> 64;
        // Each life is a whole ring later than the one before, so all of that is out of sight; and nothing
        // was ever counted in tick 0.
        tick as u64 + (u64::from(life) + 1) * (RING as u64 + 1)
    }

    /// Counts one of this kind, which is below `K`, in this life.
    #[inline]
    pub fn add(&self, kind: usize, life: u32, now: Instant) {
        let tick = self.tick(life, now);
        let Some(own) = self.own.get(index()) else { return self.add_shared(kind, tick) };
        if let Some(cell) = own.get_or_init(Ring::new).cell(kind, tick) {
            // No read-modify-write: only this thread writes the cell. See `Stripes`.
            cell.store(one_more(cell.load(Ordering::Relaxed), tick), Ordering::Relaxed);
        }
    }

    #[cold]
    fn add_shared(&self, kind: usize, tick: u64) {
        if let Some(cell) = self.shared.get_or_init(Ring::new).cell(kind, tick) {
            // It never gives up: the closure always has a next value.
            let _ =
                cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(one_more(word, tick)));
        }
    }

    /// How many of each kind were counted in this life, within the span up to `now`.
    pub fn sum(&self, life: u32, now: Instant) -> [u64; K] {
        let tick = self.tick(life, now);
        let mut sums = [0; K];
        for ring in self.own.iter().chain([&self.shared]).filter_map(|ring| ring.get()) {
            for slot in &ring.0 {
                for (sum, cell) in sums.iter_mut().zip(slot) {
                    let word = cell.load(Ordering::Relaxed);
                    // What another thread's clock has dated a little later counts, too. No branch: which
                    // slices are old is different each time.
                    let counts = (word != 0) & (age(word, tick) <= SLICES);
                    *sum += if counts { word & COUNT } else { 0 };
                }
            }
        }
        sums
    }
}

impl<const K: usize> fmt::Debug for SlidingWindow<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("span", &self.span).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list: whatever is younger than the span is counted, whatever is a slice older is not.
        #[test]
        fn it_counts_what_is_within_the_span(
            steps in prop::collection::vec((0..3u8, 0..3_000u64), 1..300),
        ) {
            const SPAN: u64 = 10_000;
            let window = SlidingWindow::<2>::new(Duration::from_nanos(SPAN));
            let (mut now, mut seen, mut life) = (0, vec![], 0);
            for (what, pause) in steps {
                now += pause;
                let at = Instant::from_nanos(now);
                match what {
                    2 if now % 7 == 0 => {
                        life += 1;
                        seen.clear();
                        // One that was delayed.
                        window.add(0, life - 1, at);
                    }
                    kind => {
                        window.add(usize::from(kind % 2), life, at);
                        seen.push((kind % 2, now));
                    }
                }
                let sums = window.sum(life, at);
                for kind in 0..2u8 {
                    let within = |span| seen.iter().filter(|s| s.0 == kind && s.1 + span >= now).count() as u64;
                    let sum = sums[usize::from(kind)];
                    prop_assert!(within(SPAN) <= sum && sum <= within(SPAN + SPAN / 10), "{} at {}", sum, now);
                }
            }
        }
    }

    #[test]
    fn threads_that_come_and_go_lose_nothing() {
        let window = SlidingWindow::<1>::new(Duration::from_secs(3600));
        let now = Instant::from_nanos(1_000_000);
        for _ in 0..3 {
            std::thread::scope(|s| {
                for _ in 0..40 {
                    s.spawn(|| (0..500).for_each(|_| window.add(0, 0, now)));
                }
            });
        }
        assert_eq!(window.sum(0, now), [3 * 40 * 500]);
    }

    #[test]
    fn a_count_stops_at_its_most_and_spoils_nothing() {
        let full = 5 << COUNT_BITS | COUNT;
        assert_eq!(one_more(full, 5), full);
        assert_eq!(one_more(full, 6), 6 << COUNT_BITS | 1);
        assert_eq!(one_more(full - 1, 4), full, "dated a little earlier");
        let later = (5 + RING as u64 + 1) << COUNT_BITS | 3;
        assert_eq!(one_more(later, 5), later, "of an earlier life");
    }

    /// The tick outgrew its bits: a window of a millisecond counted nothing any more after 80 days.
    #[test]
    fn ticks_that_go_round_are_told_apart() {
        let window = SlidingWindow::<1>::new(Duration::from_millis(1));
        let slices = |n: u64| Instant::from_nanos(n * 100_000);
        let about = |n: u64| (n..n + 300).step_by(20);
        for n in about(5_000).chain(about(TICKS / 2)).chain(about(TICKS - 150)).chain(about(TICKS / 3 * 4)) {
            window.add(0, 0, slices(n));
            window.add(0, 0, slices(n + 1));
            assert_eq!(window.sum(0, slices(n + 10)), [2], "{n}");
            assert_eq!(window.sum(0, slices(n + 13)), [0], "{n}");
        }
    }
}
