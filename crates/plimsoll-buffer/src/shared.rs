//! What producers and consumers share: the shards, and who waits for them.

use crate::bell::Notify;
use crate::config::{MOST_SHARDS, MailboxConfig, ShardPick};
use crate::shard::{Shard, State};
use plimsoll_core::parts::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use plimsoll_core::parts::{Bounds, StripedCounter};
use plimsoll_core::{Clock, Dice, Discipline, Event, Instant, Observer, Reason};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) type Weigher<T> = Box<dyn Fn(&T) -> u32 + Send + Sync>;

pub(crate) struct Shared<T> {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    pub(crate) observer: Observer,
    pub(crate) weigher: Option<Weigher<T>>,
    pick: ShardPick,
    /// How arrivals are stamped: see [`stamp`].
    pub(crate) stamp: AtomicU32,
    pub(crate) first: Shard<T>,
    more: Box<[OnceLock<Box<Shard<T>>>]>,
    /// How many shards producers are spread over, and how many were ever made: those that are no
    /// longer offered to are still taken from.
    active: AtomicUsize,
    made: AtomicUsize,
    /// Refusals by a full mailbox that keeps the oldest: too many for a lock. What was told of them.
    pub(crate) refusals: OnceLock<StripedCounter>,
    pub(crate) told: AtomicU64,
    closed: AtomicBool,
    pub(crate) producers: AtomicUsize,
    pub(crate) inboxes: AtomicUsize,
    /// Consumers wait for something to be told.
    pub(crate) mail: Notify,
    /// Producers wait for room.
    pub(crate) space: Notify,
    /// Heirs wait for the last inbox to go.
    pub(crate) orphan: Notify,
}

pub(crate) const NO_STAMP: u32 = 0;
pub(crate) const ROUGH: u32 = 1;
const PRECISE: u32 = 2;

/// A coarse clock may be two ticks behind, of 10 ms at most: a tenth of what it is to measure.
const LONG: Duration = Duration::from_millis(200);

/// How arrivals have to be stamped.
fn stamp(discipline: Discipline, bounds: Bounds) -> u32 {
    let precise = |span: Duration| if span < LONG { PRECISE } else { ROUGH };
    let own = match discipline {
        Discipline::LifoWithAge { max_age: age } => precise(age),
        Discipline::TimeBuckets { slice, slices } => precise(slice.saturating_mul(slices)),
        Discipline::CoDel { target, .. } | Discipline::AdaptiveLifo { target, .. } => precise(target),
        _ => NO_STAMP,
    };
    own.max(bounds.max_age.map_or(NO_STAMP, precise))
}

impl<T> Shared<T> {
    pub(crate) fn new(
        name: &'static str,
        config: &MailboxConfig,
        weigher: Option<Weigher<T>>,
        clock: Clock,
        dice: Dice,
        observer: Observer,
    ) -> Self {
        let (discipline, bounds) = (config.discipline, config.bounds());
        let shared = Shared {
            name,
            clock,
            dice,
            observer,
            pick: config.pick,
            stamp: AtomicU32::new(stamp(discipline, bounds)),
            first: Shard::new(discipline, bounds, weigher.is_some()),
            weigher,
            more: (1..MOST_SHARDS).map(|_| OnceLock::new()).collect(),
            active: AtomicUsize::new(1),
            made: AtomicUsize::new(1),
            refusals: OnceLock::new(),
            told: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            producers: AtomicUsize::new(0),
            inboxes: AtomicUsize::new(0),
            mail: Notify::new(),
            space: Notify::new(),
            orphan: Notify::new(),
        };
        shared.set_shards(config.shards);
        shared
    }

    /// The shards that were ever made.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &Shard<T>> {
        // Acquire: what was made before it was counted is there.
        let made = self.made.load(Ordering::Acquire);
        std::iter::once(&self.first)
            .chain(self.more.iter().take(made - 1).filter_map(|s| s.get().map(|s| &**s)))
    }

    /// How many shards there are to take from.
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Acquire)
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn at(&self, n: usize) -> &Shard<T> {
        match n.checked_sub(1).and_then(|n| self.more.get(n)?.get()) {
            Some(shard) => shard,
            None => &self.first,
        }
    }

    pub(crate) fn set_shards(&self, shards: usize) {
        // Under the first one's lock: two who change it at once must not both make the same ones.
        let mut state = self.first.lock();
        let (discipline, bounds) = (state.line.discipline(), state.line.bounds());
        let mut gone = vec![];
        for place in self.more.iter().take(shards - 1) {
            let shard =
                place.get_or_init(|| Box::new(Shard::new(discipline, bounds, self.weigher.is_some())));
            // It may be of an earlier time.
            let now = self.clock.now();
            let mut its = shard.lock();
            its.closed = state.closed;
            self.change(shard, &mut its, discipline, bounds, now, &mut gone);
        }
        self.made.fetch_max(shards, Ordering::AcqRel);
        self.see_if_plain(&mut state);
        // Release, as `made`: a producer that sees the number sees the shards.
        self.active.store(shards, Ordering::Release);
        drop(state);
        // Whoever waits has looked at fewer shards.
        self.mail.ring_all();
        self.space.ring_all();
        self.tell_gone(&gone);
    }

    /// After every change of the settings, with the first shard's state.
    fn see_if_plain(&self, first: &mut State<T>) {
        let alone = self.made() == 1;
        first.plain = alone && first.line.is_plain() && !first.closed;
        // A plain one is not measured at every step.
        self.first.measure(first);
        self.first.mark(alone, first.plain);
    }

    /// The shard that the next offer goes to.
    #[inline]
    pub(crate) fn shard(&self) -> &Shard<T> {
        match self.active() {
            1 => &self.first,
            active => self.pick_one(active),
        }
    }

    fn pick_one(&self, active: usize) -> &Shard<T> {
        let active = active as u64;
        let one = self.dice.below(active);
        let shard = self.at(one as usize);
        match self.pick {
            ShardPick::Random => shard,
            ShardPick::TwoChoices => {
                let other = self.at(((one + 1 + self.dice.below(active - 1)) % active) as usize);
                if other.len() < shard.len() { other } else { shard }
            }
        }
    }

    /// What time it is, if anyone asks.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self.stamp.load(Ordering::Relaxed) {
            NO_STAMP => Instant::default(),
            _ => self.clock.now(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: whoever sees it finds every shard closed.
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        // The first one's lock keeps out `set_shards`, which makes new ones as the first one is.
        {
            let mut state = self.first.lock();
            state.closed = true;
            self.see_if_plain(&mut state);
        }
        for shard in self.shards() {
            let mut state = shard.lock();
            state.closed = true;
            shard.measure(&state);
        }
        self.closed.store(true, Ordering::Release);
        drop(self.first.lock());
        self.mail.ring_all();
        self.space.ring_all();
    }

    /// What `attempt` finds; `Some(None)` if it finds nothing although nothing can come any more.
    /// `last`: before sleeping.
    pub(crate) fn found<R>(&self, last: bool, mut attempt: impl FnMut() -> Option<R>) -> Option<Option<R>> {
        if last {
            self.catch_up();
        }
        loop {
            // Looked at first: whatever was let in before is found then.
            let closed = self.is_closed();
            match attempt() {
                // And after: whoever closes rings after the lock that the attempt has had as well.
                None if !closed && self.is_closed() => {}
                None if !closed => return None,
                found => return Some(found),
            }
        }
    }

    pub(crate) fn is_orphan(&self) -> bool {
        drop(self.first.lock());
        self.inboxes.load(Ordering::Acquire) == 0
    }

    /// The last inbox has gone.
    pub(crate) fn orphaned(&self) {
        // An heir stands in the row before it looks at the number; the lock of the first shard orders
        // that against the number being changed here.
        drop(self.first.lock());
        self.orphan.ring_all();
    }

    pub(crate) fn settings(&self) -> (Discipline, Bounds) {
        let state = self.first.lock();
        (state.line.discipline(), state.line.bounds())
    }

    pub(crate) fn is_weighed(&self) -> bool {
        self.weigher.is_some()
    }

    /// Changes what `change` changes, in every shard.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Discipline, &mut Bounds)) {
        let now = self.clock.now();
        let mut gone = vec![];
        let mut first = self.first.lock();
        let (mut discipline, mut bounds) = (first.line.discipline(), first.line.bounds());
        change(&mut discipline, &mut bounds);
        self.stamp.store(stamp(discipline, bounds), Ordering::Relaxed);
        self.change(&self.first, &mut first, discipline, bounds, now, &mut gone);
        for shard in self.shards().skip(1) {
            self.change(shard, &mut shard.lock(), discipline, bounds, now, &mut gone);
        }
        self.see_if_plain(&mut first);
        drop(first);
        self.mail.ring();
        self.space.ring_all();
        self.tell_gone(&gone);
    }

    fn tell_gone(&self, gone: &[(T, Reason)]) {
        gone.iter().for_each(|(_, reason)| self.tell_lost(*reason, 1));
    }

    pub(crate) fn tell_lost(&self, reason: Reason, count: usize) {
        if count > 0 {
            self.observer.emit(|| Event::lost(self.name, reason, count as u64));
        }
    }

    fn change(
        &self,
        shard: &Shard<T>,
        state: &mut State<T>,
        discipline: Discipline,
        bounds: Bounds,
        now: Instant,
        gone: &mut Vec<(T, Reason)>,
    ) {
        let before = gone.len();
        state.line.set(discipline, bounds, now, &mut |item, reason| gone.push((item, reason)));
        for (_, reason) in gone.iter().skip(before) {
            state.lose(*reason, 1, &self.clock);
        }
        shard.measure(state);
    }

    /// How many are held, and how heavy they are.
    pub(crate) fn held(&self) -> (usize, u64) {
        self.shards().fold((0, 0), |(len, weight), shard| {
            let state = shard.lock();
            (len + state.line.len(), weight + state.line.weight())
        })
    }
}
