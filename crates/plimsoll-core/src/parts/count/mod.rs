//! Counters that cost no locked instruction.

mod striped;
mod window;

pub use striped::StripedCounter;
pub use window::SlidingWindow;
