//! How much a mailbox holds, and how much it may.

use crate::store::Store;
use plimsoll_core::parts::Bounds;

/// How much a mailbox holds, and how much it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many items it holds.
    pub len: usize,
    /// How heavy they are together; 0 if nothing is weighed.
    pub weight: u64,
    /// The bounds of each shard.
    pub bounds: Bounds,
    /// Over how many shards producers are spread.
    pub shards: usize,
}

impl Usage {
    pub(crate) fn new<T>(store: &Store<T>) -> Self {
        let (len, weight) = store.held();
        Usage { len, weight, bounds: store.settings().1, shards: store.shard_count() }
    }
}
