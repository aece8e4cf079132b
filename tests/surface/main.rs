//! Every guard has every method of the family, or a reason why not.
//!
//! `methods.rs` is a table of guard × method, and `settings.rs` one of guard × setting. What is
//! present is compiled; what is absent has a reason, and is looked up in the crate's `api.txt`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod api;
mod methods;
mod settings;
