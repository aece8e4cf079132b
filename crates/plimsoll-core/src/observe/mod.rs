//! Watching guards and changing them while they run: events, observers, metrics, settings by name.

mod event;
mod inspect;
mod intern;
pub mod metric_names;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;

pub use event::Event;
pub use inspect::Inspect;
pub use intern::intern;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use observer::{Observe, Observer};
