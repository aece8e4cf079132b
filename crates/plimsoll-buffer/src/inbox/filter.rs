//! The decisions of a filter.

/// What a filter decides about an item; see [`Inbox::mail_with`](crate::Inbox::mail_with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Takes the item.
    Take,
    /// Discards the item and counts it as lost.
    Discard,
    /// Leaves this item and all that follow, and ends the mail.
    Stop,
}
