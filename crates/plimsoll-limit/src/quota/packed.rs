//! Intervals in a packed charge: their leading bits, and the number of those that are dropped.
//!
//! They are rounded down. A refund by a shorter interval is smaller, so it is never too large.

/// The bits of the number of dropped bits.
const DROPPED: u32 = 6;

/// Packs the `kept` leading bits of an interval. It takes six bits more.
pub(crate) fn packed(interval: u64, kept: u32) -> u64 {
    let dropped = (u64::BITS - interval.leading_zeros()).saturating_sub(kept);
    u64::from(dropped) << kept | interval >> dropped
}

/// Unpacks what [`packed`] returned. Higher bits are ignored.
pub(crate) fn unpacked(word: u64, kept: u32) -> u64 {
    let dropped = word >> kept & ((1 << DROPPED) - 1);
    (word & ((1 << kept) - 1)) << dropped
}

/// Returns the interval of a charge that was unpacked: the present one, if it rounds to the same.
pub(crate) fn restored(interval: u64, present: u64, kept: u32) -> u64 {
    if unpacked(packed(present, kept), kept) == interval { present } else { interval }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_interval_is_exact_or_a_little_shorter() {
        for kept in [12, 20, 27] {
            for interval in [0, 1, 4_095, 4_096, 1_000_000, 1_000_000_007, (1 << 55) - 1] {
                let word = packed(interval, kept);
                assert!(word >> (kept + DROPPED) == 0, "{interval}");
                let after = unpacked(u64::MAX << (kept + DROPPED) | word, kept);
                assert!(
                    after <= interval && interval - after <= interval >> (kept - 1),
                    "{interval}: {after}"
                );
                assert!(after == interval || interval >> kept > 0, "{interval} fits");
                assert_eq!((restored(after, interval, kept), restored(after, 7, kept)), (interval, after));
            }
        }
    }
}
