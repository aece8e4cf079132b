//! The fill level of a mailbox.

use crate::store::Store;
use plimsoll_core::parts::Bounds;

/// How much a mailbox holds, and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The number of items.
    pub len: usize,
    /// Their total weight; 0 if items are not weighed.
    pub weight: u64,
    /// The bounds of each shard.
    pub bounds: Bounds,
    /// The number of shards that producers are spread over.
    pub shards: usize,
}

impl Usage {
    pub(crate) fn new<T>(store: &Store<T>) -> Self {
        let (len, weight) = store.held();
        Usage { len, weight, bounds: store.settings().1, shards: store.shard_count() }
    }
}
