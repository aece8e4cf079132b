//! The trait by which the keyed limiters differ.

use crate::setup::Common;
use crate::table::Table;
use crate::wait::reserve::Size;
use plimsoll_core::{Allowance, ControlError, Pack, Rejected};
use std::fmt::Debug;
use std::hash::Hash;

/// Decides how a [`KeyedLimiter`](crate::KeyedLimiter) charges its accounts. Sealed.
pub trait QuotaPolicy: Debug + Sized {
    /// The key of an account.
    type Key: ?Sized;
    /// What is derived from a key, once for each request.
    type Caller: Copy + Unpin;
    /// The units that a request was charged, and the account.
    type Charge: Pack;

    /// The name of the limiter's type.
    const NAME: &'static str;

    /// Returns what all limiters have in common.
    fn common(&self) -> &Common;
    /// Returns the table of accounts.
    fn table(&self) -> &Table;
    /// Returns the number of accounts that have something to remember. Visits the whole table.
    fn key_count(&self) -> usize;

    /// Derives the caller from its key.
    fn caller(&self, key: &Self::Key) -> Self::Caller
    where
        Self::Key: Hash;
    /// Returns the account of a caller: a hash of its key.
    fn account(caller: Self::Caller) -> u64;

    /// Charges the caller as of the clock's time, and passes the charge to `wrap`. It does so
    /// itself, because a charge that is assembled in memory takes longer to read back than to
    /// decide.
    fn charge<T>(
        &self,
        caller: Self::Caller,
        units: u32,
        wrap: impl FnOnce(Self::Charge) -> T,
    ) -> Result<T, Rejected>;
    /// Charges the caller as of the clock's time, while requests of other accounts wait.
    fn charge_past(&self, caller: Self::Caller, units: u32) -> Result<Self::Charge, Rejected> {
        self.charge(caller, units, |charge| charge)
    }
    /// Charges the caller as of `now`, for a waiting request.
    ///
    /// `standing` is the shared limit at which it is the head of the queue of its size.
    fn charge_at(
        &self,
        caller: Self::Caller,
        units: u32,
        now: u64,
        standing: Option<(usize, Size)>,
    ) -> Result<Self::Charge, Rejected>;
    /// Refunds a charge. Units that were replenished meanwhile are not returned twice.
    fn refund(&self, charge: Self::Charge);
    /// Changes a charge to `actual` units.
    fn settle_units(&self, charge: &mut Self::Charge, actual: u32);
    /// Charges units for work that was done, whether or not there are enough.
    fn debit(&self, caller: Self::Caller, units: u32);
    /// Gives the account up to `units` of its own quota.
    fn credit(&self, caller: Self::Caller, units: u32);

    /// Returns the rejection that holds until the request is served at the earliest, if requests of
    /// the account wait for `ahead` units. Returns `None` if there are enough for all of them.
    fn forecast(&self, caller: Self::Caller, units: u32, ahead: u64, now: u64) -> Option<Rejected>;
    /// Creates the rejection of a request that would overtake waiting requests of the account.
    fn rejected_behind(&self, caller: Self::Caller, units: u32) -> Rejected;
    /// Returns the limit that rejected a request, if one request of each account waits for it.
    fn shared_limit(&self, _units: u32, _rejected: &Rejected) -> Option<(usize, Size)> {
        None
    }

    /// Returns the number of units that remain to the caller now.
    fn remaining(&self, caller: Self::Caller) -> u32;
    /// Calls `each` with the quotas that applied to the charge, and what remains of them.
    fn allowances(&self, charge: &Self::Charge, each: &mut dyn FnMut(Allowance));

    /// Calls `each` with the readings of the policy.
    fn read(&self, each: &mut dyn FnMut(&'static str, f64));
    /// Changes a setting of the policy.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError>;
}
