#![cfg_attr(docsrs, feature(doc_cfg))]
//! Bounded buffers that report exactly what they lost.
//!
//! | you look for | use |
//! |---|---|
//! | a tower layer that buffers requests as a queue, a stack or time buckets | [`Buffer`] |
//! | a bounded channel or mailbox between producers and consumers | [`Mailbox`] |
//!
//! Every system has a buffer where work arrives, if only by accident. These have a bound and a
//! [`Discipline`]: the order in which items are taken, and which of them is evicted when the buffer
//! is full. The models are PO Box, logplex and the time-bucketed buffer of the overload chapter of
//! *Erlang in Anger*, all by Fred Hébert and colleagues.
//!
//! *Not* for work of which nothing may be lost: that needs
//! [back-pressure](Mailbox::offer_wait) all the way up, or a log on disk. *Not* for broadcasting:
//! each item is delivered to one consumer.
//!
//! # A buffer in front of a service
//!
//! ```text
//!           ┌──────────── Buffer ───────────┐
//!  request ─┤ queue: bounded, by discipline ├─► at most `concurrency` in flight ─► service
//!           └──┬─────────────┬──────────────┘
//!              ▼             ▼
//!     Evicted or Full   Expired after `max_wait`
//! ```
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! use plimsoll_buffer::{Buffer, Discipline};
//! use std::time::Duration;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # rt.block_on(async {
//! // A stack: the newest request is served first, because its caller is still waiting.
//! let buffer = Buffer::builder()
//!     .concurrency(8)
//!     .queue(100)
//!     .max_wait(Duration::from_millis(200))
//!     .discipline(Discipline::Lifo)
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(buffer.layer())
//!     .service(service_fn(async |name: &str| Ok::<_, BoxError>(format!("hello {name}"))));
//! assert_eq!(service.oneshot("world").await?, "hello world");
//! # Ok::<(), BoxError>(()) })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `concurrency` | 1 | requests in flight |
//! | `queue` | 1,024 | waiting requests |
//! | `max_wait` | 100 ms | the longest wait |
//! | `discipline` | [`Fifo`](Discipline::Fifo) | a queue that evicts the oldest request when it is full |
//!
//! # A mailbox between producers and consumers
//!
//! ```text
//!  producers                      Mailbox                        consumers
//!    offer ──────► ┌──────────────────────────────────┐ ◄───── take, mail, stream
//!    offer_wait ─► │ capacity, max_weight and max_age │ ─────► items, and what was lost
//!                  └────────────────┬─────────────────┘
//!                                   ▼
//!             displaced and rejected items: back to the producer, counted
//! ```
//!
//! ```
//! use plimsoll_buffer::{Discipline, Mailbox};
//! use std::time::Duration;
//!
//! // Positions of vehicles: the newest is worth most, and after a minute it is worth nothing.
//! let buckets = Discipline::TimeBuckets { slice: Duration::from_secs(10), slices: 6 };
//! let positions =
//!     Mailbox::builder().name("positions").discipline(buckets).capacity(10_000).build()?;
//!
//! let mut inbox = positions.inbox();
//! std::thread::scope(|s| {
//!     s.spawn(|| {
//!         for n in 0..100_000 {
//!             let _ = positions.offer(n); // never waits
//!         }
//!         positions.close();
//!     });
//!     let (mut seen, mut lost) = (0, 0);
//!     // Sleeps until there are items or losses. In async code use `mail().await`.
//!     while let Some(mail) = inbox.blocking_mail() {
//!         seen += mail.items.len() as u64;
//!         lost += mail.lost.total();
//!     }
//!     assert_eq!(seen + lost, 100_000);
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A producer never waits, unless it uses [`offer_wait`](Mailbox::offer_wait). By default a mailbox
//! is a queue of 1,024 items that evicts the oldest; see [`MailboxConfig`].
//!
//! # Which discipline
//!
//! | you have | use |
//! |---|---|
//! | work in order, where late is better than never | [`Discipline::Fifo`] |
//! | work that depends on the work before it, or callers that can be rejected at once | [`Discipline::KeepOldest`] |
//! | requests whose callers give up soon | [`Discipline::Lifo`], or [`Discipline::AdaptiveLifo`], which is a queue until it is overloaded |
//! | readings that are worthless after a time | [`Discipline::TimeBuckets`] |
//! | a queue whose standing delay should stay small | [`Discipline::CoDel`] |
//!
//! Their behaviour under overload was measured side by side: see [`disciplines`].
//!
//! # Time, sharing, cancellation
//!
//! Handles are cheap and shared. Producers and consumers may be threads or tasks, with or without
//! a runtime. Every future can be dropped at any await: no item is lost, and the next waiter is
//! woken. Evicted and expired items are dropped or handed out while no lock is held.
//!
//! Once a mailbox has been as full as it gets, neither offering nor taking allocates. The exception
//! is an offer that displaces two or more items.
//!
//! Under constant overload producers contend for the lock of the mailbox: spread them over
//! [`shards`](MailboxBuilder::shards). The lock is deliberate. A lock-free queue bounded by
//! capacity, such as crossbeam's `ArrayQueue`, cannot be a stack or change its size. Nor can it
//! bound weight and age, or count its losses exactly. It is a peer in the benchmarks.
//!
//! # Features
//!
//! - `tower` (default): [`Buffer`]. Enables `tokio`.
//! - `tokio`: waits inside a tokio runtime use its timer and spend its cooperative budget.
//!   Without it, one timer thread serves all.
//! - `serde`: [`MailboxConfig`] and [`BufferConfig`] can be read from and written to a file.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod inbox;
#[cfg(feature = "tower")]
mod layer;
mod lost;
mod mailbox;
mod notify;
mod store;

#[doc = include_str!("disciplines.md")]
pub mod disciplines {}

pub use inbox::{Deliveries, Filter, Inbox};
#[cfg(feature = "tower")]
pub use layer::{Buffer, BufferBuilder, BufferConfig, BufferLayer};
pub use lost::{Delivery, Lost, Mail};
pub use mailbox::{
    Displaced, Mailbox, MailboxBuilder, MailboxConfig, OfferError, OfferWait, Orphaned, ShardPick, Usage,
};
pub use plimsoll_core::Discipline;
pub use plimsoll_core::parts::Bounds;
pub use store::weigh::Weigh;
