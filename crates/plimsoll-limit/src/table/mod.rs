//! The table of accounts: of fixed size, and without a lock for accounts that are in it.
//!
//! It has sets of eight entries. An account is in one of the two sets that its hash names, or in
//! none. Keys are not stored, only 64-bit hashes of them under a secret. The owner of the table
//! ranks accounts for eviction: those with nothing left to remember first.
//!
//! The accounts of a fair limiter that are in no set share entries: one for all new accounts for
//! which there is room, and others, chosen by hash, for those without.

mod crowd;
pub(crate) mod entry;
pub(crate) mod gcra_table;
pub(crate) mod sparse;
pub(crate) mod when_full;

pub(crate) use crowd::Crowd;
use entry::{EMPTY, Entry, Snapshot};
use plimsoll_core::Dice;
use plimsoll_core::parts::sync::{Mutex, recover};
use plimsoll_core::parts::{KeyedHashState, StripedCounter};
use std::fmt;
use std::hash::{BuildHasher, Hash};

// All three numbers are smaller under loom, which explores every interleaving.

/// The number of entries in a set.
const WAYS: usize = if cfg!(plimsoll_loom) { 2 } else { 8 };
/// The number of entries that accounts share for which there is no room.
pub(crate) const OVERFLOW: usize = if cfg!(plimsoll_loom) { 1 } else { 64 };
/// The number of locks under which accounts move in. The hash of an account chooses one.
const MOVE_IN_LOCKS: usize = if cfg!(plimsoll_loom) { 2 } else { 64 };

/// The entries of a set, aligned to a cache line.
#[repr(align(64))]
#[derive(Default)]
struct Set([Entry; WAYS]);

/// The entries of all accounts.
pub struct Table {
    sets: Box<[Set]>,
    overflow: Box<[Entry]>,
    move_in_locks: Box<[Mutex<()>]>,
    hasher: KeyedHashState,
    pub(crate) crowd: Crowd,
    // The number of requests of new accounts that found the table full.
    overflowed: StripedCounter,
}

/// An entry and its number.
pub(crate) type EntryAt<'a> = (u32, &'a Entry);

/// Where a new account is.
pub(crate) enum Room<'a> {
    /// In an entry that it has just been given, which was like this before.
    Given(u32, Snapshot),
    /// In an entry that another thread has given to it.
    Found(EntryAt<'a>),
}

impl Table {
    /// Creates a table for at least `accounts`, in whole sets.
    pub(crate) fn new(accounts: usize, dice: &Dice, crowd: Crowd) -> Self {
        let sets = accounts.div_ceil(WAYS).max(1);
        Table {
            sets: (0..sets).map(|_| Set::default()).collect(),
            overflow: (0..=OVERFLOW).map(|_| Entry::default()).collect(),
            move_in_locks: (0..MOVE_IN_LOCKS).map(|_| Mutex::new(())).collect(),
            hasher: dice.hasher(),
            crowd,
            overflowed: StripedCounter::default(),
        }
    }

    /// Returns the hash of a key, which is never [`EMPTY`].
    #[inline(always)]
    pub(crate) fn hash<K: Hash + ?Sized>(&self, key: &K) -> u64 {
        self.hasher.hash_one(key).max(EMPTY + 1)
    }

    /// Returns the two sets of a hash, which may be the same.
    #[inline(always)]
    fn sets(&self, hash: u64) -> [usize; 2] {
        // The high bits of a product, which work for any number of sets.
        let set = |hash: u64| ((u128::from(hash) * self.sets.len() as u128) >> 64) as usize;
        [set(hash), set(hash.rotate_left(32))]
    }

    /// Returns the entries of a set, beginning with the one that the account takes if it is free.
    /// If the account is there, only one cache line is fetched.
    #[inline]
    fn entries(&self, set: usize, hash: u64) -> impl Iterator<Item = EntryAt<'_>> {
        let entries = self.sets.get(set).map_or(&[][..], |Set(entries)| entries);
        (0..WAYS)
            .map(move |n| hash.wrapping_add(n as u64) as usize % WAYS)
            .filter_map(move |n| Some(((set * WAYS + n) as u32, entries.get(n)?)))
    }

    /// Returns the entries in which the account may be.
    #[inline]
    fn candidates(&self, hash: u64) -> impl Iterator<Item = EntryAt<'_>> {
        let [first, second] = self.sets(hash);
        self.entries(first, hash).chain(self.entries(second, hash))
    }

    /// Returns the account's own entry.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Option<EntryAt<'_>> {
        let ([set, _], n) = (self.sets(hash), hash as usize % WAYS);
        let Set(entries) = self.sets.get(set)?;
        match entries.get(n) {
            Some(entry) if entry.is(hash) => Some(((set * WAYS + n) as u32, entry)),
            _ => self.find_further(hash),
        }
    }

    #[inline(never)]
    fn find_further(&self, hash: u64) -> Option<EntryAt<'_>> {
        self.candidates(hash).find(|(_, entry)| entry.is(hash))
    }

    /// Counts a request of a new account that found the table full.
    pub(crate) fn found_full(&self, now: u64) {
        self.overflowed.add();
        self.crowd.crowded(now);
    }

    /// Returns the overflow entry of an account.
    pub(crate) fn overflow_entry(&self, hash: u64) -> EntryAt<'_> {
        let n = (hash % OVERFLOW as u64) as usize;
        match self.overflow.get(n) {
            Some(entry) => ((self.sets.len() * WAYS + n) as u32, entry),
            None => unreachable!("it is the remainder"),
        }
    }

    /// Returns the entry that all new accounts share for which there is room. There is room in an
    /// empty entry, and in one whose account may be evicted.
    pub(crate) fn probation(&self, hash: u64, may_evict: impl Fn(u64) -> bool) -> Option<EntryAt<'_>> {
        self.candidates(hash).find(|(_, entry)| entry.is(EMPTY) || may_evict(entry.state_hint()))?;
        Some(((self.sets.len() * WAYS + OVERFLOW) as u32, self.overflow.get(OVERFLOW)?))
    }

    /// Returns the entry with the number `n`.
    pub(crate) fn at(&self, n: u32) -> Option<&Entry> {
        let n = n as usize;
        let entry = self.sets.get(n / WAYS).and_then(|Set(entries)| entries.get(n % WAYS));
        entry.or_else(|| self.overflow.get(n - self.sets.len() * WAYS))
    }

    /// Returns whether accounts share the entry.
    pub(crate) fn is_shared(&self, n: u32) -> bool {
        n as usize >= self.sets.len() * WAYS
    }

    /// Gives the account an entry of its own, with this state: an empty one, or that of the account
    /// of the lowest rank.
    ///
    /// An account without a rank is not evicted. `state` is computed from the entry as it was, and
    /// must differ from its state.
    #[cold]
    pub(crate) fn move_in(
        &self,
        hash: u64,
        interval: u64,
        state: impl Fn(Snapshot) -> u64,
        rank: impl Fn(Snapshot) -> Option<u64>,
    ) -> Option<Room<'_>> {
        let ranked = |seen: Snapshot| if seen.is_empty() { Some(0) } else { rank(seen) };
        // If there is no such entry, no request need take the lock to learn that. But another
        // thread may just have moved the same account into the last one, or be doing so right now.
        let may_have_room = |entry: &Entry| entry.snapshot().is_none_or(|seen| ranked(seen).is_some());
        if !self.candidates(hash).any(|(_, entry)| may_have_room(entry)) {
            return self.find(hash).map(Room::Found);
        }
        let lock = self.move_in_locks.get(hash as usize % MOVE_IN_LOCKS)?;
        // Two threads must not both move the same account in.
        let _guard = recover(lock.lock());
        if let Some(found) = self.find(hash) {
            return Some(Room::Found(found));
        }
        // Each round follows the progress of another thread, which has taken a unit here or moved
        // in. An entry that is changing counts as occupied. Retrying until the change is done would
        // depend on a thread that may have been preempted. Giving up would give the account a
        // second quota, in an overflow entry.
        loop {
            let settled = self.candidates(hash).filter_map(|at| Some((at, at.1.snapshot()?)));
            let evictable = settled.filter_map(|(at, seen)| Some((ranked(seen)?, at, seen)));
            let (_, (n, entry), seen) = evictable.min_by_key(|(rank, ..)| *rank)?;
            if entry.move_in(seen, hash, interval, state(seen)) {
                return Some(Room::Given(n, seen));
            }
        }
    }

    /// Returns the lowest state of the accounts that would have to make room for this one.
    pub(crate) fn lowest_state(&self, hash: u64) -> Option<u64> {
        self.candidates(hash).map(|(_, entry)| entry.state_hint()).min()
    }

    /// Returns all entries that were charged: those of accounts, and those that accounts share.
    pub(crate) fn entries_in_use(&self) -> impl Iterator<Item = &Entry> {
        let own = self.sets.iter().flat_map(|Set(entries)| entries).filter(|entry| !entry.is(EMPTY));
        own.chain(&self.overflow)
    }

    /// Returns the maximum number of accounts that are remembered.
    pub(crate) fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Returns the number of accounts whose state `is_remembered`. Visits the whole table.
    pub(crate) fn count(&self, is_remembered: impl Fn(u64) -> bool) -> usize {
        let entries = self.sets.iter().flat_map(|Set(entries)| entries);
        entries.filter(|entry| !entry.is(EMPTY) && is_remembered(entry.state_hint())).count()
    }

    /// Returns the number of requests of new accounts that found the table full.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.total()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
