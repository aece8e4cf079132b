//! Events: what a guard did.

use crate::{Account, Outcome, Reason, Rejected};

/// Something that a guard did. Plain data, `Copy`.
///
/// The books balance:
///
/// - requests = admitted + rejected + abandoned + unguarded
/// - admitted = completed + refunded + in flight
/// - items offered to a mailbox = enqueued + rejected
/// - enqueued = delivered + lost + held
///
/// `by` is always the name of the guard. Decisions also carry the account and the tier if the guard
/// knows them. Otherwise `account` is `None` and `tier` is empty.
///
/// Variants gain fields over time, so match them with `..` and create them by the functions below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request may begin.
    #[non_exhaustive]
    Admitted {
        /// The guard.
        by: &'static str,
        /// The account of the request.
        account: Option<Account>,
        /// The tier of the account.
        tier: &'static str,
    },
    /// A request may not begin.
    #[non_exhaustive]
    Rejected {
        /// The guard.
        by: &'static str,
        /// The rejection.
        rejected: Rejected,
        /// The account of the request.
        account: Option<Account>,
        /// The tier that rejected it.
        tier: &'static str,
    },
    /// A caller left while it waited.
    #[non_exhaustive]
    Abandoned {
        /// The guard.
        by: &'static str,
        /// The account of the request.
        account: Option<Account>,
        /// The tier of the account.
        tier: &'static str,
    },
    /// Admitted work has ended.
    #[non_exhaustive]
    Completed {
        /// The guard.
        by: &'static str,
        /// The outcome of the work.
        outcome: Outcome,
    },
    /// The application reported an outcome that belongs to no admission.
    #[non_exhaustive]
    Reported {
        /// The guard.
        by: &'static str,
        /// The outcome.
        outcome: Outcome,
    },
    /// Admitted work never began; its charge was refunded.
    #[non_exhaustive]
    Refunded {
        /// The guard.
        by: &'static str,
    },
    /// A guard in [shadow mode](crate::Mode::Shadow) rejected a request that was admitted anyway.
    ///
    /// The guard itself has emitted the rejection as well.
    #[non_exhaustive]
    Shadowed {
        /// The guard.
        by: &'static str,
        /// The rejection that was not carried out.
        rejected: Rejected,
        /// The account of the request.
        account: Option<Account>,
        /// The tier that rejected it.
        tier: &'static str,
    },
    /// A request passed a keyed guard uncounted.
    ///
    /// It had no key, or the guard had no room for its key and no key to evict.
    #[non_exhaustive]
    Unguarded {
        /// The guard.
        by: &'static str,
        /// The account of the request.
        account: Option<Account>,
        /// The tier of the account.
        tier: &'static str,
    },
    /// A guard works with its settings, but would work better with others.
    #[non_exhaustive]
    Misconfigured {
        /// The guard.
        by: &'static str,
        /// What to change, and to which value.
        advice: &'static str,
    },
    /// A guard has changed its state.
    #[non_exhaustive]
    StateChanged {
        /// The guard.
        by: &'static str,
        /// The new state: "open", "closed" …
        to: &'static str,
        /// The cause: "failures", "operator" …
        why: &'static str,
        /// The account whose state it is, for a keyed guard.
        account: Option<Account>,
    },
    /// A mailbox has accepted an item.
    #[non_exhaustive]
    Enqueued {
        /// The mailbox.
        by: &'static str,
    },
    /// Items of a mailbox were handed to a consumer.
    #[non_exhaustive]
    Delivered {
        /// The mailbox.
        by: &'static str,
        /// The number of items.
        count: u64,
    },
    /// A mailbox lost items that it had accepted.
    #[non_exhaustive]
    Lost {
        /// The mailbox.
        by: &'static str,
        /// The reason.
        reason: Reason,
        /// The number of items.
        count: u64,
    },
}

impl Event {
    /// Creates [`Admitted`](Self::Admitted).
    pub const fn admitted(by: &'static str) -> Self {
        Event::Admitted { by, account: None, tier: "" }
    }

    /// Creates [`Rejected`](Self::Rejected) by the guard that the rejection names.
    pub const fn rejected(rejected: Rejected) -> Self {
        Event::Rejected { by: rejected.by(), rejected, account: None, tier: "" }
    }

    /// Creates [`Abandoned`](Self::Abandoned).
    pub const fn abandoned(by: &'static str) -> Self {
        Event::Abandoned { by, account: None, tier: "" }
    }

    /// Creates [`Completed`](Self::Completed).
    pub const fn completed(by: &'static str, outcome: Outcome) -> Self {
        Event::Completed { by, outcome }
    }

    /// Creates [`Reported`](Self::Reported).
    pub const fn reported(by: &'static str, outcome: Outcome) -> Self {
        Event::Reported { by, outcome }
    }

    /// Creates [`Refunded`](Self::Refunded).
    pub const fn refunded(by: &'static str) -> Self {
        Event::Refunded { by }
    }

    /// Creates [`Shadowed`](Self::Shadowed) by the guard that the rejection names.
    pub const fn shadowed(rejected: Rejected) -> Self {
        Event::Shadowed { by: rejected.by(), rejected, account: None, tier: "" }
    }

    /// Creates [`Unguarded`](Self::Unguarded).
    pub const fn unguarded(by: &'static str) -> Self {
        Event::Unguarded { by, account: None, tier: "" }
    }

    /// Creates [`Misconfigured`](Self::Misconfigured).
    pub const fn misconfigured(by: &'static str, advice: &'static str) -> Self {
        Event::Misconfigured { by, advice }
    }

    /// Creates [`StateChanged`](Self::StateChanged).
    pub const fn state_changed(by: &'static str, to: &'static str, why: &'static str) -> Self {
        Event::StateChanged { by, to, why, account: None }
    }

    /// Creates [`Enqueued`](Self::Enqueued).
    pub const fn enqueued(by: &'static str) -> Self {
        Event::Enqueued { by }
    }

    /// Creates [`Delivered`](Self::Delivered).
    pub const fn delivered(by: &'static str, count: u64) -> Self {
        Event::Delivered { by, count }
    }

    /// Creates [`Lost`](Self::Lost).
    pub const fn lost(by: &'static str, reason: Reason, count: u64) -> Self {
        Event::Lost { by, reason, count }
    }

    /// Sets the account of a decision or a change of state. Other events have none.
    #[must_use]
    pub const fn account(mut self, of: Account) -> Self {
        match &mut self {
            Event::Admitted { account, .. }
            | Event::Rejected { account, .. }
            | Event::Abandoned { account, .. }
            | Event::Shadowed { account, .. }
            | Event::Unguarded { account, .. }
            | Event::StateChanged { account, .. } => *account = Some(of),
            _ => {}
        }
        self
    }

    /// Sets the tier of a decision. Other events have none.
    #[must_use]
    pub const fn tier(mut self, name: &'static str) -> Self {
        match &mut self {
            Event::Admitted { tier, .. }
            | Event::Rejected { tier, .. }
            | Event::Abandoned { tier, .. }
            | Event::Shadowed { tier, .. }
            | Event::Unguarded { tier, .. } => *tier = name,
            _ => {}
        }
        self
    }

    /// Returns the name of the guard.
    pub const fn by(&self) -> &'static str {
        match self {
            Event::Admitted { by, .. }
            | Event::Rejected { by, .. }
            | Event::Abandoned { by, .. }
            | Event::Completed { by, .. }
            | Event::Reported { by, .. }
            | Event::Refunded { by, .. }
            | Event::Shadowed { by, .. }
            | Event::Unguarded { by, .. }
            | Event::Misconfigured { by, .. }
            | Event::StateChanged { by, .. }
            | Event::Enqueued { by, .. }
            | Event::Delivered { by, .. }
            | Event::Lost { by, .. } => by,
        }
    }
}
