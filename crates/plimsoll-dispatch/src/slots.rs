//! The state of every slot: one atomic word each, and no queue.
//!
//! A word holds whether the slot is in use, and its generation: a number that rises by one at each
//! release. A token is the index of a slot and a generation. It releases the slot only in its own
//! generation. So a token that is released twice never releases the slot of a later holder.

use crate::chunks::Chunks;
use plimsoll_core::parts::sync::{AtomicU32, AtomicU64, Ordering};
use plimsoll_core::{Dice, Pack, Reason, Words};
use std::fmt;
use std::sync::atomic;

/// A slot in use: the token of a pool. Plain data.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot that is not released stays in use for ever"]
#[doc(alias = "seat")]
pub struct Slot {
    pub(crate) index: u32,
    generation: u32,
}

impl Pack for Slot {
    fn pack(self) -> Words {
        [u64::from(self.index), u64::from(self.generation), 0, 0]
    }
    fn unpack([index, generation, ..]: Words) -> Self {
        Slot { index: index as u32, generation: generation as u32 }
    }
}

/// Which slot is tried first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum SlotPick {
    /// A random slot, then those after it. Threads collide as rarely as possible.
    #[default]
    Random,
    /// The slot after that of the last request. All threads share one counter.
    RoundRobin,
    /// The better of two random slots, then those after it.
    ///
    /// A free slot is better than one in use, and of two free slots, one that has a resource.
    TwoChoices,
    /// The lowest free slot of all. [`probes`](crate::DispatchConfig::probes) has no effect.
    ///
    /// As few resources as possible are used, and the others stay idle.
    Lowest,
}

impl SlotPick {
    #[inline(always)]
    fn from_u8(n: u8) -> Self {
        match n {
            1 => SlotPick::RoundRobin,
            2 => SlotPick::TwoChoices,
            3 => SlotPick::Lowest,
            _ => SlotPick::Random,
        }
    }
}

const TAKEN: u64 = 1;
/// The slot has a resource. A hint: the cell decides.
const FILLED: u64 = 2;
const GENERATION: u64 = 1 << 32;

/// The state of a slot, on its own cache line: a change does not slow down its neighbours.
#[repr(align(64))]
#[derive(Default)]
struct Word(AtomicU64);

pub(crate) struct Slots {
    words: Chunks<Word>,
    // The number of slots, and `CLOSED`.
    limit: AtomicU32,
    next: AtomicU32,
    // From the standard library even under loom: they order nothing.
    pick: atomic::AtomicU8,
    probes: atomic::AtomicU32,
    dice: Dice,
}

const CLOSED: u32 = 1 << 31;

/// The largest number of slots: 2²⁰, of 64 bytes each and a cell.
pub(crate) const MAX_SLOTS: u32 = 1 << 20;

impl Slots {
    /// Creates `limit` slots, all free.
    pub(crate) fn new(limit: u32, pick: SlotPick, probes: u32, dice: Dice) -> Self {
        let slots = Slots {
            words: Chunks::new(),
            limit: AtomicU32::new(0),
            next: AtomicU32::new(0),
            pick: (pick as u8).into(),
            probes: probes.into(),
            dice,
        };
        slots.resize(limit);
        slots
    }

    #[inline(always)]
    fn word(&self, index: u32) -> Option<&AtomicU64> {
        self.words.get(index).map(|Word(word)| word)
    }

    /// Returns the number of slots.
    #[inline(always)]
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed) & !CLOSED
    }

    #[inline(always)]
    pub(crate) fn pick(&self) -> SlotPick {
        SlotPick::from_u8(self.pick.load(Ordering::Relaxed))
    }

    pub(crate) fn set_pick(&self, pick: SlotPick) {
        self.pick.store(pick as u8, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn probes(&self) -> u32 {
        self.probes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_probes(&self, probes: u32) {
        self.probes.store(probes, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.limit_if_open().is_none()
    }

    /// Returns the number of slots, or `None` if the pool is closed.
    #[inline(always)]
    pub(crate) fn limit_if_open(&self) -> Option<u32> {
        // SeqCst: a request that held a slot while another thread closed the pool, and has released
        // it since, sees here that it is closed.
        let limit = self.limit.load(Ordering::SeqCst);
        (limit & CLOSED == 0).then_some(limit)
    }

    /// Changes the number of slots. Slots in use beyond it stay in use, and are not granted again.
    pub(crate) fn resize(&self, limit: u32) {
        self.words.grow(limit);
        let mut old = self.limit.load(Ordering::Relaxed);
        // SeqCst: pairs with `take_slot`, which takes a slot first and then reads the limit again.
        while let Err(now) =
            self.limit.compare_exchange(old, (old & CLOSED) | limit, Ordering::SeqCst, Ordering::Relaxed)
        {
            old = now;
        }
    }

    pub(crate) fn close(&self) {
        self.limit.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Takes a slot, or returns the reason why there is none. A `hash` names the slot to try first.
    #[inline(always)]
    pub(crate) fn take(&self, hash: Option<u64>) -> Result<Slot, Reason> {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit & CLOSED != 0 {
            return Err(Reason::Closed);
        }
        let pick = self.pick();
        let first = self.first(pick, hash, limit);
        if pick == SlotPick::TwoChoices && hash.is_none() {
            return self.take_of_two(first, limit);
        }
        self.take_from(pick, first, limit)
    }

    #[inline(always)]
    fn first(&self, pick: SlotPick, hash: Option<u64>, limit: u32) -> u32 {
        // The high bits of the product spread any number of slots evenly, without a division.
        let scaled = |bits: u64| ((u128::from(bits) * u128::from(limit)) >> 64) as u32;
        match (pick, hash) {
            (_, Some(hash)) => scaled(hash),
            (SlotPick::Lowest, None) => 0,
            // Relaxed: the values only have to differ.
            (SlotPick::RoundRobin, None) => self.next.fetch_add(1, Ordering::Relaxed) % limit,
            _ => self.dice.below(u64::from(limit)) as u32,
        }
    }

    /// Takes the first free slot of those that may be tried, from `first` on.
    #[inline(always)]
    fn take_from(&self, pick: SlotPick, first: u32, limit: u32) -> Result<Slot, Reason> {
        let mut index = first;
        // `Lowest` tries all slots.
        let probes = if pick == SlotPick::Lowest { limit } else { self.probes().min(limit) };
        for _ in 0..probes {
            if let Some(slot) = self.take_slot(index) {
                return Ok(slot);
            }
            index = if index + 1 == limit { 0 } else { index + 1 };
        }
        Err(Reason::Busy)
    }

    fn take_of_two(&self, first: u32, limit: u32) -> Result<Slot, Reason> {
        let second = self.dice.below(u64::from(limit)) as u32;
        let look = |index| self.word(index).map_or(TAKEN, |word| word.load(Ordering::Relaxed));
        let (first, second) = match (look(first) & (TAKEN | FILLED), look(second) & (TAKEN | FILLED)) {
            (FILLED, _) => (first, second),
            (_, FILLED) => (second, first),
            (free, _) if free & TAKEN == 0 => (first, second),
            _ => (second, first),
        };
        if let Some(slot) = self.take_slot(first).or_else(|| self.take_slot(second)) {
            return Ok(slot);
        }
        // Both are in use: continue as `Random` does.
        self.take_from(SlotPick::TwoChoices, first, limit)
    }

    /// Takes the slot with this index if it is free.
    #[inline(always)]
    pub(crate) fn take_slot(&self, index: u32) -> Option<Slot> {
        let word = self.word(index)?;
        // Relaxed: only a hint. A slot in use costs one load and no write.
        let mut seen = word.load(Ordering::Relaxed);
        // SeqCst contains Acquire, which pairs with the exchange in `release`: the new holder sees
        // what the last one did to the resource. SeqCst itself orders the load of the limit in
        // `recheck`. Repeated if the slot was released or emptied since the load: it is free then.
        while seen & TAKEN == 0 {
            match word.compare_exchange(seen, seen | TAKEN, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return self.recheck(index, seen),
                Err(now) => seen = now,
            }
        }
        None
    }

    #[inline(always)]
    fn recheck(&self, index: u32, seen: u64) -> Option<Slot> {
        let slot = Slot { index, generation: (seen / GENERATION) as u32 };
        let limit = self.limit.load(Ordering::SeqCst);
        if limit & CLOSED != 0 || index >= limit {
            // The pool was closed or made smaller meanwhile. That thread takes the resource out.
            self.release(slot, false);
            return None;
        }
        Some(slot)
    }

    /// Takes the slot with this index if it is free, even beyond the limit or after closing.
    pub(crate) fn seize(&self, index: u32) -> Option<Slot> {
        let word = self.word(index)?;
        let seen = word.load(Ordering::Relaxed);
        let free = seen & TAKEN == 0;
        let seized =
            free && word.compare_exchange(seen, seen | TAKEN, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        seized.then_some(Slot { index, generation: (seen / GENERATION) as u32 })
    }

    /// Releases the slot. Returns `false` if the token was released before. `filled` states whether
    /// there is a resource in the slot.
    #[inline(always)]
    pub(crate) fn release(&self, slot: Slot, filled: bool) -> bool {
        let Some(word) = self.word(slot.index) else { return false };
        let seen = word.load(Ordering::Relaxed);
        let generation = (seen / GENERATION) as u32;
        if generation != slot.generation || seen & TAKEN == 0 {
            return false;
        }
        let next = (u64::from(generation.wrapping_add(1)) * GENERATION) | if filled { FILLED } else { 0 };
        // SeqCst contains Release, which pairs with the exchange in `take_slot`. It fails if the
        // same token is released twice at the same time.
        word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Notes that a free slot has lost its resource.
    pub(crate) fn mark_empty(&self, index: u32) {
        if let Some(word) = self.word(index) {
            // A write that changes nothing reads the latest value, written by a release just
            // before.
            let seen = word.fetch_or(0, Ordering::SeqCst);
            if seen & (TAKEN | FILLED) == FILLED {
                // If this fails, the slot was taken meanwhile: its holder writes the flag at the
                // release.
                let _ = word.compare_exchange(seen, seen & !FILLED, Ordering::SeqCst, Ordering::Relaxed);
            }
        }
    }

    /// Returns the number of slots in use. It reads every slot.
    pub(crate) fn in_use(&self) -> u32 {
        self.words.iter().filter(|Word(word)| word.load(Ordering::SeqCst) & TAKEN != 0).count() as u32
    }

    /// Returns whether no slot is in use. Meant for a closed pool.
    ///
    /// After that, a request can hold a slot only until it sees that the pool is closed. It then
    /// releases the slot, and the caller of this function must be woken to call it again.
    pub(crate) fn none_in_use(&self) -> bool {
        // A write that changes nothing. Either it sees that the slot is in use, or the next request
        // to take the slot sees what this thread saw: the pool is closed.
        self.words.iter().all(|Word(word)| word.fetch_or(0, Ordering::SeqCst) & TAKEN == 0)
    }

    /// Returns the number of free slots with a resource, up to the limit. It reads every slot.
    pub(crate) fn idle(&self) -> usize {
        let idle = |word: &Word| word.0.load(Ordering::SeqCst) & (TAKEN | FILLED) == FILLED;
        self.words.iter().take(self.limit() as usize).filter(|word| idle(word)).count()
    }

    /// Returns whether the last holder left a resource in the slot.
    #[inline]
    pub(crate) fn is_filled(&self, index: u32) -> bool {
        self.word(index).is_some_and(|word| word.load(Ordering::Relaxed) & FILLED != 0)
    }

    /// Returns whether a slot in use seems to be beyond the limit, or the pool closed.
    #[inline(always)]
    pub(crate) fn seems_retired(&self, index: u32) -> bool {
        // Relaxed: only a hint. `is_retired` decides after the release.
        let limit = self.limit.load(Ordering::Relaxed);
        limit & CLOSED != 0 || index >= limit
    }

    /// Returns whether a slot just released is beyond the limit, or the pool closed. Its resource
    /// must be taken out then.
    #[inline(always)]
    pub(crate) fn is_retired(&self, index: u32) -> bool {
        // SeqCst: either this load sees that the pool was closed or made smaller, or the thread
        // that did so sees the slot free.
        let limit = self.limit.load(Ordering::SeqCst);
        limit & CLOSED != 0 || index >= limit
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("limit", &self.limit()).field("in_use", &self.in_use()).finish()
    }
}
