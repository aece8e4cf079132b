#![cfg_attr(docsrs, feature(doc_cfg))]
//! A safety valve: a limited number of requests in flight, and a bounded queue in front of them.
//!
//! Every system has one true bottleneck, such as a connection pool, a disk or a lock. It serves a
//! limited number of requests at once. Put a [`Valve`] with that `concurrency` in front of it.
//! Further requests wait in a bounded queue for a bounded time, and all others are rejected at
//! once. So no queue can grow behind the bottleneck until every response comes too late.
//!
//! The idea is that of Jesper Louis Andersen's SafetyValve, described in the overload chapter of
//! *Erlang in Anger*. Callers request permission at the edge of the system, before any work begins.
//!
//! ```text
//!             ┌──────────────── valve ────────────────┐
//!  request ──►│ waiting, up to  ──►  in flight, up to │──► bottleneck
//!             │ `queue`              `concurrency`    │
//!             └──┬─────────────┬──────────────────────┘
//!                ▼             ▼
//!          Full, at once   Expired, after `max_wait`
//! ```
//!
//! *Not* for limiting how often something happens (use a rate limit), nor for a dependency that is
//! down (use a circuit breaker).
//!
//! # Settings
//!
//! | setting | limits | default | range |
//! |---|---|---|---|
//! | `concurrency` | requests in flight | 1 | 1 to 2³¹ − 1 |
//! | `queue` | waiting requests | 0 | 0 to 2³¹ − 1 |
//! | `max_wait` | the time a request waits | 100 ms | above 0 if requests may wait |
//! | `discipline` | the order, and which request is evicted | `KeepOldest` | any [`Discipline`](plimsoll_core::Discipline) |
//!
//! Each can be changed while the valve is in use: [`set_concurrency`](Valve::set_concurrency) and
//! so on. The same words set and read the numbers by name, through
//! [`Inspect`](plimsoll_core::Inspect).
//!
//! # On any thread
//!
//! ```
//! use plimsoll_valve::Valve;
//! use plimsoll_core::{Outcome, Reason};
//!
//! let valve = Valve::new(2)?; // two requests in flight, no queue
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
//! let max_wait = Duration::from_millis(100);
//! let valve = Valve::builder().concurrency(16).queue(32).max_wait(max_wait).build()?;
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
//! A [`Valve`] is a handle. Its clones, and all services of all its layers, share one count and one
//! queue. Threads and tasks wait in the same queue, in the order of arrival. Another
//! [discipline](plimsoll_core::Discipline) changes that: for example, `Lifo` serves the newest
//! request first, for callers that give up soon.
//!
//! A waiter that is dropped leaves the queue. A permit that is dropped releases its place, even if
//! the future that holds it is cancelled or panics. A service that is ready but not called holds no
//! place of the valve.
//!
//! # Features
//!
//! - `tower` (default): [`Valve::layer`] and [`Valve::wait_layer`]. Enables `tokio`.
//! - `tokio`: waits inside a tokio runtime use its timer and spend its cooperative budget.
//!   Without it, one timer thread serves all.
//! - `serde`: [`ValveConfig`] can be read from and written to a file.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod config;
#[cfg(feature = "tower")]
mod layer;
mod valve;
mod wait;

pub use config::{ValveBuilder, ValveConfig};
#[cfg(feature = "tower")]
pub use layer::{ValveLayer, ValveWaitLayer};
pub use valve::Valve;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
