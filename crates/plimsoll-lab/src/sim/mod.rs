//! The simulator: Plimsoll's own layers, unchanged, around a simulated server.
//!
//! ```text
//!  arrivals ─▶ clients ─attempt─▶ [drop] ─▶ [valve] ─▶ FIFO ─▶ K slots
//!                 ▲  │ deadline: leaves             └── a rejection costs its share of a slot
//!                 └──┘ retries, herds
//! ```
//!
//! The guards are the real ones. Their layers are those of a real service, polled by a small
//! executor of this crate over a [`ManualTime`](plimsoll::ManualTime). Time jumps from event to
//! event, so an hour passes in seconds and is exact to the nanosecond. tokio's paused clock would
//! round every timer to a millisecond. All chance comes from one seed: the same case, policy and
//! seed return the same [`Record`].
//!
//! ```
//! use plimsoll_lab::sim::{Arrivals, Case, Clients, Law, Policy, ServerPlan, simulate};
//! use std::time::Duration;
//!
//! let case = Case {
//!     server: ServerPlan::new(16, Law::Exponential(Duration::from_millis(10))),
//!     clients: Clients { deadline: Some(Duration::from_millis(200)), ..Clients::default() },
//!     arrivals: Arrivals::poisson(3_200.0), // twice the capacity of 16 slots of 10 ms
//!     herd: None,
//!     window: Duration::from_secs(1)..Duration::from_secs(5),
//!     span: Duration::from_secs(5),
//! };
//! let bare = simulate(&case, &Policy::Bare, 1)?;
//! let valve = simulate(&case, &Policy::Valve { concurrency: 16 }, 1)?;
//! assert!(bare.goodput() < 200.0 && valve.goodput() > 1_400.0);
//! # Ok::<(), plimsoll::ConfigError>(())
//! ```
//!
//! The server's queue is unbounded and keeps abandoned requests. A request whose client has left is
//! still served in its turn, as by a handler blocked on a pool, or from a kernel's accept queue.

mod arrivals;
mod case;
mod clients;
mod dagor;
mod drive;
mod fault;
mod law;
mod machine;
mod nanos;
mod policy;
mod record;
mod server;
mod tasks;

pub use arrivals::{Arrivals, Piece};
pub use case::{Case, Change, Herd, ServerPlan};
pub use clients::Clients;
pub(crate) use drive::{dice, drive};
pub use fault::{Fault, FaultCounts, FaultKind};
pub use law::Law;
pub(crate) use nanos::nanos;
pub use policy::{Policy, ShedderControl, simulate};
pub use record::{Interval, Record, STEP};
pub(crate) use server::{CallError, Request, Server, Work};
