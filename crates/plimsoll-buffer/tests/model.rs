//! A mailbox of every discipline against a naive model, by random steps.
//!
//! Compares the order and the losses with their reasons. The books balance at every step.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Bounds, Discipline, Lost, Mailbox};
use plimsoll_core::{Event, Instant, ManualTime, Observe, Reason};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Offer(u32),
    Take,
    TakeSome(usize),
    Advance(u64),
    SetBounds(usize, u64, Option<u64>),
    SetDiscipline(usize),
    Lost,
    NextOwner,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..12u32).prop_map(Step::Offer),
        4 => Just(Step::Take),
        2 => (0..6usize).prop_map(Step::TakeSome),
        4 => (0..40u64).prop_map(Step::Advance),
        1 => (1..9usize, 5..40u64, prop::option::of(1..100u64)).prop_map(|(c, w, a)| Step::SetBounds(c, w, a)),
        1 => (0..DISCIPLINES.len()).prop_map(Step::SetDiscipline),
        1 => Just(Step::Lost),
        1 => Just(Step::NextOwner),
    ]
}

/// All except the two that decide by more than the present items. Core has oracles for those.
const DISCIPLINES: [Discipline; 5] = [
    Discipline::Fifo,
    Discipline::KeepOldest,
    Discipline::Lifo,
    Discipline::LifoWithAge { max_age: Duration::from_millis(50) },
    Discipline::TimeBuckets { slice: Duration::from_millis(20), slices: 3 },
];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Item {
    id: u64,
    weight: u32,
    at: Instant,
}

/// The items, oldest first, and those that were lost.
#[derive(Debug)]
struct Model {
    discipline: Discipline,
    bounds: Bounds,
    timed: bool,
    items: Vec<Item>,
    lost: Vec<(u64, Reason)>,
}

impl Model {
    fn is_stack(&self) -> bool {
        !matches!(self.discipline, Discipline::Fifo | Discipline::KeepOldest)
    }

    fn remove(&mut self, index: usize, reason: Reason) {
        let item = self.items.remove(index);
        self.lost.push((item.id, reason));
    }

    fn expire(&mut self, now: Instant) {
        if let Discipline::LifoWithAge { max_age: age } = self.discipline
            && self.items.last().is_some_and(|newest| newest.at + age <= now)
        {
            while !self.items.is_empty() {
                self.remove(0, Reason::Expired);
            }
        }
        let is_expired = |item: &Item| {
            let by_slice = match self.discipline {
                Discipline::TimeBuckets { slice, slices } => {
                    let slice = |at: Instant| at.as_nanos() / slice.as_nanos() as u64;
                    slice(now) >= slice(item.at) + u64::from(slices)
                }
                _ => false,
            };
            by_slice || self.bounds.max_age.is_some_and(|age| item.at + age <= now)
        };
        let expired = self.items.iter().take_while(|item| is_expired(item)).count();
        (0..expired).for_each(|_| self.remove(0, Reason::Expired));
    }

    fn weight(&self) -> u64 {
        self.items.iter().map(|item| u64::from(item.weight)).sum()
    }

    fn offer(&mut self, item: Item) -> Result<(), Reason> {
        let weight = u64::from(item.weight);
        if weight > self.bounds.max_weight {
            return Err(Reason::TooLarge);
        }
        self.expire(item.at);
        while self.items.len() >= self.bounds.capacity || self.weight() + weight > self.bounds.max_weight {
            if self.discipline == Discipline::KeepOldest {
                return Err(Reason::Full);
            }
            self.remove(0, Reason::Evicted);
        }
        self.items.push(item);
        Ok(())
    }

    fn take(&mut self, now: Instant) -> Option<u64> {
        self.expire(now);
        match self.items.len() {
            0 => None,
            n => Some(self.items.remove(if self.is_stack() { n - 1 } else { 0 }).id),
        }
    }

    fn set(&mut self, discipline: Discipline, bounds: Bounds, now: Instant) {
        (self.discipline, self.bounds) = (discipline, bounds);
        let timed = bounds.max_age.is_some()
            || matches!(discipline, Discipline::LifoWithAge { .. } | Discipline::TimeBuckets { .. });
        if timed && !self.timed {
            self.items.iter_mut().for_each(|item| item.at = now);
        }
        self.timed = timed;
        self.expire(now);
        while self.items.len() > bounds.capacity || self.weight() > bounds.max_weight {
            let newest = self.items.len() - 1;
            let index = if discipline == Discipline::KeepOldest { newest } else { 0 };
            self.remove(index, Reason::Evicted);
        }
    }
}

#[derive(Debug, Default)]
struct Sums(Mutex<[u64; 4]>);

const ENQUEUED: usize = 0;
const REJECTED: usize = 1;
const DELIVERED: usize = 2;
const LOST: usize = 3;

impl Observe for Sums {
    fn event(&self, event: Event) {
        let mut sums = self.0.lock().unwrap();
        match event {
            Event::Enqueued { .. } => sums[ENQUEUED] += 1,
            Event::Rejected { .. } => sums[REJECTED] += 1,
            Event::Delivered { count, .. } => sums[DELIVERED] += count,
            Event::Lost { count, .. } => sums[LOST] += count,
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn mailbox_matches_the_model(first in 0..DISCIPLINES.len(), steps in prop::collection::vec(step(), 0..250)) {
        let time = ManualTime::new();
        let observer = Arc::new(Sums::default());
        let bounds = Bounds { capacity: 5, max_weight: 30, max_age: None };
        let mailbox = Mailbox::builder()
            .discipline(DISCIPLINES[first])
            .capacity(bounds.capacity)
            .max_weight(bounds.max_weight, |item: &Item| item.weight)
            .clock(time.clock())
            .observe(observer.clone())
            .build()
            .unwrap();
        let mut inbox = mailbox.inbox();
        let timed = first >= 3;
        let mut model = Model { discipline: DISCIPLINES[first], bounds, timed, items: vec![], lost: vec![] };
        let (mut reported, mut rejected) = (Lost::default(), [0, 0]);
        let (mut offered, mut delivered, mut displaced) = (0, 0, vec![]);
        for (id, step) in steps.into_iter().enumerate() {
            let now = time.clock().now();
            match step {
                Step::Offer(weight) => {
                    let item = Item { id: id as u64, weight, at: now };
                    offered += 1;
                    let before = model.lost.len();
                    match (mailbox.offer(item), model.offer(item)) {
                        (Ok(items), Ok(())) => {
                            let ids: Vec<_> = items.map(|(item, reason)| (item.id, reason)).collect();
                            prop_assert_eq!(&ids, &model.lost[before..]);
                            displaced.extend(ids);
                        }
                        (Err(rejected_item), Err(reason)) => {
                            prop_assert_eq!(rejected_item.reason(), reason);
                            prop_assert_eq!(rejected_item.into_item().id, item.id);
                            rejected[usize::from(reason == Reason::TooLarge)] += 1;
                        }
                        (a, b) => prop_assert!(false, "{:?}, but the model {:?}", a, b),
                    }
                }
                Step::Take => {
                    let taken = inbox.take().map(|item| item.id);
                    prop_assert_eq!(taken, model.take(now));
                    delivered += u64::from(taken.is_some());
                }
                Step::TakeSome(max) => {
                    let mail = inbox.take_up_to(max);
                    let expected: Vec<_> = (0..max).map_while(|_| model.take(now)).collect();
                    prop_assert_eq!(mail.items.iter().map(|item| item.id).collect::<Vec<_>>(), expected);
                    delivered += mail.items.len() as u64;
                    reported += mail.lost;
                }
                Step::Advance(ms) => time.advance(Duration::from_millis(ms)),
                Step::SetBounds(count, weight, age) => {
                    let bounds = Bounds { capacity: count, max_weight: weight, max_age: age.map(Duration::from_millis) };
                    mailbox.set_bounds(bounds).unwrap();
                    model.set(model.discipline, bounds, now);
                }
                Step::SetDiscipline(n) => {
                    mailbox.set_discipline(DISCIPLINES[n]).unwrap();
                    model.set(DISCIPLINES[n], model.bounds, now);
                }
                Step::Lost => reported += inbox.lost(),
                Step::NextOwner => {
                    drop(inbox);
                    inbox = mailbox.inbox();
                }
            }
            let usage = mailbox.usage();
            prop_assert_eq!((usage.len, usage.weight), (model.items.len(), model.weight()));
            prop_assert!(usage.len <= usage.bounds.capacity && usage.weight <= usage.bounds.max_weight);
            let sums = *observer.0.lock().unwrap();
            prop_assert_eq!(sums[ENQUEUED] + sums[REJECTED], offered);
            prop_assert_eq!(sums[DELIVERED], delivered);
            // Offered = delivered + lost + held: by observer, model and, below, by mail.
            prop_assert_eq!(sums[ENQUEUED], delivered + sums[LOST] + usage.len as u64);
            prop_assert_eq!(sums[LOST], model.lost.len() as u64);
        }
        reported += inbox.lost();
        let of = |reason| model.lost.iter().filter(|(_, why)| *why == reason).count() as u64;
        prop_assert_eq!(reported.evicted, of(Reason::Evicted));
        prop_assert_eq!(reported.expired, of(Reason::Expired));
        prop_assert_eq!([reported.rejected, reported.too_large], rejected);
        prop_assert_eq!(offered, delivered + reported.total() + mailbox.usage().len as u64);
    }
}
