//! The slots of a pool: how many are in use, and which ones are free.
//!
//! One atomic word counts the slots in use. A request that is counted has a slot for certain, and
//! then looks for a free one in two bitmaps. A release comes in the reverse order. So there is a
//! free slot for each request that was counted, and a rejection costs no search.
//!
//! A token is the index of a slot and a generation. A permit's release raises the generation. So a
//! token that is released twice never releases the slot of a later holder.

use crate::bitmap::Bitmap;
use crate::chunks::Chunks;
use crate::watchers::Watchers;
use plimsoll_core::parts::sync::{AtomicU32, Mutex, Ordering, pause, recover};
use plimsoll_core::parts::{Capacity, FixedCapacity, Place, Start};
use plimsoll_core::{Dice, Pack, Words};
use std::fmt;
use std::sync::atomic;

/// A slot in use: the token of a pool. Plain data.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot that is not released stays in use for ever"]
#[doc(alias = "seat")]
pub struct Slot {
    pub(crate) index: u32,
    generation: u32,
    /// Whether the slot is free with a resource once it is released. A hint: the cell decides.
    pub(crate) filled: bool,
}

impl Pack for Slot {
    fn pack(self) -> Words {
        [u64::from(self.index), u64::from(self.generation), u64::from(self.filled), 0]
    }
    fn unpack([index, generation, filled, ..]: Words) -> Self {
        Slot { index: index as u32, generation: generation as u32, filled: filled != 0 }
    }
}

/// Which of the free slots is granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum SlotPick {
    /// A random slot with a resource, or else a random empty one.
    #[default]
    Random,
    /// The next free slot after that of the last request, with a resource or without.
    ///
    /// All slots are used alike. All threads share one counter.
    RoundRobin,
    /// The lowest slot with a resource, or else the lowest empty one.
    ///
    /// The same few resources are used again and again, as in a stack. The others stay idle, and
    /// are dropped after [`max_idle`](crate::DispatchConfig::max_idle).
    #[doc(alias = "lifo")]
    Lowest,
}

impl SlotPick {
    #[inline(always)]
    fn from_u8(n: u8) -> Self {
        match n {
            1 => SlotPick::RoundRobin,
            2 => SlotPick::Lowest,
            _ => SlotPick::Random,
        }
    }
}

pub(crate) struct Slots {
    count: FixedCapacity,
    // The free slots with a resource, and those without. A slot in use is in neither.
    idle: Bitmap,
    empty: Bitmap,
    generations: Chunks<AtomicU32>,
    next: AtomicU32,
    // From the standard library even under loom: it orders nothing.
    pick: atomic::AtomicU8,
    dice: Dice,
    // The number of slots that ever existed. Locked while it changes.
    existing: Mutex<u32>,
    watchers: Watchers,
}

/// The largest number of slots: 2²⁰.
pub(crate) const MAX_SLOTS: u32 = 1 << 20;

impl Slots {
    /// Creates `limit` slots, all free and empty.
    pub(crate) fn new(limit: u32, pick: SlotPick, dice: Dice) -> Self {
        let slots = Slots {
            count: FixedCapacity::new(0),
            idle: Bitmap::new(),
            empty: Bitmap::new(),
            generations: Chunks::new(),
            next: AtomicU32::new(0),
            pick: (pick as u8).into(),
            dice,
            existing: Mutex::new(0),
            watchers: Watchers::default(),
        };
        slots.resize(limit);
        slots
    }

    /// Returns the number of slots.
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.count.limit()
    }

    /// Returns the number of slots in use.
    #[inline]
    pub(crate) fn in_use(&self) -> u32 {
        self.count.in_flight()
    }

    /// Returns the number of free slots with a resource. It reads the bit of every slot.
    pub(crate) fn idle(&self) -> usize {
        if self.is_closed() { 0 } else { self.idle.count(self.limit()) as usize }
    }

    #[inline(always)]
    pub(crate) fn pick(&self) -> SlotPick {
        SlotPick::from_u8(self.pick.load(Ordering::Relaxed))
    }

    pub(crate) fn set_pick(&self, pick: SlotPick) {
        self.pick.store(pick as u8, Ordering::Relaxed);
    }

    /// Changes the number of slots. Returns whether callers wait for one.
    ///
    /// Slots in use stay in use. None is granted until fewer than `limit` are in use.
    pub(crate) fn resize(&self, limit: u32) -> bool {
        let mut existing = recover(self.existing.lock());
        self.idle.grow(limit);
        self.empty.grow(limit);
        self.generations.grow(limit);
        for index in self.limit()..limit {
            // A slot that was beyond the limit has lost its resource.
            if index >= *existing || self.idle.remove(index) {
                self.empty.insert(index);
            }
        }
        *existing = limit.max(*existing);
        self.count.set_limit(limit)
    }

    /// Takes the slot that the pick chooses, or the free slot that is next to `hash`.
    ///
    /// A newcomer gets none while other callers wait.
    #[inline(always)]
    pub(crate) fn take(&self, newcomer: bool, hash: Option<u64>) -> Start<Slot> {
        match self.count.start(newcomer) {
            Start::Go(_) => Start::Go(self.choose(hash)),
            Start::Later => Start::Later,
            Start::Closed => Start::Closed,
        }
    }

    /// Chooses a free slot for a request that was counted. There is one for each of them.
    #[inline(always)]
    fn choose(&self, hash: Option<u64>) -> Slot {
        let pick = self.pick();
        let limit = self.limit();
        let (from, in_order) = match (pick, hash) {
            // The high bits of the product spread any number of slots evenly, without a division.
            (_, Some(hash)) => (((u128::from(hash) * u128::from(limit)) >> 64) as u32, true),
            // Relaxed: the values only have to differ.
            (SlotPick::RoundRobin, None) => (self.next.fetch_add(1, Ordering::Relaxed) % limit, true),
            (SlotPick::Lowest, None) => (0, false),
            _ => (self.dice.below(u64::from(limit)) as u32, false),
        };
        match self.find(from, limit, in_order, false) {
            Some((index, filled)) if self.grab(index, filled) => self.slot(index, filled),
            _ => self.choose_again(from, in_order),
        }
    }

    /// Another thread was faster, or released a slot behind the search.
    #[cold]
    #[inline(never)]
    fn choose_again(&self, from: u32, in_order: bool) -> Slot {
        loop {
            let (limit, in_use) = self.count.numbers();
            // If the pool was made smaller after the request was counted, all slots below the limit
            // may be in use. The request came first and is granted one beyond it.
            let to = if in_use > limit { MAX_SLOTS } else { limit as u32 };
            match self.find(from, to, in_order, true) {
                Some((index, filled)) if self.grab(index, filled) => return self.slot(index, filled),
                Some(_) => {}
                None => pause(),
            }
        }
    }

    /// Returns a free slot, and whether it has a resource.
    #[inline(always)]
    fn find(&self, from: u32, to: u32, in_order: bool, thorough: bool) -> Option<(u32, bool)> {
        let idle = self.idle.next(from, to, thorough);
        if let Some(idle) = idle
            && !in_order
        {
            return Some((idle, true));
        }
        let empty = self.empty.next(from, to, thorough);
        // The distance from `from` on, around the end.
        let distance = |n: u32| n.wrapping_sub(from);
        match (idle, empty) {
            (Some(idle), Some(empty)) if distance(empty) < distance(idle) => Some((empty, false)),
            (Some(idle), _) => Some((idle, true)),
            (None, empty) => empty.map(|empty| (empty, false)),
        }
    }

    #[inline(always)]
    fn grab(&self, index: u32, filled: bool) -> bool {
        if filled { self.idle.remove(index) } else { self.empty.remove(index) }
    }

    #[inline(always)]
    fn slot(&self, index: u32, filled: bool) -> Slot {
        let generation = self.generations.get(index);
        // Relaxed: the removal from the bitmap has acquired what the last holder did.
        let generation = generation.map_or(0, |generation| generation.load(Ordering::Relaxed));
        Slot { index, generation, filled }
    }

    /// Returns whether this slot is free and has a resource. Only a hint.
    pub(crate) fn is_idle(&self, index: u32) -> bool {
        self.idle.contains(index)
    }

    /// Takes this slot if it is free and has a resource. It counts as in use.
    ///
    /// `Err` if it cannot be taken, with whether callers wait: they must be admitted then.
    pub(crate) fn seize_idle(&self, index: u32) -> Result<Slot, bool> {
        match self.count.start(true) {
            Start::Go(_) if self.idle.remove(index) => Ok(self.slot(index, true)),
            Start::Go(place) => Err(self.count.finish(place)),
            _ => Err(false),
        }
    }

    /// Ends the generation of a permit's token. Returns `false` if it was released before.
    #[inline(always)]
    pub(crate) fn redeem(&self, slot: &Slot) -> bool {
        let next = slot.generation.wrapping_add(1);
        self.generations.get(slot.index).is_some_and(|generation| {
            // Relaxed: it orders nothing. It fails if the same token is released a second time.
            let swap =
                generation.compare_exchange(slot.generation, next, Ordering::Relaxed, Ordering::Relaxed);
            swap.is_ok()
        })
    }

    /// Returns whether a slot is beyond the limit, or the pool closed. No resource may stay in it.
    #[inline(always)]
    pub(crate) fn is_retired(&self, index: u32) -> bool {
        // After a release, this is decisive. Either the word states here that the pool was closed
        // or made smaller, or the thread that does so sees the resource that was put in before.
        index >= self.limit() || self.is_closed()
    }

    /// Returns the tasks that wait until the pool is drained.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Returns whether the pool is closed and no slot is in use.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_closed() && self.in_use() == 0
    }

    /// Wakes the tasks that wait until the pool is drained, if it is.
    #[cold]
    pub(crate) fn wake_if_drained(&self) {
        if self.is_drained() {
            self.watchers.wake_all();
        }
    }
}

impl Capacity for Slots {
    type Token = Slot;

    #[inline]
    fn start(&self, newcomer: bool) -> Start<Slot> {
        self.take(newcomer, None)
    }

    #[inline(always)]
    fn finish(&self, slot: Slot) -> bool {
        // The bit first: a request that is counted after this finds the slot.
        if slot.filled {
            self.idle.insert(slot.index)
        } else {
            self.empty.insert(slot.index)
        }
        let waiting = self.count.finish(Place::unpack(Words::default()));
        if self.count.is_closed() {
            self.wake_if_drained();
        }
        waiting
    }

    fn set_waiting(&self, any: bool) {
        self.count.set_waiting(any);
    }

    fn close(&self) {
        self.count.close();
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.count.is_closed()
    }

    #[inline]
    fn numbers(&self) -> (u64, u64) {
        self.count.numbers()
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("limit", &self.limit()).field("in_use", &self.in_use()).finish()
    }
}
