#![cfg_attr(docsrs, feature(doc_cfg))]
//! A circuit breaker: rejects calls to a dependency that is down or slow, and returns carefully.
//!
//! Calls to a dependency that does not work make it worse for both sides: its queue grows, and our
//! callers wait. A [`CircuitBreaker`] counts how calls end. If too many end badly, it *opens* and
//! rejects all calls at once. After a while it lets a few calls probe the dependency. If they
//! succeed, it admits a growing share of the calls and finally all of them.
//!
//! The models are fuse, breaky and Klarna's circuit_breaker, which the overload chapter of *Erlang
//! in Anger* describes.
//!
//! ```text
//!            a trip                open time over          enough succeed
//!  closed ───────────► open ─────────────────► half-open ────────────────► ramp ──► closed
//!                       ▲ ▲  too many fail, hang   │                        │
//!                       │ └────────────────────────┘          a trip        │
//!                       └───────────────────────────────────────────────────┘
//! ```
//!
//! *Not* for limiting the load on a dependency that works: use a valve or a rate limit for that.
//! Nor does it retry calls.
//!
//! # On any thread
//!
//! ```
//! use plimsoll_breaker::{CircuitBreaker, Trip};
//! use plimsoll_core::{OpenCause, Outcome, Reason};
//! use std::time::Duration;
//!
//! let payments = CircuitBreaker::builder()
//!     .name("payments")
//!     // Beside the default trips, which count failures, push-back and cancelled calls.
//!     .trip(Trip::slow(Duration::from_secs(1)).ratio(0.3, 50))
//!     .build()?;
//!
//! for _ in 0..20 {
//!     let permit = payments.try_acquire()?;
//!     permit.done(Outcome::Failure); // or `payments.run(..)`, which does both
//! }
//! let rejected = payments.try_acquire().unwrap_err();
//! assert_eq!(rejected.reason(), Reason::Open);
//! assert_eq!(rejected.cause(), Some(OpenCause::Failures));
//! assert!(rejected.retry_after().is_some());
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
//! A client of many dependencies needs a breaker for each of them: [`KeyedCircuitBreaker`].
//!
//! # Time, sharing, cancellation
//!
//! A [`CircuitBreaker`] is a handle: clones, and all services of all its layers, share one state.
//! Each admitted call belongs to the state in which it was admitted. A result that arrives after
//! the state has changed is ignored.
//!
//! A call that is older than its [call time-out](CircuitBreakerConfig::call_timeout), by default
//! 10 s, counts as timed out, even if it succeeds later. It counts in flight, as soon as another
//! call arrives. A call that is cancelled earlier is ignored, unless
//! [configured otherwise](CircuitBreakerConfig::cancelled). But if calls are cancelled and none
//! succeeds, the dependency hangs: a default trip counts [cancellations](Trip::cancellations).
//!
//! A cancelled probe frees its place. A probe that does not return counts as bad after its
//! [lease](Probes::lease), and only a few may end without a verdict. So the breaker never gets
//! stuck.
//!
//! If every time in the settings is 2 s or more, counting uses a coarse clock. Counts expire at
//! most a tenth of the time late.
//!
//! # After it has opened
//!
//! What a closed breaker tolerates must not keep it open. So the [trips](Trip) judge the probes and
//! the ramp. As many consecutive probes may be bad as the trips tolerate. On the ramp the trips
//! apply as when it is closed. While the window of a share fills again, a few calls exceed it by
//! chance, so until then three standard deviations are added. When the ramp has ended, the open
//! time is the first one again.
//!
//! # Settings
//!
//! Every [setting](CircuitBreakerConfig) but the name can change while calls are in flight: by
//! `set_probes` and the like, by [`set_config`](CircuitBreaker::set_config), or by its name through
//! [`Inspect`](plimsoll_core::Inspect).
//!
//! # Features
//!
//! - `tower` (default): [`CircuitBreaker::layer`]. Enables `tokio`.
//! - `tokio`: inside a tokio runtime, waiting uses that runtime's timer. Otherwise it uses one
//!   timer thread.
//! - `serde`: [`CircuitBreakerConfig`] and [`KeyedCircuitBreakerConfig`] can be read from a file.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod breaker;
mod builder;
mod config;
mod health;
mod inspect;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
mod live;
mod loss;
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
