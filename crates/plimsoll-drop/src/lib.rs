//! Random drop: keep a share of the work, throw the rest away before it costs anything.
//!
//! The simplest tool of the overload chapter of *Erlang in Anger*: roll the dice
//! where the work is produced, before an item is built, and do not even begin what will not be
//! kept. No coordination, no queue, one relaxed load and one draw. Good for telemetry, logs,
//! samples, and for taking a known share off a load; the share can be changed by any thread while
//! it runs.
//!
//! | guard | drops | steered by |
//! |---|---|---|
//! | [`RandomDrop`] | a share, by priority if you like | you: any thread changes it |
//! | [`LoadShedder`] | the least important, as many as it takes | the delay of the queue behind it |
//! | [`AdaptiveThrottle`] | what the server would refuse anyway | what the server rejected lately |
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
//! A [`LoadShedder`] keeps the delay of the queue behind it at its target, 5 ms unless set. It steers the *rate* that it
//! admits: the capacity of what is behind is measured as work leaves it and fed forward, and a proportional and an
//! integral term do the rest. (Steering the probability of dropping instead, as PIE does, has a gain that grows
//! with the load, and is lost at twenty times the capacity.) Priorities come first: who is dropped is decided by one
//! line over eight levels of priority and 128 cohorts of accounts, found by a walk down the histogram of the last
//! second.
//!
//! What it misses: below some 100 requests a second it is slow, for a delay of 5 ms is less than one of them. With
//! one server whose work varies much, choose a target of five times the mean work and more. The first overload
//! ever, before the capacity is known, is met late: give a [`capacity_hint`](LoadShedderBuilder::capacity_hint).
//! `busy` has to mean that *all* workers are: a pool that is limited elsewhere is measured wrongly.
//!
//! # Time, sharing, cancellation
//!
//! All three are handles: clones share everything, and a changed rate is seen by every thread at its next draw.
//! Nothing is held by who was kept. A [`LoadShedder`] ticks on those who ask; no thread works in the background.
//!
//! # Features
//!
//! - `tower` (default): the layers.
//! - `test-util`: forwarded to `plimsoll-core`. For tests only.

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
pub use shedder::{Control, LoadShedder, LoadShedderBuilder, LoadShedderConfig, NoAccount, SignalReading};
#[cfg(feature = "tower")]
pub use throttle::AdaptiveThrottleLayer;
pub use throttle::{AdaptiveThrottle, AdaptiveThrottleBuilder, AdaptiveThrottleConfig};
