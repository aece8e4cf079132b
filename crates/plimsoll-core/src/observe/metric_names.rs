//! The name of every metric and label, in one place.
//!
//! Labels are bounded: names of guards, decisions, reasons and outcomes. They never contain an
//! account, a path or anything else that a request brings.

/// Counter: decisions, by [`GUARD`], [`DECISION`] and [`REASON`].
pub const DECISIONS: &str = "plimsoll_decisions_total";
/// Counter: admitted work that has ended, by [`GUARD`] and [`OUTCOME`].
pub const COMPLETED: &str = "plimsoll_completed_total";
/// Counter: outcomes that the application reported without an admission, by [`GUARD`] and
/// [`OUTCOME`].
pub const REPORTED: &str = "plimsoll_reported_total";
/// Gauge: admitted work that has neither ended nor been refunded, by [`GUARD`].
pub const IN_FLIGHT: &str = "plimsoll_in_flight";
/// Counter: changes of a guard's state, by [`GUARD`].
///
/// There is no gauge of the state itself: a gauge that is set by events can be stale.
pub const STATE_CHANGES: &str = "plimsoll_state_changes_total";
/// Gauge: items that a mailbox holds, by [`GUARD`].
pub const QUEUE_ITEMS: &str = "plimsoll_queue_items";

/// Label: the name of the guard.
pub const GUARD: &str = "guard";
/// Label: the decision.
///
/// Of requests: "admitted", "rejected", "shadowed", "abandoned", "refunded", "unguarded". Of the
/// items of a mailbox: "enqueued", "rejected", "delivered", "lost".
pub const DECISION: &str = "decision";
/// Label: the reason of a rejection or a loss, as [`Reason::as_str`](crate::Reason::as_str). Empty
/// for other decisions.
pub const REASON: &str = "reason";
/// Label: the outcome, as [`Outcome::as_str`](crate::Outcome::as_str).
pub const OUTCOME: &str = "outcome";
