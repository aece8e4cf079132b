//! Who waits for a place, in the order of a discipline. A machine: no lock, no clock.
//!
//! The [`Line`] holds the numbers of slots; a slot holds what its waiter is told. Slots are reused, so
//! a room that has been as full as it gets allocates nothing more.

use crate::{Bounds, Discipline, Instant, OneOrMany, Queue, Reason, Rejected, Ticket as Spot};
use std::task::Waker;

/// Names one waiter. `turn` tells the slot's present user from its earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    slot: u32,
    turn: u32,
}

const NIL: u32 = u32::MAX;

#[derive(Debug)]
enum State<T> {
    Free {
        next: u32,
    },
    Waiting(Spot),
    /// Taken out of the line, and told; it has not come to fetch it yet.
    Called(Result<T, Rejected>),
}

#[derive(Debug)]
struct Slot<T> {
    turn: u32,
    since: Instant,
    until: Instant,
    waker: Option<Waker>,
    state: State<T>,
}

/// What a waiter that leaves was: still waiting, or already called.
#[derive(Debug)]
pub(crate) enum Left<T> {
    /// With its waker, to be dropped once the lock is open: it may own a whole task.
    Waiting(Option<Waker>),
    Called(Result<T, Rejected>),
}

/// Whom to wake once the lock is open.
pub(crate) type Wakers = OneOrMany<Waker>;

#[derive(Debug)]
pub(crate) struct Waiters<T> {
    by: &'static str,
    slots: Vec<Slot<T>>,
    free: u32,
    line: Queue<u32>,
}

impl<T> Waiters<T> {
    pub(crate) fn new(by: &'static str, discipline: Discipline, size: usize) -> Self {
        Waiters {
            by,
            slots: Vec::new(),
            free: NIL,
            line: Queue::new(discipline, Bounds::with_capacity(size), false),
        }
    }

    /// How many wait. Those already called do not count.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.line.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn discipline(&self) -> Discipline {
        self.line.discipline()
    }

    fn slot(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(slot as usize)
    }

    fn held(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slot(key.slot).filter(|s| s.turn == key.turn && !matches!(s.state, State::Free { .. }))
    }

    /// Does something to the line, and tells those whom it lets go.
    fn on_line<R>(
        &mut self,
        now: Instant,
        wakers: &mut Wakers,
        act: impl FnOnce(&mut Queue<u32>, &mut dyn FnMut(u32, Reason)) -> R,
    ) -> R {
        let (line, slots, by) = (&mut self.line, &mut self.slots, self.by);
        let bound = u64::try_from(line.bounds().capacity).unwrap_or(u64::MAX);
        act(line, &mut |slot, reason| {
            let Some(slot) = slots.get_mut(slot as usize) else { return };
            let no = Rejected::new(by, reason);
            let no = match reason {
                Reason::Evicted => no.numbers(bound, bound).over(now.since(slot.since)),
                Reason::Expired => no.over(now.since(slot.since)),
                _ => no,
            };
            slot.state = State::Called(Err(no));
            slot.waker.take().into_iter().for_each(|waker| wakers.push(waker));
        })
    }

    /// Stands in line. `Err` gives the waker back if there is no room and nobody to be evicted for it.
    pub(crate) fn push(
        &mut self,
        waker: Waker,
        since: Instant,
        until: Instant,
        wakers: &mut Wakers,
    ) -> Result<Key, Waker> {
        let slot = match self.slot(self.free) {
            Some(free) => match free.state {
                State::Free { next } => std::mem::replace(&mut self.free, next),
                _ => return Err(waker),
            },
            None => match u32::try_from(self.slots.len()).ok().filter(|&n| n < NIL) {
                Some(slot) => {
                    let state = State::Free { next: NIL };
                    self.slots.push(Slot { turn: 0, since, until, waker: None, state });
                    slot
                }
                None => return Err(waker),
            },
        };
        let pushed = self.on_line(since, wakers, |line, mut told| line.push(slot, 0, since, &mut told));
        let free = self.free;
        let Some(mine) = self.slot(slot) else { return Err(waker) };
        match pushed {
            Ok(spot) => {
                (mine.since, mine.until) = (since, until);
                mine.waker = Some(waker);
                mine.state = State::Waiting(spot);
                Ok(Key { slot, turn: mine.turn })
            }
            Err(_) => {
                mine.state = State::Free { next: free };
                self.free = slot;
                Err(waker)
            }
        }
    }

    /// Takes the next one out of the line, who must be [told](Self::tell) now; those whose time is up
    /// are passed over, and told so.
    pub(crate) fn next(&mut self, now: Instant, wakers: &mut Wakers) -> Option<u32> {
        loop {
            let next = self.on_line(now, wakers, |line, mut told| line.pop(now, &mut told))?;
            let by = self.by;
            match self.slot(next) {
                Some(slot) if slot.until <= now => {
                    let late = Rejected::new(by, Reason::Expired).over(now.since(slot.since));
                    self.tell(next, Err(late), wakers);
                }
                _ => return Some(next),
            }
        }
    }

    pub(crate) fn tell(&mut self, slot: u32, result: Result<T, Rejected>, wakers: &mut Wakers) {
        if let Some(slot) = self.slot(slot) {
            slot.state = State::Called(result);
            slot.waker.take().into_iter().for_each(|waker| wakers.push(waker));
        }
    }

    /// Lets go of those who are too old for the discipline.
    pub(crate) fn expire(&mut self, now: Instant, wakers: &mut Wakers) {
        if self.line.is_timed() {
            self.on_line(now, wakers, |line, mut told| line.expire(now, &mut told));
        }
    }

    /// Tells everyone that the room is closed.
    pub(crate) fn close(&mut self, wakers: &mut Wakers) {
        self.on_line(Instant::default(), wakers, |line, mut told| line.clear(Reason::Closed, &mut told));
    }

    /// When one who came at `since` may have to go, by the discipline.
    pub(crate) fn gone_by(&self, since: Instant) -> Instant {
        self.line.expires_at(since)
    }

    /// When someone has to go next, by the discipline.
    pub(crate) fn next_expiry(&self) -> Instant {
        self.line.next_expiry().unwrap_or(Instant::FAR_FUTURE)
    }

    /// From now on at most `size` more may stand in line; those who do may stay.
    pub(crate) fn set_size(&mut self, size: usize) {
        let size = size.max(self.line.len());
        self.line.set_bounds(Bounds::with_capacity(size), Instant::default(), &mut |_, _| {});
    }

    /// Changes the discipline. Everyone is woken, to see when his time is up by the new one.
    pub(crate) fn set_discipline(&mut self, to: Discipline, now: Instant, wakers: &mut Wakers) {
        self.on_line(now, wakers, |line, mut told| line.set_discipline(to, now, &mut told));
        let waiting = self.slots.iter_mut().filter(|slot| matches!(slot.state, State::Waiting(_)));
        waiting.filter_map(|slot| slot.waker.take()).for_each(|waker| wakers.push(waker));
    }

    /// What this waiter was told, if it was; its slot is free then.
    pub(crate) fn fetch(&mut self, key: Key) -> Option<Result<T, Rejected>> {
        match self.held(key)?.state {
            State::Called(_) => match self.leave(key)? {
                Left::Called(result) => Some(result),
                Left::Waiting(_) => None,
            },
            _ => None,
        }
    }

    /// Leaves, from wherever it stands; its slot is free then.
    pub(crate) fn leave(&mut self, key: Key) -> Option<Left<T>> {
        let free = self.free;
        let slot = self.held(key)?;
        let state = std::mem::replace(&mut slot.state, State::Free { next: free });
        let waker = slot.waker.take();
        slot.turn = slot.turn.wrapping_add(1);
        self.free = key.slot;
        Some(match state {
            State::Called(result) => Left::Called(result),
            State::Waiting(spot) => {
                self.line.remove(spot);
                if self.line.is_sparse() {
                    let slots = &mut self.slots;
                    self.line.compact(|&slot, spot| {
                        if let Some(slot) = slots.get_mut(slot as usize) {
                            slot.state = State::Waiting(spot);
                        }
                    });
                }
                Left::Waiting(waker)
            }
            State::Free { .. } => return None,
        })
    }

    /// Polled again, perhaps by another task; the old waker comes back to be dropped outside the lock.
    pub(crate) fn renew(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        match self.held(key) {
            Some(slot) => slot.waker.replace(waker),
            None => Some(waker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push<T>(waiters: &mut Waiters<T>, now: u64) -> Option<Key> {
        let now = Instant::from_nanos(now);
        waiters.push(Waker::noop().clone(), now, Instant::FAR_FUTURE, &mut OneOrMany::none()).ok()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Call,
        Leave(usize),
        Fetch(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Push),
            2 => Just(Step::Call),
            2 => any::<prop::sample::Index>().prop_map(|i| Step::Leave(i.index(256))),
            2 => any::<prop::sample::Index>().prop_map(|i| Step::Fetch(i.index(64))),
        ];
        prop::collection::vec(step, 0..600)
    }

    proptest! {
        /// Against a plain list: the order holds, nobody is lost, no slot is used twice at once, and
        /// what leaves from the middle leaves nothing behind.
        #[test]
        fn the_line_can_be_left_anywhere(steps in steps(), stack in any::<bool>()) {
            let discipline = if stack { Discipline::Lifo } else { Discipline::Fifo };
            let mut line: Waiters<u32> = Waiters::new("line", discipline, usize::MAX);
            let (mut model, mut called): (Vec<Key>, Vec<(Key, u32)>) = (vec![], vec![]);
            let mut most = 0;
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push => {
                        let key = push(&mut line, n as u64).unwrap();
                        prop_assert!(!model.contains(&key) && called.iter().all(|c| c.0 != key));
                        model.push(key);
                    }
                    Step::Call if model.is_empty() => {
                        prop_assert_eq!(line.next(Instant::default(), &mut OneOrMany::none()), None);
                    }
                    Step::Call => {
                        let mut wakers = OneOrMany::none();
                        let slot = line.next(Instant::default(), &mut wakers).unwrap();
                        line.tell(slot, Ok(n as u32), &mut wakers);
                        prop_assert_eq!(wakers.len(), 1);
                        let next = if stack { model.len() - 1 } else { 0 };
                        prop_assert_eq!(model[next].slot, slot);
                        called.push((model.remove(next), n as u32));
                    }
                    Step::Leave(i) if i < model.len() => {
                        let key = model.remove(i);
                        prop_assert!(matches!(line.leave(key), Some(Left::Waiting(Some(_)))));
                        prop_assert!(line.leave(key).is_none(), "a second leave finds nothing");
                    }
                    Step::Fetch(i) if i < called.len() => {
                        let (key, told) = called.remove(i);
                        prop_assert_eq!(line.fetch(key), Some(Ok(told)));
                        prop_assert_eq!(line.fetch(key), None);
                    }
                    Step::Leave(_) | Step::Fetch(_) => {}
                }
                prop_assert_eq!(line.len() as usize, model.len());
                prop_assert!(model.iter().all(|&k| line.fetch(k).is_none()));
                most = most.max(model.len() + called.len());
            }
            prop_assert!(line.slots.len() <= most, "slots are reused");
        }
    }

    #[test]
    fn a_key_of_a_former_user_opens_nothing() {
        let mut line: Waiters<()> = Waiters::new("line", Discipline::Fifo, 8);
        let old = push(&mut line, 0).unwrap();
        line.leave(old);
        let new = push(&mut line, 0).unwrap();
        assert_eq!(old.slot, new.slot);
        line.close(&mut OneOrMany::none());
        assert!(line.fetch(old).is_none());
        assert_eq!(line.fetch(new).unwrap().unwrap_err().reason(), Reason::Closed);
    }
}
