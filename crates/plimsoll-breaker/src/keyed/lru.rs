//! A shard of the keys, and the choice of the breaker to evict.

use crate::breaker::CircuitBreaker;
use crate::config::CircuitBreakerConfig;
use crate::loss::Loss;
use plimsoll_core::parts::{Bounds, KeyedHashState, Queue, Ticket};
use plimsoll_core::{Account, Discipline, Instant};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The maximum number of entries that an eviction looks at.
const LOOKS: usize = 64;

/// A part of the keys, with its part of `max_keys`.
pub(super) struct KeyShard<K> {
    /// The settings of new breakers.
    pub(super) config: Arc<CircuitBreakerConfig>,
    entries: Vec<Option<KeyedEntry<K>>>,
    free: Vec<u32>,
    by_key: HashMap<K, u32, KeyedHashState>,
    // Indices of entries, in the order in which they were inserted or last spared.
    order: Queue<u32>,
    /// The maximum number of entries.
    max: usize,
}

/// A key and its breaker.
struct KeyedEntry<K> {
    key: K,
    breaker: CircuitBreaker,
    place: Ticket,
    // Whether it was used since it was inserted or last spared.
    used: AtomicBool,
}

/// A key that was removed, with its breaker. Drop it without the lock, because the `Drop` of a key
/// is foreign code.
pub(super) struct RemovedEntry<K> {
    _key: Option<K>,
    entry: KeyedEntry<K>,
}

impl<K> RemovedEntry<K> {
    pub(super) fn into_breaker(self) -> CircuitBreaker {
        self.entry.breaker
    }
}

impl<K: Hash + Eq + Clone> KeyShard<K> {
    pub(super) fn new(config: Arc<CircuitBreakerConfig>, max: usize, hasher: KeyedHashState) -> Self {
        let order = Queue::new(Discipline::Fifo, Bounds::with_capacity(usize::MAX), false);
        let by_key = HashMap::with_hasher(hasher);
        KeyShard { config, entries: vec![], free: vec![], by_key, order, max }
    }

    /// Returns the breaker of this key, and marks it as used.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let n = *self.by_key.get(key)?;
        let entry = self.entries.get(n as usize)?.as_ref();
        // Foreign code of the key may have panicked during an insertion, so the map may be wrong.
        let entry = entry.filter(|entry| entry.key.borrow() == key)?;
        // Relaxed: it stands for itself. Read first, so that threads share the cache line.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry.breaker.clone())
    }

    /// Returns whether there is room for this number of further entries.
    pub(super) fn has_room(&self, n: usize) -> bool {
        self.by_key.len() + n <= self.max
    }

    /// Evicts entries until there is room for `n` further ones, or none can be evicted.
    pub(super) fn make_room(&mut self, n: usize, now: Instant) -> Vec<RemovedEntry<K>> {
        std::iter::from_fn(|| if self.has_room(n) { None } else { self.evict(now) }).collect()
    }

    /// Changes the bound, and evicts the entries above it. Those that cannot be evicted stay.
    ///
    /// Unlike [`make_room`](Self::make_room), it looks at every entry if need be.
    pub(super) fn resize(&mut self, max: usize, now: Instant) -> Vec<RemovedEntry<K>> {
        self.max = max;
        let mut evicted = vec![];
        // How many times in a row no entry could be evicted. After that many, all were looked at.
        let mut misses = 0;
        while !self.has_room(0) && misses <= self.order.len() / LOOKS {
            match self.evict(now) {
                Some(entry) => {
                    evicted.push(entry);
                    misses = 0;
                }
                None => misses += 1,
            }
        }
        evicted
    }

    pub(super) fn insert(&mut self, key: K, breaker: CircuitBreaker) {
        let n = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let place = self.enqueue(n);
        if let Some(entry) = self.entries.get_mut(n as usize) {
            *entry = Some(KeyedEntry { key: key.clone(), breaker, place, used: AtomicBool::new(false) });
        }
        self.by_key.insert(key, n);
        self.compact();
    }

    /// Removes a key.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<RemovedEntry<K>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (key, n) = self.by_key.remove_entry(key)?;
        let entry = self.take(n)?;
        self.order.remove(entry.place);
        self.compact();
        Some(RemovedEntry { _key: Some(key), entry })
    }

    /// Evicts an entry, or returns `None` if none of the oldest 64 can be evicted.
    ///
    /// Evicts the one that loses the least. Among equals, the order is that of CLOCK, which
    /// approximates the least recently used entry: an entry that was used since the last look at it
    /// is spared once.
    fn evict(&mut self, now: Instant) -> Option<RemovedEntry<K>> {
        let mut best = None;
        for _ in 0..LOOKS.min(self.order.len()) {
            let n = self.order.pop(now, &mut |_, _| {})?;
            let Some(Some(entry)) = self.entries.get_mut(n as usize) else { continue };
            let used = std::mem::take(entry.used.get_mut());
            let loss = entry.breaker.loss(now);
            if loss == Some(Loss::Nothing) && !used {
                return self.take_with_key(n);
            }
            if let Some(loss) = loss
                && best.is_none_or(|(least, _)| (loss, used) < least)
            {
                best = Some(((loss, used), n));
            }
            let place = self.enqueue(n);
            if let Some(Some(entry)) = self.entries.get_mut(n as usize) {
                entry.place = place;
            }
        }
        let (_, n) = best?;
        if let Some(Some(entry)) = self.entries.get(n as usize) {
            self.order.remove(entry.place);
        }
        self.take_with_key(n)
    }

    /// Puts an entry at the end of the order.
    fn enqueue(&mut self, n: u32) -> Ticket {
        let place = self.order.back();
        // Nothing is displaced, because the order is unbounded.
        let _ = self.order.push(n, 0, Instant::default(), &mut |_, _| {});
        place
    }

    /// Removes the holes from the order if they are its greater part.
    fn compact(&mut self) {
        if self.order.is_sparse() {
            let entries = &mut self.entries;
            self.order.compact(|n, place| {
                if let Some(Some(entry)) = entries.get_mut(*n as usize) {
                    entry.place = place;
                }
            });
        }
    }

    fn take(&mut self, n: u32) -> Option<KeyedEntry<K>> {
        let entry = self.entries.get_mut(n as usize)?.take()?;
        self.free.push(n);
        Some(entry)
    }

    fn take_with_key(&mut self, n: u32) -> Option<RemovedEntry<K>> {
        let entry = self.take(n)?;
        let key = self.by_key.remove_entry(&entry.key).map(|(key, _)| key);
        Some(RemovedEntry { _key: key, entry })
    }
}

impl<K> KeyShard<K> {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Returns the key with this account.
    pub(super) fn key_of(&self, account: Account) -> Option<&K> {
        let mut entries = self.entries.iter().flatten();
        entries.find(|entry| entry.breaker.account() == Some(account)).map(|entry| &entry.key)
    }

    /// Returns each breaker with its key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &CircuitBreaker)> {
        self.entries.iter().flatten().map(|entry| (&entry.key, &entry.breaker))
    }
}
