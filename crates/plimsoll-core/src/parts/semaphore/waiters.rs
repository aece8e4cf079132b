//! The waiters of a semaphore, in the order of a discipline. A machine: no lock, no clock.
//!
//! The [`Queue`] holds indices of entries, and an entry holds the result for its waiter. Entries
//! are reused, so a queue that has reached its greatest length allocates nothing more.

use crate::parts::{Bounds, Discipline, OneOrMany, Queue, Ticket};
use crate::{Instant, Reason, Rejected};
use std::task::Waker;

/// Identifies a waiter. The generation distinguishes it from earlier users of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaiterId {
    entry: u32,
    generation: u32,
}

const NIL: u32 = u32::MAX;

#[derive(Debug)]
enum State<T> {
    Free {
        next: u32,
    },
    Waiting(Ticket),
    /// Removed from the queue, with a result that the waiter has not fetched yet.
    Resolved(Result<T, Rejected>),
}

#[derive(Debug)]
struct WaiterEntry<T> {
    generation: u32,
    since: Instant,
    until: Instant,
    waker: Option<Waker>,
    state: State<T>,
}

/// What a removed waiter was: still waiting, or already resolved.
#[derive(Debug)]
pub(super) enum Removed<T> {
    /// With its waker, to be dropped after the lock is released: it may own a whole task.
    Waiting(Option<Waker>),
    Resolved(Result<T, Rejected>),
}

/// The wakers to call after the lock is released.
type Wakers = OneOrMany<Waker>;

#[derive(Debug)]
pub(super) struct Waiters<T> {
    name: &'static str,
    entries: Vec<WaiterEntry<T>>,
    free: u32,
    queue: Queue<u32>,
}

impl<T> Waiters<T> {
    pub(super) fn new(name: &'static str, discipline: Discipline, limit: usize) -> Self {
        let queue = Queue::new(discipline, Bounds::with_capacity(limit), false);
        Waiters { name, entries: Vec::new(), free: NIL, queue }
    }

    /// Returns the number of waiters, without those that are resolved.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn discipline(&self) -> Discipline {
        self.queue.discipline()
    }

    fn entry(&mut self, n: u32) -> Option<&mut WaiterEntry<T>> {
        self.entries.get_mut(n as usize)
    }

    fn held(&mut self, id: WaiterId) -> Option<&mut WaiterEntry<T>> {
        let in_use = |entry: &&mut WaiterEntry<T>| {
            entry.generation == id.generation && !matches!(entry.state, State::Free { .. })
        };
        self.entry(id.entry).filter(in_use)
    }

    /// Changes the queue, and rejects the waiters that this removes.
    fn change<R>(
        &mut self,
        now: Instant,
        wakers: &mut Wakers,
        change: impl FnOnce(&mut Queue<u32>, &mut dyn FnMut(u32, Reason)) -> R,
    ) -> R {
        let limit = self.queue.bounds().capacity;
        self.change_within(limit, now, wakers, change)
    }

    /// The same for a queue of at most `limit` waiters after the change.
    fn change_within<R>(
        &mut self,
        limit: usize,
        now: Instant,
        wakers: &mut Wakers,
        change: impl FnOnce(&mut Queue<u32>, &mut dyn FnMut(u32, Reason)) -> R,
    ) -> R {
        let (queue, entries, name) = (&mut self.queue, &mut self.entries, self.name);
        let number = |n| u64::try_from(n).unwrap_or(u64::MAX);
        let (limit, queued) = (number(limit), number(queue.len()));
        change(queue, &mut |n, reason| {
            let Some(entry) = entries.get_mut(n as usize) else { return };
            let rejected = Rejected::new(name, reason);
            let rejected = match reason {
                Reason::Evicted => rejected.numbers(limit, queued).over(now.since(entry.since)),
                Reason::Expired => rejected.over(now.since(entry.since)),
                _ => rejected,
            };
            entry.state = State::Resolved(Err(rejected));
            entry.waker.take().into_iter().for_each(|waker| wakers.push(waker));
        })
    }

    /// Adds a waiter. Returns the waker if the queue is full and no waiter is evicted for it.
    pub(super) fn push(
        &mut self,
        waker: Waker,
        since: Instant,
        until: Instant,
        wakers: &mut Wakers,
    ) -> Result<WaiterId, Waker> {
        let n = match self.entry(self.free) {
            Some(free) => match free.state {
                State::Free { next } => std::mem::replace(&mut self.free, next),
                _ => return Err(waker),
            },
            None => match u32::try_from(self.entries.len()).ok().filter(|&n| n < NIL) {
                Some(n) => {
                    let state = State::Free { next: NIL };
                    self.entries.push(WaiterEntry { generation: 0, since, until, waker: None, state });
                    n
                }
                None => return Err(waker),
            },
        };
        let pushed = self.change(since, wakers, |queue, mut lost| queue.push(n, 0, since, &mut lost));
        let free = self.free;
        let Some(entry) = self.entry(n) else { return Err(waker) };
        match pushed {
            Ok(ticket) => {
                (entry.since, entry.until) = (since, until);
                entry.waker = Some(waker);
                entry.state = State::Waiting(ticket);
                Ok(WaiterId { entry: n, generation: entry.generation })
            }
            Err(_) => {
                entry.state = State::Free { next: free };
                self.free = n;
                Err(waker)
            }
        }
    }

    /// Takes the next waiter out of the queue, to be [resolved](Self::resolve) now.
    ///
    /// Waiters whose time has passed are rejected on the way.
    pub(super) fn next(&mut self, now: Instant, wakers: &mut Wakers) -> Option<u32> {
        loop {
            let next = self.change(now, wakers, |queue, mut lost| queue.pop(now, &mut lost))?;
            match self.entry(next) {
                Some(entry) if entry.until <= now => self.resolve_overdue(next, now, wakers),
                _ => return Some(next),
            }
        }
    }

    fn resolve_overdue(&mut self, n: u32, now: Instant, wakers: &mut Wakers) {
        let since = self.entry(n).map_or(now, |entry| entry.since);
        let late = Rejected::new(self.name, Reason::Expired).over(now.since(since));
        self.resolve(n, Err(late), wakers);
    }

    pub(super) fn resolve(&mut self, n: u32, result: Result<T, Rejected>, wakers: &mut Wakers) {
        if let Some(entry) = self.entry(n) {
            entry.state = State::Resolved(result);
            entry.waker.take().into_iter().for_each(|waker| wakers.push(waker));
        }
    }

    /// Rejects the waiters that are too old for the discipline.
    pub(super) fn expire(&mut self, now: Instant, wakers: &mut Wakers) {
        if self.queue.is_timed() {
            self.change(now, wakers, |queue, mut lost| queue.expire(now, &mut lost));
        }
    }

    /// Returns when the time of the oldest waiter has passed.
    pub(super) fn first_until(&self) -> Instant {
        let oldest = self.queue.oldest().and_then(|&n| self.entries.get(n as usize));
        oldest.map_or(Instant::FAR_FUTURE, |entry| entry.until)
    }

    /// Rejects the oldest waiters, as far as their time has passed.
    ///
    /// Their timers may have fired, but they have not been polled yet.
    pub(super) fn reject_overdue(&mut self, now: Instant, wakers: &mut Wakers) {
        while self.first_until() <= now {
            let Some(oldest) = self.queue.pop_oldest() else { return };
            self.resolve_overdue(oldest, now, wakers);
        }
    }

    /// Rejects all waiters with `Closed`.
    pub(super) fn close(&mut self, wakers: &mut Wakers) {
        self.change(Instant::default(), wakers, |queue, mut lost| queue.clear(Reason::Closed, &mut lost));
    }

    /// Returns when a waiter that joined at `since` may be too old for the discipline.
    pub(super) fn expires_at(&self, since: Instant) -> Instant {
        self.queue.expires_at(since)
    }

    /// Returns when the next waiter is too old for the discipline.
    pub(super) fn next_expiry(&self) -> Instant {
        self.queue.next_expiry().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Limits the number of waiters. If the discipline evicts, those beyond the limit are rejected;
    /// under [`KeepOldest`](Discipline::KeepOldest) they stay.
    pub(super) fn set_limit(&mut self, limit: usize, now: Instant, wakers: &mut Wakers) {
        let keeps_oldest = self.queue.discipline().keeps_oldest();
        let limit = if keeps_oldest || limit == 0 { limit.max(self.queue.len()) } else { limit };
        let bounds = Bounds::with_capacity(limit);
        if self.queue.bounds() != bounds {
            self.change_within(limit, now, wakers, |queue, mut lost| {
                queue.set_bounds(bounds, now, &mut lost)
            });
        }
    }

    /// Changes the discipline. Wakes all waiters, so that each sets its timer for the new one.
    pub(super) fn set_discipline(&mut self, to: Discipline, now: Instant, wakers: &mut Wakers) {
        self.change(now, wakers, |queue, mut lost| queue.set_discipline(to, now, &mut lost));
        self.take_wakers(wakers);
    }

    /// Takes the wakers of all that wait, so that they look anew at what applies to them.
    pub(super) fn take_wakers(&mut self, wakers: &mut Wakers) {
        let waiting = self.entries.iter_mut().filter(|entry| matches!(entry.state, State::Waiting(_)));
        waiting.filter_map(|entry| entry.waker.take()).for_each(|waker| wakers.push(waker));
    }

    /// Returns the waiter's result, if there is one, and frees its entry.
    pub(super) fn fetch(&mut self, id: WaiterId) -> Option<Result<T, Rejected>> {
        match self.held(id)?.state {
            State::Resolved(_) => match self.remove(id)? {
                Removed::Resolved(result) => Some(result),
                Removed::Waiting(_) => None,
            },
            _ => None,
        }
    }

    /// Removes a waiter in any state, and frees its entry.
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Removed<T>> {
        let free = self.free;
        let entry = self.held(id)?;
        let state = std::mem::replace(&mut entry.state, State::Free { next: free });
        let waker = entry.waker.take();
        entry.generation = entry.generation.wrapping_add(1);
        self.free = id.entry;
        Some(match state {
            State::Resolved(result) => Removed::Resolved(result),
            State::Waiting(ticket) => {
                self.queue.remove(ticket);
                if self.queue.is_sparse() {
                    let entries = &mut self.entries;
                    self.queue.compact(|&n, ticket| {
                        if let Some(entry) = entries.get_mut(n as usize) {
                            entry.state = State::Waiting(ticket);
                        }
                    });
                }
                Removed::Waiting(waker)
            }
            State::Free { .. } => return None,
        })
    }

    /// Replaces the waker. Returns the old one, to be dropped after the lock is released.
    pub(super) fn renew(&mut self, id: WaiterId, waker: Waker) -> Option<Waker> {
        match self.held(id) {
            Some(entry) => entry.waker.replace(waker),
            None => Some(waker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push<T>(waiters: &mut Waiters<T>, now: u64) -> Option<WaiterId> {
        let now = Instant::from_nanos(now);
        waiters.push(Waker::noop().clone(), now, Instant::FAR_FUTURE, &mut OneOrMany::none()).ok()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Resolve,
        Leave(usize),
        Fetch(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Push),
            2 => Just(Step::Resolve),
            2 => any::<prop::sample::Index>().prop_map(|i| Step::Leave(i.index(256))),
            2 => any::<prop::sample::Index>().prop_map(|i| Step::Fetch(i.index(64))),
        ];
        prop::collection::vec(step, 0..600)
    }

    proptest! {
        /// Compares with a plain list. The order holds, no waiter is lost, and no entry is used
        /// twice at once. A waiter that leaves from the middle leaves nothing behind.
        #[test]
        fn waiters_may_leave_from_any_position(steps in steps(), stack in any::<bool>()) {
            let discipline = if stack { Discipline::Lifo } else { Discipline::Fifo };
            let mut waiters: Waiters<u32> = Waiters::new("waiters", discipline, usize::MAX);
            let (mut model, mut resolved): (Vec<WaiterId>, Vec<(WaiterId, u32)>) = (vec![], vec![]);
            let mut max_entries = 0;
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push => {
                        let id = push(&mut waiters, n as u64).unwrap();
                        prop_assert!(!model.contains(&id) && resolved.iter().all(|r| r.0 != id));
                        model.push(id);
                    }
                    Step::Resolve if model.is_empty() => {
                        prop_assert_eq!(waiters.next(Instant::default(), &mut OneOrMany::none()), None);
                    }
                    Step::Resolve => {
                        let mut wakers = OneOrMany::none();
                        let entry = waiters.next(Instant::default(), &mut wakers).unwrap();
                        waiters.resolve(entry, Ok(n as u32), &mut wakers);
                        prop_assert_eq!(wakers.len(), 1);
                        let next = if stack { model.len() - 1 } else { 0 };
                        prop_assert_eq!(model[next].entry, entry);
                        resolved.push((model.remove(next), n as u32));
                    }
                    Step::Leave(i) if i < model.len() => {
                        let id = model.remove(i);
                        prop_assert!(matches!(waiters.remove(id), Some(Removed::Waiting(Some(_)))));
                        prop_assert!(waiters.remove(id).is_none(), "a second removal finds nothing");
                    }
                    Step::Fetch(i) if i < resolved.len() => {
                        let (id, result) = resolved.remove(i);
                        prop_assert_eq!(waiters.fetch(id), Some(Ok(result)));
                        prop_assert_eq!(waiters.fetch(id), None);
                    }
                    Step::Leave(_) | Step::Fetch(_) => {}
                }
                prop_assert_eq!(waiters.len() as usize, model.len());
                prop_assert!(model.iter().all(|&id| waiters.fetch(id).is_none()));
                max_entries = max_entries.max(model.len() + resolved.len());
            }
            prop_assert!(waiters.entries.len() <= max_entries, "entries are reused");
        }
    }

    #[test]
    fn the_id_of_a_former_waiter_fetches_nothing() {
        let mut waiters: Waiters<()> = Waiters::new("waiters", Discipline::Fifo, 8);
        let old = push(&mut waiters, 0).unwrap();
        waiters.remove(old);
        let new = push(&mut waiters, 0).unwrap();
        assert_eq!(old.entry, new.entry);
        waiters.close(&mut OneOrMany::none());
        assert!(waiters.fetch(old).is_none());
        assert_eq!(waiters.fetch(new).unwrap().unwrap_err().reason(), Reason::Closed);
    }
}
