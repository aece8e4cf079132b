//! The rule: a generic cell rate algorithm (ATM Forum, *Traffic Management Specification* 4.0, 1996), which is
//! a token bucket that keeps a time in place of a count.
//!
//! A machine: numbers in, numbers out. What is kept is the instant at which nothing will be owed any more
//! (`free`, the theoretical arrival time); a unit pushes it back by one interval, and time catches up with
//! it. All times are nanoseconds.

/// How fast units come back, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) interval: u64,
    pub(crate) burst: u32,
}

/// Of a request for more than there ever is.
pub(crate) const NEVER: u64 = u64::MAX;

impl Rate {
    /// The time in which all that there is comes back.
    #[inline(always)]
    pub(crate) fn span(self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst))
    }

    /// Takes `units` at `now`: the next `free`, or the instant before which there are not so many.
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

    /// How many whole units are left at `now`.
    pub(crate) fn remaining(self, free: u64, now: u64) -> u32 {
        let remaining = self.span().saturating_sub(free.saturating_sub(now)) / self.interval.max(1);
        u32::try_from(remaining).unwrap_or(u32::MAX)
    }
}

/// What is owed at `now`, with intervals of `to` in place of `from`: so many units as before, rounded up.
pub(crate) fn rescaled(free: u64, now: u64, from: u64, to: u64) -> u64 {
    let owed = u128::from(free.saturating_sub(now));
    let owed = (owed * u128::from(to)).div_ceil(u128::from(from.max(1)));
    now.saturating_add(u64::try_from(owed).unwrap_or(u64::MAX / 4).min(u64::MAX / 4))
}

/// Gives `units` back that were taken at `at`: what has come back of them meanwhile is not given twice.
///
/// At the earliest they had all come back one interval each after `at`; so much is certainly still owed
/// for them as is left until then, whatever others took or gave back. Nobody ever gains by it.
pub(crate) fn refunded(free: u64, now: u64, interval: u64, units: u32, at: u64) -> u64 {
    let cost = interval.saturating_mul(u64::from(units));
    let owed = cost.saturating_sub(now.saturating_sub(at)).min(free.saturating_sub(now));
    free - owed
}
