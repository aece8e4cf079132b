#![cfg_attr(docsrs, feature(doc_cfg))]
//! The lab of Plimsoll: measures what overload does to a server, with and without a guard.
//!
//! ```text
//!  pacer ──due──▶ client ──HTTP/1.1 over loopback──▶ [guard] ──▶ handler ──▶ slot pool, C/s
//!  own thread     own runtime                        own runtime             own timing thread
//! ```
//!
//! `plimsoll-lab demo` drives a real server past its capacity over real sockets, first bare and
//! then behind a guard. Its claim: past its capacity a server without a guard does *less* useful
//! work, because it spends its slots on requests whose clients have left. The figures come
//! from the real clock, so they differ from run to run. A row in which the load generator itself
//! fell behind is marked void ([`Row::valid`]).
//!
//! `plimsoll-lab run` does the same in virtual time. The simulator ([`sim`]) puts the same layers,
//! unchanged, in front of a simulated server. [`scenario`] reads what should happen, and [`run`]
//! simulates it for every policy, load and seed. A simulation is repeatable, and takes a second
//! where sockets take minutes. [`fair`] simulates accounts that share one rate.
//!
//! `plimsoll-lab trouble` puts every guard through every trouble ([`trouble`]). Each figure has a
//! limit, and stands beside that of the same system without the guard.
//!
//! The package is a program first. The guard of the demo is a parameter ([`Guards`]), so the same
//! code can judge any stack of layers:
//!
//! ```no_run
//! use plimsoll_lab::{Guards, command};
//!
//! let guards = Guards {
//!     guard: &|router, _plan| router,
//!     rejecting: &|router| router,
//! };
//! let _code = command::run(["plimsoll-lab", "demo", "--seconds", "1"], &guards);
//! ```
//!
//! *Not* for benchmarks of a server's top speed: the bottleneck is a schedule, not a computation.
//! *Not* for loads beyond what one client thread can send, some ten thousand requests per second.

pub mod catalog;
mod cli;
mod error;
pub mod fair;
mod html;
mod live;
pub mod run;
pub mod scenario;
pub mod sim;
pub mod trouble;

pub use cli::{Progress, Settings, command};
pub use error::{LabError, UsageError};
pub use live::{Guards, Listener, Plan, RejectionCost, Report, Row, demo, rejection_cost};
