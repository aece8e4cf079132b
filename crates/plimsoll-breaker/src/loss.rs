//! What the eviction of a keyed breaker loses.

/// What the eviction of a breaker loses. The least is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// Nothing bad was counted within the time of the trips.
    Nothing,
    /// Bad calls were counted.
    Counts,
    /// The open time is over, and the next call would be a probe. How often it has opened is lost.
    OpenTime,
}
