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

mod clock;
mod codel;
mod dice;
mod discipline;
mod error;
mod facts;
mod few;
mod gate;
mod instant;
mod line;
#[cfg(feature = "metrics")]
mod metrics;
mod name;
pub mod names;
mod observe;
mod outcome;
mod pack;
mod places;
mod rejected;
mod room;
mod seeded;
mod shadow;
mod stripes;
#[doc(hidden)]
pub mod sync;
mod then;
mod timers;
#[cfg(feature = "tower")]
mod tower;
mod turn;
mod waiters;
mod window;

pub use clock::{Clock, ManualTime, Sleep};
pub use dice::Dice;
pub use discipline::{Bounds, Discipline};
pub use error::{ConfigError, ControlError};
pub use facts::{
    By, ByOption, ByOptionRef, ByRef, InfoFn, Keyed, Only, OnlyWaiting, Priority, ReadInfo, RequestInfo,
};
pub use few::OneOrMany;
pub use gate::{Allowance, Gate, Permit, Settle, Wait};
pub use instant::Instant;
pub use line::{Position, Queue, Ticket};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use name::{check_name, intern};
pub use observe::{Event, Inspect, Observe, Observer};
pub use outcome::{Classify, ClassifyFn, OnError, Outcome, Overload};
pub use pack::{Pack, Packed};
pub use places::{FixedCapacity, Place};
pub use rejected::{Reason, Rejected};
pub use room::{Capacity, Semaphore, Start};
pub use seeded::{KeyedHashState, KeyedHasher};
pub use shadow::{Mode, Shadow};
pub use stripes::StripedCounter;
pub use then::Then;
pub use timers::wake;
#[cfg(feature = "tower")]
pub use tower::{
    AsError, GateLayer, Gated, GatedFuture, GuardLayer, Immediate, Queued, QueuedFuture, Queueing, Reply,
    Respond, WaitLayer, Wrapped, layer, wait_layer,
};
pub use turn::Acquire;
pub use window::SlidingWindow;
