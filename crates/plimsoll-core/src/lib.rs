#![cfg_attr(docsrs, feature(doc_cfg))]
//! The contract of Plimsoll's guards, and the parts they are built from.
//!
//! A *guard* decides whether a request may begin. There are two kinds. A [`Gate`] decides at once.
//! A [`Wait`] may queue the caller first. Both hand out a token, which is plain data, and take it
//! back with an [`Outcome`]. A [`Permit`] is a token that releases itself when it is dropped. A
//! rejection is a [`Rejected`]: small, `Copy`, and never allocated. It always means that the work
//! never began.
//!
//! This crate contains no guard. Use it to write a guard, or to name the types in your signatures.
//! To *use* guards, start at the `plimsoll` crate.
//!
//! ```text
//!  request ─► Gate::admit ─► Ok(token) ─► work ─► settle(token, outcome)
//!                 │                        └ dropped unfinished: settle(token, Cancelled)
//!                 └► Err(Rejected)           never began: refund(token)
//! ```
//!
//! # A gate in twelve lines
//!
//! ```
//! use plimsoll_core::{Gate, Outcome, Permit, Reason, Rejected, Settle};
//! use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
//!
//! /// Admits one caller at a time.
//! #[derive(Default)]
//! struct Latch(AtomicBool);
//!
//! impl Settle for Latch {
//!     type Token = ();
//!     fn settle(&self, _: (), _: Outcome) { self.0.store(false, SeqCst) }
//!     fn refund(&self, _: ()) { self.0.store(false, SeqCst) }
//! }
//! impl<R: ?Sized> Gate<R> for Latch {
//!     fn admit(&self, _: &R) -> Result<(), Rejected> {
//!         let taken = self.0.swap(true, SeqCst);
//!         if taken { Err(Rejected::new("latch", Reason::Busy)) } else { Ok(()) }
//!     }
//! }
//!
//! let latch = Latch::default();
//! let token = latch.admit("request").unwrap();
//! let permit = Permit::new(&latch, token);
//! assert_eq!(latch.admit("another").unwrap_err().reason(), Reason::Busy);
//! drop(permit);
//! assert!(latch.admit("another").is_ok());
//! ```
//!
//! # Where things are
//!
//! | what | where |
//! |---|---|
//! | the contract, and what combines guards | [`Gate`], [`Wait`], [`Permit`], [`Rejected`], [`Only`], [`Then`], [`Shadow`] |
//! | the request as a guard sees it | [`RequestInfo`], [`Keyed`], [`KeyedExt`] |
//! | time and chance | [`Clock`], [`Dice`] |
//! | watching and changing guards | [`Observe`], [`Event`], [`Inspect`] |
//! | tower layers | `layer`, `wait_layer`, `GuardLayer`, `Reply` |
//! | building parts: semaphore, queue, counters, checks | [`parts`] |
//!
//! # Time, chance, cancellation
//!
//! Time enters a guard only through its [`Clock`], and chance only through its [`Dice`]. So a test
//! or a simulator can drive every guard. Everything works on a plain thread: [`Clock::block_on`]
//! runs any future without a runtime. A waiting future that is dropped leaves its queue. A
//! [`Permit`] that is dropped settles as [`Outcome::Cancelled`], or as [`Outcome::Failure`] while
//! the thread unwinds.
//!
//! # Features
//!
//! - `tower` (default): the layers and services. Enables `tokio`.
//! - `tokio`: sleeps inside a tokio runtime use its timer and spend its cooperative budget.
//!   Without it, one timer thread serves all.
//! - `metrics`: `Metrics`, an observer for the `metrics` facade.
//! - `serde`: settings can be read from and written to a file.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod chance;
mod guard;
mod observe;
pub mod parts;
mod request;
mod time;
#[cfg(feature = "tower")]
mod tower;

pub use chance::Dice;
pub use guard::{
    Allowance, Classify, ConfigError, ControlError, Gate, Mode, OnError, Only, OpenCause, Outcome, Overload,
    Pack, Packed, Permit, Reason, Rejected, Settle, Shadow, Then, Wait, Words,
};
#[cfg(feature = "metrics")]
pub use observe::Metrics;
pub use observe::{Event, Inspect, Observe, Observer, metric_names};
pub use parts::Discipline;
pub use request::{
    Account, By, ByOption, ByOptionRef, ByRef, ByRequired, ByRequiredRef, Keyed, KeyedExt, NoKey, Priority,
    RequestInfo,
};
pub use time::{Clock, Instant, ManualTime};
#[cfg(feature = "tower")]
pub use tower::{
    AsError, GateLayer, Gated, GuardLayer, Immediate, Queued, Queueing, Reply, Respond, WaitLayer, Wrapped,
    layer, wait_layer,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
