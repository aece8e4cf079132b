//! Counters that cost no locked instruction.

mod per_thread;
mod scale;
mod striped;
mod window;

#[cfg(feature = "metrics")]
pub(crate) use per_thread::PerThread;
pub use striped::StripedCounter;
pub use window::SlidingWindow;
