//! Buffers that never grow without bound and say what was lost.
//!
//! Between those who make work and those who do it there is always a buffer, if only by accident. A
//! [`Mailbox`] is one on purpose: it holds so many items, so heavy, so old, and when more come than
//! go it throws away what is worth least, at once, at the producer. What that is, a [`Discipline`]
//! says: the oldest, the newest, whole time slices. How much it was, the consumer reads in its mail.
//!
//! The models are PO Box, logplex and the time-bucketed buffer of the overload chapter of *Erlang in
//! Anger*, all by Fred Hébert and those he worked with.
//!
//! ```text
//!  producers                 mailbox                    consumer
//!    offer ──────► ┌───────────────────────────┐ ◄───── take, mail, stream: when it can
//!    offer_wait ─► │ count, weight, age: bound │ ─────► items, and what was lost
//!                  └────────────┬──────────────┘
//!            displaced, rejected ▼ back to the producer, counted
//! ```
//!
//! *Not* for work of which nothing may be lost: that wants [back-pressure](Mailbox::offer_wait) all the
//! way up, or a log on disk. Nor for telling every consumer everything: each item goes to one.
//!
//! # In a pipeline
//!
//! ```
//! use plimsoll_buffer::{Discipline, Mailbox};
//! use std::time::Duration;
//!
//! // Positions of ships: the newest is worth most, and after a minute it is worth nothing.
//! let buckets = Discipline::TimeBuckets { slice: Duration::from_secs(10), slices: 6 };
//! let positions = Mailbox::builder().name("positions").discipline(buckets).capacity(10_000).build()?;
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
//!     // Sleeps until there is something to tell; `mail().await` does in async code.
//!     while let Some(mail) = inbox.blocking_mail_timeout(Duration::from_secs(1)) {
//!         seen += mail.items.len() as u64;
//!         lost += mail.lost.total();
//!     }
//!     assert_eq!(seen + lost, 100_000);
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # As a layer
//!
//! [`Buffer`] lets requests wait in front of a service, in any discipline: see there.
//!
//! # Which discipline
//!
//! | you have | take |
//! |---|---|
//! | work in order, where late is better than never | [`Discipline::Fifo`] |
//! | work that is worth nothing unless all before it was done; callers who can be told no | [`Discipline::KeepOldest`] |
//! | requests whose callers give up soon | [`Discipline::Lifo`], or [`Discipline::AdaptiveLifo`], which is a queue until it must not be |
//! | readings that are worthless after a time | [`Discipline::TimeBuckets`] |
//! | a queue whose standing delay should stay small | [`Discipline::CoDel`] |
//!
//! What they do under overload, side by side, is in [`disciplines`].
//!
//! # Time, sharing, cancellation
//!
//! Handles are cheap and shared; producers and consumers may be threads or tasks, with or without a
//! runtime. Offering never waits, unless the name says so. Every future here can be dropped at any await:
//! nothing is lost and nobody's turn is. Items that have to go are dropped, or handed out, with
//! nothing locked. Once it has been as full as it gets, neither offering nor taking allocates, but for an offer
//! for which two or more have to go.
//!
//! Under constant overload producers meet at the mailbox's lock: spread them over [`shards`](MailboxBuilder::shards).
//!
//! crossbeam's `ArrayQueue` would do for one case of many: a queue bounded by count. It cannot be a stack,
//! weigh, age, change its size or keep exact books of what went, all of which want one lock; so it is
//! a peer in our benches rather than a part.
//!
//! # Features
//!
//! - `tower` (default): [`Buffer::layer`]. Brings in `tokio`.
//! - `tokio`: inside a runtime its timer is used; without it, one timer thread.
//! - `test-util`: time follows tokio's paused clock. For tests only.

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
    Displaced, Mailbox, MailboxBuilder, MailboxConfig, OfferError, OfferWait, ShardPick, Usage,
};
pub use plimsoll_core::Discipline;
pub use plimsoll_core::parts::Bounds;
pub use store::weigh::Weigh;
