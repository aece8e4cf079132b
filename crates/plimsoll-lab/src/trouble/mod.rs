//! The matrix of troubles: every guard, with default settings, on the worst day of the year.
//!
//! A guard that does its job on a good day may still make a bad day worse: a breaker that never
//! closes again, a shedder that opens in front of a dead server. So each [`Guard`] meets
//! each [`Trouble`], on production code, in virtual time, with its default settings and the one
//! setting that a user must give. A crossing of the two is a [`Cell`], and its result is a list of
//! [`Row`]s. Each row is a figure with its limit. A crossing without a meaning states the reason.
//!
//! # Verdicts
//!
//! 1. **No harm**: in no phase is the goodput more than 2 % below that of the same system without
//!    the guard, unless the guard spends it on purpose and says so.
//! 2. **Useful**: during the trouble the goodput reaches the limit.
//! 3. **Back**: 95 % of the earlier goodput is back within the limit, and stays.
//! 4. **Bounded**: queues, memory, held permits and events keep their documented bounds.
//!
//! # Running it
//!
//! ```text
//! plimsoll-lab trouble                                  # all cells at the small size
//! plimsoll-lab trouble --guard valve --trouble T1       # one cell
//! plimsoll-lab trouble --full --markdown docs/trouble.md
//! cargo test -p plimsoll-suite --test trouble     # what CI runs
//! ```
//!
//! ```
//! use plimsoll_lab::trouble::{Guard, Size, Trouble, cells};
//!
//! for cell in cells(Some(Guard::Valve), Some(Trouble::T1)) {
//!     for row in cell.run(Size::Small, 1) {
//!         assert!(row.is_fine(), "{}: {}", row.case, row.figure());
//!     }
//! }
//! ```
//!
//! # Adding a cell
//!
//! The cells of a guard are in one file, `trouble/cells/<guard>.rs`. A cell is a function from a
//! size and a seed to rows. Write the function and add it to `cells()`. A trouble without a meaning
//! is listed in `WITHOUT_MEANING`, with a reason.
//!
//! A **system cell** is a `Day`: a far side, its callers, and three phases, which are the calm, the
//! trouble and the time after it. It runs once with the guard and once without:
//!
//! ```text
//! fn long_stall(size: Size, seed: u64) -> Vec<Row> {
//!     let phases = Phases::new(10 * S, 60 * S, size.pick(20 * S, 600 * S));
//!     let far = Far::slots(16, 10 * MS).stalls(phases.begins(), phases.lasts());
//!     let day = Day::new(far, Callers::load(0.5), phases);
//!     let course = day.run(seed, |bench| {
//!         let valve = Valve::builder().concurrency(16).clock(bench.clock()).build()?;
//!         Ok(valve.layer().layer(bench.far()))
//!     });
//!     course.rows("no queue, half load", &day.bare(seed), Limits::back(2 * S))
//! }
//! ```
//!
//! - The far side stalls, hangs, answers with an HTTP status, holds calls or changes its capacity.
//! - Callers have a load, a deadline or patience, retries, and perhaps leave. An answer is good if
//!   it comes within the deadline, or within one second if callers are patient.
//! - `course.rows(..)` returns the goodput of each phase against the bare system, the time to be
//!   back, and a queue's length if there is a gauge.
//!
//! A **guard-only cell** is a plain loop, `Alone`: a manual clock, dice, and evenly spaced calls.
//! See `cells/circuit_breaker.rs`.
//!
//! A row is `Row::at_least("what, with which settings", value, limit, "unit")` or
//! `Row::at_most(..)`, with `.phase(..)`, `.without(bare)` and perhaps `.spends(share, why)`. A
//! limit that is missed and stays so for now is marked with `.known_miss("why")`. It must be
//! removed as soon as the limit is kept. Small cells should take well under a second in a debug
//! build.

mod alone;
mod callers;
mod cell;
mod cells;
mod course;
mod day;
mod erlang;
mod far;
mod guard;
mod key_flood;
mod kind;
mod phases;
mod probe;
mod quota_days;
mod registry;
mod report;
mod row;
mod run;
mod scenes;
mod waiting;

pub use cell::{Cell, Size};
pub use guard::Guard;
pub use kind::Trouble;
pub use registry::{Crossing, cells, crossings};
pub use report::{markdown, page, table};
pub use row::{Direction, Phase, Row};
pub use run::{Matrix, measure};
