//! The conversion of time into the ticks of a sliding window.

use crate::Instant;

/// The bits of a tick. The ticks of a window of a millisecond wrap around after 80 days.
pub(super) const TICK_BITS: u32 = 36;
pub(super) const TICKS: u64 = (1 << TICK_BITS) - 1;

/// The number of ticks that a change of the span skips.
///
/// It must exceed the time from the reading of the clock to the store of the new scale, during
/// which other threads count by the old one. It is 3.2 s for a span of 1 ms.
pub(super) const SKIP: u64 = 1 << 15;

/// The conversion of time into ticks: the length of a slice and an offset.
///
/// One word holds both, so that a thread that counts while the span changes does not mix two
/// scales.
///
/// ```text
/// 28 bits: m │ 30 bits: the offset, a multiple of 64 ticks │ 6 bits: e
/// ```
///
/// m · 2ᵉ is 2⁶⁴ divided by the length of a slice in nanoseconds, because a multiplication is
/// several times faster than a division. It is rounded down, so slices are never shorter. For spans
/// up to five hours they are longer by less than one part in 10⁷. For longer spans, the error grows
/// in proportion.
#[derive(Clone, Copy)]
pub(super) struct Scale(pub(super) u64);

const M_SHIFT: u32 = TICK_BITS;
const M_BITS: u32 = u64::BITS - TICK_BITS;
const OFFSET: u64 = TICKS - (OFFSET_STEP - 1);
const OFFSET_STEP: u64 = 1 << 6;

impl Scale {
    /// Returns the scale for slices of `slice` nanoseconds, without an offset.
    pub(super) fn new(slice: u64) -> Self {
        let per_nano = u64::MAX / slice;
        let e = (u64::BITS - per_nano.leading_zeros()).saturating_sub(M_BITS);
        Scale((per_nano >> e) << M_SHIFT | u64::from(e))
    }

    /// Returns this scale with an offset by which its ticks continue those of `before`.
    ///
    /// They skip [`SKIP`] ticks. So events that the old scale dates up to that many ticks after
    /// `now` are not seen, even if they are stored late.
    pub(super) fn after(self, before: Scale, now: Instant) -> Self {
        let behind = before.tick(now).wrapping_sub(self.tick(now));
        Scale(self.0 | behind.wrapping_add(SKIP + OFFSET_STEP - 1) & OFFSET)
    }

    /// Returns the tick of this time.
    #[inline]
    pub(super) fn tick(self, now: Instant) -> u64 {
        // The shift uses only the lowest six bits: e.
        let per_nano = (self.0 >> M_SHIFT).wrapping_shl(self.0 as u32);
        let tick = (u128::from(now.as_nanos()) * u128::from(per_nano)) >> 64;
        (tick as u64).wrapping_add(self.0 & OFFSET)
    }
}
