//! The model of a queue, as simple as possible: a plain list that is searched from end to end.

use plimsoll_core::parts::Bounds;
use plimsoll_core::{Discipline, Reason};
use std::time::Duration;

/// The maximum number of items that a push removes because they are too old, unless it needs their
/// room. The others stay until a later operation.
const EXPIRED_BY_PUSH: usize = 32;

/// An item that arrived `at`, in nanoseconds. Later items have greater ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) id: u32,
    pub(crate) weight: u32,
    pub(crate) at: u64,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) discipline: Discipline,
    pub(crate) bounds: Bounds,
    pub(crate) weighed: bool,
    /// In the order of arrival.
    pub(crate) items: Vec<Item>,
    /// Items that were evicted or expired, in the order in which they left.
    pub(crate) lost: Vec<(Item, Reason)>,
    timed_since: u64,
    empty: u64,
    codel: CodelState,
}

/// The variables of RFC 8289, section 5, by their names there.
#[derive(Debug, Default)]
struct CodelState {
    first_above_time_: u64,
    drop_next_: u64,
    count_: u32,
    lastcount_: u32,
    dropping_: bool,
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl Oracle {
    pub(crate) fn new(discipline: Discipline, bounds: Bounds, weighed: bool) -> Self {
        let codel = CodelState::default();
        Oracle { discipline, bounds, weighed, items: vec![], lost: vec![], timed_since: 0, empty: 0, codel }
    }

    pub(crate) fn weight(&self) -> u64 {
        self.items.iter().map(|item| u64::from(item.weight)).filter(|_| self.weighed).sum()
    }

    pub(crate) fn is_timed(&self) -> bool {
        let timeless = [Discipline::Fifo, Discipline::KeepOldest, Discipline::Lifo];
        self.bounds.max_age.is_some() || !timeless.contains(&self.discipline)
    }

    fn is_overloaded(&self, now: u64) -> bool {
        matches!(self.discipline, Discipline::AdaptiveLifo { interval, .. } if now >= self.empty + nanos(interval))
    }

    /// Returns the items that are too old at `now`.
    pub(crate) fn too_old(&self, now: u64) -> Vec<u32> {
        let waited = |item: &Item| Duration::from_nanos(now.saturating_sub(item.at));
        let leaves = |item: &&Item| {
            self.bounds.max_age.is_some_and(|age| waited(item) >= age)
                || match self.discipline {
                    Discipline::LifoWithAge { max_age } => {
                        self.items.last().is_some_and(|newest| waited(newest) >= max_age)
                    }
                    Discipline::AdaptiveLifo { target, interval } => {
                        waited(item) >= if self.is_overloaded(now) { target } else { interval }
                    }
                    Discipline::TimeBuckets { slice, slices } => {
                        now / nanos(slice) >= item.at / nanos(slice) + u64::from(slices)
                    }
                    _ => false,
                }
        };
        self.items.iter().filter(leaves).map(|item| item.id).collect()
    }

    fn lose(&mut self, at: usize, reason: Reason) {
        let item = self.items.remove(at);
        self.lost.push((item, reason));
    }

    pub(crate) fn expire(&mut self, now: u64) {
        self.expire_up_to(usize::MAX, now);
    }

    fn expire_up_to(&mut self, max: usize, now: u64) {
        let mut gone = self.too_old(now);
        gone.truncate(max);
        let leaves = |item: &Item| gone.contains(&item.id);
        self.lost.extend(self.items.iter().copied().filter(leaves).map(|item| (item, Reason::Expired)));
        self.items.retain(|item| !leaves(item));
    }

    pub(crate) fn push(&mut self, id: u32, weight: u32, now: u64) -> Result<(), Reason> {
        if self.weighed && u64::from(weight) > self.bounds.max_weight {
            return Err(Reason::TooLarge);
        }
        self.expire_up_to(EXPIRED_BY_PUSH, now);
        if self.items.is_empty() {
            // The RFC: "queue is empty - we can't be above target". It does not matter why it is
            // empty.
            (self.codel.first_above_time_, self.codel.dropping_) = (0, false);
            self.empty = now;
        }
        let overfull = |oracle: &Self| {
            oracle.items.len() + 1 > oracle.bounds.capacity
                || (oracle.weighed && oracle.weight() + u64::from(weight) > oracle.bounds.max_weight)
        };
        while overfull(self) {
            let expired = !self.too_old(now).is_empty();
            if self.items.is_empty() || (self.discipline == Discipline::KeepOldest && !expired) {
                return Err(Reason::Full);
            }
            self.lose(0, if expired { Reason::Expired } else { Reason::Evicted });
        }
        self.items.push(Item { id, weight, at: now });
        Ok(())
    }

    pub(crate) fn pop(&mut self, now: u64) -> Option<Item> {
        self.expire(now);
        let newest = match self.discipline {
            Discipline::CoDel { target, interval } => {
                return self.dequeue(nanos(target), nanos(interval), now);
            }
            Discipline::AdaptiveLifo { .. } => self.is_overloaded(now),
            Discipline::Fifo | Discipline::KeepOldest => false,
            _ => true,
        };
        let last = self.items.len().checked_sub(1)?;
        Some(self.items.remove(if newest { last } else { 0 }))
    }

    /// Puts an item back. Its place follows from its time of arrival.
    pub(crate) fn put_back(&mut self, mut item: Item) {
        item.at = item.at.max(self.timed_since);
        let at = self.items.iter().filter(|other| other.id < item.id).count();
        self.items.insert(at, item);
        self.fit();
    }

    pub(crate) fn set(&mut self, discipline: Discipline, bounds: Bounds, now: u64) {
        let was_timed = self.is_timed();
        if self.discipline != discipline {
            (self.codel, self.empty) = (CodelState::default(), now);
        }
        (self.discipline, self.bounds) = (discipline, bounds);
        if self.is_timed() && !was_timed {
            self.timed_since = now;
            self.items.iter_mut().for_each(|item| item.at = now);
        }
        self.expire(now);
        self.fit();
    }

    fn fit(&mut self) {
        while self.items.len() > self.bounds.capacity || self.weight() > self.bounds.max_weight {
            let newest = self.items.len() - 1;
            self.lose(if self.discipline == Discipline::KeepOldest { newest } else { 0 }, Reason::Evicted);
        }
    }

    pub(crate) fn clear(&mut self, reason: Reason) {
        while !self.items.is_empty() {
            self.lose(0, reason);
        }
    }

    fn dodequeue(&mut self, target: u64, interval: u64, now: u64) -> (Option<Item>, bool) {
        let mut ok_to_drop = false;
        if self.items.is_empty() {
            self.codel.first_above_time_ = 0;
            return (None, ok_to_drop);
        }
        let p = self.items.remove(0);
        let sojourn_time = now - p.at;
        // The RFC has `bytes() <= maxpacket_` here: the last packet is never dropped.
        if sojourn_time < target || self.items.is_empty() {
            self.codel.first_above_time_ = 0;
        } else if self.codel.first_above_time_ == 0 {
            self.codel.first_above_time_ = now + interval;
        } else if now >= self.codel.first_above_time_ {
            ok_to_drop = true;
        }
        (Some(p), ok_to_drop)
    }

    fn dequeue(&mut self, target: u64, interval: u64, now: u64) -> Option<Item> {
        let drop = |oracle: &mut Self, p: Option<Item>| oracle.lost.extend(p.map(|p| (p, Reason::Expired)));
        let control_law = |t: u64, count: u32| t + (interval as f64 / f64::from(count).sqrt()).round() as u64;
        let (mut p, mut ok_to_drop) = self.dodequeue(target, interval, now);
        if self.codel.dropping_ {
            if !ok_to_drop {
                self.codel.dropping_ = false;
            }
            while now >= self.codel.drop_next_ && self.codel.dropping_ {
                drop(self, p);
                self.codel.count_ += 1;
                (p, ok_to_drop) = self.dodequeue(target, interval, now);
                if !ok_to_drop {
                    self.codel.dropping_ = false;
                } else {
                    self.codel.drop_next_ = control_law(self.codel.drop_next_, self.codel.count_);
                }
            }
        } else if ok_to_drop {
            drop(self, p);
            (p, _) = self.dodequeue(target, interval, now);
            self.codel.dropping_ = true;
            let delta = self.codel.count_ - self.codel.lastcount_;
            self.codel.count_ = 1;
            if delta > 1 && now.saturating_sub(self.codel.drop_next_) < 16 * interval {
                self.codel.count_ = delta;
            }
            self.codel.drop_next_ = control_law(now, self.codel.count_);
            self.codel.lastcount_ = self.codel.count_;
        }
        p
    }
}
