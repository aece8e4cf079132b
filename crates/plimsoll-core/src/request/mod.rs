//! The request as a guard sees it: its account, its cost, its priority.

mod account;
mod info;
mod keyed;

pub use account::Account;
pub use info::{Priority, RequestInfo};
pub use keyed::{By, ByOption, ByOptionRef, ByRef, ByRequired, ByRequiredRef, Keyed, KeyedExt, NoKey};
