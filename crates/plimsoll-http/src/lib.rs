//! The HTTP face of every Plimsoll guard.
//!
//! [`.http()`](HttpExt::http) on any layer does two things. A refusal becomes a response – status
//! by one [table](status), `Retry-After`, a problem body (RFC 9457) – so the service's error type
//! stays as it was and axum takes the layer in one line. And the outcome of a call is read off its
//! status: in axum every error is `Infallible`, so a 500 would otherwise look like a success.
//!
//! ```
//! use axum::{Router, routing::get};
//! use plimsoll_http::HttpExt;
//! use plimsoll_valve::Valve;
//!
//! let valve = Valve::new(16)?;
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .route("/health", get(async || "well"))
//!     .layer(valve.layer().only(|r: &http::Request<_>| r.uri().path() != "/health").http());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One valve guards all routes together, although axum calls the layer once a route: a layer is a
//! handle. For a line of its own, give a route its own valve.
//!
//! A place is held until the handler has answered, not until the body has been sent: a streamed body
//! that goes on reading from the bottleneck does so outside the line. Hold a permit of the valve
//! ([`ask_owned`](https://docs.rs/plimsoll-valve)) inside such a stream until it ends.
//!
//! What stands in front of the guard is not guarded by it: the kernel's accept queue, TLS, HTTP
//! parsing, and every layer further out. A refusal is cheap, but it comes after those.

mod account;
#[cfg(feature = "axum")]
mod adapter;
mod answer;
mod answers;
mod claims;
mod classify;
mod client;
mod face;
mod fields;
mod forwarded;

pub use account::{Header, all_but, method, path};
#[cfg(feature = "axum")]
pub use adapter::matched_route;
pub use answer::{retry_after_seconds, status};
pub use answers::Answers;
pub use claims::Claims;
pub use classify::{ByStatus, outcome};
pub use client::{ClientAddr, PeerAddr};
pub use face::{Http, HttpExt};
