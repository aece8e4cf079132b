//! The same rule for every account, in a table: what [`KeyedRateLimiter`](crate::KeyedRateLimiter) and
//! [`TieredRateLimiter`](crate::TieredRateLimiter) have in common.

use super::Table;
use super::entry::{EMPTY, Taken};
use crate::quota::gcra::{NEVER, Rate};
use plimsoll_core::{Dice, Reason};

#[derive(Debug)]
pub(crate) struct GcraTable {
    pub(crate) table: Table,
}

/// An account has not enough units, and none were taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotBefore {
    /// The instant at which there will be enough, or [`NEVER`].
    pub(crate) at: u64,
    /// Whether they are the units of an overflow entry.
    shared: bool,
}

impl NotBefore {
    #[inline(always)]
    fn own(at: u64) -> Self {
        NotBefore { at, shared: false }
    }

    /// The reason to reject the request. Units of an overflow entry are shared: another account may
    /// have used them up.
    #[inline(always)]
    pub(crate) fn reason(self) -> Reason {
        if self.shared { Reason::Throttled } else { Reason::Limited }
    }
}

impl GcraTable {
    pub(crate) fn new(accounts: usize, dice: &Dice) -> Self {
        GcraTable { table: Table::new(accounts, dice) }
    }

    /// Takes units from an account: its slot, or when there are so many.
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

    /// From an account that has nothing taken yet, or has been forgotten.
    #[cold]
    #[inline(never)]
    fn take_new(&self, hash: u64, rate: Rate, now: u64, units: u32) -> Result<u32, NotBefore> {
        if units > rate.burst {
            return Err(NotBefore::own(NEVER));
        }
        loop {
            // Whose quota is full again has nothing to remember; he longest ago goes first.
            let rank = |free: u64| (free < now).then_some(free);
            // What was taken from the common slot was perhaps taken by this account, or it would have had two quotas.
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
                // Somebody moved in over us already.
                Taken::Gone => {}
            }
        }
    }

    /// When an account is free; takes nothing. By another interval than before it is counted anew here too:
    /// of who is refused, what is owed must come back by the new one from now on.
    #[inline]
    pub(crate) fn free(&self, hash: u64, rate: Rate, now: u64) -> u64 {
        let own = self.table.find(hash).and_then(|(_, entry)| entry.counted(hash, rate, now));
        own.unwrap_or(now)
    }

    /// The interval and the state of the slot that was taken from.
    pub(crate) fn read(&self, n: u32) -> Option<(u64, u64)> {
        self.table.at(n)?.read_any()
    }

    pub(crate) fn refund(&self, n: u32, now: u64, units: u32, at: u64, interval: u64) {
        if let Some(entry) = self.table.at(n) {
            entry.refund(now, units, at, interval);
        }
    }
}
