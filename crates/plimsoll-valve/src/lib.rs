//! A safety valve: asking for permission before the work begins.
//!
//! Every system has one true bottleneck – a pool of connections, a disk, a lock – and a number of
//! calls it can serve at once. Put a [`Valve`] of that size in front of it: so many are inside, so
//! many more may wait for a moment, everyone else is refused at once and told why. The queue that
//! would otherwise grow behind the bottleneck, until every answer comes too late, cannot form.
//!
//! The idea is Jesper Louis Andersen's SafetyValve, as told in the overload chapter of *Erlang in
//! Anger*: ask at the edge, decide at the bottleneck.
//!
//! ```text
//!            ┌────────── valve ──────────┐
//!  caller ──►│ room: waits, bounded      │──► inside: at most n ──► bottleneck
//!            └──┬─────────────┬──────────┘
//!               ▼             ▼
//!        Full, at once    Expired, after the longest wait
//! ```
//!
//! *Not* for limiting how often something happens (that is a rate limit), nor for a dependency that
//! is down (a breaker).
//!
//! # On any thread
//!
//! ```
//! use plimsoll_valve::Valve;
//! use plimsoll_core::{Outcome, Reason};
//!
//! let valve = Valve::new(2)?; // two inside, nobody waits
//! let one = valve.try_acquire()?;
//! let two = valve.try_acquire()?;
//! assert_eq!(valve.try_acquire().unwrap_err().reason(), Reason::Full);
//! one.done(Outcome::Success);
//! assert!(valve.try_acquire().is_ok());
//! # drop(two);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # As a layer
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! use plimsoll_valve::Valve;
//! use std::time::Duration;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # rt.block_on(async {
//! let valve = Valve::builder().concurrency(16).queue(32).max_wait(Duration::from_millis(100)).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(valve.wait_layer()) // or `valve.layer()`, which never waits
//!     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
//! assert_eq!(service.oneshot("world").await?, "hello world");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Time, sharing, cancellation
//!
//! A [`Valve`] is a handle: clones, and all services of all its layers, share one count. Threads
//! and tasks wait in the same room, in the order in which they came unless another
//! [discipline](plimsoll_core::Discipline) is set: the newest first, for callers who give up soon. A waiter that is dropped
//! leaves the room; a permit that is dropped, by a cancelled or panicking future too, frees its place.
//! A service that was readied but is not called holds nothing of the valve's.
//!
//! # Features
//!
//! - `tower` (default): [`Valve::layer`], [`Valve::wait_layer`]. Brings in `tokio`.
//! - `tokio`: inside a runtime its timer is used; without it, one timer thread.
//! - `serde`: [`ValveConfig`] can be read from a settings file.
//! - `test-util`: time follows tokio's paused clock. For tests only.

mod builder;
mod config;
#[cfg(feature = "tower")]
mod layer;
mod valve;
mod wait;

pub use builder::ValveBuilder;
pub use config::ValveConfig;
#[cfg(feature = "tower")]
pub use layer::{ValveLayer, ValveWaitLayer};
pub use valve::Valve;
