#![cfg_attr(docsrs, feature(doc_cfg))]
//! Dispatch pools: a fixed number of slots, each granted or rejected at once.
//!
//! The pool follows dispcount, from the overload chapter of *Erlang in Anger*. It is for work that
//! needs one of N resources and gains little by waiting for one. One atomic word counts the slots
//! in use. A request is rejected only if that word says that all are in use, for the cost of
//! reading it. By Erlang's formula B, a pool of 100 slots at 80 % of its capacity rejects 0.4 % of
//! all requests.
//!
//! From lhttpc's load balancer comes a second idea: only the *limit* is central. A step that may
//! block, such as opening a connection, is left to the caller that needs it. No caller waits for
//! the connect of another.
//!
//! ```text
//!  checkout ─► all slots in use? ─┬► no: a slot with a resource ─► Reuse(lease)
//!                                 │      or else an empty slot  ─► Make(vacant) ─ make it ─► lease
//!                                 └► yes: Busy(rejected)
//! ```
//!
//! A caller that makes one call after the other uses one resource again and again, unless
//! [`SlotPick::RoundRobin`] is set.
//!
//! *Not* for sharing one connection among many callers at once. Callers that should always wait for
//! their turn are better off with a valve, which has more ways to order its queue.
//!
//! # On any thread
//!
//! ```
//! use plimsoll_dispatch::{Checkout, Dispatch};
//!
//! let pool = Dispatch::<String>::new(2)?;
//! match pool.checkout() {
//!     Checkout::Reuse(connection) => println!("reused: {}", *connection),
//!     Checkout::Make(vacant) => vacant.fill("connection 1".into()).put_back(),
//!     Checkout::Busy(rejected) => println!("{rejected}"),
//! }
//! let first = pool.checkout().or_make(|| "another".into())?;
//! let second = pool.checkout().or_make(|| "another".into())?;
//! assert!(pool.checkout().is_busy());
//! # drop((first, second));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # With a slow factory
//!
//! ```
//! use plimsoll_dispatch::{Checkout, Dispatch};
//!
//! # async fn connect() -> Result<String, std::io::Error> { Ok("connection".into()) }
//! # plimsoll_core::Clock::system().block_on(async {
//! let pool = Dispatch::<String>::new(10)?;
//! let connection = match pool.checkout() {
//!     Checkout::Reuse(lease) => lease,
//!     // Cancelled or failed, it releases the slot.
//!     Checkout::Make(vacant) => vacant.make(connect()).await?,
//!     Checkout::Busy(rejected) => return Err(rejected.into()),
//! };
//! // … use it; if it is broken, call `connection.discard()`, and the next holder makes another
//! connection.put_back();
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! A resource is used again only if it was [put back](Lease::put_back). A lease that is dropped, by
//! a cancelled future for example, drops its resource, too. With most protocols the next caller
//! would read the rest of the other's answer. If half an operation leaves nothing behind, build the
//! pool with `.reuse_dropped(true)`.
//!
//! # Waiting for a slot
//!
//! [`Dispatch::checkout_within`] waits for a slot, for a time that the caller sets. Callers that
//! wait are served in the order of their arrival, and no other request overtakes them. At most
//! [`queue`](DispatchConfig::queue) callers wait. All others are rejected at once.
//!
//! # As a layer
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! use plimsoll_dispatch::Dispatch;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # rt.block_on(async {
//! let pool = Dispatch::<()>::new(16)?; // 16 calls at once, without a resource
//! let service = ServiceBuilder::new()
//!     .layer(pool.layer())
//!     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
//! assert_eq!(service.oneshot("world").await?, "hello world");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! To hand jobs to idle workers, use [`Workers`].
//!
//! # Time, sharing, cancellation
//!
//! A [`Dispatch`] is a handle: clones, and all services of all its layers, share the slots. A
//! lease, an empty slot or a permit releases its slot when it is dropped. This holds after an early
//! return, a panic and a cancelled future, too. The slot passes on to the caller that has waited
//! longest, or is free for the very next request.
//!
//! Nothing runs in the background. A resource that is broken or was idle for too long is made again
//! by the next caller that needs it.
//!
//! # Features
//!
//! - `tower` (default): [`Dispatch::layer`]. Enables `tokio`.
//! - `tokio`: waits inside a tokio runtime use its timer and spend its cooperative budget.
//!   Without it, one timer thread serves all.
//! - `serde`: [`DispatchConfig`] and [`WorkersConfig`] can be read from and written to a file.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod bitmap;
mod cell;
mod chunks;
mod count;
mod pool;
mod slot;
mod slots;
mod watchers;
mod workers;

#[cfg(feature = "tower")]
pub use pool::DispatchLayer;
pub use pool::{Checkout, Dispatch, DispatchBuilder, DispatchConfig, Lease, Vacant};
pub use slot::Slot;
pub use slots::SlotPick;
pub use workers::{SubmitError, Worker, Workers, WorkersBuilder, WorkersConfig};
