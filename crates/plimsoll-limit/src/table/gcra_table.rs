//! A table of accounts with quotas: what [`KeyedRateLimiter`](crate::KeyedRateLimiter),
//! [`TieredRateLimiter`](crate::TieredRateLimiter) and the caps of a
//! [`FairRateLimiter`](crate::FairRateLimiter) have in common.

use super::entry::{Snapshot, Taken, interval_of};
use super::when_full::WhenFull;
use super::{Crowd, Room, Table};
use crate::quota::gcra::Rate;
use plimsoll_core::parts::sync::{AtomicU32, Ordering};
use plimsoll_core::{Dice, Reason};

/// A table whose states follow the generic cell rate algorithm.
#[derive(Debug)]
pub(crate) struct GcraTable {
    pub(crate) table: Table,
    when_full: AtomicU32,
}

/// An account has not enough units. Nothing was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotBefore {
    /// The instant at which there will be enough, or [`NEVER`](crate::quota::gcra::NEVER).
    pub(crate) at: u64,
    /// Whether there is no room for the account.
    full: bool,
}

impl NotBefore {
    #[inline(always)]
    fn own(at: u64) -> Self {
        NotBefore { at, full: false }
    }

    /// Returns the reason to reject the request. If there is no room for the account, others are to
    /// blame.
    #[inline(always)]
    pub(crate) fn reason(self) -> Reason {
        if self.full { Reason::Throttled } else { Reason::Limited }
    }
}

/// An account that owes units ranks above one that owes none.
const OWES: u64 = 1 << 63;
/// One that was rejected ranks above one that was not.
const WAS_REJECTED: u64 = 1 << 62;

/// Ranks an account for eviction that owes `owed` nanoseconds, by the number of units that it could
/// take once more if it were forgotten. Those that were rejected would take them.
///
/// Among equals, `chance` decides. If the oldest were evicted, keys that take turns would all be
/// forgotten before their second request, as soon as they are more than the entries.
fn rank_of_owing(seen: Snapshot, owed: u64, chance: u64) -> u64 {
    let units = (owed as f32 / seen.interval() as f32).ceil() as u32; // saturates
    OWES | if seen.was_rejected() { WAS_REJECTED } else { 0 } | u64::from(units) << 20 | chance >> 44
}

/// Mixes the hashes of two accounts with the time. Nobody outside knows the hashes.
fn chance(hash: u64, other: u64, now: u64) -> u64 {
    (hash ^ other).wrapping_add(now).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl GcraTable {
    pub(crate) fn new(accounts: usize, when_full: WhenFull, dice: &Dice, crowd: Crowd) -> Self {
        GcraTable {
            table: Table::new(accounts, dice, crowd),
            when_full: AtomicU32::new(when_full.into_bits()),
        }
    }

    pub(crate) fn when_full(&self) -> WhenFull {
        // Relaxed: the value stands for itself.
        WhenFull::from_bits(self.when_full.load(Ordering::Relaxed))
    }

    pub(crate) fn set_when_full(&self, when_full: WhenFull) {
        self.when_full.store(when_full.into_bits(), Ordering::Relaxed);
    }

    /// Returns the number of accounts that owe units. Ends the crowd if it is over.
    pub(crate) fn count(&self, now: u64) -> usize {
        self.table.crowd.calm(now);
        self.table.count(|free| free > now)
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
        let charged = rate.take(now, now, units).map_err(NotBefore::own)?;
        let evicts = self.when_full() == WhenFull::Evict;
        // An account whose quota has fully replenished has nothing to remember. The one whose quota
        // has been full for longest is evicted first.
        let rank = |seen: Snapshot| match seen.state.saturating_sub(now) {
            0 => Some(seen.state),
            owed => evicts.then(|| rank_of_owing(seen, owed, chance(hash, seen.hash(), now))),
        };
        // The account moves in with its charge. Its state must differ from that of the account that
        // it displaces, now and later.
        let state = |seen: Snapshot| {
            let state =
                if seen.state > now { now.max(charged.saturating_sub(seen.offset())) } else { charged };
            if state == seen.state { state + 1 } else { state }
        };
        loop {
            match self.table.move_in(hash, rate.interval, state, rank) {
                Some(Room::Given(n, before)) => {
                    if before.state > now {
                        self.table.found_full(now);
                    } else {
                        self.table.crowd.calm(now);
                    }
                    return Ok(n);
                }
                Some(Room::Found((n, entry))) => match entry.take(hash, rate, now, units) {
                    Taken::Yes => return Ok(n),
                    Taken::NotBefore(at) => return Err(NotBefore::own(at)),
                    // Another account has moved in already.
                    Taken::Gone => {}
                },
                None => {
                    self.table.found_full(now);
                    return Err(NotBefore { at: self.room_at(hash, now), full: true });
                }
            }
        }
    }

    /// Returns the instant after `now` at which there is room for the account, at the latest.
    #[cold]
    fn room_at(&self, hash: u64, now: u64) -> u64 {
        self.table.lowest_state(hash).unwrap_or(now).max(now.saturating_add(1))
    }

    /// Records that an account was rejected by its quota without a [`take`](Self::take).
    pub(crate) fn reject(&self, hash: u64) {
        if let Some((_, entry)) = self.table.find(hash) {
            entry.reject(hash);
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

    /// Returns the same for a waiting request, and the reason to reject another one until then. If
    /// there is no room for the account, it counts as if it had one unit when there is.
    #[cold]
    pub(crate) fn free_or_room(&self, hash: u64, rate: Rate, now: u64) -> (u64, Reason) {
        let at = self.room_at(hash, now);
        if self.table.find(hash).is_some() || self.when_full() == WhenFull::Evict || at <= now + 1 {
            return (self.free(hash, rate, now), Reason::Limited);
        }
        (at.saturating_add(rate.span() - rate.interval.min(rate.span())), Reason::Throttled)
    }

    /// Returns the interval and the state of an account that has an entry of its own.
    pub(crate) fn state(&self, hash: u64) -> Option<(u64, u64)> {
        let (_, entry) = self.table.find(hash)?;
        entry.read(hash).map(|(tag, free)| (interval_of(tag), free))
    }

    /// Refunds all but the kept ones of `units` that an account was charged at `at`, by `interval`.
    ///
    /// If the account was evicted, what it owed is forgotten.
    pub(crate) fn refund(&self, hash: u64, now: u64, units: [u32; 2], at: u64, interval: u64) {
        if let Some((_, entry)) = self.table.find(hash) {
            entry.refund(hash, now, units, at, interval);
        }
    }

    /// Charges an account for work that was done, whether or not it has enough units.
    pub(crate) fn charge(&self, hash: u64, rate: Rate, now: u64, units: u32) {
        // A charge of nothing gives a new account an entry, if there is room.
        let _ = self.take(hash, rate, now, 0);
        if let Some((_, entry)) = self.table.find(hash) {
            entry.charge(hash, rate, now, units);
        }
    }

    /// Gives an account up to `units`, if it has an entry of its own.
    pub(crate) fn credit(&self, hash: u64, now: u64, units: u32) {
        if let Some((_, entry)) = self.table.find(hash) {
            entry.credit(hash, now, units);
        }
    }
}
