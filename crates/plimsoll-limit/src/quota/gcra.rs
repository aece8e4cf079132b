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
    /// The maximum number of units in any window, or 0 if the quota does not limit those.
    pub(crate) at_most: u32,
}

/// Units that a larger burst does not give to buckets that were forgiven as many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Withheld {
    pub(crate) units: u32,
    /// Such a bucket owes units until this instant at least, by the new rate.
    pub(crate) from: u64,
}

/// The instant of a request for more units than the burst.
pub(crate) const NEVER: u64 = u64::MAX;

impl Rate {
    /// Returns a rate from its two words.
    #[inline(always)]
    pub(crate) fn new(interval: u64, units: u64) -> Self {
        Rate { interval, burst: (units >> 32) as u32, at_most: units as u32 }
    }

    /// Returns the burst, and in the lower half the units of any window.
    pub(crate) fn units(self) -> u64 {
        u64::from(self.burst) << 32 | u64::from(self.at_most)
    }

    /// Returns the time in which the whole burst is replenished.
    #[inline(always)]
    pub(crate) fn span(self) -> u64 {
        self.cost(self.burst)
    }

    #[inline(always)]
    fn cost(self, units: u32) -> u64 {
        self.interval.saturating_mul(u64::from(units))
    }

    /// Returns whether the quota limits the units of any window, which takes the precise clock.
    #[inline(always)]
    pub(crate) fn is_exact(self) -> bool {
        self.at_most > 0
    }

    /// Takes `units` at `now`. Returns the next `free`, or the instant before which there are not
    /// enough.
    #[inline(always)]
    pub(crate) fn take(self, free: u64, now: u64, units: u32) -> Result<u64, u64> {
        if units > self.burst { Err(NEVER) } else { self.take_some(free, now, units) }
    }

    /// The same for at most the burst.
    #[inline(always)]
    pub(crate) fn take_some(self, free: u64, now: u64, units: u32) -> Result<u64, u64> {
        // Wrapping: the burst takes 2⁶¹ ns at most, and twice that is owed at most, so these sums
        // wrap at the end of time only.
        let next = free.max(now).wrapping_add(self.interval * u64::from(units));
        let span = self.interval * u64::from(self.burst);
        if next <= now.wrapping_add(span) { Ok(next) } else { Err(next.wrapping_sub(span)) }
    }

    /// Returns the instant before which there are not `units`, if `owed` is charged first.
    pub(crate) fn not_before(self, free: u64, owed: u64, now: u64, units: u32) -> Option<u64> {
        if units > self.burst {
            return Some(NEVER);
        }
        let next = free.max(now).saturating_add(owed).saturating_add(self.cost(units));
        Some(next.saturating_sub(self.span())).filter(|at| *at > now)
    }

    /// Returns the number of whole units that remain at `now`.
    pub(crate) fn remaining(self, free: u64, now: u64) -> u32 {
        let remaining = self.span().saturating_sub(free.saturating_sub(now)) / self.interval.max(1);
        u32::try_from(remaining).unwrap_or(u32::MAX)
    }

    /// Returns the longest time that is ever owed: a burst, and a burst of debt less one unit. A
    /// request for one unit waits for at most the time in which the burst is replenished.
    pub(crate) fn max_owed(self) -> u64 {
        self.span().saturating_mul(2).saturating_sub(self.interval)
    }

    /// Charges `units` for work that was done at `now`, whether or not there are enough. What
    /// exceeds [`max_owed`](Self::max_owed) is not charged.
    pub(crate) fn charged(self, free: u64, now: u64, units: u32) -> u64 {
        let max = now.saturating_add(self.max_owed()).max(free);
        free.max(now).saturating_add(self.cost(units)).min(max)
    }

    /// Converts `free` from an interval of `from`: as many units are owed at `now` as before,
    /// rounded up, and those that are `withheld`, but at most `max` nanoseconds.
    pub(crate) fn carried(self, free: u64, now: u64, from: u64, withheld: u32, max: u64) -> u64 {
        let owed = u128::from(free.saturating_sub(now));
        let owed = (owed * u128::from(self.interval)).div_ceil(u128::from(from.max(1)));
        let owed = u64::try_from(owed).unwrap_or(u64::MAX).saturating_add(self.cost(withheld));
        now.saturating_add(owed.min(max))
    }

    /// The same, with what is [`Withheld`].
    pub(crate) fn recounted(self, free: u64, now: u64, from: u64, withheld: Withheld, max: u64) -> u64 {
        let carried = |units| self.carried(free, now, from, units, max);
        let before = carried(0);
        if withheld.units > 0 && before >= withheld.from { carried(withheld.units) } else { before }
    }

    /// Returns the units and the window that the quota's author stated.
    #[inline(always)]
    pub(crate) fn stated(self) -> (u64, u64) {
        match self.at_most {
            0 => (u64::from(self.burst), self.span()),
            units => (u64::from(units), stated_window(self.interval, units.saturating_sub(self.burst))),
        }
    }
}

/// Returns the window in which `further` units beyond the burst may be taken.
///
/// For units in any window these are not the burst and the time in which it is replenished. The
/// interval was rounded up from the window, which is found as the roundest number that it can have
/// been.
#[inline(never)]
fn stated_window(interval: u64, further: u32) -> u64 {
    let parts = u64::from(further) + 1;
    let least = interval.saturating_sub(1).saturating_mul(parts);
    let most = least.saturating_add(parts - 1);
    let rounds = [1_000_000_000, 1_000_000, 1_000, 1];
    let window = rounds.into_iter().map(|unit| most - most % unit).find(|&window| window >= least);
    window.unwrap_or(least)
}

/// Refunds what `units` cost more than `kept` units, if they were taken at `at`. Units that were
/// replenished meanwhile are not returned twice.
///
/// All of them are replenished `units` intervals after `at` at the earliest. At least the time from
/// now until then is still owed for them, whatever other requests took or refunded. So a refund
/// never returns more than there would be if only `kept` units had been taken.
pub(crate) fn refunded(free: u64, now: u64, interval: u64, [units, kept]: [u32; 2], at: u64) -> u64 {
    let elapsed = now.saturating_sub(at);
    let owed = |units: u32| interval.saturating_mul(u64::from(units)).saturating_sub(elapsed);
    free - owed(units).saturating_sub(owed(kept)).min(free.saturating_sub(now))
}
