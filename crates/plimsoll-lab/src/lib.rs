//! The lab of Plimsoll: a real server with a real bottleneck, driven past its capacity over real
//! sockets, once bare and once behind a guard.
//!
//! ```text
//!  pacer ──due──▶ client ──HTTP/1.1 over loopback──▶ [guard] ──▶ handler ──▶ slot pool (C per second)
//!  own thread     own runtime                        own runtime             own timing thread
//! ```
//!
//! The claim it puts to the proof: past its capacity a server without a guard does *less* useful
//! work, not just no more, because it spends its slots on requests whose clients have left. The
//! numbers are read from the real clock of the machine it runs on, so they differ from run to
//! run; a row in which the load generator itself fell behind says so ([`Row::valid`]).
//!
//! Beside it stands the simulator ([`sim`]): the same layers, unchanged, before a server made of
//! numbers, in virtual time; [`scenario`] reads what is to happen there, [`run`] does it for every
//! policy, load and seed. What takes minutes on sockets takes a second there, and is the same each
//! time.
//!
//! It is a program first: `plimsoll-lab demo`, `plimsoll-lab run`. The guard is a parameter ([`Guards`]), so the same
//! drive judges any stack of layers:
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
//! Not for: benchmarks of a server's top speed (the bottleneck is a schedule, not computation),
//! nor loads beyond what one client thread sends (some ten thousand requests a second).

pub mod catalog;
mod cli;
mod error;
pub mod fair;
mod html;
mod live;
pub mod run;
pub mod scenario;
pub mod sim;

pub use cli::{Progress, Settings, command};
pub use error::{LabError, UsageError};
pub use live::{Guards, Listener, Plan, RejectionCost, Report, Row, demo, rejection_cost};
