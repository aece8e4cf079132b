//! What a line should do, said as simply as it can be: a plain list that is searched from end to end.

use plimsoll_core::parts::Bounds;
use plimsoll_core::{Discipline, Reason};
use std::time::Duration;

/// One that waits; `at` is when it came, in nanoseconds. The later it came, the greater its `id`.
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
    pub(crate) held: Vec<Item>,
    /// Whoever had to go, in the order of going.
    pub(crate) lost: Vec<(Item, Reason)>,
    timed_since: u64,
    empty: u64,
    codel: CodelQueue,
}

/// The variables of RFC 8289, section 5, by their names there.
#[derive(Debug, Default)]
struct CodelQueue {
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
        let codel = CodelQueue::default();
        Oracle { discipline, bounds, weighed, held: vec![], lost: vec![], timed_since: 0, empty: 0, codel }
    }

    pub(crate) fn weight(&self) -> u64 {
        self.held.iter().map(|item| u64::from(item.weight)).filter(|_| self.weighed).sum()
    }

    pub(crate) fn is_timed(&self) -> bool {
        let timeless = [Discipline::Fifo, Discipline::KeepOldest, Discipline::Lifo];
        self.bounds.max_age.is_some() || !timeless.contains(&self.discipline)
    }

    fn is_overloaded(&self, now: u64) -> bool {
        matches!(self.discipline, Discipline::AdaptiveLifo { interval, .. } if now >= self.empty + nanos(interval))
    }

    /// Who has to go because it is too old at `now`.
    pub(crate) fn too_old(&self, now: u64) -> Vec<u32> {
        let waited = |item: &Item| Duration::from_nanos(now.saturating_sub(item.at));
        let goes = |item: &&Item| {
            self.bounds.max_age.is_some_and(|age| waited(item) >= age)
                || match self.discipline {
                    Discipline::LifoWithAge { max_age: age } => {
                        self.held.last().is_some_and(|newest| waited(newest) >= age)
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
        self.held.iter().filter(goes).map(|item| item.id).collect()
    }

    fn lose(&mut self, at: usize, reason: Reason) {
        let item = self.held.remove(at);
        self.lost.push((item, reason));
    }

    pub(crate) fn expire(&mut self, now: u64) {
        let gone = self.too_old(now);
        let goes = |item: &Item| gone.contains(&item.id);
        self.lost.extend(self.held.iter().copied().filter(goes).map(|item| (item, Reason::Expired)));
        self.held.retain(|item| !goes(item));
    }

    pub(crate) fn push(&mut self, id: u32, weight: u32, now: u64) -> Result<(), Reason> {
        if self.weighed && u64::from(weight) > self.bounds.max_weight {
            return Err(Reason::TooLarge);
        }
        self.expire(now);
        if self.held.is_empty() {
            // "queue is empty - we can't be above target", however it became so.
            (self.codel.first_above_time_, self.codel.dropping_) = (0, false);
            self.empty = now;
        }
        let too_much = |me: &Self| {
            me.held.len() + 1 > me.bounds.capacity
                || (me.weighed && me.weight() + u64::from(weight) > me.bounds.max_weight)
        };
        while too_much(self) {
            if self.discipline == Discipline::KeepOldest || self.held.is_empty() {
                return Err(Reason::Full);
            }
            self.lose(0, Reason::Evicted);
        }
        self.held.push(Item { id, weight, at: now });
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
        let last = self.held.len().checked_sub(1)?;
        Some(self.held.remove(if newest { last } else { 0 }))
    }

    /// Where it stood is told by when it came.
    pub(crate) fn put_back(&mut self, mut item: Item) {
        item.at = item.at.max(self.timed_since);
        let at = self.held.iter().filter(|other| other.id < item.id).count();
        self.held.insert(at, item);
        self.fit();
    }

    pub(crate) fn set(&mut self, discipline: Discipline, bounds: Bounds, now: u64) {
        let was_timed = self.is_timed();
        if self.discipline != discipline {
            (self.codel, self.empty) = (CodelQueue::default(), now);
        }
        (self.discipline, self.bounds) = (discipline, bounds);
        if self.is_timed() && !was_timed {
            self.timed_since = now;
            self.held.iter_mut().for_each(|item| item.at = now);
        }
        self.expire(now);
        self.fit();
    }

    fn fit(&mut self) {
        while self.held.len() > self.bounds.capacity || self.weight() > self.bounds.max_weight {
            let newest = self.held.len() - 1;
            self.lose(if self.discipline == Discipline::KeepOldest { newest } else { 0 }, Reason::Evicted);
        }
    }

    pub(crate) fn clear(&mut self, reason: Reason) {
        while !self.held.is_empty() {
            self.lose(0, reason);
        }
    }

    fn dodequeue(&mut self, target: u64, interval: u64, now: u64) -> (Option<Item>, bool) {
        let mut ok_to_drop = false;
        if self.held.is_empty() {
            self.codel.first_above_time_ = 0;
            return (None, ok_to_drop);
        }
        let p = self.held.remove(0);
        let sojourn_time = now - p.at;
        // Where the RFC has `bytes() <= maxpacket_`: the last one is never dropped.
        if sojourn_time < target || self.held.is_empty() {
            self.codel.first_above_time_ = 0;
        } else if self.codel.first_above_time_ == 0 {
            self.codel.first_above_time_ = now + interval;
        } else if now >= self.codel.first_above_time_ {
            ok_to_drop = true;
        }
        (Some(p), ok_to_drop)
    }

    fn dequeue(&mut self, target: u64, interval: u64, now: u64) -> Option<Item> {
        let drop = |me: &mut Self, p: Option<Item>| me.lost.extend(p.map(|p| (p, Reason::Expired)));
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
