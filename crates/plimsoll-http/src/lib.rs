//! The HTTP face of every Plimsoll guard.
//!
//! [`.http()`](HttpExt::http) on any layer does two things. A refusal becomes a response – status
//! by one [table](status_for), `Retry-After`, a problem body (RFC 9457) – so the service's error type
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
//! # Whom it is for
//!
//! What a request says reaches a guard by closures, and these make them:
//!
//! | account | for | |
//! |---|---|---|
//! | client's address behind *n* trusted proxies | `.by(..)`, `.by_option(..)` | [`ClientAddr::behind(n)`](ClientAddr) |
//! | header | `.by_ref(..)`, `.by_option_ref(..)` | [`Header::new("x-api-key")?`](Header) |
//! | route as it was written, `/users/{id}` | `.by_option_ref(..)` | `matched_path` (feature `axum`) |
//! | path, method | `.by_ref(..)` | [`path`], [`method`](method()) |
//! | anything else | all of them | a function of your own |
//!
//! Who has no address, or not the header, is exempt (`.or_exempt()`) or shares one account with all like it
//! (`.or_shared()`): you say which, and it is never an error. [`RequestAttributes`] reads cost and priority for `.info(..)`;
//! [`paths_except`] exempts paths, for `.only(..)`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use plimsoll_core::KeyedExt;
//! use plimsoll_http::{ClientAddr, HttpExt, paths_except};
//! use plimsoll_limit::{KeyedRateLimiter, Quota};
//! use std::net::IpAddr;
//!
//! // One proxy stands in front: the client is the last address that it wrote.
//! let limits = KeyedRateLimiter::<IpAddr>::new(Quota::per_second(10).burst(20))?;
//! let by_client = plimsoll_core::layer(limits.by(ClientAddr::behind(1).or_shared()));
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(by_client.only(paths_except(["/health"])).http());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is said of limits
//!
//! A guard with a quota tells what is left of it, and the answer says so, admitted or rejected, in the fields of
//! draft-ietf-httpapi-ratelimit-headers-10:
//!
//! ```text
//! ratelimit-policy: "api/free/account";q=5;w=5, "api/free";q=300;w=1
//! ratelimit: "api/free/account";r=4;t=1, "api/free";r=300;t=0
//! ```
//!
//! `q` units come back in `w` seconds; `r` are left, and in `t` seconds all are back – in a refusal, enough to ask
//! again. A burst that comes back in less than a second is told as what a second brings. The names are those of the
//! guards, so give each its own. An inner layer's fields stay as they are. Guards that have
//! nothing to tell cost nothing. Browsers show these fields to scripts of other origins only if
//! `Access-Control-Expose-Headers` names them.
//!
//! `Retry-After` is rounded up and up to a quarter late, by chance: those who were rejected together should not come
//! back together. [`HttpOptions`] turns each of these on and off.
//!
//! # What is guarded
//!
//! One valve guards all routes together, although axum calls the layer once a route: a layer is a
//! handle. For a line of its own, give a route its own valve.
//!
//! A place is held until the handler has answered, not until the body has been sent: a streamed body
//! that goes on reading from the bottleneck does so outside the line. Hold a permit of the valve
//! ([`try_acquire_owned`](https://docs.rs/plimsoll-valve)) inside such a stream until it ends.
//!
//! What stands in front of the guard is not guarded by it: the kernel's accept queue, TLS, HTTP
//! parsing, and every layer further out. A refusal is cheap, but it comes after those.
//!
//! # Features
//!
//! - `axum`: `matched_path`, and the peer's address from `ConnectInfo`. Brings in axum; nothing else does.

mod account;
mod classify;
mod layer;
mod options;
mod rate_limit_fields;
mod request_attributes;
mod response;
mod retry_after;

#[cfg(feature = "axum")]
pub use account::matched_path;
pub use account::{ClientAddr, Header, PeerAddr, method, path, paths_except};
pub use classify::{ByStatus, outcome_for};
pub use layer::{Http, HttpExt};
pub use options::HttpOptions;
pub use request_attributes::RequestAttributes;
pub use response::status_for;
pub use retry_after::retry_after_seconds;
