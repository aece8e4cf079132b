#![cfg_attr(docsrs, feature(doc_cfg))]
//! Random drop: keeps a share of the work and drops the rest before it costs anything.
//!
//! Random drop is the simplest tool of the overload chapter of *Erlang in Anger*. Where the work is
//! produced, a draw decides whether to begin it at all. There is no coordination and no queue: a
//! decision is one relaxed load and one draw. It suits telemetry, logs and samples, and it takes a
//! known share off a load. Any thread can change the share at run time.
//!
//! | guard | drops | steered by |
//! |---|---|---|
//! | [`RandomDrop`] | a share of all requests, or of each priority | you, from any thread |
//! | [`LoadShedder`] | the least important requests | the delay of the queue behind it |
//! | [`AdaptiveThrottle`] | what the server would reject anyway | the server's recent rejections |
//!
//! *Not* for work of which every item matters. A fixed rate alone is not for a load that varies: it
//! is right for one load only.
//!
//! ```
//! use plimsoll_drop::RandomDrop;
//!
//! let sample = RandomDrop::new(0.95)?; // keep 95 %
//! let mut sent = 0;
//! for _ in 0..1000 {
//!     if sample.keep() {
//!         sent += 1; // build the message only now
//!     }
//! }
//! assert!(sent > 800);
//! sample.set_keep_rate(0.0)?;
//! assert!(!sample.keep());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # As a layer
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! use plimsoll_drop::RandomDrop;
//! use plimsoll_core::{Reason, Rejected};
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let shed = RandomDrop::new(0.0)?;
//! let service = ServiceBuilder::new()
//!     .layer(shed.layer())
//!     .service(service_fn(async |_: ()| Ok::<_, BoxError>("kept")));
//! let rejected = service.clone().oneshot(()).await.unwrap_err();
//! assert_eq!(rejected.downcast_ref::<Rejected>().unwrap().reason(), Reason::Dropped);
//! shed.set_keep_rate(1.0)?;
//! assert_eq!(service.oneshot(()).await?, "kept");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # The controller
//!
//! A [`LoadShedder`] holds the delay of the queue behind it at its target, by default 5 ms. It
//! steers the *rate* that it admits. It measures the capacity of the bottleneck as work leaves the
//! queue, and feeds that rate forward. A proportional and an integral term correct it by the delay.
//!
//! PIE steers the probability of dropping instead. Its gain grows with the load, and it loses
//! control at twenty times the capacity.
//!
//! Priorities come first. One threshold over eight levels of priority, and 128 cohorts of accounts
//! in each, decides which requests are dropped. It is found by a walk down the histogram of the
//! last second.
//!
//! What it misses:
//!
//! - Below some 100 requests a second it reacts slowly, because a delay of 5 ms is less than one
//!   request.
//! - With one server whose work varies much, choose a target of at least five times the mean work.
//! - Before the capacity is known, only the length of the queue is limited. A
//!   [`capacity_hint`](LoadShedderBuilder::capacity_hint) avoids that.
//! - `busy` must mean that *all* workers are busy. A pool that is limited elsewhere is measured
//!   wrongly.
//!
//! # Time, sharing, cancellation
//!
//! All three guards are handles: clones share everything. Every thread sees a changed setting at
//! its next decision. A kept request holds nothing; a permit of a [`LoadShedder`] only counts as in
//! flight until it is released or dropped. A [`LoadShedder`] ticks on the threads of its callers.
//! No thread works in the background.
//!
//! # Features
//!
//! - `tower` (default): the layers, such as [`RandomDrop::layer`].
//! - `serde`: the configurations, such as [`LoadShedderConfig`], can be read from settings files.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

#![doc = include_str!("simulated.md")]

mod curve;
mod level;
mod random;
mod shedder;
mod throttle;

pub use curve::Curve;
#[cfg(feature = "tower")]
pub use random::RandomDropLayer;
pub use random::{RandomDrop, RandomDropBuilder, RandomDropConfig};
#[cfg(feature = "tower")]
pub use shedder::LoadShedderLayer;
pub use shedder::{
    Control, InFlight, LoadShedder, LoadShedderBuilder, LoadShedderConfig, NoAccount, Signal, SignalReading,
};
#[cfg(feature = "tower")]
pub use throttle::AdaptiveThrottleLayer;
pub use throttle::{AdaptiveThrottle, AdaptiveThrottleBuilder, AdaptiveThrottleConfig};
