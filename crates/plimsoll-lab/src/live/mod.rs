//! The demo: a real server on real sockets, driven past its capacity.

mod client;
mod cost;
mod demo;
mod guards;
mod pacer;
mod plan;
mod pool;
pub(crate) mod report;
mod row;
mod schedule;
mod server;
pub(crate) mod tally;
mod wire;

pub use cost::{RejectionCost, rejection_cost};
pub use demo::demo;
pub use guards::Guards;
pub use plan::Plan;
pub use report::Report;
pub use row::Row;
pub use server::Listener;
