//! The slots of a pool: how many are in use, and which ones are free.
//!
//! One atomic word counts the slots in use. A request that is counted has a slot for certain, and a
//! rejection costs no search.
//!
//! The word also says which of the first slots are free, the near ones. If there are no others, a
//! request is counted and takes its slot in one step. Otherwise it is counted, and then looks for a
//! free slot among the near ones and in two bitmaps. A release comes in the reverse order. So there
//! is a free slot for each request that was counted.
//!
//! A token is the index of a slot and a generation. A permit's release raises the generation. So a
//! token that is released twice never releases the slot of a later holder.

use crate::bitmap::{Bitmap, after, below};
use crate::chunks::Chunks;
use crate::count::{Count, NEAR};
use crate::slot::Slot;
use crate::watchers::Watchers;
use plimsoll_core::Dice;
use plimsoll_core::parts::sync::{AtomicU32, AtomicU64, Mutex, Ordering, pause, recover};
use plimsoll_core::parts::{Capacity, Start};
use std::fmt;
use std::sync::atomic;

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
    count: Count,
    // The near slots with a resource. Changed by the holder of a slot before its release.
    filled: AtomicU64,
    // The other free slots with a resource, and those without. A slot in use is in neither.
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
            count: Count::new(),
            filled: AtomicU64::new(0),
            idle: Bitmap::new(),
            empty: Bitmap::new(),
            generations: Chunks::new(),
            next: AtomicU32::new(0),
            pick: (pick as u8).into(),
            dice,
            existing: Mutex::new(NEAR),
            watchers: Watchers::default(),
        };
        slots.resize(limit);
        slots
    }

    /// Returns the number of slots.
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.count.seen().limit()
    }

    /// Returns the number of slots in use.
    #[inline]
    pub(crate) fn in_use(&self) -> u32 {
        self.count.seen().in_use()
    }

    /// Returns the number of free slots with a resource. It reads the bit of every slot.
    pub(crate) fn idle(&self) -> usize {
        let seen = self.count.seen();
        if seen.is_closed() {
            return 0;
        }
        let near = seen.free() & self.filled.load(Ordering::Relaxed) & below(seen.limit());
        (near.count_ones() + self.idle.count(seen.limit())) as usize
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
        // A slot that was beyond the limit has lost its resource.
        self.filled.fetch_and(below(self.limit()) | !below(limit), Ordering::Relaxed);
        for index in self.limit().max(NEAR)..limit {
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
        let mut seen = self.count.seen();
        if let Some(refusal) = seen.refusal(newcomer) {
            return refusal;
        }
        let (from, in_order) = self.start_of_search(seen.limit(), hash);
        while seen.limit() <= NEAR {
            let free = seen.free() & below(seen.limit());
            let filled = free & self.filled.load(Ordering::Relaxed);
            let Some(index) = after(from, if in_order || filled == 0 { free } else { filled }) else { break };
            match self.count.start(seen, 1 << index) {
                Ok(()) => return Start::Go(self.near_slot(index)),
                Err(now) => seen = now,
            }
            if let Some(refusal) = seen.refusal(newcomer) {
                return refusal;
            }
        }
        self.take_of_many(newcomer, from, in_order)
    }

    /// Returns where the search for a free slot starts, and whether it takes the next one from
    /// there, with a resource or without.
    #[inline(always)]
    fn start_of_search(&self, limit: u32, hash: Option<u64>) -> (u32, bool) {
        match (self.pick(), hash) {
            // The high bits of the product spread any number of slots evenly, without a division.
            (_, Some(hash)) => (((u128::from(hash) * u128::from(limit)) >> 64) as u32, true),
            // Relaxed: the values only have to differ.
            (SlotPick::RoundRobin, None) => (self.next.fetch_add(1, Ordering::Relaxed) % limit, true),
            (SlotPick::Lowest, None) => (0, false),
            _ => (self.dice.below(u64::from(limit)) as u32, false),
        }
    }

    /// Takes a slot of a pool that has others than near ones.
    #[inline(never)]
    fn take_of_many(&self, newcomer: bool, from: u32, in_order: bool) -> Start<Slot> {
        let mut seen = self.count.seen();
        loop {
            if let Some(refusal) = seen.refusal(newcomer) {
                return refusal;
            }
            match self.count.start(seen, 0) {
                Ok(()) => break,
                Err(now) => seen = now,
            }
        }
        let found = self.find(from, seen.limit(), in_order, false);
        let slot = found.and_then(|(index, filled)| self.grab(index, filled));
        Start::Go(slot.unwrap_or_else(|| self.choose_again(from, in_order)))
    }

    /// Another thread was faster, or released a slot behind the search.
    #[cold]
    #[inline(never)]
    fn choose_again(&self, from: u32, in_order: bool) -> Slot {
        loop {
            let seen = self.count.seen();
            // If the pool was made smaller after the request was counted, all slots below the limit
            // may be in use. The request came first and is granted one beyond it.
            let to = if seen.in_use() > seen.limit() { MAX_SLOTS } else { seen.limit() };
            let Some((index, filled)) = self.find(from, to, in_order, true) else {
                pause();
                continue;
            };
            if let Some(slot) = self.grab(index, filled) {
                return slot;
            }
        }
    }

    /// Returns a free slot, and whether it has a resource. Only a hint: [`grab`](Self::grab)
    /// decides.
    #[inline(always)]
    fn find(&self, from: u32, to: u32, in_order: bool, thorough: bool) -> Option<(u32, bool)> {
        let near = self.count.seen().free() & below(to);
        let filled = self.filled.load(Ordering::Relaxed);
        // The distance from `from` on, around the end.
        let distance = |n: u32| n.wrapping_sub(from);
        let next = |near: u64, others: &Bitmap| {
            let next = [after(from, near), others.next(from, to, thorough)];
            next.into_iter().flatten().min_by_key(|&n| distance(n))
        };
        let idle = next(near & filled, &self.idle);
        if let Some(idle) = idle
            && !in_order
        {
            return Some((idle, true));
        }
        let empty = next(near & !filled, &self.empty);
        match (idle, empty) {
            (Some(idle), Some(empty)) if distance(empty) < distance(idle) => Some((empty, false)),
            (Some(idle), _) => Some((idle, true)),
            (None, empty) => empty.map(|empty| (empty, false)),
        }
    }

    /// Takes this slot for a request that was counted, if it is still free.
    #[inline(always)]
    fn grab(&self, index: u32, filled: bool) -> Option<Slot> {
        if index < NEAR {
            // Another thread may have held it since, and put a resource in or taken it out.
            return self.count.grab(1 << index).then(|| self.near_slot(index));
        }
        let others = if filled { &self.idle } else { &self.empty };
        others.remove(index).then(|| self.slot(index, filled))
    }

    #[inline(always)]
    fn near_slot(&self, index: u32) -> Slot {
        // Relaxed: the count has acquired what the last holder did.
        self.slot(index, self.filled.load(Ordering::Relaxed) >> index & 1 != 0)
    }

    #[inline(always)]
    fn slot(&self, index: u32, filled: bool) -> Slot {
        let generation = self.generations.get(index);
        // Relaxed: as the slot was taken, what the last holder did was acquired.
        let generation = generation.map_or(0, |generation| generation.load(Ordering::Relaxed));
        Slot::new(index, generation, filled)
    }

    /// Returns whether this slot is free and has a resource. Only a hint.
    pub(crate) fn is_idle(&self, index: u32) -> bool {
        if index < NEAR {
            let idle = self.count.seen().free() & self.filled.load(Ordering::Relaxed);
            return idle >> index & 1 != 0;
        }
        self.idle.contains(index)
    }

    /// Takes this slot if it is free and seems to have a resource. It counts as in use.
    ///
    /// `Err` if it cannot be taken, with whether callers wait: they must be admitted then.
    pub(crate) fn seize_idle(&self, index: u32) -> Result<Slot, bool> {
        let mut seen = self.count.seen();
        loop {
            if seen.refusal::<()>(true).is_some() {
                return Err(false);
            }
            match self.count.start(seen, 0) {
                Ok(()) => return self.grab(index, true).ok_or_else(|| self.count_out(0)),
                Err(now) => seen = now,
            }
        }
    }

    /// Ends a request that was counted, and frees the near slots of `bits`. Returns whether callers
    /// wait.
    #[inline(always)]
    fn count_out(&self, bits: u64) -> bool {
        let seen = self.count.finish(bits);
        if seen.is_closed() {
            self.wake_if_drained();
        }
        seen.is_waiting()
    }

    /// Notes whether a near slot has a resource. Called by its holder.
    #[cold]
    fn set_filled(&self, bit: u64, filled: bool) {
        // Relaxed: published with the slot.
        if filled {
            self.filled.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.filled.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Ends the generation of a permit's token. Returns `false` if it was released before.
    #[inline(always)]
    pub(crate) fn redeem(&self, slot: &Slot) -> bool {
        let (own, next) = (slot.generation(), slot.generation().wrapping_add(1));
        self.generations.get(slot.index()).is_some_and(|generation| {
            // Relaxed: it orders nothing. It fails if the same token is released a second time.
            generation.compare_exchange(own, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    /// Returns whether a slot is beyond the limit, or the pool closed. No resource may stay in it.
    #[inline(always)]
    pub(crate) fn is_retired(&self, index: u32) -> bool {
        // After a release, this is decisive. Either the word states here that the pool was closed
        // or made smaller, or the thread that does so sees the resource that was put in before.
        let seen = self.count.seen();
        index >= seen.limit() || seen.is_closed()
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
        let (index, filled) = (slot.index(), slot.is_filled());
        let bit = if index < NEAR { 1 << index } else { 0 };
        // Before the count: a request that is counted after this finds the slot.
        if bit == 0 {
            if filled { &self.idle } else { &self.empty }.insert(index);
        } else if (self.filled.load(Ordering::Relaxed) & bit != 0) != filled {
            self.set_filled(bit, filled);
        }
        self.count_out(bit)
    }

    fn set_waiting(&self, any: bool) {
        self.count.set_waiting(any);
    }

    fn close(&self) {
        self.count.close();
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.count.seen().is_closed()
    }

    #[inline]
    fn numbers(&self) -> (u64, u64) {
        let seen = self.count.seen();
        (u64::from(seen.limit()), u64::from(seen.in_use()))
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("limit", &self.limit()).field("in_use", &self.in_use()).finish()
    }
}
