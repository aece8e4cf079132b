#![cfg_attr(docsrs, feature(doc_cfg))]
//! Overload protection for Rust services: back-pressure and load shedding.
//!
//! These crates keep a service useful while more work arrives than it can do. Every guard exists in
//! two forms that behave alike: a standalone primitive for any thread or task, and a tower layer.
//!
//! - Request permission: [`Valve`], [`CircuitBreaker`], [`RateLimiter`], [`KeyedRateLimiter`],
//!   [`TieredRateLimiter`], [`FairRateLimiter`], [`Dispatch`].
//! - Shed load: [`RandomDrop`], [`LoadShedder`], [`AdaptiveThrottle`].
//! - Buffer: [`Mailbox`] between producers and consumers, and [`Buffer`] for requests in front of a
//!   service, both as a queue, a stack or time buckets.
//! - Answer over HTTP: [`.http()`](HttpExt) on every layer, for axum and any server built on `http`.
//!
//! The [`guide`] explains which guard to take, how to size it, and how guards combine.
//!
//! # In axum
//!
#![cfg_attr(all(feature = "valve", feature = "http"), doc = "```")]
#![cfg_attr(not(all(feature = "valve", feature = "http")), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use plimsoll::prelude::*;
//! use std::time::Duration;
//!
//! // The connection pool behind this API holds 16.
//! let max_wait = Duration::from_millis(100);
//! let valve = Valve::builder().concurrency(16).queue(32).max_wait(max_wait).build()?;
//!
//! let app: Router =
//!     Router::new().route("/", get(async || "hello")).layer(valve.wait_layer().http());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Without a runtime
//!
#![cfg_attr(feature = "valve", doc = "```")]
#![cfg_attr(not(feature = "valve"), doc = "```ignore")]
//! use plimsoll::prelude::*;
//! use std::time::Duration;
//!
//! let valve = Valve::builder().concurrency(2).queue(8).build()?;
//! std::thread::scope(|s| {
//!     for _ in 0..4 {
//!         s.spawn(|| match valve.blocking_acquire_timeout(Duration::from_secs(1)) {
//!             Ok(_permit) => { /* the work */ }
//!             Err(rejected) => eprintln!("{rejected}"),
//!         });
//!     }
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! On by default: `valve`, `breaker`, `limit`, `drop`, `buffer`, `dispatch`, `http`, `tower` and
//! `tokio`. For a lean build, set `default-features = false` and name what you need. The default
//! build has 37 crates in all, and a build with `valve` alone has 12.
//!
//! - `full`: the default features and `metrics`.
//! - `valve`: the concurrency limit, [`Valve`].
//! - `breaker`: circuit breakers.
//! - `limit`: rate limiters.
//! - `drop`: random drop, the load shedder and the adaptive throttle of a client.
//! - `buffer`: mailboxes, and with `tower` the request buffer.
//! - `dispatch`: pools of resources and of workers. An exhausted pool rejects at once.
//! - `http`: `.http()` on every layer, for axum and any server built on `http`. Turns on `tower`.
//! - `axum`: accounts by axum's matched route, and the peer's address from its `ConnectInfo`. Turns
//!   on `http`. Not in `full`, since it depends on axum.
//! - `tower`: the layers of the guards that are on. Turns on `tokio`.
//! - `tokio`: inside a runtime, waiting uses the runtime's timer.
//! - `metrics`: `Metrics` publishes decisions and outcomes to the `metrics` facade.
//! - `serde`: the configurations of all guards that are on can be read from settings files.
//! - `governor`: `Governed`, a rate limiter of the `governor` crate as a gate. Turns on `limit`.
//! - `test-util`: time follows tokio's paused clock. For tests only.

// The front page links to every guard. Without its feature, a guard does not exist.
#![cfg_attr(not(feature = "default"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "breaker")]
pub use plimsoll_breaker::{self as breaker, CircuitBreaker, KeyedCircuitBreaker, Trip};
#[cfg(all(feature = "buffer", feature = "tower"))]
pub use plimsoll_buffer::Buffer;
#[cfg(feature = "buffer")]
pub use plimsoll_buffer::{self as buffer, Inbox, Mailbox};
#[cfg(feature = "metrics")]
pub use plimsoll_core::Metrics;
pub use plimsoll_core::{
    Account, Allowance, By, ByOption, ByOptionRef, ByRef, ByRequired, ByRequiredRef, Classify, Clock,
    ConfigError, ControlError, Dice, Discipline, Event, Gate, Inspect, Instant, Keyed, KeyedExt, ManualTime,
    Mode, NoKey, Observe, OnError, Only, Outcome, Overload, Packed, Permit, Priority, Reason, Rejected,
    RequestInfo, Settle, Shadow, Then, Wait, Words, metric_names,
};
#[cfg(feature = "tower")]
pub use plimsoll_core::{
    AsError, GateLayer, Gated, GuardLayer, Immediate, Queued, Queueing, Reply, Respond, WaitLayer, Wrapped,
    layer, wait_layer,
};
#[cfg(feature = "dispatch")]
pub use plimsoll_dispatch::{self as dispatch, Dispatch, Workers};
#[cfg(feature = "drop")]
pub use plimsoll_drop::{self as drop, AdaptiveThrottle, LoadShedder, RandomDrop};
#[cfg(feature = "http")]
pub use plimsoll_http::{self as http, ByStatus, ClientAddr, Http, HttpExt, HttpOptions};
#[cfg(feature = "limit")]
pub use plimsoll_limit::{
    self as limit, FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter,
};
#[cfg(feature = "valve")]
pub use plimsoll_valve::{self as valve, Valve};

/// The items that most programs use: `use plimsoll::prelude::*`.
pub mod prelude {
    #[cfg(all(feature = "buffer", feature = "tower"))]
    pub use crate::Buffer;
    #[cfg(feature = "http")]
    pub use crate::HttpExt;
    #[cfg(feature = "valve")]
    pub use crate::Valve;
    #[cfg(feature = "drop")]
    pub use crate::{AdaptiveThrottle, LoadShedder, RandomDrop};
    #[cfg(feature = "breaker")]
    pub use crate::{CircuitBreaker, KeyedCircuitBreaker, Trip};
    #[cfg(feature = "buffer")]
    pub use crate::{Discipline, Inbox, Mailbox};
    #[cfg(feature = "dispatch")]
    pub use crate::{Dispatch, Workers};
    #[cfg(feature = "limit")]
    pub use crate::{FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
    pub use crate::{
        Inspect, KeyedExt, Outcome, Overload, Permit, Priority, Reason, Rejected, RequestInfo, Then,
    };
}

#[doc = include_str!("guide.md")]
pub mod guide {}

#[cfg(all(doctest, feature = "full", feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
