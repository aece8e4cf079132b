//! A table of accounts with quotas: what [`KeyedRateLimiter`](crate::KeyedRateLimiter),
//! [`TieredRateLimiter`](crate::TieredRateLimiter) and the caps of a
//! [`FairRateLimiter`](crate::FairRateLimiter) have in common.

use super::Table;
use super::entry::{EMPTY, Taken, interval_of};
use crate::quota::gcra::{NEVER, Rate};
use plimsoll_core::{Dice, Reason};

/// A table whose states follow the generic cell rate algorithm.
#[derive(Debug)]
pub(crate) struct GcraTable {
    pub(crate) table: Table,
}

/// An account has not enough units. Nothing was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotBefore {
    /// The instant at which there will be enough, or [`NEVER`].
    pub(crate) at: u64,
    /// Whether the units are those of an overflow entry.
    shared: bool,
}

impl NotBefore {
    #[inline(always)]
    fn own(at: u64) -> Self {
        NotBefore { at, shared: false }
    }

    /// Returns the reason to reject the request. Units of an overflow entry are shared: another
    /// account may have used them up.
    #[inline(always)]
    pub(crate) fn reason(self) -> Reason {
        if self.shared { Reason::Throttled } else { Reason::Limited }
    }
}

impl GcraTable {
    pub(crate) fn new(accounts: usize, dice: &Dice) -> Self {
        GcraTable { table: Table::new(accounts, dice) }
    }

    /// Takes units from an account. Returns the number of its entry, or the instant from which
    /// there are enough.
    #[inline(always)]
    pub(crate) fn take(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Result<u32, NotBefore> {
        if let Some((n, entry)) = self.table.find(hash) {
            match entry.take(hash, rate, now, units) {
                Taken::Yes => return Ok(n),
                Taken::NotBefore(at) => return Err(NotBefore::own(at)),
                Taken::Gone => {}
            }
        }
        self.take_new(hash, rate, now, units)
    }

    /// Takes units from an account without an entry: it is new, or was evicted.
    #[cold]
    #[inline(never)]
    fn take_new(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Result<u32, NotBefore> {
        if units > rate.burst {
            return Err(NotBefore::own(NEVER));
        }
        loop {
            // An account whose quota has fully replenished has nothing to remember. The one whose
            // quota has been full for longest is evicted first.
            let rank = |free: u64| (free < now).then_some(free);
            // What is owed in the overflow entry may have been taken by this account. If it did not
            // count, the account would have two quotas.
            let (_, overflow) = self.table.overflow_entry(hash);
            let fresh = overflow.free(EMPTY, rate, now).map_or(now, |free| free.max(now));
            let Some((n, entry)) = self.table.move_in(hash, rate.interval, fresh, rank) else {
                let (n, entry) = self.table.shared(hash);
                return match entry.take(EMPTY, rate, now, units) {
                    Taken::NotBefore(at) => Err(NotBefore { at, shared: true }),
                    _ => Ok(n),
                };
            };
            match entry.take(hash, rate, now, units) {
                Taken::Yes => return Ok(n),
                Taken::NotBefore(at) => return Err(NotBefore::own(at)),
                // Another account has moved in already.
                Taken::Gone => {}
            }
        }
    }

    /// Returns the instant from which an account owes nothing. Takes nothing.
    ///
    /// If the interval has changed, the account is counted by the new one from now on. This must
    /// happen to rejected accounts, too, so that what they owe is replenished by the new interval.
    #[inline]
    pub(crate) fn free(&self, hash: u64, rate: Rate, now: u64) -> u64 {
        let own = self.table.find(hash).and_then(|(_, entry)| entry.counted(hash, rate, now));
        own.unwrap_or(now)
    }

    /// Returns the instant from which nothing is owed in the entry that a request of this account
    /// waits for, and the reason to reject another one until then.
    #[cold]
    pub(crate) fn free_or_overflow(&self, hash: u64, rate: Rate, now: u64) -> (u64, Reason) {
        if self.table.find(hash).is_some() {
            return (self.free(hash, rate, now), Reason::Limited);
        }
        let (_, overflow) = self.table.overflow_entry(hash);
        (overflow.free(EMPTY, rate, now).unwrap_or(now), Reason::Throttled)
    }

    /// Returns the interval and the state of an account that has an entry of its own.
    pub(crate) fn state(&self, hash: u64) -> Option<(u64, u64)> {
        let (_, entry) = self.table.find(hash)?;
        entry.read(hash).map(|(tag, free)| (interval_of(tag), free))
    }

    /// Refunds all but the kept ones of `units` that an account was charged at `at`, by `interval`:
    /// in its own entry, or in the overflow entry if that was charged.
    ///
    /// If the account was evicted meanwhile, its units had been replenished.
    pub(crate) fn refund(
        &self,
        hash: u64,
        by_overflow: bool,
        now: u64,
        units: [u32; 2],
        at: u64,
        interval: u64,
    ) {
        let charged = if by_overflow { Some(self.table.overflow_entry(hash)) } else { self.table.find(hash) };
        if let Some((_, entry)) = charged {
            entry.refund(now, units, at, interval);
        }
    }

    /// Charges an account for work that was done, whether or not it has enough units.
    pub(crate) fn charge(&self, hash: u64, rate: Rate, now: u64, units: u32) {
        // A charge of nothing gives a new account an entry, if there is room.
        let _ = self.take(hash, rate, now, 0);
        let is_own = self.table.find(hash).is_some_and(|(_, entry)| entry.charge(hash, rate, now, units));
        if !is_own {
            self.table.overflow_entry(hash).1.charge(EMPTY, rate, now, units);
        }
    }

    /// Gives an account up to `units`, if it has an entry of its own.
    pub(crate) fn credit(&self, hash: u64, now: u64, units: u32) {
        if let Some((_, entry)) = self.table.find(hash) {
            entry.credit(hash, now, units);
        }
    }
}
