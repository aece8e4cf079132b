//! Every metric name and label, in one place. Labels are bounded: guard names, decisions, reasons
//! and outcomes; never an account, a path or anything else that a request brings.

/// Counter: decisions, by [`GUARD`], [`DECISION`] and [`REASON`].
pub const DECISIONS: &str = "plimsoll_decisions_total";
/// Counter: admitted work that has ended, by [`GUARD`] and [`OUTCOME`].
pub const ENDED: &str = "plimsoll_ended_total";
/// Gauge: admitted work that has neither ended nor been given back, by [`GUARD`].
pub const IN_FLIGHT: &str = "plimsoll_in_flight";

/// Counter: changes of a guard's state, by [`GUARD`]. What state it is in is looked up, not told: a gauge
/// that is told can be stale.
pub const TURNS: &str = "plimsoll_turns_total";
/// Gauge: items that a buffer holds, by [`GUARD`].
pub const HELD: &str = "plimsoll_held";

/// Label: the guard's name.
pub const GUARD: &str = "guard";
/// Label: "admitted", "refused", "shadowed", "left" or "given_back"; of a buffer's items "kept", "refused",
/// "delivered" or "lost"; of a keyed guard without room "unguarded".
pub const DECISION: &str = "decision";
/// Label: why it was refused, as [`Reason::as_str`](crate::Reason::as_str); "" where
/// it was not, or for what an item was lost.
pub const REASON: &str = "reason";
/// Label: how it ended, as [`Outcome::as_str`](crate::Outcome::as_str).
pub const OUTCOME: &str = "outcome";
