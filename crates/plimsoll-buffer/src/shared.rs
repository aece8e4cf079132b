//! What producers and consumers share: the shards, and who waits for them.

use crate::bell::Bell;
use crate::config::{Config, MOST_SHARDS, Pick};
use crate::inbox::Verdict;
use crate::lost::{Delivery, Lost};
use crate::offer::{Kept, Refused};
use crate::shard::{ALONE, FULL, PLAIN, REFUSED, Shard, State};
use plimsoll_core::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, MutexGuard, Ordering};
use plimsoll_core::{
    Bounds, Clock, Dice, Discipline, Event, Few, Instant, Observer, Reason, Rejected, Spot, Stripes,
};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) type Weigher<T> = Box<dyn Fn(&T) -> u32 + Send + Sync>;

pub(crate) struct Shared<T> {
    pub(crate) name: &'static str,
    pub(crate) clock: Clock,
    dice: Dice,
    pub(crate) observer: Observer,
    weigher: Option<Weigher<T>>,
    pick: Pick,
    /// How arrivals are stamped: see [`Stamp`].
    stamp: AtomicU32,
    first: Shard<T>,
    more: Box<[OnceLock<Box<Shard<T>>>]>,
    /// How many shards producers are spread over, and how many were ever made: those that are no
    /// longer offered to are still taken from.
    active: AtomicUsize,
    made: AtomicUsize,
    /// Refusals by a full mailbox that keeps the oldest: too many for a lock. What was told of them.
    refusals: OnceLock<Stripes>,
    told: AtomicU64,
    closed: AtomicBool,
    pub(crate) producers: AtomicUsize,
    pub(crate) inboxes: AtomicUsize,
    /// Consumers wait for something to be told.
    pub(crate) mail: Bell,
    /// Producers wait for room.
    pub(crate) space: Bell,
    /// Heirs wait for the last inbox to go.
    pub(crate) orphan: Bell,
}

const REFUSES_ALONE: u32 = ALONE | FULL | REFUSED;

const NO_STAMP: u32 = 0;
const ROUGH: u32 = 1;
const PRECISE: u32 = 2;

/// A coarse clock may be two ticks behind, of 10 ms at most: a tenth of what it is to measure.
const LONG: Duration = Duration::from_millis(200);

/// How arrivals have to be stamped.
fn stamp(discipline: Discipline, bounds: Bounds) -> u32 {
    let precise = |span: Duration| if span < LONG { PRECISE } else { ROUGH };
    let own = match discipline {
        Discipline::LifoWithAge { age } => precise(age),
        Discipline::TimeBuckets { slice, slices } => precise(slice.saturating_mul(slices)),
        Discipline::CoDel { target, .. } | Discipline::AdaptiveLifo { target, .. } => precise(target),
        _ => NO_STAMP,
    };
    own.max(bounds.age.map_or(NO_STAMP, precise))
}

impl<T> Shared<T> {
    pub(crate) fn new(
        name: &'static str,
        config: &Config,
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
            mail: Bell::new(),
            space: Bell::new(),
            orphan: Bell::new(),
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
    fn shard(&self) -> &Shard<T> {
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
            Pick::Random => shard,
            Pick::TwoChoices => {
                let other = self.at(((one + 1 + self.dice.below(active - 1)) % active) as usize);
                if other.len() < shard.len() { other } else { shard }
            }
        }
    }

    #[inline]
    fn stamped(&self) -> Instant {
        match self.stamp.load(Ordering::Relaxed) {
            NO_STAMP => Instant::default(),
            ROUGH => self.clock.rough(),
            _ => self.clock.now(),
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

    #[inline]
    fn weigh(&self, item: &T) -> u32 {
        self.weigher.as_ref().map_or(0, |weigh| weigh(item))
    }

    #[inline(always)]
    pub(crate) fn offer(&self, item: T) -> Result<Kept<T>, Refused<T>> {
        let flags = self.first.flags();
        if flags & PLAIN == 0 {
            return match flags & (ALONE | FULL | REFUSED) {
                REFUSES_ALONE => match self.refuse_full(&self.first, item) {
                    Ok(refused) => Err(refused),
                    Err(item) => self.offer_any(item),
                },
                _ => self.offer_any(item),
            };
        }
        let mut state = self.first.lock();
        if !state.plain {
            drop(state);
            return self.offer_any(item);
        }
        let displaced = match state.line.push_plain(item) {
            None => Few::none(),
            Some(old) => {
                state.losses.lost.evicted += 1;
                if !state.gap_is_open() {
                    state.lose(Reason::Evicted, 0, &self.clock);
                }
                Few::one((old, Reason::Evicted))
            }
        };
        drop(state);
        self.mail.ring();
        self.tell_kept(&displaced);
        Ok(Kept(displaced))
    }

    #[inline]
    fn tell_kept(&self, displaced: &Few<(T, Reason)>) {
        self.observer.tell_all(|tell| {
            tell(Event::Kept { by: self.name });
            for (_, reason) in displaced.iter() {
                tell(Event::Lost { by: self.name, reason: *reason, count: 1 });
            }
        });
    }

    /// [`offer`](Self::offer) to a mailbox that does not only count.
    #[inline(never)]
    fn offer_any(&self, item: T) -> Result<Kept<T>, Refused<T>> {
        let shard = self.shard();
        let item = if shard.flags() & (FULL | REFUSED) == FULL | REFUSED {
            match self.refuse_full(shard, item) {
                Ok(refused) => return Err(refused),
                Err(item) => item,
            }
        } else {
            item
        };
        let weight = self.weigh(&item);
        self.push(shard, item, weight, self.stamped())
    }

    /// A refusal that need only be counted. The item comes back if there is nothing to count it in.
    #[inline(always)]
    fn refuse_full(&self, shard: &Shard<T>, item: T) -> Result<Refused<T>, T> {
        let Some(refusals) = self.refusals.get() else { return Err(item) };
        refusals.add();
        if shard.flags() & REFUSED == 0 {
            // Told of in between: this one has to be told of again.
            self.note_refusals(shard);
        }
        self.observer.tell(|| Event::Refused(self.full(shard)));
        Ok(Refused::new(item, self.full(shard)))
    }

    #[inline(always)]
    fn push(&self, shard: &Shard<T>, item: T, weight: u32, now: Instant) -> Result<Kept<T>, Refused<T>> {
        let state = shard.lock();
        self.push_locked(shard, state, item, weight, now)
    }

    #[inline(always)]
    fn push_locked(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        now: Instant,
    ) -> Result<Kept<T>, Refused<T>> {
        if state.closed {
            drop(state);
            return Err(self.refuse(item, Rejected::new(self.name, Reason::Closed)));
        }
        let now = if state.line.is_timed() { self.in_time(now) } else { now };
        let mut displaced = Few::none();
        let State { line, losses, .. } = &mut *state;
        let mut why = None;
        let pushed = line.push(item, weight, now, &mut |item, reason| {
            losses.lost.count(reason, 1);
            why = Some(reason);
            displaced.push((item, reason));
        });
        if let Some(reason) = why
            && !state.gap_is_open()
        {
            state.lose(reason, 0, &self.clock);
        }
        match pushed {
            Ok(_) => {
                shard.measure(&state);
                drop(state);
                self.mail.ring();
                self.tell_kept(&displaced);
                Ok(Kept(displaced))
            }
            Err((item, reason)) => Err(self.not_kept(shard, state, item, weight, reason, displaced)),
        }
    }

    /// A stamp taken before the lock was right when the settings were others, if it is none.
    #[inline]
    fn in_time(&self, now: Instant) -> Instant {
        if now == Instant::default() { self.clock.now() } else { now }
    }

    #[cold]
    #[inline(never)]
    fn not_kept(
        &self,
        shard: &Shard<T>,
        mut state: MutexGuard<'_, State<T>>,
        item: T,
        weight: u32,
        reason: Reason,
        displaced: Few<(T, Reason)>,
    ) -> Refused<T> {
        state.lose(reason, 1, &self.clock);
        let no = Rejected::new(self.name, reason);
        let Bounds { count, weight: most, .. } = state.line.bounds();
        let by_count = reason == Reason::Full && state.line.len() >= count;
        let no = match by_count {
            true => no.numbers(count as u64, state.line.len() as u64),
            false if reason == Reason::Full => no.numbers(most, state.line.weight()),
            false => no.numbers(most, u64::from(weight)),
        };
        shard.measure(&state);
        if shard.flags() & FULL != 0 {
            self.refusals.get_or_init(Stripes::default);
            shard.mark_refused();
        }
        drop(state);
        self.mail.ring();
        for (_, reason) in displaced {
            self.observer.tell(|| Event::Lost { by: self.name, reason, count: 1 });
        }
        self.refuse(item, no)
    }

    fn refuse(&self, item: T, no: Rejected) -> Refused<T> {
        self.observer.tell(|| Event::Refused(no));
        Refused::new(item, no)
    }

    #[inline(always)]
    fn full(&self, shard: &Shard<T>) -> Rejected {
        let len = shard.len() as u64;
        Rejected::new(self.name, Reason::Full).numbers(len, len)
    }

    #[cold]
    fn note_refusals(&self, shard: &Shard<T>) {
        let mut state = shard.lock();
        let count = self.refusals_untold();
        if count > 0 {
            state.lose(Reason::Full, count, &self.clock);
        }
        drop(state);
        self.mail.ring();
    }

    /// Refusals that were only counted, since they were last told.
    fn refusals_untold(&self) -> u64 {
        let total = self.refusals.get().map_or(0, Stripes::total);
        total.saturating_sub(self.told.fetch_max(total, Ordering::AcqRel))
    }

    /// An offer that gave up waiting for room.
    pub(crate) fn give_up(&self, item: T) -> Refused<T> {
        let shard = self.shard();
        let mut state = shard.lock();
        state.lose(Reason::Full, 1, &self.clock);
        drop(state);
        self.mail.ring();
        self.refuse(item, Rejected::new(self.name, Reason::Expired))
    }

    /// Keeps the item if there is room for it, without anything having to go; `None` if it has to wait.
    pub(crate) fn offer_if_room(&self, place: &mut Option<T>) -> Option<Result<(), Refused<T>>> {
        let mut item = place.take()?;
        let weight = self.weigh(&item);
        let active = self.active();
        let first = if active > 1 { self.dice.below(active as u64) as usize } else { 0 };
        let now = self.stamped();
        for n in 0..active {
            let shard = self.at((first + n) % active);
            let mut expired = vec![];
            let mut state = shard.lock();
            if state.line.is_timed() {
                state.expire(self.in_time(now), &mut expired, &self.clock);
            }
            let never =
                state.closed || self.weigher.is_some() && u64::from(weight) > state.line.bounds().weight;
            let done = if never || state.line.fits(weight) {
                Ok(self.push_locked(shard, state, item, weight, now).map(|_| ()))
            } else {
                shard.measure(&state);
                drop(state);
                Err(item)
            };
            self.tell_expired(expired.len());
            match done {
                Ok(done) => return Some(done),
                Err(back) => item = back,
            }
        }
        *place = Some(item);
        None
    }

    /// When room may come about because something is too old.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        match self.stamp.load(Ordering::Relaxed) {
            NO_STAMP => None,
            // Of the shards that are offered to: no room comes of the others.
            _ => (0..self.active()).filter_map(|n| self.at(n).lock().line.next_expiry()).min(),
        }
    }

    fn tell_expired(&self, count: usize) {
        if count > 0 {
            let count = count as u64;
            self.observer.tell(|| Event::Lost { by: self.name, reason: Reason::Expired, count });
        }
    }

    /// What happens outside the locks after a consumer has taken.
    fn taken(&self, count: usize, expired: &mut Vec<T>) {
        if count > 0 || !expired.is_empty() {
            self.space.ring();
        }
        self.tell_expired(expired.len());
        if count > 0 {
            self.observer.tell(|| Event::Delivered { by: self.name, count: count as u64 });
        }
        // Somebody else's code runs when they are dropped.
        expired.clear();
    }

    /// The next item. Shards are taken from in turn.
    #[inline]
    pub(crate) fn take(&self, hand: &mut Hand<T>) -> Option<T> {
        if self.first.flags() & PLAIN != 0 {
            let mut state = self.first.lock();
            if state.plain {
                let item = state.line.pop_plain()?;
                drop(state);
                self.space.ring();
                self.observer.tell(|| Event::Delivered { by: self.name, count: 1 });
                return Some(item);
            }
        }
        self.take_any(hand)
    }

    fn take_any(&self, hand: &mut Hand<T>) -> Option<T> {
        let now = self.now();
        let made = self.made();
        let mut item = None;
        for _ in 0..made {
            let shard = self.at(hand.next(made));
            if made > 1 && shard.len() == 0 {
                continue;
            }
            let mut state = shard.lock();
            item = state.pop(now, &mut hand.expired, &self.clock);
            shard.measure(&state);
            drop(state);
            if item.is_some() {
                break;
            }
        }
        self.taken(usize::from(item.is_some()), &mut hand.expired);
        item
    }

    /// Up to `most` items to the end of `out`, and what was lost.
    pub(crate) fn take_many(&self, hand: &mut Hand<T>, most: usize, out: &mut Vec<T>) -> Lost {
        let now = self.now();
        let made = self.made();
        let before = out.len();
        let mut lost = Lost::default();
        // Each shard gives its share, and then what others did not have; never more than it held when
        // it was come to, or producers could keep this going for ever.
        let mut more = true;
        while more {
            let share = ((most - (out.len() - before)) / made).max(1);
            more = false;
            for _ in 0..made {
                let share = share.min(most - (out.len() - before));
                let shard = self.at(hand.next(made));
                let mut state = shard.lock();
                let taken = state.pop_many(share, now, out, &mut hand.expired, &self.clock);
                lost += shard.take_lost(&mut state, &self.clock, || self.refusals_untold());
                shard.measure(&state);
                more |= taken > 0 && taken == share && made > 1;
            }
        }
        self.taken(out.len() - before, &mut hand.expired);
        lost
    }

    /// The next thing of a stream: an item, or a gap that is due.
    pub(crate) fn take_next(&self, hand: &mut Hand<T>) -> Option<Delivery<T>> {
        let now = self.now();
        let made = self.made();
        let mut found = None;
        for _ in 0..made {
            let shard = self.at(hand.next(made));
            let mut state = shard.lock();
            // First, for it may be what opens the gap.
            state.expire(now, &mut hand.expired, &self.clock);
            found = if state.gap_is_next() {
                let lost = shard.take_lost(&mut state, &self.clock, || self.refusals_untold());
                (!lost.is_empty()).then_some(Delivery::Lost(lost))
            } else {
                None
            };
            if found.is_none() {
                found = state.pop(now, &mut hand.expired, &self.clock).map(Delivery::Item);
            }
            if found.is_none() && state.gap_is_next() {
                // Taking has thrown out all there was.
                let lost = shard.take_lost(&mut state, &self.clock, || self.refusals_untold());
                found = (!lost.is_empty()).then_some(Delivery::Lost(lost));
            }
            shard.measure(&state);
            drop(state);
            if found.is_some() {
                break;
            }
        }
        self.taken(usize::from(matches!(found, Some(Delivery::Item(_)))), &mut hand.expired);
        found
    }

    /// Items that `filter` lets through, until it says to stop.
    pub(crate) fn take_with(
        &self,
        hand: &mut Hand<T>,
        filter: &mut dyn FnMut(&T) -> Verdict,
        out: &mut Vec<T>,
    ) -> Lost {
        let before = out.len();
        let mut lost = Lost::default();
        let mut refused = 0;
        'shards: for _ in 0..self.made() {
            let shard = self.at(hand.next(self.made()));
            loop {
                let mut state = shard.lock();
                let picked = state.pick(self.now(), &mut hand.expired, &self.clock);
                shard.measure(&state);
                drop(state);
                let Some((item, spot)) = picked else { break };
                // With nothing locked: the filter is somebody else's code, and may take its time.
                let mut back = PutBack { shared: self, shard, item: Some((item, spot)) };
                match back.item.as_ref().map(|(item, _)| filter(item)) {
                    Some(Verdict::Keep) => out.extend(back.item.take().map(|(item, _)| item)),
                    Some(Verdict::Lose) => {
                        refused += 1;
                        let gone = back.item.take();
                        shard.lock().lose(Reason::Filtered, 1, &self.clock);
                        drop(gone);
                    }
                    Some(Verdict::Skip) | None => {
                        drop(back);
                        break 'shards;
                    }
                }
            }
        }
        for shard in self.shards() {
            let mut state = shard.lock();
            lost += shard.take_lost(&mut state, &self.clock, || self.refusals_untold());
        }
        if refused > 0 {
            self.observer.tell(|| Event::Lost { by: self.name, reason: Reason::Filtered, count: refused });
            self.space.ring();
        }
        self.taken(out.len() - before, &mut hand.expired);
        lost
    }

    /// What was lost, to be told now.
    pub(crate) fn take_lost(&self) -> Lost {
        let mut lost = Lost::default();
        for shard in self.shards() {
            let mut state = shard.lock();
            lost += shard.take_lost(&mut state, &self.clock, || self.refusals_untold());
        }
        lost
    }

    /// What was only counted, once nothing can come any more.
    pub(crate) fn last_lost(&self) -> Lost {
        let mut lost = self.take_lost();
        lost.refused += self.refusals_untold();
        lost
    }

    /// Takes back a telling that did not arrive.
    pub(crate) fn untold(&self, lost: Lost) {
        let mut state = self.first.lock();
        let gap = state.line.front();
        state.losses.untold(lost, gap, &self.clock);
        drop(state);
        self.mail.ring();
    }

    /// Whether there is anything to tell.
    pub(crate) fn has_mail(&self) -> bool {
        self.shards().any(|shard| {
            let state = shard.lock();
            !state.line.is_empty() || !state.losses.is_empty()
        })
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
    pub(crate) fn found<R>(&self, mut attempt: impl FnMut() -> Option<R>) -> Option<Option<R>> {
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
        for (_, reason) in &gone {
            self.observer.tell(|| Event::Lost { by: self.name, reason: *reason, count: 1 });
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

/// A consumer's place among the shards, and a place to put what it finds too old.
#[derive(Debug)]
pub(crate) struct Hand<T> {
    next: usize,
    expired: Vec<T>,
}

impl<T> Hand<T> {
    pub(crate) const fn new() -> Self {
        Hand { next: 0, expired: Vec::new() }
    }

    #[inline]
    fn next(&mut self, made: usize) -> usize {
        if made == 1 {
            return 0;
        }
        let at = self.next % made;
        self.next = at + 1;
        at
    }
}

/// Puts an item back where it was picked from, if it is still there: also when a filter panics.
struct PutBack<'a, T> {
    shared: &'a Shared<T>,
    shard: &'a Shard<T>,
    item: Option<(T, Spot)>,
}

impl<T> Drop for PutBack<'_, T> {
    fn drop(&mut self) {
        let Some((item, spot)) = self.item.take() else { return };
        let mut gone = vec![];
        let mut state = self.shard.lock();
        state.line.put_back(item, spot, &mut |item, reason| gone.push((item, reason)));
        for (_, reason) in &gone {
            state.lose(*reason, 1, &self.shared.clock);
        }
        self.shard.measure(&state);
        drop(state);
        for (_, reason) in &gone {
            self.shared.observer.tell(|| Event::Lost { by: self.shared.name, reason: *reason, count: 1 });
        }
    }
}
