//! The counters: who has which slot. One word each, and no queue.
//!
//! A word holds the slot's life, a number that goes up by one whenever it is freed, and whether it is taken. A
//! seat is a slot and a life: it frees the slot only in its own life, so that a seat that comes back twice frees
//! nobody else's.

use crate::chunks::Chunks;
use plimsoll_core::parts::sync::{AtomicU32, AtomicU64, Ordering};
use plimsoll_core::{Dice, Pack, Reason, Words};
use std::fmt;
use std::sync::atomic;

/// A slot that was taken. Plain data: it goes back to where it came from.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a seat that is not given back is taken for ever"]
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
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SlotPick {
    /// Any, by chance: no two threads meet more often than they have to.
    #[default]
    Random,
    /// The one after that of the last checkout. All threads share one counter.
    RoundRobin,
    /// Of two free ones by chance, that which has a resource already.
    TwoChoices,
    /// The first free one of all, however many [probes](crate::Config::probes) there are otherwise: as few as possible
    /// are in use, and the others grow idle.
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
/// It has a resource: a hint.
const FILLED: u64 = 2;
const GENERATION: u64 = 1 << 32;

/// A line of its own for each: who takes one does not slow down its neighbours.
#[repr(align(64))]
#[derive(Default)]
struct Word(AtomicU64);

pub(crate) struct Slots {
    words: Chunks<Word>,
    // How many may be used, and whether it is closed.
    limit: AtomicU32,
    next: AtomicU32,
    // The standard library's under loom, too: nothing is ordered by them.
    pick: atomic::AtomicU8,
    probes: atomic::AtomicU32,
    dice: Dice,
}

const CLOSED: u32 = 1 << 31;

/// The most slots there can be: 2²⁰, of 64 bytes each and some for what is in them.
pub(crate) const MAX_SLOTS: u32 = 1 << 20;

impl Slots {
    /// So many slots, all free.
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

    /// How many slots there are to be taken.
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

    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        // SeqCst: who was in the way of one that closed it, and now goes, sees that it was closed.
        self.limit.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Nobody is thrown out; those above the limit are not taken again.
    pub(crate) fn resize(&self, limit: u32) {
        self.words.grow(limit);
        let mut old = self.limit.load(Ordering::Relaxed);
        // SeqCst: against `take_slot`, which takes first and then looks at the limit again.
        while let Err(now) =
            self.limit.compare_exchange(old, (old & CLOSED) | limit, Ordering::SeqCst, Ordering::Relaxed)
        {
            old = now;
        }
    }

    pub(crate) fn close(&self) {
        self.limit.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Takes a slot, or says why there is none; the one that `hash` names, first of all.
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
        // The high bits of a product: any number of slots will do.
        let scaled = |bits: u64| ((u128::from(bits) * u128::from(limit)) >> 64) as u32;
        match (pick, hash) {
            (_, Some(hash)) => scaled(hash),
            (SlotPick::Lowest, None) => 0,
            // Relaxed: it is only to be different.
            (SlotPick::RoundRobin, None) => self.next.fetch_add(1, Ordering::Relaxed) % limit,
            _ => self.dice.below(u64::from(limit)) as u32,
        }
    }

    /// The first free one of so many as may be tried.
    #[inline(always)]
    fn take_from(&self, pick: SlotPick, first: u32, limit: u32) -> Result<Slot, Reason> {
        let mut index = first;
        // The lowest of all, however many are tried otherwise.
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
        // Both taken: as by chance, from there on.
        self.take_from(SlotPick::TwoChoices, first, limit)
    }

    /// Takes this very slot, if it is free.
    #[inline(always)]
    pub(crate) fn take_slot(&self, index: u32) -> Option<Slot> {
        let word = self.word(index)?;
        // Relaxed: a busy slot is left after one load, without writing.
        let mut seen = word.load(Ordering::Relaxed);
        // Acquire pairs with the release in `free`: who takes it sees what the last one did to it. SeqCst for
        // the look at the limit below. Tried again when it came back, or was emptied, between the two: it is free.
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
            // It was made smaller, or closed, meanwhile, and what was in it is, or will be, taken out.
            self.release(slot, false);
            return None;
        }
        Some(slot)
    }

    /// Takes this very slot if it is free, whatever the limit says.
    pub(crate) fn seize(&self, index: u32) -> Option<Slot> {
        let word = self.word(index)?;
        let seen = word.load(Ordering::Relaxed);
        let free = seen & TAKEN == 0;
        let seized =
            free && word.compare_exchange(seen, seen | TAKEN, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        seized.then_some(Slot { index, generation: (seen / GENERATION) as u32 })
    }

    /// Gives the slot back; answers whether it was this seat's. `filled`: there is a resource in it.
    #[inline(always)]
    pub(crate) fn release(&self, slot: Slot, filled: bool) -> bool {
        let Some(word) = self.word(slot.index) else { return false };
        let seen = word.load(Ordering::Relaxed);
        let generation = (seen / GENERATION) as u32;
        if generation != slot.generation || seen & TAKEN == 0 {
            return false;
        }
        let next = (u64::from(generation.wrapping_add(1)) * GENERATION) | if filled { FILLED } else { 0 };
        // Release: see `take_slot`. It fails for a seat that came back twice at once.
        word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// What was in a free slot is no longer there.
    pub(crate) fn mark_empty(&self, index: u32) {
        if let Some(word) = self.word(index) {
            // A write that changes nothing sees the last one: that of who has just freed it.
            let seen = word.fetch_or(0, Ordering::SeqCst);
            if seen & (TAKEN | FILLED) == FILLED {
                // Whoever takes it meanwhile will say himself.
                let _ = word.compare_exchange(seen, seen & !FILLED, Ordering::SeqCst, Ordering::Relaxed);
            }
        }
    }

    /// How many are taken. A look at each.
    pub(crate) fn in_use(&self) -> u32 {
        self.words.iter().filter(|Word(word)| word.load(Ordering::SeqCst) & TAKEN != 0).count() as u32
    }

    /// Whether none is taken, once it is closed: from now on none will be, but for a moment by one who sees then
    /// that it is closed, and says so.
    pub(crate) fn none_in_use(&self) -> bool {
        // A write that changes nothing: either it sees that a slot is taken, or who takes it sees what we saw.
        self.words.iter().all(|Word(word)| word.fetch_or(0, Ordering::SeqCst) & TAKEN == 0)
    }

    /// How many of those that nobody has, and that are to be had, have a resource. A look at each.
    pub(crate) fn idle(&self) -> usize {
        let idle = |word: &Word| word.0.load(Ordering::SeqCst) & (TAKEN | FILLED) == FILLED;
        self.words.iter().take(self.limit() as usize).filter(|word| idle(word)).count()
    }

    /// Whether there is a resource in it, as far as its last user said.
    #[inline]
    pub(crate) fn is_filled(&self, index: u32) -> bool {
        self.word(index).is_some_and(|word| word.load(Ordering::Relaxed) & FILLED != 0)
    }

    /// The same before it has come back, as far as we know.
    #[inline(always)]
    pub(crate) fn seems_retired(&self, index: u32) -> bool {
        // Relaxed: it is looked at again afterwards.
        let limit = self.limit.load(Ordering::Relaxed);
        limit & CLOSED != 0 || index >= limit
    }

    /// Whether what comes back to this slot is not to stay there. After it has come back.
    #[inline(always)]
    pub(crate) fn is_retired(&self, index: u32) -> bool {
        // SeqCst: either we see that it was closed or made smaller, or who did that sees the slot free.
        let limit = self.limit.load(Ordering::SeqCst);
        limit & CLOSED != 0 || index >= limit
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("limit", &self.limit()).field("in_use", &self.in_use()).finish()
    }
}
