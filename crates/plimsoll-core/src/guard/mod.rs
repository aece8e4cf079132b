//! The contract: guards, permits, rejections, outcomes, and the wrappers that combine guards.

mod error;
mod gate;
mod only;
mod outcome;
mod packed;
mod permit;
mod rejected;
mod shadow;
mod then;
mod tuple;

pub use error::{ConfigError, ControlError};
pub use gate::{Allowance, Gate, Settle, Wait};
pub use only::{Only, OnlyWaiting};
pub use outcome::{Classify, ClassifyFn, OnError, Outcome, Overload};
pub use packed::{Pack, Packed, Words};
pub use permit::Permit;
pub use rejected::{OpenCause, Reason, Rejected};
pub use shadow::{Mode, Shadow};
pub use then::Then;
