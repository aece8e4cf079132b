//! The cost, the priority and the account of a request.

use crate::Account;
use std::fmt;

/// Information about a request that a guard may use: its cost, its priority and its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInfo {
    /// The cost in units, for guards that count units. Default: 1.
    pub cost: u32,
    /// The priority, for guards that reject less important requests first. Default: normal.
    pub priority: Priority,
    /// The account, for guards of your own. Default: none.
    ///
    /// No guard of Plimsoll reads it: a keyed guard finds the account by the key. Create all
    /// accounts of a guard under one secret.
    pub account: Option<Account>,
}

impl Default for RequestInfo {
    fn default() -> Self {
        RequestInfo::new()
    }
}

impl RequestInfo {
    /// Creates the default: one unit, normal priority, no account.
    pub const fn new() -> Self {
        RequestInfo { cost: 1, priority: Priority::NORMAL, account: None }
    }

    /// Sets the cost in units.
    #[must_use]
    pub const fn cost(mut self, units: u32) -> Self {
        self.cost = units;
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the account.
    #[must_use]
    pub const fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }
}

/// The importance of a request. A larger number is more important.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "criticality")]
pub struct Priority(pub u8);

impl Priority {
    /// Work that no caller waits for.
    pub const BACKGROUND: Priority = Priority(32);
    /// Work that can be done later.
    pub const LOW: Priority = Priority(64);
    /// The default.
    pub const NORMAL: Priority = Priority(128);
    /// Work that a user waits for.
    pub const HIGH: Priority = Priority(192);
    /// Work that is rejected last.
    pub const CRITICAL: Priority = Priority(255);
}

impl Default for Priority {
    fn default() -> Self {
        Priority::NORMAL
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
