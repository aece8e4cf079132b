//! Accounts as guards and observers know them.

use std::fmt;
use std::num::NonZeroU64;

/// The account of a request: a hash of its key under a secret of the guard.
///
/// The text of a key never leaves a guard. At one guard, all requests of an account have the same
/// `Account`. Accounts of different guards cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(NonZeroU64);

impl Account {
    /// Creates an account from a hash under a secret. A hash of 0 becomes 1.
    pub const fn new(hash: u64) -> Self {
        match NonZeroU64::new(hash) {
            Some(hash) => Account(hash),
            None => Account(NonZeroU64::MIN),
        }
    }

    /// Returns the hash.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({:016x})", self.0)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
