//! The valve against a plain model of {inside, waiting}, by random steps on a manual clock.

use plimsoll_core::{Discipline, Instant, ManualTime, Permit, Reason, Rejected};
use plimsoll_valve::Valve;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio_test::task::{self, Spawn};

#[derive(Clone, Debug)]
enum Step {
    Ask,
    Acquire,
    Leave(Index),
    GiveUp(Index),
    Advance(u64),
    SetInside(u32),
    SetRoom(u32, u64),
    SetDiscipline(Discipline),
    Close,
}

fn discipline() -> impl Strategy<Value = Discipline> {
    prop_oneof![Just(Discipline::Fifo), Just(Discipline::KeepOldest), Just(Discipline::Lifo)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        8 => Just(Step::Acquire),
        6 => any::<Index>().prop_map(Step::Leave),
        3 => any::<Index>().prop_map(Step::GiveUp),
        3 => (0..30u64).prop_map(Step::Advance),
        2 => (1..5u32).prop_map(Step::SetInside),
        2 => (0..5u32, 1..40u64).prop_map(|(room, wait)| Step::SetRoom(room, wait)),
        2 => discipline().prop_map(Step::SetDiscipline),
        1 => Just(Step::Close),
    ]
}

/// One who waits, as the model sees him.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Waits,
    Granted,
    Evicted,
    Closed,
}

struct Oracle {
    inside: u32,
    limit: u32,
    room: u32,
    longest: Duration,
    closed: bool,
    discipline: Discipline,
    /// Who waits, in order, with the instant of giving up.
    line: VecDeque<(usize, Instant)>,
    /// Who had to go for a newcomer, and was not told yet.
    evicted: Vec<usize>,
}

impl Oracle {
    fn ask(&mut self) -> Result<(), Reason> {
        if self.closed {
            Err(Reason::Closed)
        } else if self.inside >= self.limit || !self.line.is_empty() {
            Err(Reason::Full)
        } else {
            self.inside += 1;
            Ok(())
        }
    }

    /// A full room refuses, or evicts; a room for none refuses.
    fn has_room(&self) -> bool {
        let evicts = self.room > 0 && self.discipline != Discipline::KeepOldest;
        (self.line.len() as u32) < self.room || evicts
    }

    /// `None`: he waits.
    fn acquire(&mut self, id: usize, now: Instant) -> Option<Result<(), Reason>> {
        match self.ask() {
            Err(Reason::Full) if self.has_room() => {
                // A room that was made smaller loses no more than one for each who comes.
                if self.line.len() as u32 >= self.room {
                    self.evicted.extend(self.line.pop_front().map(|w| w.0));
                }
                self.line.push_back((id, now + self.longest));
                None
            }
            other => Some(other),
        }
    }

    /// Those who may enter now.
    fn serve(&mut self) -> Vec<usize> {
        let mut served = vec![];
        while !self.closed && self.inside < self.limit {
            let next = match self.discipline {
                Discipline::Lifo => self.line.pop_back(),
                _ => self.line.pop_front(),
            };
            let Some((id, _)) = next else { break };
            self.inside += 1;
            served.push(id);
        }
        served
    }
}

type Acquiring = Spawn<Pin<Box<dyn Future<Output = Result<Permit<Valve>, Rejected>>>>>;

fn acquire(valve: &Valve) -> Acquiring {
    let valve = valve.clone();
    task::spawn(Box::pin(async move { valve.acquire_owned().await }) as Pin<Box<_>>)
}

proptest! {
    #[test]
    fn the_valve_does_as_the_model(limit in 1..4u32, room in 0..4u32, discipline in discipline(), steps in prop::collection::vec(step(), 1..120)) {
        let ms = Duration::from_millis;
        let time = ManualTime::new();
        let clock = time.clock();
        let valve = Valve::builder().concurrency(limit).queue(room).max_wait(ms(20)).discipline(discipline).clock(clock.clone()).build().unwrap();
        let mut model = Oracle { inside: 0, limit, room, longest: ms(20), closed: false, discipline, line: VecDeque::new(), evicted: vec![] };
        let mut permits: Vec<Permit<Valve>> = vec![];
        let mut waiters: Vec<(usize, Fate, Acquiring)> = vec![];
        let mut ids = 0;
        for step in steps {
            match step {
                Step::Ask => match (valve.try_acquire_owned(), model.ask()) {
                    (Ok(permit), Ok(())) => permits.push(permit),
                    (Err(no), Err(reason)) => prop_assert_eq!(no.reason(), reason),
                    other => prop_assert!(false, "{:?}", other),
                },
                Step::Acquire => {
                    ids += 1;
                    let mut waiter = acquire(&valve);
                    match (waiter.poll(), model.acquire(ids, clock.now())) {
                        (Poll::Ready(Ok(permit)), Some(Ok(()))) => permits.push(permit),
                        (Poll::Ready(Err(no)), Some(Err(reason))) => prop_assert_eq!(no.reason(), reason),
                        (Poll::Pending, None) => waiters.push((ids, Fate::Waits, waiter)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::Leave(which) => if !permits.is_empty() {
                    drop(permits.swap_remove(which.index(permits.len())));
                    model.inside -= 1;
                },
                Step::GiveUp(which) => if !waiters.is_empty() {
                    let (id, fate, waiter) = waiters.remove(which.index(waiters.len()));
                    drop(waiter);
                    if fate == Fate::Granted {
                        model.inside -= 1;
                    }
                    model.line.retain(|w| w.0 != id);
                },
                Step::Advance(by) => {
                    time.advance(ms(by));
                    let now = clock.now();
                    // Whoever has waited long enough gives up, unless he was called meanwhile.
                    let mut i = 0;
                    while i < waiters.len() {
                        let expired = model.line.iter().any(|w| w.0 == waiters[i].0 && w.1 <= now);
                        if expired {
                            let (id, _, mut waiter) = waiters.remove(i);
                            prop_assert!(waiter.is_woken());
                            match waiter.poll() {
                                Poll::Ready(Err(no)) => prop_assert_eq!(no.reason(), Reason::Expired),
                                other => prop_assert!(false, "{:?}", other),
                            }
                            model.line.retain(|w| w.0 != id);
                        } else {
                            i += 1;
                        }
                    }
                }
                Step::SetInside(n) => {
                    valve.set_concurrency(n).unwrap();
                    model.limit = n;
                }
                Step::SetRoom(size, wait) => {
                    valve.set_max_wait(ms(wait)).unwrap();
                    valve.set_queue(size).unwrap();
                    (model.room, model.longest) = (size, ms(wait));
                }
                Step::SetDiscipline(to) => {
                    valve.set_discipline(to).unwrap();
                    model.discipline = to;
                    // All who wait look once more when their time is up.
                    for (.., waiter) in waiters.iter_mut().filter(|w| w.1 == Fate::Waits) {
                        prop_assert!(waiter.is_woken());
                        prop_assert!(waiter.poll().is_pending());
                    }
                }
                Step::Close => {
                    valve.close();
                    model.closed = true;
                    for w in &mut waiters {
                        if w.1 == Fate::Waits {
                            w.1 = Fate::Closed;
                        }
                    }
                    model.line.clear();
                }
            }
            let evicted = std::mem::take(&mut model.evicted).into_iter().map(|id| (id, Fate::Evicted));
            for (id, fate) in evicted.chain(model.serve().into_iter().map(|id| (id, Fate::Granted))) {
                waiters.iter_mut().find(|w| w.0 == id).unwrap().1 = fate;
            }
            // Some of those who were called come and fetch it, the others let it lie for a while.
            let mut i = 0;
            while i < waiters.len() {
                prop_assert_eq!(waiters[i].2.is_woken(), waiters[i].1 != Fate::Waits);
                if waiters[i].0.is_multiple_of(2) && waiters[i].1 != Fate::Waits {
                    let (_, fate, mut waiter) = waiters.remove(i);
                    match (fate, waiter.poll()) {
                        (Fate::Granted, Poll::Ready(Ok(permit))) => permits.push(permit),
                        (Fate::Evicted, Poll::Ready(Err(no))) => prop_assert_eq!(no.reason(), Reason::Evicted),
                        (Fate::Closed, Poll::Ready(Err(no))) => prop_assert_eq!(no.reason(), Reason::Closed),
                        other => prop_assert!(false, "{:?}", other),
                    }
                } else {
                    i += 1;
                }
            }
            prop_assert_eq!(valve.in_flight(), model.inside);
            prop_assert_eq!(valve.queued() as usize, model.line.len());
        }
        drop((permits, waiters));
        prop_assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
        prop_assert_eq!(time.next_sleeper(), None);
    }
}
