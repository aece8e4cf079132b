//! The load line for Rust services.
//!
//! A Plimsoll line is the mark on a ship's hull that says how much it may carry. This family of
//! crates is that line for a service: it keeps the service useful while more work arrives than it
//! can do. Every mechanism comes twice with one behaviour: as a plain primitive for any thread,
//! and as a tower layer.
//!
//! Which one to take: see the [`guide`].
//!
//! # A service behind a line
//!
#![cfg_attr(all(feature = "valve", feature = "http"), doc = "```")]
#![cfg_attr(not(all(feature = "valve", feature = "http")), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use plimsoll::prelude::*;
//! use std::time::Duration;
//!
//! // The database pool behind this API has 16 connections: so many may be inside.
//! let valve = Valve::builder().concurrency(16).queue(32).max_wait(Duration::from_millis(100)).build()?;
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
//!             Err(refused) => eprintln!("{refused}"),
//!         });
//!     }
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! None is on by default.
//!
//! - `full`: everything below but `axum`, `governor`, `serde` and `test-util`.
//! - `valve`: the safety valve.
//! - `drop`: random drop.
//! - `breaker`: circuit breakers.
//! - `buffer`: mailboxes, stacks, time buckets, and the buffer layer.
//! - `dispatch`: dispatch pools.
//! - `limit`: rate limits.
//! - `governor`: `Governed`, a limiter of the `governor` crate as a gate. Turns on `limit`.
//! - `serde`: quotas in settings files.
//! - `http`: the HTTP face, `.http()` on every layer. Turns on `tower`.
//! - `axum`: accounts by axum's matched route, and the peer's address from its `ConnectInfo`. Not in `full`: a library that
//!   takes everything should not bring in a server.
//! - `tower`: the layers of the guards that are on. Turns on `tokio`.
//! - `tokio`: waiting inside a runtime uses its timer.
//! - `metrics`: `Metrics` publishes what guards decide to the `metrics` facade.
//! - `test-util`: time follows tokio's paused clock. For tests only.

#[cfg(feature = "breaker")]
pub use plimsoll_breaker::{self as breaker, CircuitBreaker, KeyedCircuitBreaker, Trip};
#[cfg(all(feature = "buffer", feature = "tower"))]
pub use plimsoll_buffer::Buffer;
#[cfg(feature = "buffer")]
pub use plimsoll_buffer::{self as buffer, Inbox, Mailbox};
#[cfg(feature = "metrics")]
pub use plimsoll_core::Metrics;
pub use plimsoll_core::{
    Account, Allowance, By, ByOption, ByOptionRef, ByRef, Classify, Clock, ConfigError, ControlError, Dice,
    Discipline, Event, Gate, Inspect, Instant, Keyed, KeyedExt, ManualTime, Mode, Observe, OnError, Only,
    Outcome, Overload, Packed, Permit, Priority, Reason, Rejected, RequestInfo, Settle, Shadow, Then, Wait,
    Words, metric_names,
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

/// What most users want in scope: `use plimsoll::prelude::*`. Items only, no modules.
pub mod prelude {
    #[cfg(all(feature = "buffer", feature = "tower"))]
    pub use crate::Buffer;
    #[cfg(feature = "dispatch")]
    pub use crate::Dispatch;
    #[cfg(feature = "http")]
    pub use crate::HttpExt;
    #[cfg(feature = "valve")]
    pub use crate::Valve;
    #[cfg(feature = "drop")]
    pub use crate::{AdaptiveThrottle, LoadShedder, RandomDrop};
    #[cfg(feature = "breaker")]
    pub use crate::{CircuitBreaker, Trip};
    #[cfg(feature = "buffer")]
    pub use crate::{Discipline, Inbox, Mailbox};
    #[cfg(feature = "limit")]
    pub use crate::{FairRateLimiter, KeyedRateLimiter, Quota, RateLimiter, TieredRateLimiter};
    pub use crate::{KeyedExt, Outcome, Overload, Permit, Reason, Rejected, RequestInfo};
}

#[doc = include_str!("guide.md")]
pub mod guide {}

#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
