//! A slot in use, in one word.

use plimsoll_core::{Pack, Words};
use std::fmt;

/// A slot in use: the token of a pool. Plain data.
#[derive(PartialEq, Eq)]
#[must_use = "a slot that is not released stays in use for ever"]
#[doc(alias = "seat")]
pub struct Slot {
    // The index, `FILLED`, and the generation in the upper half. One word, because a slot is moved
    // with every lease: several fields would be read back in other pieces than they were written
    // in, which stalls the processor for longer than a checkout takes.
    word: u64,
}

const FILLED: u64 = 1 << 31;

impl Slot {
    #[inline(always)]
    pub(crate) fn new(index: u32, generation: u32, filled: bool) -> Self {
        let slot = Slot { word: u64::from(generation) << 32 | u64::from(index) };
        slot.filled_if(filled)
    }

    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        (self.word & (FILLED - 1)) as u32
    }

    #[inline(always)]
    pub(crate) fn generation(&self) -> u32 {
        (self.word >> 32) as u32
    }

    /// Returns whether the slot is free with a resource once it is released. A hint: the cell
    /// decides.
    #[inline(always)]
    pub(crate) fn is_filled(&self) -> bool {
        self.word & FILLED != 0
    }

    #[inline(always)]
    pub(crate) fn filled_if(self, filled: bool) -> Self {
        Slot { word: self.word & !FILLED | if filled { FILLED } else { 0 } }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("index", &self.index())
            .field("generation", &self.generation())
            .field("filled", &self.is_filled())
            .finish()
    }
}

impl Pack for Slot {
    fn pack(self) -> Words {
        [u64::from(self.index()), u64::from(self.generation()), u64::from(self.is_filled()), 0]
    }
    fn unpack([index, generation, filled, ..]: Words) -> Self {
        Slot::new(index as u32 & !(FILLED as u32), generation as u32, filled != 0)
    }
}
