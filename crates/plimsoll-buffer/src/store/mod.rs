//! What producers and consumers share: the shards, and the waiters of either side.

mod close;
mod consume;
mod filtering;
mod losses;
mod produce;
mod report;
mod room;
mod settings;
mod shard;
mod stamp;
pub(crate) mod weigh;

pub(crate) use consume::Cursor;

use crate::mailbox::config::{MAX_SHARDS, MailboxConfig, ShardPick};
use crate::notify::Notify;
use plimsoll_core::parts::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use plimsoll_core::parts::{Identity, StripedCounter};
use plimsoll_core::{Clock, Dice, Event, Instant, Observer, Reason};
use shard::Shard;
use stamp::{UNSTAMPED, stamping};
use std::sync::OnceLock;
use weigh::Weigher;

/// The shards, the losses and the waiters of a mailbox.
pub(crate) struct Store<T> {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    dice: Dice,
    observer: Observer,
    weigher: Option<Weigher<T>>,
    /// A [`ShardPick`].
    pick: AtomicU32,
    /// How arrivals are stamped; see [`stamping`].
    stamping: AtomicU32,
    first: Shard<T>,
    more: Box<[OnceLock<Box<Shard<T>>>]>,
    // The number of shards that receive offers.
    active: AtomicUsize,
    // The number of shards that consumers look at. Those that receive no more offers are among them
    // until they are empty.
    made: AtomicUsize,
    /// Rejections by full shards that keep the oldest items.
    ///
    /// They are too frequent to be counted under a lock.
    rejections: OnceLock<StripedCounter>,
    /// The number of them that was reported.
    rejections_reported: AtomicU64,
    /// How often a report has removed the mark [`REJECTED`](shard::REJECTED), and how many of these
    /// removals [`catch_up`](Self::catch_up) has covered.
    unmarked: AtomicU64,
    caught_up: AtomicU64,
    closed: AtomicBool,
    pub(crate) producers: AtomicUsize,
    pub(crate) inboxes: AtomicUsize,
    /// How the inbox that was dropped last has ended: an [`Orphaned`](crate::Orphaned).
    inbox_end: AtomicU32,
    /// Consumers that wait for items or losses.
    pub(crate) mail: Notify,
    /// Producers that wait for room.
    pub(crate) space: Notify,
    /// Tasks that wait for the last inbox to be dropped.
    pub(crate) orphaned: Notify,
}

impl<T> Store<T> {
    pub(crate) fn new(setup: Identity, config: &MailboxConfig, weigher: Option<Weigher<T>>) -> Self {
        let (discipline, bounds) = (config.discipline, config.bounds());
        let store = Store {
            name: setup.name,
            clock: setup.clock,
            dice: setup.dice,
            observer: setup.observer,
            pick: AtomicU32::new(config.pick as u32),
            stamping: AtomicU32::new(stamping(discipline, bounds)),
            first: Shard::new(discipline, bounds, weigher.is_some()),
            weigher,
            more: (1..MAX_SHARDS).map(|_| OnceLock::new()).collect(),
            active: AtomicUsize::new(1),
            made: AtomicUsize::new(1),
            rejections: OnceLock::new(),
            rejections_reported: AtomicU64::new(0),
            unmarked: AtomicU64::new(0),
            caught_up: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            producers: AtomicUsize::new(0),
            inboxes: AtomicUsize::new(0),
            inbox_end: AtomicU32::new(0),
            mail: Notify::new(),
            space: Notify::new(),
            orphaned: Notify::new(),
        };
        store.set_shards(config.shards);
        store
    }

    /// Returns the shards that consumers look at.
    fn shards(&self) -> impl Iterator<Item = &Shard<T>> {
        let made = self.shards_made();
        std::iter::once(&self.first)
            .chain(self.more.iter().take(made - 1).filter_map(|s| s.get().map(|s| &**s)))
    }

    /// Returns the number of shards that consumers look at.
    fn shards_made(&self) -> usize {
        // Acquire: pairs with the Release store in `set_shards`, so every counted shard is
        // initialized.
        self.made.load(Ordering::Acquire)
    }

    /// Returns the shard with this number, or the first one if there is none yet.
    #[inline]
    fn shard_at(&self, n: usize) -> &Shard<T> {
        match n.checked_sub(1).and_then(|n| self.more.get(n)?.get()) {
            Some(shard) => shard,
            None => &self.first,
        }
    }

    /// Returns the shard that the next offer is put in.
    #[inline]
    fn pick_shard(&self) -> &Shard<T> {
        match self.shard_count() {
            1 => &self.first,
            active => self.pick_among(active),
        }
    }

    fn pick_among(&self, active: usize) -> &Shard<T> {
        let active = active as u64;
        let one = self.dice.below(active);
        let shard = self.shard_at(one as usize);
        match self.pick() {
            ShardPick::Random => shard,
            ShardPick::TwoChoices => {
                let other = self.shard_at(((one + 1 + self.dice.below(active - 1)) % active) as usize);
                if other.len() < shard.len() { other } else { shard }
            }
        }
    }

    /// Returns the time, if the discipline or a bound needs it.
    #[inline]
    fn now(&self) -> Instant {
        match self.stamping.load(Ordering::Relaxed) {
            UNSTAMPED => Instant::default(),
            _ => self.clock.now(),
        }
    }

    /// Emits that `count` items were lost.
    fn emit_lost(&self, reason: Reason, count: usize) {
        if count > 0 {
            self.observer.emit(|| Event::lost(self.name, reason, count as u64));
        }
    }

    /// Returns the number of items and their total weight.
    pub(crate) fn held(&self) -> (usize, u64) {
        self.shards().fold((0, 0), |(len, weight), shard| {
            let state = shard.lock();
            (len + state.queue.len(), weight + state.queue.weight())
        })
    }
}
