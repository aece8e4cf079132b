//! A circuit breaker: stops calling what does not work, and comes back carefully.

mod breaker;
mod config;
#[cfg(feature = "tower")]
mod layer;
mod machine;
mod monitor;
mod pass;
mod run;
mod status;
mod trip;

pub use breaker::Breaker;
pub use config::{Builder, Config, OpenTime, Probes, Ramp};
#[cfg(feature = "tower")]
pub use layer::BreakerLayer;
pub use machine::Phase;
pub use monitor::{Alarm, Monitor};
pub use pass::Pass;
pub use status::{Cause, Status};
pub use trip::Trip;
