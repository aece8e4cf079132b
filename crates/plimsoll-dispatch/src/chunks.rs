//! A growing array whose entries never move.

use std::sync::OnceLock;

/// Entries in chunks of 64, 64, 128, 256 … All but the first are allocated when they are needed.
pub(crate) struct Chunks<V> {
    // Always there: up to 64 entries are read at the cost of a slice.
    first: Box<[V]>,
    more: [OnceLock<Box<[V]>>; MORE],
}

const MORE: usize = 25;
// Loom tracks every atomic: two are enough for most of its tests.
const FIRST: u32 = if cfg!(plimsoll_loom) { 2 } else { 64 };

/// Returns the chunk of an entry beyond the first one, and the index in that chunk.
fn place(n: u32) -> (usize, usize) {
    let chunk = (n / FIRST).max(1).ilog2();
    (chunk as usize, (n - (FIRST << chunk)) as usize)
}

fn chunk<V: Default>(size: u32) -> Box<[V]> {
    (0..size).map(|_| V::default()).collect()
}

impl<V: Default> Chunks<V> {
    pub(crate) fn new() -> Self {
        Chunks { first: chunk(FIRST), more: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Allocates the first `to` entries.
    pub(crate) fn grow(&self, to: u32) {
        if to > FIRST {
            let (last, _) = place(to - 1);
            for (n, more) in self.more.iter().enumerate().take(last + 1) {
                more.get_or_init(|| chunk(FIRST << n));
            }
        }
    }
}

impl<V> Chunks<V> {
    #[inline(always)]
    pub(crate) fn get(&self, n: u32) -> Option<&V> {
        match self.first.get(n as usize) {
            Some(entry) => Some(entry),
            None => self.beyond(n),
        }
    }

    fn beyond(&self, n: u32) -> Option<&V> {
        let (chunk, n) = place(n);
        self.more.get(chunk)?.get()?.get(n)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.first.iter().chain(self.more.iter().filter_map(OnceLock::get).flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_an_entry_of_its_own() {
        let chunks = Chunks::<std::sync::atomic::AtomicU32>::new();
        assert!(chunks.get(63).is_some() && chunks.get(64).is_none() && chunks.get(u32::MAX).is_none());
        chunks.grow(1_000);
        for n in 0..1_000 {
            let at = chunks.get(n).unwrap();
            assert_eq!(at.swap(n + 1, std::sync::atomic::Ordering::Relaxed), 0, "{n}");
        }
        let all: Vec<_> = chunks.iter().map(|at| at.load(std::sync::atomic::Ordering::Relaxed)).collect();
        assert!((0..1_000).all(|n| all[n] == n as u32 + 1));
        for n in [64, 127, 128, 191, 255, 256, 1_000, (1 << 31) - 1] {
            let (chunk, at) = place(n);
            assert_eq!((FIRST << chunk) + at as u32, n);
        }
        let (chunk, at) = place((1 << 31) - 1);
        assert!(chunk < MORE && at < 1 << 31, "{chunk} {at}");
    }
}
