//! Rate limits that are fair and bounded: for all, for each account, for both at once, and shared.
//!
//! | guard | limits | as |
//! |---|---|---|
//! | [`RateLimiter`] | all who ask | one [`Quota`] |
//! | [`KeyedRateLimiter`] | each account | a quota each |
//! | [`TieredRateLimiter`] | all, each class, each account | asked as one: all or nothing |
//! | [`FairRateLimiter`] | all, but nobody at the cost of others | one quota, shared max-min fairly |
//!
//! A global limit alone is unfair: one account can use it up for all. Limits for each account alone add up to
//! more than the system can do, as soon as there are many. So the overload chapter of *Erlang in Anger* leaves
//! one with a choice; here one has both.
//!
//! *Not* for bounding how much is done at once (that is a valve: a rate limit knows nothing of how long work
//! takes), nor for protecting a bottleneck whose rate you do not know.
//!
//! # On any thread
//!
//! ```
//! use plimsoll_limit::{KeyedRateLimiter, Quota};
//! use plimsoll_core::Reason;
//!
//! let limiter = KeyedRateLimiter::<str>::new(Quota::per_minute(60).burst(2))?;
//! assert!(limiter.try_acquire("ann").is_ok());
//! assert!(limiter.try_acquire_n("ann", 2).is_err()); // one is left
//! let no = limiter.try_acquire_n("ann", 3).unwrap_err();
//! assert_eq!(no.reason(), Reason::TooLarge); // never, rather than later
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # As a layer
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! use plimsoll_core::KeyedExt;
//! use plimsoll_limit::{KeyedRateLimiter, Quota};
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # rt.block_on(async {
//! let limiter = KeyedRateLimiter::<str>::new(Quota::per_second(50).burst(100))?;
//! let service = ServiceBuilder::new()
//!     .layer(plimsoll_core::layer(limiter.by_ref(|account: &&'static str| *account)))
//!     .service(service_fn(async |name: &'static str| Ok::<_, BoxError>(format!("hello {name}"))));
//! assert_eq!(service.oneshot("ann").await?, "hello ann");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # What is promised
//!
//! In any span of time d a quota of rate r and burst b admits at most b + r·d units, less what is given back,
//! however many threads ask. On a manual clock that is exact. The system's clock is read
//! roughly first, so that a decision costs a few nanoseconds, and precisely only before a refusal: in
//! production count its ticks to d, some 4 to 20 ms. [`FairRateLimiter`] reads the precise clock each time.
//!
//! `retry_after` is when there are so many units, if nobody else takes them, and never too early. It is an estimate in two
//! places: where a [`FairRateLimiter`] says that an account has had its share, and for whoever is refused because others stand in
//! line, each of whom is counted with one unit.
//!
//! Those who wait are served in the order of asking, each account in a line of its own. Where a limit of many accounts of
//! [`TieredRateLimiter`] holds them up, one from each account stands in a second line for that, and newcomers do not overtake it.
//!
//! Shares are coarse where they are small: whole units are counted, over about two seconds. Shares of ten units in two
//! seconds and more are measured, and [`FairRateLimiter`] says how they came out; of smaller ones nothing is promised.
//!
//! While a quota is being changed, and only then, two who ask in the same nanosecond may be given a unit too many; it is owed,
//! and the next ones wait for it.
//!
//! # Memory
//!
//! Accounts are remembered in a table of fixed size: 24 bytes each, for as many as it was built for, from the
//! beginning and for ever. Keys are not kept, only hashes of 64 bits under a secret of the process, so nobody can
//! choose keys that collide. Each account has sixteen slots where it may be. With twice as many slots as accounts that
//! are active at once, nearly each finds one. When all are taken, the account goes whose quota is full again; where
//! nobody's is, newcomers share 64 common ones by hash until there is room. A flood of new keys so cannot
//! grow the memory, and takes nothing from those who are known.
//!
//! [Caps](Share::at_most) of a [`FairRateLimiter`] want a second table of the same size, made for the first account that has one.
//!
//! Who is known takes no lock: a decision is an exchange of one word, tried again where somebody was faster. A reader may
//! spin for a moment while another account moves into the very slot. Moving in takes one of 64 locks, by hash; so does standing in
//! line.
//!
//! # Time, sharing, cancellation
//!
//! Handles are cheap to clone, and clones share their state, as do all services of all layers. No thread and
//! no task works in the background. A permit may be dropped: units stay spent unless they are
//! [given back](plimsoll_core::Permit::refund), as a tuple of gates does when a later one refuses. Futures that
//! wait leave the line when they are dropped.
//!
//! # Why not governor alone
//!
//! The rule is that of the `governor` crate, and its limiter is the oracle of our tests. The cell is our own, because
//! several things cannot be said over its interface: a refund; a quota that is changed while
//! what is owed is kept; the fill that [`FairRateLimiter`] steers by; intervals rounded up. A limiter of that crate
//! that you have becomes a gate as `Governed`. (By the same clock the two cells take the same time, 9 ns on the machine of
//! our benches; what our limiters save is the reading of the clock, and the map.)
//!
//! # Features
//!
//! - `tower` (default): the layers. Brings in `tokio`.
//! - `tokio`: waiting inside a tokio runtime uses its timer; without it, one timer thread does.
//! - `governor`: `Governed`, a limiter of the `governor` crate as a gate.
//! - `serde`: quotas and classes in settings files.
//! - `test-util`: the system clock follows tokio's paused time. For tests only.

mod global;
#[cfg(feature = "governor")]
mod governed;
mod keyed;
mod quota;
mod setup;
mod table;
mod wait;

pub use global::{Charge, RateLimiter, RateLimiterBuilder, RateLimiterConfig};
#[cfg(feature = "tower")]
pub use global::{RateLimiterLayer, RateLimiterWaitLayer};
#[cfg(feature = "governor")]
pub use governed::Governed;
pub use keyed::KeyedLimiter;
pub use keyed::fair::{FairCharge, FairRateLimiter, FairRateLimiterBuilder, FairRateLimiterConfig, Share};
pub use keyed::per_key::{KeyedCharge, KeyedRateLimiter, KeyedRateLimiterBuilder, KeyedRateLimiterConfig};
pub use keyed::tiered::{
    Class, TieredCharge, TieredRateLimiter, TieredRateLimiterBuilder, TieredRateLimiterConfig,
};
pub use quota::Quota;
pub use wait::acquire::AcquireUnits;
