//! A set of numbers: one bit each, in atomic words, with a summary of the words that are not empty.
//!
//! The summary is a hint. A word that has become empty stays marked until a search finds it so.

use crate::chunks::Chunks;
use plimsoll_core::parts::sync::{AtomicU64, Ordering};

// Loom can explore only a few numbers: two bits a word let it reach the second word.
const BITS: u32 = if cfg!(plimsoll_loom) { 2 } else { 64 };

pub(crate) struct Bitmap {
    words: Chunks<AtomicU64>,
    summary: Chunks<AtomicU64>,
}

/// Returns the word of a number, and its bit in that word.
#[inline(always)]
fn place(n: u32) -> (u32, u64) {
    (n / BITS, 1 << (n % BITS))
}

/// Returns the bits of the numbers below `n`.
#[inline(always)]
pub(crate) fn below(n: u32) -> u64 {
    1_u64.checked_shl(n).unwrap_or(0).wrapping_sub(1)
}

/// Returns the first of these bits from number `from` on, or else the first of all.
#[inline(always)]
pub(crate) fn after(from: u32, bits: u64) -> Option<u32> {
    let from = if from < 64 { from } else { 0 };
    (bits != 0).then(|| (bits.rotate_right(from).trailing_zeros() + from) % 64)
}

/// Returns the bits of this word whose numbers are in `from..to`.
#[inline(always)]
fn mask(word: u32, from: u32, to: u32) -> u64 {
    let first = word * BITS;
    below(to.saturating_sub(first)) & !below(from.saturating_sub(first))
}

impl Bitmap {
    pub(crate) fn new() -> Self {
        Bitmap { words: Chunks::new(), summary: Chunks::new() }
    }

    /// Allocates the words of all numbers below `to`.
    pub(crate) fn grow(&self, to: u32) {
        let words = to.div_ceil(BITS);
        self.words.grow(words);
        self.summary.grow(words.div_ceil(BITS));
    }

    /// Adds a number.
    #[inline(always)]
    pub(crate) fn insert(&self, n: u32) {
        let (index, bit) = place(n);
        let Some(word) = self.words.get(index) else { return };
        // AcqRel: the release half pairs with the Acquire in `remove`. Both halves pair with
        // `unmark`: either it sees the number, or its cleared mark is seen here.
        word.fetch_or(bit, Ordering::AcqRel);
        self.mark(index);
    }

    #[inline(always)]
    fn mark(&self, index: u32) {
        let (group, mark) = place(index);
        let Some(summary) = self.summary.get(group) else { return };
        // Relaxed: ordered after the change of the word, see `insert`.
        if summary.load(Ordering::Relaxed) & mark == 0 {
            summary.fetch_or(mark, Ordering::AcqRel);
        }
    }

    /// Removes the mark of a word that was found empty.
    #[cold]
    fn unmark(&self, index: u32, word: &AtomicU64) {
        let (group, mark) = place(index);
        let Some(summary) = self.summary.get(group) else { return };
        summary.fetch_and(!mark, Ordering::AcqRel);
        // A write that changes nothing reads the latest value. A later `insert` sees the mark
        // cleared above.
        if word.fetch_or(0, Ordering::AcqRel) != 0 {
            summary.fetch_or(mark, Ordering::AcqRel);
        }
    }

    /// Removes a number. Returns whether it was in the set.
    #[inline(always)]
    pub(crate) fn remove(&self, n: u32) -> bool {
        let (index, bit) = place(n);
        // AcqRel: pairs with the Release in `insert`, so the caller sees what was done before it.
        self.words.get(index).is_some_and(|word| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }

    /// Returns whether the number is in the set.
    pub(crate) fn contains(&self, n: u32) -> bool {
        let (index, bit) = place(n);
        self.words.get(index).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Returns the first number in `from..to`, or else the first one in `0..from`.
    ///
    /// Only a hint: [`remove`](Self::remove) decides. A `thorough` search does not trust the
    /// summary.
    #[inline(always)]
    pub(crate) fn next(&self, from: u32, to: u32, thorough: bool) -> Option<u32> {
        if to > BITS {
            let next = self.first(from, to, thorough);
            return next.or_else(|| self.first(0, from.min(to), thorough));
        }
        // A single word needs no summary.
        let seen = self.words.get(0)?.load(Ordering::Relaxed) & below(to);
        after(from, seen)
    }

    #[inline(never)]
    fn first(&self, from: u32, to: u32, thorough: bool) -> Option<u32> {
        let (mut at, end) = (from / BITS, to.div_ceil(BITS));
        while at < end {
            let index = if thorough { at } else { self.marked(at, end)? };
            let word = self.words.get(index)?;
            let seen = word.load(Ordering::Relaxed);
            let found = seen & mask(index, from, to);
            if found != 0 {
                return Some(index * BITS + found.trailing_zeros());
            }
            if seen == 0 && !thorough {
                self.unmark(index, word);
            }
            at = index + 1;
        }
        None
    }

    /// Returns the first word in `from..to` that is marked.
    fn marked(&self, from: u32, to: u32) -> Option<u32> {
        for group in from / BITS..to.div_ceil(BITS) {
            let found = self.summary.get(group)?.load(Ordering::Relaxed) & mask(group, from, to);
            if found != 0 {
                return Some(group * BITS + found.trailing_zeros());
            }
        }
        None
    }

    /// Returns how many numbers below `to` are in the set.
    pub(crate) fn count(&self, to: u32) -> u32 {
        let words = (0..to.div_ceil(BITS)).zip(self.words.iter());
        words.map(|(index, word)| (word.load(Ordering::Acquire) & mask(index, 0, to)).count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Remove(u32),
        Next(u32, u32, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let n = || prop_oneof![0..70_u32, 4_000..4_200_u32, 0..9_000_u32];
        let step = prop_oneof![
            2 => n().prop_map(Step::Insert),
            2 => n().prop_map(Step::Remove),
            1 => (n(), n(), any::<bool>()).prop_map(|(from, to, thorough)| Step::Next(from, to, thorough)),
        ];
        prop::collection::vec(step, 1..300)
    }

    proptest! {
        #[test]
        fn bitmap_matches_a_sorted_set(steps in steps()) {
            let (bitmap, mut model) = (Bitmap::new(), BTreeSet::new());
            bitmap.grow(9_000);
            for step in steps {
                match step {
                    Step::Insert(n) => {
                        bitmap.insert(n);
                        model.insert(n);
                    }
                    Step::Remove(n) => prop_assert_eq!(bitmap.remove(n), model.remove(&n)),
                    Step::Next(from, to, thorough) => {
                        let later = model.iter().find(|&&n| (from..to).contains(&n));
                        let next = later.or_else(|| model.iter().find(|&&n| n < from.min(to)));
                        prop_assert_eq!(bitmap.next(from, to, thorough), next.copied());
                        prop_assert_eq!(bitmap.count(to) as usize, model.range(..to).count());
                        prop_assert_eq!(bitmap.contains(from), model.contains(&from));
                    }
                }
            }
        }
    }

    #[test]
    fn search_beyond_the_allocated_words_finds_nothing() {
        let bitmap = Bitmap::new();
        bitmap.grow(10);
        bitmap.insert(9);
        assert_eq!(bitmap.next(0, u32::MAX, false), Some(9));
        assert_eq!(bitmap.next(10, u32::MAX, true), Some(9));
        assert!(bitmap.remove(9) && !bitmap.remove(u32::MAX));
        assert_eq!(bitmap.next(0, u32::MAX, true), None);
    }
}
