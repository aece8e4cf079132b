//! What happens to a new account when the table is full.

/// What a keyed limiter does with a new account when every entry it could have is taken by an
/// account that owes units.
///
/// An account owes units until its quota has fully replenished. One that owes none is evicted
/// without consequence, by either choice. The limiter emits
/// [`StateChanged`](plimsoll_core::Event::StateChanged) to "crowded" because of "keys" when it
/// begins to be full. It emits the same to "calm" when no new account has found it full for 10 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum WhenFull {
    /// Evicts the account that owes the fewest units, of sixteen. The default.
    ///
    /// Accounts that were rejected stay before those that were not. Nobody is rejected because of
    /// the keys of others. What the evicted account owed is forgotten: it can take as many units
    /// once more. To make the limiter forget an account that was rejected, a flood must use up the
    /// whole quota of each of its keys.
    ///
    /// So while the table is "crowded", the sum of all accounts has no bound. A quota that all of
    /// them share gives it one, such as [`global`](crate::TieredRateLimiterBuilder::global) of a
    /// [`TieredRateLimiter`](crate::TieredRateLimiter).
    #[default]
    Evict,
    /// Rejects the new account with `Throttled` until there is room.
    ///
    /// No account is ever admitted more than its quota. But a flood of keys locks out all new
    /// accounts, for as long as its units take to be replenished.
    Reject,
}

impl WhenFull {
    pub(crate) const fn into_bits(self) -> u32 {
        match self {
            WhenFull::Evict => 0,
            WhenFull::Reject => 1,
        }
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        if bits == 0 { WhenFull::Evict } else { WhenFull::Reject }
    }
}
