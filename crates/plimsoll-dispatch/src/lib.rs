//! Dispatch pools: so many slots, one atomic word each, granted or busy at once. Never a queue, never a wait.
//!
//! After dispcount, from the overload chapter of *Erlang in Anger*: where each piece of work needs one of N
//! resources and there is no sense in waiting for one, a counter for each resource says who has it, and everybody
//! else is told "busy" for the price of looking at it. And after lhttpc's load balancer: what is central is the
//! *limit*; what may block – opening the connection – is done by the one who needs it, so that nobody waits behind
//! somebody else's connect.
//!
//! ```text
//!  checkout ─► a slot by chance ─► free, with a resource ─► Reuse(lease)
//!                               ├► free, without one     ─► Make(vacant) ─ make it, in your own time ─► lease
//!                               └► all that were tried are taken ─► Busy
//! ```
//!
//! *Not* for callers who should wait their turn (that is a valve), nor for sharing one connection among many at
//! once.
//!
//! # On any thread
//!
//! ```
//! use plimsoll_dispatch::{Checkout, Dispatch};
//!
//! let pool = Dispatch::<String>::new(2)?;
//! match pool.checkout() {
//!     Checkout::Reuse(connection) => println!("again: {}", *connection),
//!     Checkout::Make(vacant) => vacant.fill("connection 1".into()).put_back(),
//!     Checkout::Busy(no) => println!("{no}"),
//! }
//! let first = pool.checkout().or_make(|| "another".into())?;
//! let second = pool.checkout().or_make(|| "another".into())?;
//! assert!(pool.checkout().is_busy());
//! # drop((first, second));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # With a factory that takes its time
//!
//! ```
//! use plimsoll_dispatch::{Checkout, Dispatch};
//!
//! # async fn connect() -> Result<String, std::io::Error> { Ok("connection".into()) }
//! # plimsoll_core::Clock::system().block_until(None, async {
//! let pool = Dispatch::<String>::new(10)?;
//! let connection = match pool.checkout() {
//!     Checkout::Reuse(lease) => lease,
//!     Checkout::Make(vacant) => vacant.make(connect()).await?, // cancelled or failed, it frees the slot
//!     Checkout::Busy(no) => return Err(no.into()),
//! };
//! // … use it; if it turns out broken: connection.discard(), and the next one makes another
//! connection.put_back();
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap().unwrap();
//! ```
//!
//! Where what is left half done by a cancelled future is no good – most protocols – say `.keep_dropped(false)`: then a resource
//! is kept only when it is [put back](Lease::put_back).
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
//! let seats = Dispatch::<()>::new(16)?; // so many at once, and no resource travels with them
//! let service = ServiceBuilder::new()
//!     .layer(seats.layer())
//!     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
//! assert_eq!(service.oneshot("world").await?, "hello world");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! For workers that are handed jobs: [`Workers`].
//!
//! # Time, sharing, cancellation
//!
//! A [`Dispatch`] is a handle: clones share the slots. A lease, a vacant slot or a permit frees its slot when it is
//! dropped – by an early return, a panic or a cancelled future, too – and the very next checkout may have it. Nothing
//! works in the background: a resource that is broken or was idle for too long is made again by whoever
//! needs it next.
//!
//! # Features
//!
//! - `tower` (default): [`Dispatch::layer`]. Brings in `tokio`.
//! - `tokio`: waiting inside a tokio runtime uses its timer; without it, one timer thread does.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod cell;
mod chunks;
mod pool;
mod slots;
mod workers;

#[cfg(feature = "tower")]
pub use pool::DispatchLayer;
pub use pool::{Checkout, Dispatch, DispatchBuilder, DispatchConfig, Lease, Vacant};
pub use slots::{Slot, SlotPick};
pub use workers::{SubmitError, Worker, Workers, WorkersBuilder, WorkersConfig};
