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
            let fresh = overflow.free(EMPTY, rate.interval, now).map_or(now, |free| free.max(now));
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
        (overflow.free(EMPTY, rate.interval, now).unwrap_or(now), Reason::Throttled)
    }

    /// Returns the interval and the state of entry `n`, if it is that of an account for whose hash
    /// `is_owner` returns `true`.
    pub(crate) fn read(&self, n: u32, is_owner: impl FnOnce(u64) -> bool) -> Option<(u64, u64)> {
        let entry = self.table.at(n)?;
        let hash = entry.hash();
        let is_own = hash != EMPTY && is_owner(hash);
        is_own.then(|| entry.read(hash)).flatten().map(|(tag, free)| (interval_of(tag), free))
    }

    /// Refunds units that were taken from entry `n` at `at`, by `interval`.
    pub(crate) fn refund(&self, n: u32, now: u64, units: u32, at: u64, interval: u64) {
        if let Some(entry) = self.table.at(n) {
            entry.refund(now, units, at, interval);
        }
    }
}
