//! The words every Plimsoll crate speaks.
//!
//! A *guard* answers one question – may this request begin? – and there are two shapes of it. A
//! [`Gate`] answers at once; a [`Wait`]er may let the caller stand in line first. Both hand out
//! plain data (a token) and take it back with an [`Outcome`]; [`Permit`] turns a token into a
//! value that gives itself back when dropped. A refusal is a [`Rejected`]: small, `Copy`, never
//! allocated, and it always means that the work never began.
//!
//! This crate holds no guard. Use it to write one, or to name the types in your own signatures;
//! to *use* guards, start at the `plimsoll` crate.
//!
//! ```text
//!  request ─► Gate::admit ─► Ok(token) ─► work ─► settle(token, outcome)
//!                 │                        └ dropped unfinished: settle(token, Cancelled)
//!                 └► Err(Rejected)           never began: refund(token)
//! ```
//!
//! # A gate in ten lines
//!
//! ```
//! use plimsoll_core::{Gate, Outcome, Permit, Reason, Rejected, Settle};
//! use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
//!
//! /// Lets one caller in at a time.
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
//!         if self.0.swap(true, SeqCst) { Err(Rejected::new("latch", Reason::Busy)) } else { Ok(()) }
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
//! # Time, chance, cancellation
//!
//! [`Clock`] and [`Dice`] are the only doors through which time and chance come in; a guard that
//! reads time or rolls dice takes them, so a test or a simulator can drive it. Everything here works on a plain thread:
//! [`Clock::block_until`] runs any of the waiting futures without a runtime. Dropping a waiting
//! future leaves the line; dropping a [`Permit`] settles it as [`Outcome::Cancelled`], or as
//! [`Outcome::Failure`] while the thread unwinds.
//!
//! # Features
//!
//! - `tower` (default): [`GuardLayer`], [`Gated`], [`Waiting`] and the faces. Brings in `tokio`.
//! - `tokio`: sleeping inside a tokio runtime uses its timer; without it, one timer thread does.
//! - `metrics`: [`Metrics`], the adapter to the `metrics` facade.
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
    Allowance, Classify, ConfigError, ControlError, Gate, Mode, OnError, Only, Outcome, Overload, Pack,
    Packed, Permit, Reason, Rejected, Settle, Shadow, Then, Wait, Words,
};
#[cfg(feature = "metrics")]
pub use observe::Metrics;
pub use observe::{Event, Inspect, Observe, Observer, metric_names};
pub use parts::Discipline;
pub use request::{Account, By, ByOption, ByOptionRef, ByRef, Keyed, KeyedExt, Priority, RequestInfo};
pub use time::{Clock, Instant, ManualTime};
#[cfg(feature = "tower")]
pub use tower::{
    AsError, GateLayer, Gated, GuardLayer, Immediate, Queued, Queueing, Reply, Respond, WaitLayer, Wrapped,
    layer, wait_layer,
};
