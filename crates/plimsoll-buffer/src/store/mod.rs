//! What producers and consumers share: the shards, and who waits for them.

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

pub(crate) struct Store<T> {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    dice: Dice,
    observer: Observer,
    weigher: Option<Weigher<T>>,
    /// A [`ShardPick`].
    pick: AtomicU32,
    /// How arrivals are stamped: see [`stamping`].
    stamping: AtomicU32,
    first: Shard<T>,
    more: Box<[OnceLock<Box<Shard<T>>>]>,
    /// How many shards producers are spread over, and how many were ever made: those that are no
    /// longer offered to are still taken from.
    active: AtomicUsize,
    made: AtomicUsize,
    /// Refusals by a full mailbox that keeps the oldest: too many for a lock. What was told of them.
    rejections: OnceLock<StripedCounter>,
    rejections_reported: AtomicU64,
    closed: AtomicBool,
    pub(crate) producers: AtomicUsize,
    pub(crate) inboxes: AtomicUsize,
    /// Consumers wait for something to be told.
    pub(crate) mail: Notify,
    /// Producers wait for room.
    pub(crate) space: Notify,
    /// Heirs wait for the last inbox to go.
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
            closed: AtomicBool::new(false),
            producers: AtomicUsize::new(0),
            inboxes: AtomicUsize::new(0),
            mail: Notify::new(),
            space: Notify::new(),
            orphaned: Notify::new(),
        };
        store.set_shards(config.shards);
        store
    }

    /// The shards that were ever made.
    fn shards(&self) -> impl Iterator<Item = &Shard<T>> {
        // Acquire: what was made before it was counted is there.
        let made = self.made.load(Ordering::Acquire);
        std::iter::once(&self.first)
            .chain(self.more.iter().take(made - 1).filter_map(|s| s.get().map(|s| &**s)))
    }

    /// How many shards there are to take from.
    fn shards_made(&self) -> usize {
        self.made.load(Ordering::Acquire)
    }

    #[inline]
    fn shard_at(&self, n: usize) -> &Shard<T> {
        match n.checked_sub(1).and_then(|n| self.more.get(n)?.get()) {
            Some(shard) => shard,
            None => &self.first,
        }
    }

    /// The shard that the next offer goes to.
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

    /// What time it is, if anyone asks.
    #[inline]
    fn now(&self) -> Instant {
        match self.stamping.load(Ordering::Relaxed) {
            UNSTAMPED => Instant::default(),
            _ => self.clock.now(),
        }
    }

    fn emit_lost(&self, reason: Reason, count: usize) {
        if count > 0 {
            self.observer.emit(|| Event::lost(self.name, reason, count as u64));
        }
    }

    /// How many are held, and how heavy they are.
    pub(crate) fn held(&self) -> (usize, u64) {
        self.shards().fold((0, 0), |(len, weight), shard| {
            let state = shard.lock();
            (len + state.queue.len(), weight + state.queue.weight())
        })
    }
}
