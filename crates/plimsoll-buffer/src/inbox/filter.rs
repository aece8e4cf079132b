//! What a filter decides.

/// What a filter says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Take it.
    Take,
    /// Throw it out; it is counted as lost.
    Discard,
    /// Leave it, and all that come after it.
    Stop,
}
