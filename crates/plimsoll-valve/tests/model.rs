//! The valve against a plain model of what is in flight and what waits, by random steps in manual
//! time.

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
    TryAcquire,
    Acquire,
    Release(Index),
    Abandon(Index),
    Advance(u64),
    SetConcurrency(u32),
    SetQueue(u32, u64),
    SetDiscipline(Discipline),
    Close,
}

fn discipline() -> impl Strategy<Value = Discipline> {
    prop_oneof![Just(Discipline::Fifo), Just(Discipline::KeepOldest), Just(Discipline::Lifo)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::TryAcquire),
        8 => Just(Step::Acquire),
        6 => any::<Index>().prop_map(Step::Release),
        3 => any::<Index>().prop_map(Step::Abandon),
        3 => (0..30u64).prop_map(Step::Advance),
        2 => (1..5u32).prop_map(Step::SetConcurrency),
        2 => (0..5u32, 1..40u64).prop_map(|(queue, wait)| Step::SetQueue(queue, wait)),
        2 => discipline().prop_map(Step::SetDiscipline),
        1 => Just(Step::Close),
    ]
}

/// The state of a waiter in the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WaiterState {
    Waiting,
    Admitted,
    Evicted,
    Closed,
}

struct Oracle {
    in_flight: u32,
    concurrency: u32,
    queue: u32,
    max_wait: Duration,
    closed: bool,
    discipline: Discipline,
    /// The waiters in order of arrival, with the instants at which they expire and arrived.
    waiting: VecDeque<(usize, Instant, Instant)>,
    /// The waiters that were evicted in this step.
    evicted: Vec<usize>,
}

impl Oracle {
    fn try_acquire(&mut self) -> Result<(), Reason> {
        if self.closed {
            Err(Reason::Closed)
        } else if self.in_flight >= self.concurrency || !self.waiting.is_empty() {
            Err(Reason::Full)
        } else {
            self.in_flight += 1;
            Ok(())
        }
    }

    /// Returns whether a newcomer may wait. A full queue rejects or evicts; one of length 0
    /// rejects.
    fn accepts(&self) -> bool {
        let evicts = self.queue > 0 && self.discipline != Discipline::KeepOldest;
        (self.waiting.len() as u32) < self.queue || evicts
    }

    /// Returns `None` if the request waits.
    fn acquire(&mut self, id: usize, now: Instant) -> Option<Result<(), Reason>> {
        match self.try_acquire() {
            Err(Reason::Full) if self.accepts() => {
                // A queue that was made smaller evicts down to its length at the next newcomer.
                while self.waiting.len() as u32 >= self.queue {
                    self.evicted.extend(self.waiting.pop_front().map(|w| w.0));
                }
                self.waiting.push_back((id, now + self.max_wait, now));
                None
            }
            other => Some(other),
        }
    }

    /// Admits waiters while there are places, and returns them.
    fn admit(&mut self) -> Vec<usize> {
        let mut admitted = vec![];
        while !self.closed && self.in_flight < self.concurrency {
            let next = match self.discipline {
                Discipline::Lifo => self.waiting.pop_back(),
                _ => self.waiting.pop_front(),
            };
            let Some((id, ..)) = next else { break };
            self.in_flight += 1;
            admitted.push(id);
        }
        admitted
    }
}

type PendingAcquire = Spawn<Pin<Box<dyn Future<Output = Result<Permit<Valve>, Rejected>>>>>;

fn acquire(valve: &Valve) -> PendingAcquire {
    let valve = valve.clone();
    task::spawn(Box::pin(async move { valve.acquire_owned().await }) as Pin<Box<_>>)
}

proptest! {
    #[test]
    fn the_valve_matches_the_model(concurrency in 1..4u32, queue in 0..4u32, discipline in discipline(), steps in prop::collection::vec(step(), 1..120)) {
        let ms = Duration::from_millis;
        let time = ManualTime::new();
        let clock = time.clock();
        let valve = Valve::builder().concurrency(concurrency).queue(queue).max_wait(ms(20)).discipline(discipline).clock(clock.clone()).build().unwrap();
        let mut model = Oracle { in_flight: 0, concurrency, queue, max_wait: ms(20), closed: false, discipline, waiting: VecDeque::new(), evicted: vec![] };
        let mut permits: Vec<Permit<Valve>> = vec![];
        let mut waiters: Vec<(usize, WaiterState, PendingAcquire)> = vec![];
        let mut ids = 0;
        for step in steps {
            match step {
                Step::TryAcquire => match (valve.try_acquire_owned(), model.try_acquire()) {
                    (Ok(permit), Ok(())) => permits.push(permit),
                    (Err(rejected), Err(reason)) => prop_assert_eq!(rejected.reason(), reason),
                    other => prop_assert!(false, "{:?}", other),
                },
                Step::Acquire => {
                    ids += 1;
                    let mut waiter = acquire(&valve);
                    match (waiter.poll(), model.acquire(ids, clock.now())) {
                        (Poll::Ready(Ok(permit)), Some(Ok(()))) => permits.push(permit),
                        (Poll::Ready(Err(rejected)), Some(Err(reason))) => prop_assert_eq!(rejected.reason(), reason),
                        (Poll::Pending, None) => waiters.push((ids, WaiterState::Waiting, waiter)),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::Release(which) => if !permits.is_empty() {
                    drop(permits.swap_remove(which.index(permits.len())));
                    model.in_flight -= 1;
                },
                Step::Abandon(which) => if !waiters.is_empty() {
                    let (id, state, waiter) = waiters.remove(which.index(waiters.len()));
                    drop(waiter);
                    if state == WaiterState::Admitted {
                        model.in_flight -= 1;
                    }
                    model.waiting.retain(|w| w.0 != id);
                },
                Step::Advance(by) => {
                    time.advance(ms(by));
                    let now = clock.now();
                    // A waiter expires after its longest wait, unless it was admitted meanwhile.
                    let mut i = 0;
                    while i < waiters.len() {
                        let expired = model.waiting.iter().any(|w| w.0 == waiters[i].0 && w.1 <= now);
                        if expired {
                            let (id, _, mut waiter) = waiters.remove(i);
                            prop_assert!(waiter.is_woken());
                            match waiter.poll() {
                                Poll::Ready(Err(rejected)) => prop_assert_eq!(rejected.reason(), Reason::Expired),
                                other => prop_assert!(false, "{:?}", other),
                            }
                            model.waiting.retain(|w| w.0 != id);
                        } else {
                            i += 1;
                        }
                    }
                }
                Step::SetConcurrency(n) => {
                    valve.set_concurrency(n).unwrap();
                    model.concurrency = n;
                }
                Step::SetQueue(size, wait) => {
                    valve.set_max_wait(ms(wait)).unwrap();
                    valve.set_queue(size).unwrap();
                    let is_shorter = ms(wait) < model.max_wait;
                    (model.queue, model.max_wait) = (size, ms(wait));
                    // A shorter wait applies to present waiters, which are woken for it.
                    let now = clock.now();
                    let mut i = 0;
                    while is_shorter && i < waiters.len() {
                        let queued = model.waiting.iter_mut().find(|w| w.0 == waiters[i].0);
                        let Some((_, until, since)) = queued else { i += 1; continue };
                        *until = (*until).min(*since + ms(wait));
                        let expires = *until <= now;
                        prop_assert!(waiters[i].2.is_woken());
                        match waiters[i].2.poll() {
                            Poll::Pending if !expires => i += 1,
                            Poll::Ready(Err(rejected)) if expires => {
                                prop_assert_eq!(rejected.reason(), Reason::Expired);
                                let (id, ..) = waiters.remove(i);
                                model.waiting.retain(|w| w.0 != id);
                            }
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                }
                Step::SetDiscipline(to) => {
                    valve.set_discipline(to).unwrap();
                    model.discipline = to;
                    // All waiters are woken and set their timers again.
                    for (.., waiter) in waiters.iter_mut().filter(|w| w.1 == WaiterState::Waiting) {
                        prop_assert!(waiter.is_woken());
                        prop_assert!(waiter.poll().is_pending());
                    }
                }
                Step::Close => {
                    valve.close();
                    model.closed = true;
                    for w in &mut waiters {
                        if w.1 == WaiterState::Waiting {
                            w.1 = WaiterState::Closed;
                        }
                    }
                    model.waiting.clear();
                }
            }
            let evicted = std::mem::take(&mut model.evicted).into_iter().map(|id| (id, WaiterState::Evicted));
            for (id, state) in evicted.chain(model.admit().into_iter().map(|id| (id, WaiterState::Admitted))) {
                waiters.iter_mut().find(|w| w.0 == id).unwrap().1 = state;
            }
            // Half of the resolved waiters are polled now. The others hold their results for later.
            let mut i = 0;
            while i < waiters.len() {
                prop_assert_eq!(waiters[i].2.is_woken(), waiters[i].1 != WaiterState::Waiting);
                if waiters[i].0.is_multiple_of(2) && waiters[i].1 != WaiterState::Waiting {
                    let (_, state, mut waiter) = waiters.remove(i);
                    match (state, waiter.poll()) {
                        (WaiterState::Admitted, Poll::Ready(Ok(permit))) => permits.push(permit),
                        (WaiterState::Evicted, Poll::Ready(Err(rejected))) => prop_assert_eq!(rejected.reason(), Reason::Evicted),
                        (WaiterState::Closed, Poll::Ready(Err(rejected))) => prop_assert_eq!(rejected.reason(), Reason::Closed),
                        other => prop_assert!(false, "{:?}", other),
                    }
                } else {
                    i += 1;
                }
            }
            prop_assert_eq!(valve.in_flight(), model.in_flight);
            prop_assert_eq!(valve.queued() as usize, model.waiting.len());
        }
        drop((permits, waiters));
        prop_assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
        prop_assert_eq!(time.next_sleeper(), None);
    }
}
