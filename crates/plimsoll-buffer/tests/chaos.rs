//! Handles and futures are dropped, polled, expire and panic at random, from a seed.
//!
//! The books balance at every step, and in the end every item is accounted for. Modelled on `sups`,
//! which does the same to supervision trees.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Discipline, Filter, Inbox, Lost, Mailbox, OfferWait};
use plimsoll_core::{Dice, ManualTime};
use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio_test::task::{self, Spawn};

const SEEDS: u64 = 150;
const STEPS: u64 = 250;

/// Every item is seen exactly once: delivered, displaced, returned, or counted as lost.
#[derive(Default)]
struct Books {
    offered: u64,
    returned: HashSet<u64>,
    /// Accepted at first, then returned as displaced. Reported in the mail, too.
    displaced: HashSet<u64>,
    delivered: HashSet<u64>,
    reported: Lost,
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn run(seed: u64, discipline: Discipline, shards: usize) {
    let (time, dice) = (ManualTime::new(), Dice::seeded(seed));
    let mailbox = Mailbox::builder()
        .capacity(4)
        .shards(shards)
        .discipline(discipline)
        .clock(time.clock())
        .dice(Dice::seeded(seed ^ 0x5eed))
        .build()
        .unwrap();
    let mut books = Books::default();
    let mut inboxes: Vec<Inbox<u64>> = vec![];
    let mut waiting: Vec<Spawn<OfferWait<u64>>> = vec![];
    for id in 0..STEPS {
        let any = |n: usize| dice.below(n as u64) as usize;
        match dice.below(16) {
            0..=4 => {
                books.offered += 1;
                match mailbox.offer(id) {
                    Ok(displaced) => books.displaced.extend(displaced.map(|(id, _)| id)),
                    Err(rejected) => assert!(books.returned.insert(rejected.into_item())),
                }
            }
            5 => {
                books.offered += 1;
                waiting.push(task::spawn(mailbox.offer_wait(id)));
            }
            6..=7 if !waiting.is_empty() => {
                let n = any(waiting.len());
                if let Poll::Ready(done) = waiting[n].poll() {
                    assert!(done.is_ok(), "there is room after the wait");
                    drop(waiting.swap_remove(n).into_inner());
                }
            }
            8 if !waiting.is_empty() => {
                // Gives up, still waiting or already woken.
                let item = waiting.swap_remove(any(waiting.len())).into_inner().into_item();
                assert!(books.returned.insert(item.unwrap()));
            }
            9 => inboxes.push(mailbox.inbox()),
            10 if !inboxes.is_empty() => drop(inboxes.swap_remove(any(inboxes.len()))),
            11..=12 if !inboxes.is_empty() => {
                let n = any(inboxes.len());
                let inbox = &mut inboxes[n];
                let (items, lost) = match dice.below(4) {
                    0 => (inbox.take().into_iter().collect(), Lost::default()),
                    1 => {
                        let mail = inbox.take_up_to(3);
                        (mail.items, mail.lost)
                    }
                    2 => match poll(inbox.mail()) {
                        Poll::Ready(mail) => mail.map(|m| (m.items, m.lost)).unwrap(),
                        Poll::Pending => Default::default(),
                    },
                    _ => {
                        let held = mailbox.usage().len > 0;
                        assert!(poll(inbox.notified()) == Poll::Ready(true) || !held);
                        Default::default()
                    }
                };
                books.reported += lost;
                assert!(items.into_iter().all(|id| books.delivered.insert(id)), "delivered twice");
            }
            13 if !inboxes.is_empty() => {
                // A filter that decides at random and may panic, with the inbox.
                let mut inbox = inboxes.swap_remove(any(inboxes.len()));
                let result = catch_unwind(AssertUnwindSafe(|| {
                    let filter = |_: &u64| match dice.below(8) {
                        0 => panic!("the filter panics"),
                        1..=2 => Filter::Discard,
                        3 => Filter::Stop,
                        _ => Filter::Take,
                    };
                    match poll(inbox.mail_with(filter)) {
                        Poll::Ready(mail) => mail.map(|mail| (mail.items, mail.lost)),
                        Poll::Pending => None,
                    }
                }));
                // If it panicked, the items that it had taken are reported as undelivered.
                if let Ok(Some((items, lost))) = result {
                    books.reported += lost;
                    assert!(items.into_iter().all(|id| books.delivered.insert(id)), "delivered twice");
                }
            }
            14 => time.advance(Duration::from_millis(dice.below(30))),
            _ => match dice.below(4) {
                0 => mailbox.set_capacity(1 + any(6)).unwrap(),
                1 => mailbox.set_discipline(DISCIPLINES[any(DISCIPLINES.len())]).unwrap(),
                2 => mailbox.set_shards(1 + any(4)).unwrap(),
                // The reports so far could not be passed on.
                _ => {
                    if let Some(inbox) = inboxes.first_mut() {
                        let lost = std::mem::take(&mut books.reported);
                        inbox.restore_losses(lost);
                    }
                }
            },
        }
        assert_eq!(mailbox.inboxes(), inboxes.len());
        assert_eq!(poll(mailbox.orphaned()).is_ready(), inboxes.is_empty());
    }
    for offer in waiting {
        assert!(books.returned.insert(offer.into_inner().into_item().unwrap()));
    }
    let given_up = books.returned.len() as u64;
    mailbox.close();
    drop(inboxes);
    let mut last = mailbox.inbox();
    while let Poll::Ready(Some(mail)) = poll(last.mail()) {
        books.reported += mail.lost;
        assert!(mail.items.into_iter().all(|id| books.delivered.insert(id)), "delivered twice");
    }
    assert_eq!(mailbox.usage().len, 0);
    assert!(books.displaced.is_disjoint(&books.delivered) && books.returned.is_disjoint(&books.delivered));
    let reported = books.reported;
    let rejected = reported.rejected + reported.too_large;
    assert!(rejected <= given_up, "seed {seed}, {discipline}: {reported} of {given_up} that were returned");
    let lost = reported.total() - rejected;
    assert_eq!(
        books.offered,
        books.delivered.len() as u64 + lost + given_up,
        "seed {seed}, {discipline}, {shards} shards: {reported}"
    );
}

const DISCIPLINES: [Discipline; 7] = [
    Discipline::Fifo,
    Discipline::KeepOldest,
    Discipline::Lifo,
    Discipline::LifoWithAge { max_age: Duration::from_millis(20) },
    Discipline::CODEL,
    Discipline::ADAPTIVE_LIFO,
    Discipline::TimeBuckets { slice: Duration::from_millis(10), slices: 3 },
];

#[test]
fn books_balance_whatever_is_dropped_or_panics() {
    std::panic::set_hook(Box::new(|_| {})); // filters panic on purpose, many times
    for seed in 0..SEEDS {
        for discipline in DISCIPLINES {
            run(seed, discipline, 1 + (seed % 3) as usize);
        }
    }
    let _ = std::panic::take_hook();
}
