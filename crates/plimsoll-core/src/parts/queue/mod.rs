//! Queues: the machine of every [`Discipline`]. No lock, no clock; `now` is an argument.
//!
//! All items are in one deque in the order of arrival. A queue takes from the front and a stack
//! from the back. The oldest items are always at the front, and so are whole time slices.

mod age;
mod codel;
mod discipline;
mod fair;
mod holes;
mod links;
mod one_or_many;
mod push;
mod settings;

pub use discipline::{Bounds, Discipline};
pub use fair::{FairQueue, FairTicket};
pub use holes::Ticket;
pub use one_or_many::OneOrMany;

use crate::{Instant, Reason};
use age::Expiry;
use codel::{CoDel, CoDelParams, Head};
use holes::{Holes, Note};

/// The maximum number of items that [`Queue::pop_many`] removes at a time because they are too old.
const EXPIRED_BY_POP: usize = 1_024;

/// The place from which an item was taken, for putting it back.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    note: Note,
    front: bool,
    pushes: u64,
}

/// Items in the order of a [`Discipline`], within [`Bounds`].
///
/// Every item that is evicted or expires is passed to the `lost` closure of the operation, in the
/// order in which it leaves.
///
/// ```
/// use plimsoll_core::{Instant, Reason};
/// use plimsoll_core::parts::{Bounds, Discipline, Queue};
///
/// let mut queue = Queue::new(Discipline::Fifo, Bounds::with_capacity(3), false);
/// let (now, mut lost) = (Instant::default(), vec![]);
/// for item in 'a'..='e' {
///     queue.push(item, 0, now, &mut |item, reason| lost.push((item, reason)))?;
/// }
/// assert_eq!(lost, [('a', Reason::Evicted), ('b', Reason::Evicted)]);
/// assert_eq!(queue.pop(now, &mut |_, _| {}), Some('c'));
/// # Ok::<(), (char, Reason)>(())
/// ```
#[derive(Clone, Debug)]
pub struct Queue<T> {
    expiry: Expiry,
    weighed: bool,
    timed: bool,
    plain: bool,
    items: Holes<T>,
    weight: u64,
    pushes: u64,
    // The latest time seen. Callers read the clock before they take a lock, so an earlier `now` may
    // arrive after a later one. Arrivals are stamped with this, which never moves back.
    latest: Instant,
    // When stamping began. The age of an item that was taken before and is put back counts from it.
    timed_since: Instant,
    codel: CoDel,
    // No item is too old before this. It may be earlier than necessary.
    due: Instant,
}

fn is_plain(discipline: Discipline, bounds: Bounds, weighed: bool) -> bool {
    matches!(discipline, Discipline::Fifo | Discipline::Lifo)
        && bounds.max_age.is_none()
        && bounds.capacity > 0
        && !weighed
}

impl<T> Queue<T> {
    /// Creates an empty queue.
    ///
    /// If it is `weighed`, the weights passed to [`push`](Self::push) count.
    pub fn new(discipline: Discipline, bounds: Bounds, weighed: bool) -> Self {
        let expiry = Expiry { discipline, bounds, empty: Instant::default() };
        Queue {
            expiry,
            weighed,
            timed: expiry.is_timed(),
            plain: is_plain(discipline, bounds, weighed),
            items: Holes::new(weighed || expiry.is_timed()),
            weight: 0,
            pushes: 0,
            latest: Instant::default(),
            timed_since: Instant::default(),
            codel: CoDel::default(),
            due: Instant::default(),
        }
    }

    /// Returns the number of items.
    #[inline]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    /// Returns the weight of all items together; 0 if they are not weighed.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Returns the bounds.
    pub fn bounds(&self) -> Bounds {
        self.expiry.bounds
    }

    /// Returns the discipline.
    pub fn discipline(&self) -> Discipline {
        self.expiry.discipline
    }

    /// Returns whether the queue uses `now`. If not, any instant can be passed.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// Returns the ticket of the oldest item.
    pub fn front(&self) -> Ticket {
        self.items.front()
    }

    /// Returns the ticket of the next item to arrive.
    pub fn back(&self) -> Ticket {
        self.items.back()
    }

    /// Returns whether another item of this weight fits.
    #[inline]
    pub fn fits(&self, weight: u32) -> bool {
        self.len() < self.expiry.bounds.capacity
            && (!self.weighed || self.weight + u64::from(weight) <= self.expiry.bounds.max_weight)
    }

    fn is_noted(&self) -> bool {
        self.weighed || self.timed
    }

    /// Adds an item, after removing some of those that are too old.
    ///
    /// It removes at most 32 of them, unless it needs more room.
    ///
    /// # Errors
    /// Returns the item with [`Reason::TooLarge`] if it is heavier than the maximum weight of all
    /// items. Returns it with [`Reason::Full`] if it does not fit and no item is evicted for it.
    #[inline]
    pub fn push<L: FnMut(T, Reason)>(
        &mut self,
        item: T,
        weight: u32,
        now: Instant,
        lost: &mut L,
    ) -> Result<Ticket, (T, Reason)> {
        if !self.plain {
            return self.push_noted(item, weight, now, lost);
        }
        let ticket = self.items.back();
        if let Some(old) = self.push_plain(item) {
            lost(old, Reason::Evicted);
        }
        Ok(ticket)
    }

    /// Returns whether the queue is plain: `Fifo` or `Lifo`, bounded by capacity alone.
    ///
    /// Most queues are. [`push_plain`](Self::push_plain) and [`pop_plain`](Self::pop_plain) are
    /// faster for them.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Pushes into a [plain](Self::is_plain) queue. Returns the evicted item.
    #[inline]
    pub fn push_plain(&mut self, item: T) -> Option<T> {
        self.pushes += 1;
        if self.len() < self.expiry.bounds.capacity {
            self.items.push(item);
            return None;
        }
        self.items.replace(item)
    }

    /// Pops from a [plain](Self::is_plain) queue.
    #[inline]
    pub fn pop_plain(&mut self) -> Option<T> {
        let taken = match self.expiry.discipline {
            Discipline::Lifo => self.items.take_back(),
            _ => self.items.take_front(),
        };
        taken.map(|(item, _)| item)
    }

    /// Takes the next item, after removing those that are too old.
    #[inline]
    pub fn pop<L: FnMut(T, Reason)>(&mut self, now: Instant, lost: &mut L) -> Option<T> {
        self.pop_with_position(now, lost).map(|(item, _)| item)
    }

    /// Takes the next item and its position, so that it can be [put back](Self::put_back).
    #[inline]
    pub fn pop_with_position<L: FnMut(T, Reason)>(
        &mut self,
        now: Instant,
        lost: &mut L,
    ) -> Option<(T, Position)> {
        if self.timed {
            self.expire(now, lost);
        }
        let front = match self.expiry.discipline {
            Discipline::Fifo | Discipline::KeepOldest => true,
            Discipline::Lifo | Discipline::LifoWithAge { .. } | Discipline::TimeBuckets { .. } => false,
            Discipline::AdaptiveLifo { interval, .. } => now < self.expiry.empty + interval,
            Discipline::CoDel { target, interval } => {
                return self.pop_controlled(CoDelParams { target, interval, now }, lost);
            }
        };
        let (item, note) = if front { self.take_front() } else { self.take_back() }?;
        Some((item, Position { note, front, pushes: self.pushes }))
    }

    fn pop_controlled<L: FnMut(T, Reason)>(
        &mut self,
        at: CoDelParams,
        lost: &mut L,
    ) -> Option<(T, Position)> {
        let mut codel = std::mem::take(&mut self.codel);
        let take = || {
            let (item, note) = self.take_front()?;
            Some(Head { item: (item, note), waited: at.now.since(note.at), last: self.is_empty() })
        };
        let served = codel.dequeue(at, take, |(item, _)| lost(item, Reason::Expired));
        self.codel = codel;
        let (item, note) = served?;
        Some((item, Position { note, front: true, pushes: self.pushes }))
    }

    /// Takes up to `max` items in turn and appends them to `out`. Returns their number.
    ///
    /// It returns fewer, although more are there, if it had to remove too many that are too old.
    pub fn pop_many<L: FnMut(T, Reason)>(
        &mut self,
        max: usize,
        now: Instant,
        out: &mut Vec<T>,
        lost: &mut L,
    ) -> usize {
        let max = max.min(self.len());
        let before = out.len();
        out.reserve(max);
        let queue = matches!(self.expiry.discipline, Discipline::Fifo | Discipline::KeepOldest);
        if !(queue && self.items.drain_front(max, out)) {
            while out.len() - before < max && self.expire_up_to(EXPIRED_BY_POP, now, lost) {
                match self.pop(now, lost) {
                    Some(item) => out.push(item),
                    None => break,
                }
            }
        }
        out.len() - before
    }

    /// Puts an item back where it was taken from.
    ///
    /// If the queue is full, items are evicted as in [`set_bounds`](Self::set_bounds), perhaps this
    /// one. Put several items back in the reverse order of taking.
    ///
    /// In a stack the position is the number of items that arrived later. It is wrong by those of
    /// them that have left meanwhile. The old ticket of the item is void. In a stack, so are the
    /// tickets of the items that arrived later.
    pub fn put_back<L: FnMut(T, Reason)>(&mut self, item: T, position: Position, lost: &mut L) {
        // Only items that arrived later are behind it.
        let newer = usize::try_from(self.pushes - position.pushes).unwrap_or(usize::MAX);
        let Note { at, weight } = position.note;
        let note = Note { at: at.max(self.timed_since), weight };
        self.items.insert(item, note, (!position.front).then_some(newer));
        if self.is_noted() {
            self.weight += u64::from(weight);
        }
        self.due = Instant::default();
        self.fit(lost);
    }

    /// Removes the items that are too old at `now`.
    #[inline]
    pub fn expire<L: FnMut(T, Reason)>(&mut self, now: Instant, lost: &mut L) {
        self.expire_up_to(usize::MAX, now, lost);
    }

    /// Removes up to `max` of the items that are too old at `now`. Returns whether none is left.
    #[inline]
    pub fn expire_up_to<L: FnMut(T, Reason)>(&mut self, max: usize, now: Instant, lost: &mut L) -> bool {
        !self.may_expire(now) || self.expire_due(max, now, lost)
    }

    /// Returns whether an item may be too old at `now`: cheap, and more often than necessary.
    #[inline]
    pub fn may_expire(&self, now: Instant) -> bool {
        self.timed && self.due <= now
    }

    fn expire_due<L: FnMut(T, Reason)>(&mut self, max: usize, now: Instant, lost: &mut L) -> bool {
        let stack = matches!(self.expiry.discipline, Discipline::LifoWithAge { .. });
        // Then all are too old.
        let all = stack && self.items.newest().is_some_and(|newest| self.expiry.of(newest) <= now);
        let mut left = max;
        while all && !self.is_empty() || self.oldest_is_too_old(now) {
            if left == 0 {
                return false;
            }
            left -= 1;
            match self.take_front() {
                Some((old, _)) => lost(old, Reason::Expired),
                None => break,
            }
        }
        self.due = self.next_expiry().unwrap_or(Instant::FAR_FUTURE);
        true
    }

    fn oldest_is_too_old(&self, now: Instant) -> bool {
        self.items.oldest().is_some_and(|oldest| self.expiry.of_oldest(oldest) <= now)
    }

    /// Returns when an item that arrived `at` is too old.
    ///
    /// Under [`LifoWithAge`](Discipline::LifoWithAge) it leaves then only if it is the newest.
    pub fn expires_at(&self, at: Instant) -> Instant {
        self.expiry.of(at)
    }

    /// Returns when the next item expires if none arrives and none is taken.
    ///
    /// [`CoDel`](Discipline::CoDel) drops items only when one is taken.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiry.next(self.items.oldest()?, self.items.newest()?)
    }

    /// Returns the oldest item.
    pub fn oldest(&self) -> Option<&T> {
        self.items.oldest_item()
    }

    /// Takes the oldest item, whatever the discipline.
    pub fn pop_oldest(&mut self) -> Option<T> {
        self.take_front().map(|(item, _)| item)
    }

    /// Removes all items, for `reason`.
    pub fn clear<L: FnMut(T, Reason)>(&mut self, reason: Reason, lost: &mut L) {
        while let Some((item, _)) = self.take_front() {
            lost(item, reason);
        }
    }

    /// Removes the item with this ticket, if it is still there.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let (item, weight) = self.items.remove(ticket)?;
        self.due = Instant::default();
        self.weight -= u64::from(weight);
        Some(item)
    }

    /// Returns whether it is time to [`compact`](Self::compact).
    ///
    /// It is if removed items take up most of the memory.
    pub fn is_sparse(&self) -> bool {
        self.items.is_sparse()
    }

    /// Frees the memory of removed items. Calls `moved` with each item and its new ticket.
    pub fn compact(&mut self, moved: impl FnMut(&T, Ticket)) {
        self.items.compact(moved);
    }

    #[inline]
    fn take_front(&mut self) -> Option<(T, Note)> {
        let (item, note) = self.items.take_front()?;
        self.weight -= u64::from(note.weight);
        Some((item, note))
    }

    #[inline]
    fn take_back(&mut self) -> Option<(T, Note)> {
        let (item, note) = self.items.take_back()?;
        if let Discipline::LifoWithAge { .. } = self.expiry.discipline {
            // The newest of the items that remain may be too old.
            self.due = Instant::default();
        }
        self.weight -= u64::from(note.weight);
        Some((item, note))
    }
}
