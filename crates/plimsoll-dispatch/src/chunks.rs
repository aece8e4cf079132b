//! A row that grows and never moves.

use std::sync::OnceLock;

/// Entries in chunks of 64, 64, 128, 256 …, each made when it is first needed.
pub(crate) struct Chunks<V>([OnceLock<Box<[V]>>; CHUNKS]);

const CHUNKS: usize = 26;
const FIRST: u32 = 64;

/// Chunk and place in it.
#[inline]
fn place(n: u32) -> (usize, usize) {
    if n < FIRST {
        return (0, n as usize);
    }
    let chunk = (n / FIRST).ilog2();
    (chunk as usize + 1, (n - (FIRST << chunk)) as usize)
}

impl<V: Default> Chunks<V> {
    pub(crate) fn new() -> Self {
        Chunks(std::array::from_fn(|_| OnceLock::new()))
    }

    /// There are at least so many from now on.
    pub(crate) fn grow(&self, to: u32) {
        let (last, _) = place(to.saturating_sub(1));
        for (n, chunk) in self.0.iter().enumerate().take(last + 1) {
            let size = if n == 0 { FIRST } else { FIRST << (n - 1) };
            chunk.get_or_init(|| (0..size).map(|_| V::default()).collect());
        }
    }
}

impl<V> Chunks<V> {
    #[inline]
    pub(crate) fn get(&self, n: u32) -> Option<&V> {
        let (chunk, n) = place(n);
        self.0.get(chunk)?.get()?.get(n)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.0.iter().filter_map(OnceLock::get).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let chunks = Chunks::<std::sync::atomic::AtomicU32>::new();
        assert!(chunks.get(0).is_none());
        chunks.grow(1_000);
        for n in 0..1_000 {
            let at = chunks.get(n).unwrap();
            assert_eq!(at.swap(n + 1, std::sync::atomic::Ordering::Relaxed), 0, "{n}");
        }
        let all: Vec<_> = chunks.iter().map(|at| at.load(std::sync::atomic::Ordering::Relaxed)).collect();
        assert!((0..1_000).all(|n| all[n] == n as u32 + 1));
        let (chunk, at) = place((1 << 31) - 1);
        assert!(chunk < CHUNKS && at < 1 << 31, "{chunk} {at}");
    }
}
