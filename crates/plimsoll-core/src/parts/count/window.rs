//! Counts over a sliding window.

use super::per_thread::PerThread;
use super::scale::{Scale, TICK_BITS, TICKS};
use crate::Instant;
use crate::time::instant::nanos;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// Counts `K` kinds of events over the last `span` of time.
///
/// The span is divided into ten slices. A sum adds the current slice and the ten before it, so an
/// event counts for at least `span` and expires at most a tenth of it late. Adding and summing cost
/// the same however many events are in the window.
///
/// The span can be [changed](Self::set_span) while other threads count.
///
/// To discard all counts, begin another *life*, whose number is one higher. Events of a life are
/// seen in no other life, however late they are counted.
///
/// Each thread counts in a ring of its own, which is allocated when it first counts. That takes a
/// load and a store, and no locked instruction. Threads beyond the first 32 share a ring. A sum may
/// miss events that are counted while it is computed.
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
    // In nanoseconds.
    span: AtomicU64,
    // A `Scale`.
    scale: AtomicU64,
    rings: PerThread<Ring<K>>,
}

/// The number of slices of the span.
const SLICES: u64 = 10;
/// The number of slices in a ring: those of the span, the current one, and some to make it a power
/// of two.
const RING: usize = 16;

/// The bits of a count. Tick and count share a word, so that they are always read together.
const COUNT_BITS: u32 = u64::BITS - TICK_BITS;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// The number of ticks that the clock of another thread may be ahead: as many as `sum_in` adds.
const AHEAD: u64 = RING as u64;
/// The number of ticks that a later life may be ahead. A word further ahead is from long ago.
///
/// It exceeds what a change of the span [skips](super::scale::SKIP), plus the time by which an
/// event of the earlier life may then be late.
const LATER: u64 = 1 << 17;

/// Returns the age of the word in ticks, or 0 if its clock was a little ahead.
#[inline]
fn age(word: u64, tick: u64) -> u64 {
    let age = tick.wrapping_sub(word >> COUNT_BITS) & TICKS;
    if age > TICKS - AHEAD { 0 } else { age }
}

/// Returns the length of a slice in nanoseconds.
fn slice(span: Duration) -> u64 {
    nanos(span).div_ceil(SLICES).max(100)
}

/// The counts of a thread.
#[repr(align(128))] // two cache lines, because the prefetcher of x86 fetches them in pairs
struct Ring<const K: usize>([[AtomicU64; K]; RING]);

impl<const K: usize> Ring<K> {
    fn new() -> Self {
        Ring(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))))
    }

    /// Returns the word of this kind and tick.
    #[inline]
    fn cell(&self, kind: usize, tick: u64) -> Option<&AtomicU64> {
        self.0.get(tick as usize % RING)?.get(kind)
    }

    /// Adds the counts of this tick to the sums, and of those later ticks whose bits `mask` clears.
    #[inline]
    fn sum_slice(&self, tick: u64, mask: u64, sums: &mut [u64; K]) {
        let Some(slice) = self.0.get(tick as usize % RING) else { return };
        for (sum, cell) in sums.iter_mut().zip(slice) {
            // The count if the word is of this tick, and greater than any count otherwise. No
            // branch, because a predictor cannot learn which slices are old.
            let count = cell.load(Ordering::Relaxed).wrapping_sub(tick << COUNT_BITS) & mask;
            *sum += if count <= COUNT { count } else { 0 };
        }
    }
}

/// Returns the word with one more event in `tick`.
#[inline]
fn one_more(word: u64, tick: u64) -> u64 {
    // The difference is the count if the word is of this tick, and greater than any count
    // otherwise.
    if word.wrapping_sub(tick << COUNT_BITS) < COUNT { word + 1 } else { one_more_elsewhere(word, tick) }
}

/// Continues [`one_more`] if the word is of another tick, or full.
#[cold]
fn one_more_elsewhere(word: u64, tick: u64) -> u64 {
    let age = age(word, tick);
    if word != 0 && age > TICKS - LATER {
        // A later life counts here already, and must not see this event.
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
    /// Creates a window over the last `span`. Range: at least 1 µs.
    pub fn new(span: Duration) -> Self {
        let slice = slice(span);
        SlidingWindow {
            span: AtomicU64::new(slice.saturating_mul(SLICES)),
            scale: AtomicU64::new(Scale::new(slice).0),
            rings: PerThread::default(),
        }
    }

    /// Changes the span. The caller must begin a new life afterwards. Range: at least 1 µs.
    ///
    /// Events that are counted in an earlier life in the meantime, by either span, are not seen in
    /// the new life. `now` is the present by the precise clock. Up to 3,000 spans may pass before
    /// the change, and up to half a turn of the ticks: 39 days if the new span is a millisecond.
    /// Two changes must not run at the same time.
    pub fn set_span(&self, span: Duration, now: Instant) {
        let slice = slice(span);
        let span = slice.saturating_mul(SLICES);
        // Relaxed: only this function writes it, and two calls do not run at the same time.
        if self.span.swap(span, Ordering::Relaxed) != span {
            let before = Scale(self.scale.load(Ordering::Relaxed));
            // Relaxed: either scale is right for an earlier life. The store by which the caller
            // publishes the new life makes this one visible with it.
            self.scale.store(Scale::new(slice).after(before, now).0, Ordering::Relaxed);
            // The new ticks may be turns later, where an old word would look like one of a later
            // life, and its slice would count nothing. An event that is counted right now may put
            // back a word: that one is young.
            self.rings
                .iter()
                .flat_map(|ring| ring.0.as_flattened())
                .for_each(|cell| cell.store(0, Ordering::Relaxed));
        }
    }

    /// Returns the tick of this life and time.
    #[inline]
    fn tick(&self, life: u32, now: Instant) -> u64 {
        let tick = Scale(self.scale.load(Ordering::Relaxed)).tick(now);
        // Each life is more than a ring later than the one before, so it sees none of its events.
        // And no event is counted in tick 0.
        tick.wrapping_add((u64::from(life) + 1) * (RING as u64 + 1))
    }

    /// Counts an event of this kind in this life. Range of `kind`: 0 to `K` − 1.
    #[inline]
    pub fn add(&self, kind: usize, life: u32, now: Instant) {
        self.add_in([kind], self.tick(life, now));
    }

    /// Counts an event of each of these kinds, then returns the [sums](Self::sum).
    ///
    /// If two threads call it at the same time, at least one of them sees the events of both.
    pub fn add_and_sum<const N: usize>(&self, kinds: [usize; N], life: u32, now: Instant) -> [u64; K] {
        let tick = self.tick(life, now);
        self.add_in(kinds, tick);
        // SeqCst: pairs with the same fence of another thread. Each stores its counts before it
        // sums, so at least one of them sees the other's.
        fence(Ordering::SeqCst);
        self.sum_in(tick)
    }

    #[inline(always)]
    fn add_in<const N: usize>(&self, kinds: [usize; N], tick: u64) {
        let Some(own) = self.rings.own() else { return self.add_elsewhere(&kinds, tick) };
        for kind in kinds {
            if let Some(cell) = own.cell(kind, tick) {
                // No read-modify-write: only this thread writes the cell, as in `StripedCounter`.
                cell.store(one_more(cell.load(Ordering::Relaxed), tick), Ordering::Relaxed);
            }
        }
    }

    /// Counts for a thread that has no ring yet, or shares one.
    #[cold]
    #[inline(never)]
    fn add_elsewhere(&self, kinds: &[usize], tick: u64) {
        let Some(ring) = self.rings.get(Ring::new) else { return };
        for cell in kinds.iter().filter_map(|kind| ring.cell(*kind, tick)) {
            // Cannot fail: the closure always returns a value.
            let _ =
                cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(one_more(word, tick)));
        }
    }

    /// Returns whether an event at `at` has left the window by `now`.
    #[inline]
    pub fn has_left(&self, at: Instant, now: Instant) -> bool {
        let scale = Scale(self.scale.load(Ordering::Relaxed));
        let age = scale.tick(now).wrapping_sub(scale.tick(at)) & TICKS;
        age > SLICES && age < TICKS - AHEAD
    }

    /// Calls `each` with the events of every slice that has left the window since `before`.
    ///
    /// Only slices that were in the window at `before`, or began up to five slices later, are
    /// known. A slice whose place was counted in again meanwhile reads as zeros.
    pub fn each_that_left(&self, life: u32, before: Instant, now: Instant, mut each: impl FnMut([u64; K])) {
        let first = self.tick(life, before).wrapping_sub(SLICES);
        let left = (self.tick(life, now).wrapping_sub(first) & TICKS).saturating_sub(SLICES);
        for tick in (0..left.min(RING as u64)).map(|n| first.wrapping_add(n)) {
            let mut sums = [0; K];
            for ring in self.rings.iter() {
                for (kind, sum) in sums.iter_mut().enumerate() {
                    let word = ring.cell(kind, tick).map_or(0, |cell| cell.load(Ordering::Relaxed));
                    *sum += if word >> COUNT_BITS == tick & TICKS { word & COUNT } else { 0 };
                }
            }
            each(sums);
        }
    }

    /// Returns the number of events of each kind in this life, within the span up to `now`.
    pub fn sum(&self, life: u32, now: Instant) -> [u64; K] {
        self.sum_in(self.tick(life, now))
    }

    fn sum_in(&self, tick: u64) -> [u64; K] {
        let mut sums = [0; K];
        for ring in self.rings.iter() {
            for tick in (0..=SLICES).map(|age| tick.wrapping_sub(age)) {
                // Events that the clock of another thread dates a whole ring later count, too.
                ring.sum_slice(tick, !((RING as u64) << COUNT_BITS), &mut sums);
            }
            for tick in (1..RING as u64 - SLICES).map(|ahead| tick.wrapping_add(ahead)) {
                ring.sum_slice(tick, u64::MAX, &mut sums);
            }
        }
        sums
    }
}

impl<const K: usize> fmt::Debug for SlidingWindow<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = Duration::from_nanos(self.span.load(Ordering::Relaxed));
        f.debug_struct("SlidingWindow").field("span", &span).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Compares with a list. Events younger than the span count, and those a slice older do
        /// not.
        #[test]
        fn events_within_the_span_are_counted(
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
                        // An event of the earlier life that is counted late.
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

    proptest! {
        /// The same, with spans that change. An event of the earlier life that is counted late, by
        /// either span, is not seen in the new life. Nor is one from after the time of the change.
        #[test]
        fn changed_spans_separate_lives(
            steps in prop::collection::vec((0..4u8, 0..3_000u64, 0..4usize, 0..3_000u64), 1..300),
            start in 0..u64::MAX / 2,
        ) {
            // In nanoseconds: the minimum of a trip, its default, its maximum, and a day.
            const SPANS: [u64; 4] = [1_000_000, 10_000_000_000, 3_600_000_000_000, 86_400_000_000_000];
            let mut span = SPANS[1];
            let window = SlidingWindow::<2>::new(Duration::from_nanos(span));
            let (mut now, mut seen, mut life) = (start, vec![], 0);
            for (what, pause, next, late) in steps {
                // Up to a third of the span.
                now += pause * (span / 9_000);
                let mut at = Instant::from_nanos(now);
                if what == 3 {
                    // A thread reads the clock, and stores the span up to 3,000 spans later. In
                    // the meantime, others count.
                    let stale = at;
                    // Not beyond half a turn of the ticks of the new span.
                    let later = (late * (span / 20)).min((SPANS[next] / SLICES).saturating_mul(TICKS / 40));
                    for _ in 0..20 {
                        now += if now < u64::MAX / 4 * 3 { later } else { 0 };
                        at = Instant::from_nanos(now);
                        window.add(0, life, at);
                    }
                    let old = window.tick(life, at);
                    span = SPANS[next];
                    window.set_span(Duration::from_nanos(span), stale);
                    window.add(0, life, at);
                    window.add_in([1], old);
                    life += 1;
                    seen.clear();
                } else {
                    let kind = what % 2;
                    window.add(usize::from(kind), life, at);
                    seen.push((kind, now));
                }
                let sums = window.sum(life, at);
                for kind in 0..2u8 {
                    let within = |span| seen.iter().filter(|s| s.0 == kind && s.1 + span >= now).count() as u64;
                    let (sum, max) = (sums[usize::from(kind)], span + span / 10 + span / 1_000_000);
                    prop_assert!(within(span) <= sum && sum <= within(max), "{} at {} of {}", sum, now, span);
                }
            }
        }
    }

    /// A word from most of a turn ago was taken for one of a later life. Events of its slice were
    /// not counted.
    #[test]
    fn changed_span_forgets_words_of_an_earlier_turn() {
        let slices = |n: u64| Instant::from_nanos(n * 100_000);
        let spans = [Duration::from_secs(10), Duration::from_millis(1)];
        let window = SlidingWindow::<1>::new(spans[1]);
        (0..RING as u64).for_each(|n| window.add(0, 0, slices(n)));
        let now = slices(TICKS + 1 - LATER);
        spans.iter().for_each(|span| window.set_span(*span, now));
        window.add(0, 2, now);
        assert_eq!(window.sum(2, now), [1]);
    }

    #[test]
    fn counts_of_finished_threads_remain() {
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
    fn full_count_saturates_without_changing_the_tick() {
        let full = 5 << COUNT_BITS | COUNT;
        assert_eq!(one_more(full, 5), full);
        assert_eq!(one_more(full, 6), 6 << COUNT_BITS | 1);
        assert_eq!(one_more(full - 1, 4), full, "a clock that is a little behind");
        let later = (5 + RING as u64 + 1) << COUNT_BITS | 3;
        assert_eq!(one_more(later, 5), later, "an event of an earlier life");
    }

    /// The tick overflowed. After 80 days, a window of a millisecond counted nothing.
    ///
    /// Words from a whole turn of the ticks ago count as old, except for those that would be of a
    /// later life.
    #[test]
    fn wrapped_ticks_are_distinguished() {
        let window = SlidingWindow::<1>::new(Duration::from_millis(1));
        let slices = |n: u64| Instant::from_nanos(n * 100_000);
        let about = |n: u64| (n..n + 300).step_by(20);
        for n in
            about(2 * LATER).chain(about(TICKS / 2)).chain(about(TICKS - 150)).chain(about(TICKS / 3 * 4))
        {
            window.add(0, 0, slices(n));
            window.add(0, 0, slices(n + 1));
            assert_eq!(window.sum(0, slices(n + 10)), [2], "{n}");
            assert_eq!(window.sum(0, slices(n + 13)), [0], "{n}");
        }
    }
}
