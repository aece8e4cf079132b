//! Who waits, in which order: a FIFO over waiter slots. A machine: no lock, no clock.
//!
//! Slots are linked in order and reused, so that leaving from the middle costs no more than from
//! the front, and a line that has been as long as it gets allocates nothing more.

use crate::{Instant, Rejected};
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
    Free,
    Waiting,
    /// Taken out of the line, and told; it has not come to fetch it yet.
    Called(Result<T, Rejected>),
}

#[derive(Debug)]
struct Slot<T> {
    turn: u32,
    prev: u32,
    next: u32,
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

#[derive(Debug)]
pub(crate) struct Line<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    head: u32,
    tail: u32,
    len: u32,
}

impl<T> Line<T> {
    pub(crate) const fn new() -> Self {
        Line { slots: Vec::new(), free: NIL, head: NIL, tail: NIL, len: 0 }
    }

    /// How many wait. Those already called do not count.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    fn slot(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(slot as usize)
    }

    fn held(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slot(key.slot).filter(|s| s.turn == key.turn && !matches!(s.state, State::Free))
    }

    /// Stands at the end of the line. `None` if the line is too long to be numbered.
    pub(crate) fn push(&mut self, waker: Waker, since: Instant, until: Instant) -> Option<Key> {
        let tail = self.tail;
        let free = self.free;
        let key = match self.slot(free) {
            Some(slot) => {
                let next_free = slot.next;
                slot.prev = tail;
                slot.next = NIL;
                slot.since = since;
                slot.until = until;
                slot.waker = Some(waker);
                slot.state = State::Waiting;
                let turn = slot.turn;
                self.free = next_free;
                Key { slot: free, turn }
            }
            None => {
                let slot = u32::try_from(self.slots.len()).ok().filter(|&n| n < NIL)?;
                let state = State::Waiting;
                let (prev, next, waker) = (tail, NIL, Some(waker));
                self.slots.push(Slot { turn: 0, prev, next, since, until, waker, state });
                Key { slot, turn: 0 }
            }
        };
        match self.slot(tail) {
            Some(last) => last.next = key.slot,
            None => self.head = key.slot,
        }
        self.tail = key.slot;
        self.len += 1;
        Some(key)
    }

    fn unlink(&mut self, slot: u32) {
        let Some(&mut Slot { prev, next, .. }) = self.slot(slot) else { return };
        match self.slot(prev) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        match self.slot(next) {
            Some(after) => after.prev = prev,
            None => self.tail = prev,
        }
        self.len -= 1;
    }

    /// Since when and until when the first one waits.
    pub(crate) fn first(&mut self) -> Option<(Instant, Instant)> {
        let head = self.head;
        self.slot(head).map(|slot| (slot.since, slot.until))
    }

    /// Takes the first out of the line and tells it `result`. Its waker is to be woken once the
    /// lock is open. The result comes back if nobody waits.
    pub(crate) fn call(&mut self, result: Result<T, Rejected>) -> Result<Option<Waker>, Result<T, Rejected>> {
        let head = self.head;
        let Some(slot) = self.slot(head) else { return Err(result) };
        slot.state = State::Called(result);
        let waker = slot.waker.take();
        self.unlink(head);
        Ok(waker)
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
        let slot = self.held(key)?;
        let state = std::mem::replace(&mut slot.state, State::Free);
        let waker = slot.waker.take();
        let left = match state {
            State::Called(result) => Left::Called(result),
            _ => {
                self.unlink(key.slot);
                Left::Waiting(waker)
            }
        };
        let free = std::mem::replace(&mut self.free, key.slot);
        if let Some(slot) = self.slot(key.slot) {
            slot.turn = slot.turn.wrapping_add(1);
            slot.next = free;
        }
        Some(left)
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
    use crate::Reason;
    use proptest::prelude::*;

    fn push<T>(line: &mut Line<T>) -> Option<Key> {
        line.push(Waker::noop().clone(), Instant::default(), Instant::FAR_FUTURE)
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
            3 => Just(Step::Push),
            2 => Just(Step::Call),
            1 => any::<prop::sample::Index>().prop_map(|i| Step::Leave(i.index(64))),
            2 => any::<prop::sample::Index>().prop_map(|i| Step::Fetch(i.index(64))),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against a plain list: the order holds, nobody is lost, no slot is used twice at once.
        #[test]
        fn the_line_is_a_fifo_that_can_be_left_anywhere(steps in steps()) {
            let mut line: Line<u32> = Line::new();
            let (mut model, mut called): (Vec<Key>, Vec<(Key, u32)>) = (vec![], vec![]);
            let mut most = 0;
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push => {
                        let key = push(&mut line).unwrap();
                        prop_assert!(!model.contains(&key) && called.iter().all(|c| c.0 != key));
                        model.push(key);
                    }
                    Step::Call if model.is_empty() => {
                        prop_assert_eq!(line.call(Ok(7)).unwrap_err().unwrap(), 7);
                    }
                    Step::Call => {
                        prop_assert!(line.call(Ok(n as u32)).unwrap().is_some());
                        called.push((model.remove(0), n as u32));
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
        let mut line: Line<()> = Line::new();
        let old = push(&mut line).unwrap();
        line.leave(old);
        let new = push(&mut line).unwrap();
        assert_eq!(old.slot, new.slot);
        line.call(Err(Rejected::new("x", Reason::Closed))).unwrap();
        assert!(line.fetch(old).is_none());
        assert_eq!(line.fetch(new).unwrap().unwrap_err().reason(), Reason::Closed);
    }
}
