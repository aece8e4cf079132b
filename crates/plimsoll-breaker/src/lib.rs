//! A circuit breaker: stops calling what does not work, and comes back carefully.
//!
//! When a dependency is down or slow, calling it on and on makes it worse for both sides: its queue
//! grows, and ours waits. A [`CircuitBreaker`] counts how calls end; when too many end badly it refuses the next
//! ones at once, tries again after a while with a few, and lets the rest back in by and by.
//!
//! The models are fuse, breaky and Klarna's circuit_breaker, as the overload chapter of *Erlang in Anger*
//! names them.
//!
//! ```text
//!            a trip                open time over          enough succeed
//!  closed ───────────► open ─────────────────► half-open ────────────────► ramp ──► closed
//!                       ▲ ▲  one fails, or hangs   │                        │
//!                       │ └────────────────────────┘      too many fail     │
//!                       └───────────────────────────────────────────────────┘
//! ```
//!
//! *Not* for limiting how much is sent to something that works (that is a valve or a rate limit), nor for
//! deciding whether to try again.
//!
//! # On any thread
//!
//! ```
//! use plimsoll_breaker::{CircuitBreaker, Trip};
//! use plimsoll_core::{Outcome, Reason};
//! use std::time::Duration;
//!
//! let payments = CircuitBreaker::builder()
//!     .name("payments")
//!     .trip(Trip::failures().ratio(0.5, 20).within(Duration::from_secs(10)))
//!     .trip(Trip::slow(Duration::from_secs(1)).ratio(0.3, 50))
//!     .build()?;
//!
//! for _ in 0..20 {
//!     let permit = payments.try_acquire()?;
//!     permit.done(Outcome::Failure); // or `payments.run(..)`, which does both
//! }
//! let no = payments.try_acquire().unwrap_err();
//! assert_eq!(no.reason(), Reason::Open);
//! assert!(no.retry_after().is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # As a layer
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! use plimsoll_breaker::CircuitBreaker;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # rt.block_on(async {
//! let breaker = CircuitBreaker::new("greeter")?;
//! let service = ServiceBuilder::new()
//!     .layer(breaker.layer())
//!     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
//! assert_eq!(service.oneshot("world").await?, "hello world");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! For many dependencies behind one client: a breaker for each key, [`KeyedCircuitBreaker`].
//!
//! # Time, sharing, cancellation
//!
//! A [`CircuitBreaker`] is a handle: clones, and all services of all its layers, share one state. Each admitted
//! call belongs to the life of the breaker in which it was admitted: a result that comes after the breaker
//! has turned changes nothing. A call that is cancelled counts as nothing, unless it is [configured](Config::cancelled)
//! otherwise or was cancelled after the [call time-out](Config::call_timeout). A probe that is cancelled frees its
//! place; one that never comes back is given up after its [lease](Probes::lease), so nothing is ever stuck.
//!
//! Windows are counted in by a coarse clock where they are of two seconds and more, and forget what is older
//! than they are long, at most a tenth of their length late.
//!
//! # Features
//!
//! - `tower` (default): [`CircuitBreaker::layer`]. Brings in `tokio`.
//! - `tokio`: inside a runtime its timer is used; without it, one timer thread.
//! - `test-util`: time follows tokio's paused clock. For tests only.

mod breaker;
mod builder;
mod config;
mod health;
mod inspect;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
mod live;
mod machine;
mod meter;
mod monitor;
mod pass;
mod run;
mod state;
mod status;
mod streak;
mod trip;
#[cfg(feature = "serde")]
mod trip_table;

pub use breaker::CircuitBreaker;
pub use builder::CircuitBreakerBuilder;
pub use config::{CircuitBreakerConfig, OpenTime, Probes, Ramp};
pub use health::HealthCheck;
pub use keyed::{KeyedCircuitBreaker, KeyedCircuitBreakerBuilder, KeyedCircuitBreakerConfig, KeyedPass};
#[cfg(feature = "tower")]
pub use layer::{CircuitBreakerLayer, KeyedCircuitBreakerLayer};
pub use machine::CircuitState;
pub use monitor::{Alarm, Monitor};
pub use pass::Pass;
pub use status::{Cause, Status};
pub use trip::Trip;
