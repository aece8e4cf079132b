//! Where accounts are remembered: a table of fixed size, without a lock for those who are in it.
//!
//! Sets of eight slots; an account is in one of the two sets that its hash names, or in none. Those in none
//! share overflow slots by hash; there is one more for all who wait to be let in. Keys are not kept, only their hashes under a secret: 64 bits tell accounts
//! apart. A slot is given to another only when its account has nothing left to remember.

pub(crate) mod entry;
pub(crate) mod gcra_table;
pub(crate) mod sparse;

use entry::{EMPTY, Entry};
use plimsoll_core::Dice;
use plimsoll_core::parts::sync::{AtomicUsize, Mutex, Ordering, recover};
use plimsoll_core::parts::{KeyedHashState, StripedCounter};
use std::fmt;
use std::hash::{BuildHasher, Hash};

// Fewer of all where every interleaving is tried.
const WAYS: usize = if cfg!(plimsoll_loom) { 2 } else { 8 };
/// What newcomers share when there is no room for them.
pub(crate) const OVERFLOW: usize = if cfg!(plimsoll_loom) { 1 } else { 64 };
/// Those who move in take turns, by hash.
const MOVE_IN_LOCKS: usize = if cfg!(plimsoll_loom) { 2 } else { 64 };

#[repr(align(64))]
#[derive(Default)]
struct Set([Entry; WAYS]);

pub struct Table {
    sets: Box<[Set]>,
    overflow: Box<[Entry]>,
    move_in_locks: Box<[Mutex<()>]>,
    hasher: KeyedHashState,
    used: AtomicUsize,
    // How many asks found no room.
    overflowed: StripedCounter,
}

/// Where an account is: a slot, and its number.
pub(crate) type EntryAt<'a> = (u32, &'a Entry);

impl Table {
    /// For at least `accounts`, in whole sets.
    pub(crate) fn new(accounts: usize, dice: &Dice) -> Self {
        let sets = accounts.div_ceil(WAYS).max(1);
        Table {
            sets: (0..sets).map(|_| Set::default()).collect(),
            overflow: (0..=OVERFLOW).map(|_| Entry::default()).collect(),
            move_in_locks: (0..MOVE_IN_LOCKS).map(|_| Mutex::new(())).collect(),
            hasher: dice.hasher(),
            used: AtomicUsize::new(0),
            overflowed: StripedCounter::default(),
        }
    }

    /// The hash of a key; never that of nobody.
    #[inline(always)]
    pub(crate) fn hash<K: Hash + ?Sized>(&self, key: &K) -> u64 {
        self.hasher.hash_one(key).max(EMPTY + 1)
    }

    /// The two sets of a hash, which may be the same.
    #[inline(always)]
    fn sets(&self, hash: u64) -> [usize; 2] {
        // The high bits of a product: any number of sets will do.
        let set = |hash: u64| ((u128::from(hash) * self.sets.len() as u128) >> 64) as usize;
        [set(hash), set(hash.rotate_left(32))]
    }

    /// The slots of a set, that one first where the account is if it came when that was free: one line of memory is
    /// all that has to be fetched then.
    #[inline]
    fn entries(&self, set: usize, hash: u64) -> impl Iterator<Item = EntryAt<'_>> {
        let entries = self.sets.get(set).map_or(&[][..], |Set(entries)| entries);
        (0..WAYS)
            .map(move |n| hash.wrapping_add(n as u64) as usize % WAYS)
            .filter_map(move |n| Some(((set * WAYS + n) as u32, entries.get(n)?)))
    }

    #[inline]
    fn candidates(&self, hash: u64) -> impl Iterator<Item = EntryAt<'_>> {
        let [first, second] = self.sets(hash);
        self.entries(first, hash).chain(self.entries(second, hash))
    }

    /// The account's own slot.
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

    /// The slot that it shares with others, to be asked.
    pub(crate) fn shared(&self, hash: u64) -> EntryAt<'_> {
        self.overflowed.add();
        self.overflow_entry(hash)
    }

    /// The slot that it shares with others when there is no other.
    pub(crate) fn overflow_entry(&self, hash: u64) -> EntryAt<'_> {
        let n = (hash % OVERFLOW as u64) as usize;
        match self.overflow.get(n) {
            Some(entry) => ((self.sets.len() * WAYS + n) as u32, entry),
            None => unreachable!("it is the remainder"),
        }
    }

    /// The slot that all newcomers share for whom there is room: an empty slot, or one that may go.
    pub(crate) fn probation(&self, hash: u64, may_evict: impl Fn(u64) -> bool) -> Option<EntryAt<'_>> {
        self.candidates(hash).find(|(_, entry)| entry.is(EMPTY) || may_evict(entry.state_hint()))?;
        Some(((self.sets.len() * WAYS + OVERFLOW) as u32, self.overflow.get(OVERFLOW)?))
    }

    pub(crate) fn at(&self, n: u32) -> Option<&Entry> {
        let n = n as usize;
        let entry = self.sets.get(n / WAYS).and_then(|Set(entries)| entries.get(n % WAYS));
        entry.or_else(|| self.overflow.get(n - self.sets.len() * WAYS))
    }

    /// Whether the slot is one that others share.
    pub(crate) fn is_shared(&self, n: u32) -> bool {
        n as usize >= self.sets.len() * WAYS
    }

    /// A slot of its own, if there is one: an empty one, or that of the account that ranks lowest of those
    /// that may go (`None`: it may not). `fresh` must differ from every state that may go.
    #[cold]
    pub(crate) fn move_in(
        &self,
        hash: u64,
        interval: u64,
        fresh: u64,
        rank: impl Fn(u64) -> Option<u64>,
    ) -> Option<EntryAt<'_>> {
        let candidates = || self.candidates(hash);
        let ranked = |entry: &Entry| if entry.is(EMPTY) { Some(0) } else { rank(entry.state_hint()) };
        // In a flood there is none, and nobody need wait at the door to learn it. But the last one may have been
        // taken since we looked, or be taken right now, by somebody who brings the same account. The state is
        // read before the tag: if it is that of him who moves in, he is seen to, or has finished.
        if !candidates().any(|(_, entry)| ranked(entry).is_some() || entry.is_changing()) {
            return self.find(hash);
        }
        let lock = self.move_in_locks.get(hash as usize % MOVE_IN_LOCKS)?;
        // Two who bring the same account must not both move in.
        let _guard = recover(lock.lock());
        if let Some(found) = self.find(hash) {
            return Some(found);
        }
        // Each time round because somebody else went on: took a unit here, or moved in. A slot that another is
        // moving into right now is as good as taken; to try it again until he is done is not to be counted on,
        // as he may have been interrupted, and to give up would be a second quota among the common ones.
        loop {
            let settled = candidates().filter(|(_, entry)| !entry.is_changing());
            let (_, (n, entry)) =
                settled.filter_map(|at| Some((ranked(at.1)?, at))).min_by_key(|(rank, _)| *rank)?;
            if let Some(empty) = entry.move_in(hash, interval, fresh, |state| rank(state).is_some()) {
                if empty {
                    self.used.fetch_add(1, Ordering::Relaxed);
                }
                return Some((n, entry));
            }
        }
    }

    /// All slots that somebody owes something in, or did.
    pub(crate) fn entries_in_use(&self) -> impl Iterator<Item = &Entry> {
        let own = self.sets.iter().flat_map(|Set(entries)| entries).filter(|entry| !entry.is(EMPTY));
        own.chain(&self.overflow)
    }

    /// How many accounts there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How many asks found no room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.total()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("accounts", &self.len()).field("capacity", &self.capacity()).finish()
    }
}
