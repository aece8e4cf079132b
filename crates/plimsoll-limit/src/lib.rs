#![cfg_attr(docsrs, feature(doc_cfg))]
//! Rate limits that are fair and bounded: global, per account, tiered, and shared fairly.
//!
//! | guard | limits | by |
//! |---|---|---|
//! | [`RateLimiter`] | all callers together | one [`Quota`] |
//! | [`KeyedRateLimiter`] | each account | a quota for each key |
//! | [`TieredRateLimiter`] | all accounts, each class, each account | a quota for each tier, charged all or nothing |
//! | [`FairRateLimiter`] | all accounts together, none at the expense of others | one quota, shared max-min fairly |
//!
//! A global limit alone is unfair, because one account can use it up. Limits for each account alone
//! add up to more than the system can do as soon as there are many accounts. The overload chapter
//! of *Erlang in Anger* leaves you with that choice. The tiered and the fair limiter do both.
//!
//! *Not* for limiting the number of requests in flight: that is a valve, because a rate limit does
//! not know how long the work takes. *Not* for protecting a bottleneck whose rate you do not know.
//!
//! # On any thread
//!
//! ```
//! use plimsoll_limit::{KeyedRateLimiter, Quota};
//! use plimsoll_core::Reason;
//!
//! let limiter = KeyedRateLimiter::<str>::new(Quota::per_minute(60).burst(2))?;
//! assert!(limiter.try_acquire("ann").is_ok());
//! let rejected = limiter.try_acquire_n("ann", 2).unwrap_err();
//! assert_eq!(rejected.reason(), Reason::Limited); // one unit remains
//! let rejected = limiter.try_acquire_n("ann", 3).unwrap_err();
//! assert_eq!(rejected.reason(), Reason::TooLarge); // above the burst: a retry never succeeds
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
//! # Why a request is rejected
//!
//! | what is used up | reason |
//! |---|---|
//! | the account's own quota, share or cap | [`Limited`](plimsoll_core::Reason::Limited) |
//! | a quota that it shares: global, of its class, the [tail](FairRateLimiterBuilder::tail) | [`Throttled`](plimsoll_core::Reason::Throttled) |
//! | the table of accounts, with [`WhenFull::Reject`] | `Throttled` |
//! | nothing: the request is larger than the burst | [`TooLarge`](plimsoll_core::Reason::TooLarge) |
//!
//! If several tiers reject a request, the one that rejects for the longest time gives the reason.
//!
//! # What is guaranteed
//!
//! A quota of rate r and burst b admits at most b + r·d units in any span of time d. It does not
//! matter how many threads request them, and refunded units do not count. On a manual clock this is
//! exact.
//!
//! On the system clock, a decision reads a coarse time, which takes a few nanoseconds. It reads the
//! precise time only before a rejection. Add one or two ticks of the system to d: 4 to 20 ms. A
//! [`FairRateLimiter`] always reads the precise time.
//!
//! [`Quota::at_most`] holds exactly, on any clock: its decisions read the precise time, which takes
//! about 20 ns more.
//!
//! Refunds return at most what there would be without the take. What was replenished while a permit
//! was held is not returned twice. After 100 ms, a unit of 10 a second is not refunded at all. Of
//! 5 a second, half a unit is.
//!
//! If a quota is lowered, what is owed beyond the smaller burst is forgiven. So no request for one
//! unit waits longer than the present burst takes to be replenished. If it is raised again, what
//! was forgiven is withheld until the larger burst would have filled up. An account that was
//! forgiven nothing loses nothing. So no more is admitted than by the largest of the quotas. This
//! has limits:
//!
//! - It holds for `set_quota`, `set_global`, `set_all` and [`Inspect`](plimsoll_core::Inspect).
//!   The quota of single accounts may also change by `assign`, `assign_quota`, `set_each`,
//!   `class_of` or `quota_of`. Each change to and fro then admits up to the larger burst once
//!   more. Let these depend on the account, never on the request.
//! - An account that is refunded units in between counts as one that was forgiven nothing.
//! - An account that is not in the table has its whole burst, as always.
//!
//! `retry_after` is the time until there are enough units, if no other request takes them. It is
//! never too short, except in two places where it is an estimate. The first is a
//! [`FairRateLimiter`] that rejects an account which has had its share. The second is a rejection
//! by a shared limit for which other accounts wait: it is the earliest time.
//!
//! Small shares are coarse, because whole units are counted over about two seconds. Shares of ten
//! units in two seconds and more were measured: see [`FairRateLimiter`]. Nothing is guaranteed for
//! smaller ones.
//!
//! While a quota changes, two requests in the same nanosecond may be admitted by one unit. The
//! excess is owed, and later requests wait for it.
//!
//! # Waiting
//!
//! Requests of one account are served in the order of arrival. A new request is rejected on
//! arrival if it cannot be served within `max_wait`. The units ahead of it are counted, so this is
//! exact for the quota of an account, and a rejection states the true time. For a limit that other
//! accounts share, the earliest time decides: no request is rejected that would be served. One
//! that others delay is rejected at the end of its `max_wait`. The forecast assumes that nobody
//! ahead leaves. Where callers give up, a few are rejected that might have been served after all.
//!
//! The places of the queue are shared max-min fairly. A request of an account with few waiting
//! requests finds a full queue only if all places are held by accounts with as few. It evicts the
//! newest request of the account with the most, which is rejected with
//! [`Evicted`](plimsoll_core::Reason::Evicted).
//!
//! While requests wait for a shared limit of a [`TieredRateLimiter`], each account has an equal
//! share of its rate. Accounts count that wait, or that sent requests without waiting within the
//! last one to two seconds. Of the latter, at most 64 count. A small request is at most one unit,
//! or what is replenished in 10 ms. Small requests are served in turn. Large ones pool their
//! shares, and the first of them saves up. So with n accounts:
//!
//! - A small request at the head of its account waits for at most one turn of each other account.
//!   That is n times 10 ms, or n units if that is longer, whatever a large request needs.
//! - A large request of c units is served within c·n intervals, or is rejected at the end of its
//!   `max_wait`.
//! - Requests that do not wait have the share of their accounts, together. Up to 100 ms of the
//!   rate are kept for them, but at most half of the burst.
//!
//! A burst of one unit leaves nothing to keep: the request that comes first at that instant is
//! served.
//!
//! In a [`RateLimiter`], the two sizes stand for the accounts. Each has half of the rate while
//! both wait, so a request waits at most twice as long as without the other size. In a
//! [`FairRateLimiter`], the shares of the accounts decide. There a request near the size of the
//! burst may wait in vain while others use up the quota.
//!
//! # Costs that are known afterwards
//!
//! Reserve the tokens of a language model or the bytes of a response by an estimate. Then settle
//! them by [`Permit::settle_units`](plimsoll_core::Permit::settle_units):
//!
//! ```
//! use plimsoll_core::Outcome;
//! use plimsoll_limit::{KeyedRateLimiter, Quota};
//!
//! let tokens = KeyedRateLimiter::<str>::new(Quota::per_minute(10_000))?;
//! let mut permit = tokens.try_acquire_n("ann", 2_000)?;
//! let used = 350; // by the answer of the model
//! permit.settle_units(used);
//! permit.done(Outcome::Success);
//! assert!(tokens.remaining("ann") >= 9_650);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What exceeds the reserve becomes debt, of at most one burst. More than that is not charged, so
//! the burst should be larger than the largest answer. Behind a layer, where the permit is out of
//! reach, [`debit`](KeyedLimiter::debit) charges the account. [`credit`](KeyedLimiter::credit) and
//! [`reset`](KeyedLimiter::reset) forgive it.
//!
//! # Memory
//!
//! All state is in the memory of the process. After a deploy or a crash, every account has its
//! whole burst again. With n processes, each account has n quotas. So a quota of days or months
//! only slows down single processes. It is not for billing.
//!
//! Accounts are remembered in a table of fixed size, 24 bytes for each, allocated when the limiter
//! is built. Keys are not stored. The table holds 64-bit hashes under a secret of the process, so
//! that clients cannot choose keys that collide.
//!
//! An account can be in one of sixteen entries. If there are twice as many entries as accounts that
//! owe units, all but one in 5,000 find a free one. If there are four times as many, all do. If all
//! sixteen are occupied, an account whose quota has fully replenished is evicted. That changes
//! nothing for it.
//!
//! # A flood of keys
//!
//! A client with many addresses, or one that invents keys, can fill any table. A limiter cannot
//! distinguish its first requests from those of honest newcomers. By default it admits both: if all
//! sixteen accounts owe units, the one that owes the fewest is evicted, and what it owed is
//! forgotten. Accounts that were rejected stay before those that were not.
//!
//! - Nobody is rejected because of the keys of others: neither light nor heavy accounts, nor
//!   newcomers, nor anybody after the flood.
//! - Accounts that use up their quota stay limited, unless the flood uses up as much with each key.
//!   If the whole burst is one unit, such an account may be admitted again whenever the flood has
//!   gone through the table once.
//!
//! The price: the limits hold for as many accounts as the table has entries, and the limiter is
//! open to further ones. If more accounts than [`max_keys`](KeyedRateLimiterBuilder::max_keys)
//! exceed their quotas at once, those without an entry are not limited. With twice as many accounts
//! as entries, each sending 30 times its quota, 58 % are admitted instead of 3 %. With
//! ever new keys, all are. No limit by key can bound their sum. The event below says so. To bound
//! the sum, use what all accounts share: [`global`](TieredRateLimiterBuilder::global) of a
//! [`TieredRateLimiter`], a [`FairRateLimiter`], or a second limiter by larger networks.
//!
//! [`WhenFull::Reject`] is the other choice: no account is ever admitted more than its quota, and a
//! flood locks out newcomers. [`set_when_full`](KeyedLimiter::set_when_full) changes it while the
//! limiter runs. The event [`StateChanged`](plimsoll_core::Event::StateChanged) says when a table
//! becomes "crowded" and when it is "calm" again, because of "keys".
//! [`overflowed`](KeyedLimiter::overflowed) counts the requests, and
//! [`key_count`](KeyedLimiter::key_count) the accounts that owe units.
//!
//! A [`FairRateLimiter`] gives new accounts its tail instead, while its quota is contended. It
//! becomes "crowded" when the tail rejects one.
//!
//! [Caps](Share::at_most) of a [`FairRateLimiter`] need a second table of the same size, allocated
//! for the first account that has a cap.
//!
//! A known account is charged without a lock: a decision exchanges one word for each quota, and is
//! repeated if another thread was faster. Readers of a quota wait for no thread that changes it. A
//! thread spins for a moment while another account takes over the entry that it reads, and then
//! lets other threads run. Adding an account takes one of 64 locks, chosen by hash. Waiting
//! takes locks, too.
//!
//! # Time, sharing, cancellation
//!
//! Limiters are cheap handles: clones, and all services of all their layers, share one state. No
//! thread or task works in the background. A permit may be dropped at once: its units stay charged
//! unless they are [refunded](plimsoll_core::Permit::refund). A tuple of gates refunds them if a
//! later gate rejects the request. A future that waits leaves the queue when it is dropped.
//!
//! # Why not governor alone
//!
//! The algorithm, GCRA, is that of the `governor` crate, whose limiter is an oracle of our tests.
//! That crate offers no refunds, and a quota cannot change while units are owed. It rounds
//! intervals down. It does not report how full a bucket is before a decision, which a
//! [`FairRateLimiter`] needs. A limiter of that crate becomes a gate by `Governed`.
//!
//! On the same clock both take the same time, 9 ns on the machine of our benches. Ours save time by
//! reading a coarse clock, and by a table instead of a map.
//!
//! # Features
//!
//! - `tower` (default): the layers. Enables `tokio`.
//! - `tokio`: waits inside a tokio runtime use its timer and spend its cooperative budget.
//!   Without it, one timer thread serves all.
//! - `governor`: `Governed`, which turns a limiter of the `governor` crate into a gate.
//! - `serde`: [`Quota`], [`Class`] and the configuration of every limiter can be read from a
//!   settings file.
//! - `test-util`: time follows tokio's paused clock. For tests only.

mod bucket;
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
pub use keyed::charge::KeyedCharge;
pub use keyed::fair::{FairCharge, FairRateLimiter, FairRateLimiterBuilder, FairRateLimiterConfig, Share};
#[cfg(feature = "tower")]
pub use keyed::layer::{FairRateLimiterLayer, KeyedRateLimiterLayer, TieredRateLimiterLayer};
pub use keyed::per_key::{KeyedRateLimiter, KeyedRateLimiterBuilder, KeyedRateLimiterConfig};
pub use keyed::tiered::{
    Class, TieredCharge, TieredRateLimiter, TieredRateLimiterBuilder, TieredRateLimiterConfig,
};
pub use quota::Quota;
pub use table::when_full::WhenFull;
pub use wait::acquire::AcquireUnits;
