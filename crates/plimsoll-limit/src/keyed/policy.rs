//! What tells one keyed limiter from another.

use crate::setup::Common;
use crate::table::Table;
use plimsoll_core::{Allowance, ControlError, Pack, Rejected};
use std::fmt::Debug;
use std::hash::Hash;

/// How a [`KeyedLimiter`](crate::KeyedLimiter) charges its accounts. Sealed.
pub trait QuotaPolicy: Debug + Sized {
    /// The key of an account.
    type Key: ?Sized;
    /// What is worked out from a key, once for each request.
    type Caller: Copy + Unpin;
    /// The units that a request was charged, and from whom.
    type Charge: Pack;

    /// The name of the limiter's type.
    const NAME: &'static str;

    /// What all limiters have in common.
    fn common(&self) -> &Common;
    /// The table of accounts.
    fn table(&self) -> &Table;

    /// Works out the caller from its key.
    fn caller(&self, key: &Self::Key) -> Self::Caller
    where
        Self::Key: Hash;
    /// The account of a caller: a hash of its key.
    fn account(caller: Self::Caller) -> u64;

    /// Charges the caller by the clock. `wrap` makes of the charge what the caller is handed, in here:
    /// put together in memory first, it would take longer to read than to decide.
    fn charge<T>(
        &self,
        caller: Self::Caller,
        units: u32,
        wrap: impl FnOnce(Self::Charge) -> T,
    ) -> Result<T, Rejected>;
    /// Charges the caller as of `now`, for a request that waits.
    fn charge_at(&self, caller: Self::Caller, units: u32, now: u64) -> Result<Self::Charge, Rejected>;
    /// Takes back a charge. Units that were replenished meanwhile are not returned twice.
    fn refund(&self, charge: Self::Charge);

    /// Returns whether requests wait that go before one of this caller.
    fn is_behind(&self, caller: Self::Caller) -> bool {
        self.common().queues.has(Self::account(caller))
    }
    /// The rejection of a request that would overtake those that wait.
    fn rejected_behind(&self, caller: Self::Caller, units: u32) -> Rejected;
    /// The queue of a limit that many accounts share, if that rejected.
    fn shared_queue(&self, _rejected: &Rejected) -> Option<u64> {
        None
    }

    /// The units that remain to the caller now.
    fn remaining(&self, caller: Self::Caller) -> u32;
    /// The quotas that applied to the charge, and what remains of them.
    fn allowances(&self, charge: &Self::Charge, each: &mut dyn FnMut(Allowance));

    /// The readings and settings that [`Inspect`](plimsoll_core::Inspect) shows first.
    fn read(&self, each: &mut dyn FnMut(&'static str, f64));
    /// Changes a setting of the policy.
    fn set(&self, setting: &str, value: f64) -> Result<(), ControlError>;
}
