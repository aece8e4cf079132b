//! Producers that wait: order, starvation, and what offers that do not wait may take meanwhile.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Discipline, Mailbox, OfferWait};
use plimsoll_core::{Dice, Reason};
use proptest::prelude::*;
use std::task::Poll;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

/// Of three producers two were woken. The second was polled first and took a place. It then woke
/// the third, which took the other, and the first got nothing.
#[test]
fn woken_producer_does_not_overtake_the_first() {
    let mailbox = Mailbox::new(2).unwrap();
    (0..2).for_each(|n| drop(mailbox.offer(n)));
    let mut inbox = mailbox.inbox();
    let mut waiters: Vec<_> = (2..5).map(|n| task::spawn(mailbox.offer_wait(n))).collect();
    waiters.iter_mut().for_each(|w| assert_pending!(w.poll()));
    assert_eq!((inbox.take(), inbox.take()), (Some(0), Some(1)));
    assert_pending!(waiters[1].poll());
    assert_pending!(waiters[2].poll());
    assert_ready_ok!(waiters[0].poll());
    assert!(waiters[1].is_woken(), "the next one is woken when the first has its place");
    assert_ready_ok!(waiters[1].poll());
    assert_pending!(waiters[2].poll());
    assert_eq!(inbox.take_up_to(9).items, [2, 3]);
}

/// A producer whose item weighed half of the bound stood first and got no room in 10,000 takes,
/// while 100,000 lighter items behind it were accepted.
#[test]
fn heavy_item_is_accepted_before_lighter_ones_behind_it() {
    let mailbox = Mailbox::builder().max_weight(100, |weight: &u32| *weight).build().unwrap();
    let mut inbox = mailbox.inbox();
    (0..100).for_each(|_| drop(mailbox.offer(1)));
    let mut heavy = task::spawn(mailbox.offer_wait(50));
    assert_pending!(heavy.poll());
    let mut light: Vec<_> = (0..20).map(|_| task::spawn(mailbox.offer_wait(1))).collect();
    light.iter_mut().for_each(|w| assert_pending!(w.poll()));
    for round in 1..5 {
        assert_eq!(inbox.take_up_to(10).items.len(), 10);
        light.iter_mut().for_each(|w| assert_pending!(w.poll()));
        assert_pending!(heavy.poll());
        assert_eq!(mailbox.usage().weight, 100 - 10 * round);
    }
    // As much as it weighs has been taken: this is the bound for those behind it, too.
    assert_eq!(inbox.take_up_to(10).items.len(), 10);
    assert!(heavy.is_woken());
    assert_ready_ok!(heavy.poll());
    assert_eq!(inbox.take_up_to(20).items.len(), 20);
    light.iter_mut().for_each(|w| assert_ready_ok!(w.poll()));
}

/// A producer that used `offer` took every place that a waiting producer was woken for: the latter
/// got nothing in 10,000 takes.
#[test]
fn offers_do_not_take_the_room_of_a_waiting_producer() {
    for discipline in [Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest] {
        for capacity in [1, 10] {
            let mailbox = Mailbox::builder().capacity(capacity).discipline(discipline).build().unwrap();
            let mut inbox = mailbox.inbox();
            (0..capacity).for_each(|_| drop(mailbox.offer(0)));
            let mut waiter = task::spawn(mailbox.offer_wait(1));
            assert_pending!(waiter.poll());
            assert_eq!(inbox.take(), Some(0));
            // It may only replace another item.
            let offered = mailbox.offer(2);
            match discipline {
                Discipline::KeepOldest => assert!(offered.is_err()),
                _ if capacity == 1 => assert_eq!(offered.unwrap_err().reason(), Reason::Full),
                _ => assert_eq!(offered.unwrap().len(), 1, "{discipline}"),
            }
            assert!(waiter.is_woken());
            assert_ready_ok!(waiter.poll());
            assert_eq!(mailbox.usage().len, capacity);
            assert_eq!(inbox.take_up_to(99).items.iter().filter(|&&n| n == 1).count(), 1);
        }
    }
}

/// Light items that were offered kept the room too small for a heavy one that waited.
#[test]
fn offers_replace_their_own_weight_while_a_heavy_item_waits() {
    for discipline in [Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest] {
        let builder = Mailbox::builder().discipline(discipline).max_weight(100, |weight: &u32| *weight);
        let mailbox = builder.build().unwrap();
        let mut inbox = mailbox.inbox();
        (0..10).for_each(|_| drop(mailbox.offer(10)));
        let mut heavy = task::spawn(mailbox.offer_wait(50));
        assert_pending!(heavy.poll());
        for round in 0..5 {
            assert_pending!(heavy.poll());
            assert_eq!(inbox.take(), Some(10), "{discipline}, round {round}");
            let before = mailbox.usage().weight;
            let rejected = (0..20).filter(|_| mailbox.offer(1).is_err()).count();
            assert_eq!(rejected == 20, discipline == Discipline::KeepOldest);
            assert!(mailbox.usage().weight <= before);
            if heavy.is_woken() && mailbox.usage().weight <= 50 {
                break;
            }
        }
        assert_ready_ok!(heavy.poll());
        let error = mailbox.offer(200).unwrap_err();
        assert_eq!(error.reason(), Reason::TooLarge);
    }
}

/// A rejection states the capacity although fewer items are held.
#[test]
fn rejection_behind_waiting_producers_states_a_full_mailbox() {
    let mailbox = Mailbox::builder().capacity(2).discipline(Discipline::KeepOldest).build().unwrap();
    (0..2).for_each(|n| drop(mailbox.offer(n)));
    let mut waiter = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waiter.poll());
    assert_eq!(mailbox.inbox().take(), Some(0));
    assert_eq!(mailbox.offer(3).unwrap_err().to_string(), "mailbox rejected: full (2 of 2)");
    mailbox.close();
    assert_eq!(mailbox.offer(3).unwrap_err().reason(), Reason::Closed);
    assert_eq!(assert_ready!(waiter.poll()).unwrap_err().reason(), Reason::Closed);
}

/// The first producer gave up, and the one behind it was not woken for the room that was there.
#[test]
fn light_item_gets_the_room_when_a_heavy_one_gives_up() {
    let mailbox = Mailbox::builder().max_weight(10, |weight: &u32| *weight).build().unwrap();
    let _ = mailbox.offer(6).unwrap();
    let mut heavy = task::spawn(mailbox.offer_wait(5));
    let mut light = task::spawn(mailbox.offer_wait(4));
    assert_pending!(heavy.poll());
    assert_pending!(light.poll());
    drop(heavy);
    assert!(light.is_woken());
    assert_ready_ok!(light.poll());
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Poll(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Take(usize),
    Offer(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..8u32).prop_map(Step::Wait),
        6 => any::<prop::sample::Index>().prop_map(Step::Poll),
        1 => any::<prop::sample::Index>().prop_map(Step::GiveUp),
        3 => (1..4usize).prop_map(Step::Take),
        2 => (1..8u32).prop_map(Step::Offer),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// In whatever order they are polled, producers are accepted in the order of arrival,
    /// the first is woken whenever its item fits, and offers never make a heavy item wait longer.
    #[test]
    fn producers_are_accepted_in_order_and_none_is_forgotten(
        steps in steps(),
        discipline in prop::sample::select(vec![Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest]),
        shards in 1..3usize,
    ) {
        const BOUND: u64 = 10;
        let mailbox = Mailbox::builder()
            .discipline(discipline)
            .max_weight(BOUND, |item: &(u32, bool)| item.0)
            .shards(shards)
            .dice(Dice::seeded(7))
            .build()
            .unwrap();
        let mut inbox = mailbox.inbox();
        type Waiter = Spawn<OfferWait<(u32, bool)>>;
        let mut waiters: Vec<(u32, Waiter)> = vec![];
        for step in steps {
            let before = mailbox.usage().weight;
            match step {
                Step::Wait(weight) => {
                    let mut waiter = task::spawn(mailbox.offer_wait((weight, true)));
                    match waiter.poll() {
                        Poll::Ready(done) => {
                            prop_assert!(done.is_ok() && waiters.is_empty(), "a newcomer overtook");
                        }
                        Poll::Pending => waiters.push((weight, waiter)),
                    }
                }
                Step::Poll(at) if !waiters.is_empty() => {
                    let at = at.index(waiters.len());
                    if waiters[at].1.poll().is_ready() {
                        prop_assert_eq!(at, 0, "overtook");
                        drop(waiters.remove(0));
                    }
                }
                Step::GiveUp(at) if !waiters.is_empty() => {
                    let at = at.index(waiters.len());
                    prop_assert!(waiters.remove(at).1.into_inner().into_item().is_some());
                }
                Step::Take(max) => drop(inbox.take_up_to(max)),
                Step::Offer(weight) => {
                    let _ = mailbox.offer((weight, false));
                    prop_assert!(waiters.is_empty() || mailbox.usage().weight <= before);
                }
                _ => {}
            }
            // With one shard it is plain whether the first fits.
            if let [(weight, first), ..] = &mut waiters[..]
                && shards == 1
                && mailbox.usage().weight + u64::from(*weight) <= BOUND
            {
                prop_assert!(first.is_woken(), "the first was not woken");
            }
        }
        // In the end everybody gets in, in order.
        while !waiters.is_empty() {
            let held = mailbox.usage().len;
            prop_assert!(waiters[0].1.is_woken() || held > 0);
            inbox.take();
            while !waiters.is_empty() && waiters[0].1.poll().is_ready() {
                drop(waiters.remove(0));
            }
        }
    }
}
