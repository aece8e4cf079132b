//! The contract of every Plimsoll layer, as probes that any layer can be put through.
//!
//! A [`Subject`] says how a guard is built, saturated and relieved, and how much it holds; each
//! [`Probe`] then asks one question of it. [`matrix`] puts every subject through every probe. A
//! probe that cannot fail is no probe: this crate's own tests hold a guard broken in one way against
//! each of them.
//!
//! Guards under test are built on a manual clock and with the kit's observer, so every verdict is
//! the same on every machine.

mod chaos;
mod inner;
mod probes;
mod subject;
mod tally;
mod verdict;

pub use inner::{BoxError, Inner, InnerError, Request};
pub use probes::{PROBES, Probe};
pub use subject::{Built, Edge, Held, Kit, Service, Subject, service};
pub use verdict::{Matrix, Verdict, matrix};
