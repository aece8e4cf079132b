//! Random drop: keep a share of the work, throw the rest away before it costs anything.
//!
//! The simplest tool of the overload chapter of *Erlang in Anger*: roll the dice
//! where the work is produced, before an item is built, and do not even begin what will not be
//! kept. No coordination, no queue, one relaxed load and one draw. Good for telemetry, logs,
//! samples, and for taking a known share off a load; the share can be changed by any thread while
//! it runs.
//!
//! *Not* for work of which every item matters, and not alone for a load that varies: a fixed rate
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
//! sample.set_keep(0.0)?;
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
//! let refused = service.clone().oneshot(()).await.unwrap_err();
//! assert_eq!(refused.downcast_ref::<Rejected>().unwrap().reason(), Reason::Dropped);
//! shed.set_keep(1.0)?;
//! assert_eq!(service.oneshot(()).await?, "kept");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Time, sharing, cancellation
//!
//! A [`RandomDrop`] is a handle: clones share the rate, and a changed rate is seen by every thread
//! at its next draw. Nothing is held by who was kept, so there is nothing to give back.
//!
//! # Features
//!
//! - `tower` (default): [`RandomDrop::layer`].
//! - `test-util`: forwarded to `plimsoll-core`. For tests only.

mod config;
mod random;

pub use config::{Builder, Config};
pub use random::RandomDrop;
#[cfg(feature = "tower")]
pub use random::RandomDropLayer;
