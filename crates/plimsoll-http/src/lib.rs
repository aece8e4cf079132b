#![cfg_attr(docsrs, feature(doc_cfg))]
//! Guards over HTTP: rejections as responses, and accounts read off requests.
//!
//! [`.http()`](HttpExt::http) on the layer of any guard changes two things:
//!
//! - A rejection becomes a response: a [status](status_for), `Retry-After`, and a problem body
//!   (RFC 9457). The error type of the service stays as it was, so axum accepts the layer as is.
//! - The outcome of a call is read off its status. In axum every error is `Infallible`, so a 500
//!   would otherwise count as a success.
//!
//! ```
//! use axum::{Router, routing::get};
//! use plimsoll_http::{HttpExt, paths_except};
//! use plimsoll_valve::Valve;
//!
//! let valve = Valve::new(16)?;
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .route("/health", get(async || "well"))
//!     .layer(valve.layer().only(paths_except(["/health"])).http());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! *Not* for HTTP clients: `.http()` would turn a rejection into a response that no server has
//! sent. A 503 of another server does not become a rejection. At a client use `.classify(..)` with
//! [`outcome_for`], which maps a status to an outcome.
//!
//! # Statuses
//!
//! | reason | status | problem type | `RateLimit` fields |
//! |---|---|---|---|
//! | `Limited`: the account has used up its own quota | 429 | quota-exceeded | the violated quota |
//! | `Throttled`: a rate that many callers share is used up | 503 | temporary-reduced-capacity | none |
//! | `Full`, `Busy`, `Dropped`, `Expired`, `Evicted` | 503 | temporary-reduced-capacity | none |
//! | `TooLarge`: larger than the limit can ever admit | 413 | – | none |
//! | `Unidentified`: the request does not state its account | 400 | – | none |
//! | all others | 503 | – | none |
//!
//! The first two rows are both rate limits, and both carry `Retry-After`. They differ in whose rate
//! is used up:
//!
//! - `Limited`: a keyed limiter, the account tier of a tiered limiter, or the share or cap of an
//!   account in a fair limiter.
//! - `Throttled`: a `RateLimiter`, a global or class tier, or the quota that all accounts of a fair
//!   limiter share. Or a keyed limiter rejects new accounts while its table is full. The caller may
//!   be innocent of it, so the response does not report a quota.
//!
//! # Accounts
//!
//! A keyed guard reads the account of a request by a closure. This crate has closures for:
//!
//! | account | attach with | closure |
//! |---|---|---|
//! | address of the client, behind *n* trusted proxies | `.by(..)`, `.by_option(..)` | [`ClientAddr::behind(n)`](ClientAddr) |
//! | header | `.by_ref(..)`, `.by_option_ref(..)` | [`Header::new("x-api-key")?`](Header) |
//! | route as it was written, `/users/{id}` | `.by_ref(..)`, `.by_option_ref(..)` | `MatchedRoute` (feature `axum`) |
//! | path, method | `.by_ref(..)` | [`path`], [`method`](method()) |
//! | anything else | any of them | a closure of your own |
//!
//! A request may lack the address, the header or the route. Choose what happens to it: it is
//! rejected (`.or_rejected()`, for `.by_required(..)`), it shares one account with all such
//! requests (`.or_shared()`), or it is exempt (`.or_exempt()`). Each exempt request is an event,
//! `Unguarded`. [`RequestAttributes`] reads cost and priority for `.info(..)`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use plimsoll_core::KeyedExt;
//! use plimsoll_http::{ClientAddr, HttpExt};
//! use plimsoll_limit::{KeyedRateLimiter, Quota};
//! use std::net::IpAddr;
//!
//! // One proxy stands in front: the client is the last address in its X-Forwarded-For.
//! let limiter = KeyedRateLimiter::<IpAddr>::new(Quota::per_second(10).burst(20))?;
//! let by_client = limiter.by(ClientAddr::behind(1).or_shared());
//! let app: Router =
//!     Router::new().route("/", get(async || "hello")).layer(plimsoll_core::layer(by_client).http());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # RateLimit fields
//!
//! A guard with a quota reports what remains of it. Responses to admitted requests carry that
//! report in the fields of draft-ietf-httpapi-ratelimit-headers-10, and so do 429 responses:
//!
//! ```text
//! ratelimit-policy: "api/free/account";q=5;w=5
//! ratelimit: "api/free/account";r=4;t=1
//! ```
//!
//! `q` units are replenished in `w` seconds. `r` units remain, and the next one is replenished in
//! `t` seconds. A burst that is replenished in less than a second is reported as the quota of one
//! second. The time until the whole request can be admitted may be longer: it is in `Retry-After`.
//!
//! - The names are those of the guards, so give each guard its own name.
//! - Fields that an inner layer has written stay as they are.
//! - A guard without a quota costs nothing here.
//! - A caller reads its own quota only. A quota that several callers share is the capacity of the
//!   service, and what remains of it is the load: see [`HttpOptions::shared_quotas`].
//! - Browsers show the fields to scripts of another origin only if `Access-Control-Expose-Headers`
//!   names them.
//!
//! `Retry-After` is rounded up to whole seconds, and then delayed by a random number of them. The
//! delay is up to a quarter of the time, but at least 0 to 2 s. So clients that were rejected
//! together do not come back together. [`HttpOptions`] changes all of this.
//!
//! # What is guarded
//!
//! One valve guards all routes together, although axum calls the layer once for each route: a layer
//! is a handle of its guard. To limit one route separately, give it its own valve.
//!
//! A permit is held until the handler has returned its response, not until the body has been sent.
//! So a streamed body that still reads from the bottleneck is not guarded. Move a permit of the
//! valve into such a stream ([`try_acquire_owned`](https://docs.rs/plimsoll-valve)).
//!
//! Work in front of the layer is not guarded: the kernel's accept queue, TLS, HTTP parsing, and
//! every layer further out. A rejection is cheap, but it comes after those.
//!
//! # Features
//!
//! - `axum`: `matched_path`, and the address of the peer from `ConnectInfo`. Brings in axum.

mod account;
mod classify;
mod layer;
mod options;
mod rate_limit_fields;
mod request_attributes;
mod response;
mod retry_after;

#[cfg(feature = "axum")]
pub use account::MatchedRoute;
pub use account::{ClientAddr, Header, PeerAddr, method, path, paths_except};
pub use classify::{ByStatus, outcome_for};
pub use layer::{Http, HttpExt};
pub use options::HttpOptions;
pub use request_attributes::RequestAttributes;
pub use response::status_for;
pub use retry_after::retry_after_seconds;
