//! Time: instants, the clock, sleeping, blocking, and time that a test moves.

mod block;
pub(crate) mod clock;
pub(crate) mod instant;
mod manual;
#[cfg(not(feature = "tokio"))]
mod no_runtime;
#[cfg(feature = "tokio")]
mod runtime;
mod sleep;
mod system;
mod timers;

pub use clock::Clock;
pub use instant::Instant;
pub use manual::ManualTime;
pub use sleep::Sleep;
