//! The generic cell rate algorithm (ATM Forum, *Traffic Management Specification* 4.0, 1996): a
//! token bucket that stores an instant instead of a count.
//!
//! Numbers in, numbers out. The state is `free`, the instant from which no unit is owed, which the
//! specification calls the theoretical arrival time. Each unit postpones it by one interval. All
//! times are in nanoseconds.

/// The interval at which units are replenished, and the maximum number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) interval: u64,
    pub(crate) burst: u32,
}

/// The instant of a request for more units than the burst.
pub(crate) const NEVER: u64 = u64::MAX;

impl Rate {
    /// Returns the time in which the whole burst is replenished.
    #[inline(always)]
    pub(crate) fn span(self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst))
    }

    /// Takes `units` at `now`. Returns the next `free`, or the instant before which there are not
    /// enough.
    #[inline(always)]
    pub(crate) fn take(self, free: u64, now: u64, units: u32) -> Result<u64, u64> {
        if units > self.burst {
            return Err(NEVER);
        }
        let cost = self.interval.saturating_mul(u64::from(units));
        let next = free.max(now).saturating_add(cost);
        let earliest = next.saturating_sub(self.span());
        if earliest <= now { Ok(next) } else { Err(earliest) }
    }

    /// Returns the number of whole units that remain at `now`.
    pub(crate) fn remaining(self, free: u64, now: u64) -> u32 {
        let remaining = self.span().saturating_sub(free.saturating_sub(now)) / self.interval.max(1);
        u32::try_from(remaining).unwrap_or(u32::MAX)
    }
}

/// Converts `free` from an interval of `from` to one of `to`: as many units are owed at `now` as
/// before, rounded up.
pub(crate) fn rescaled(free: u64, now: u64, from: u64, to: u64) -> u64 {
    let owed = u128::from(free.saturating_sub(now));
    let owed = (owed * u128::from(to)).div_ceil(u128::from(from.max(1)));
    now.saturating_add(u64::try_from(owed).unwrap_or(u64::MAX / 4).min(u64::MAX / 4))
}

/// Refunds `units` that were taken at `at`. Units that were replenished meanwhile are not returned
/// twice.
///
/// All of them are replenished `units` intervals after `at` at the earliest. At least the time from
/// now until then is still owed for them, whatever other requests took or refunded. So a refund
/// never returns more than was taken.
pub(crate) fn refunded(free: u64, now: u64, interval: u64, units: u32, at: u64) -> u64 {
    let cost = interval.saturating_mul(u64::from(units));
    let owed = cost.saturating_sub(now.saturating_sub(at)).min(free.saturating_sub(now));
    free - owed
}
