//! Building parts, for authors of guards. Users of guards need none of them.

pub mod check;
pub(crate) mod coop;
mod count;
#[cfg(feature = "serde")]
pub mod duration_text;
mod queue;
mod semaphore;
mod setup;
#[doc(hidden)]
pub mod sync;

pub use crate::chance::{KeyedHashState, KeyedHasher};
pub use crate::guard::{ClassifyFn, OnlyWaiting};
pub use crate::observe::intern;
pub use crate::time::Sleep;
pub use crate::time::clock::TWO_TICKS;
pub use crate::time::instant::nanos;
#[cfg(feature = "tower")]
pub use crate::tower::{GatedFuture, QueuedFuture};
pub use coop::{consume_budget, within_budget};
#[cfg(feature = "metrics")]
pub(crate) use count::PerThread;
pub use count::{SlidingWindow, StripedCounter};
pub use queue::{Bounds, Discipline, FairQueue, FairTicket, OneOrMany, Position, Queue, Ticket};
pub use semaphore::{Acquire, Capacity, FixedCapacity, Place, Semaphore, Start};
pub use setup::{Identity, Setup};
pub use sync::wake;
