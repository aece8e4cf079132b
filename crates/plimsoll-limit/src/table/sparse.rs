//! Maps by account, for what few accounts have: a waiting request, or settings of their own.
//!
//! `dashmap` is named here and nowhere else.

use dashmap::DashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

/// A hasher for keys that are hashes already.
#[derive(Clone, Copy, Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(crate) type SparseMap<V> = DashMap<u64, V, BuildHasherDefault<AsIs>>;

/// The settings of single accounts, by hash.
pub(crate) struct Overrides<V> {
    map: SparseMap<V>,
    // The number of them: while it is zero, no lookup is needed.
    any: AtomicU32,
}

impl<V: Copy> Overrides<V> {
    pub(crate) fn new() -> Self {
        Overrides { map: SparseMap::default(), any: AtomicU32::new(0) }
    }

    #[inline(always)]
    pub(crate) fn get(&self, hash: u64) -> Option<V> {
        if self.any.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.map.get(&hash).map(|value| *value)
    }

    pub(crate) fn remove(&self, hash: u64) {
        if self.map.remove(&hash).is_some() {
            self.any.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Changes the settings of an account, which has none at first.
    pub(crate) fn alter(&self, hash: u64, change: impl FnOnce(Option<V>) -> V) {
        // Through the entry, so that two changes of one account do not overwrite each other.
        match self.map.entry(hash) {
            dashmap::Entry::Occupied(mut entry) => {
                let value = change(Some(*entry.get()));
                *entry.get_mut() = value;
            }
            dashmap::Entry::Vacant(entry) => {
                // Counted before it is inserted: a concurrent removal of another account must not
                // make the count smaller than the map.
                self.any.fetch_add(1, Ordering::Relaxed);
                entry.insert(change(None));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}
