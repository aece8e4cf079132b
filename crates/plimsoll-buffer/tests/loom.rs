//! A mailbox under every interleaving with at most three preemptions. To run it:
//!
//! ```text
//! RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-buffer --no-default-features --release \
//!     --test loom
//! ```
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::future::block_on;
use loom::thread;
use plimsoll_buffer::{Discipline, Mailbox};
use plimsoll_core::{Dice, ManualTime};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn mailbox(capacity: usize, discipline: Discipline) -> Mailbox<u32> {
    // The clock stands still: a waiter that is not woken waits for ever.
    let clock = ManualTime::new().clock();
    Mailbox::builder().capacity(capacity).discipline(discipline).clock(clock).build().unwrap()
}

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// A lost wake-up is a deadlock, which loom reports.
#[test]
fn offer_racing_with_a_wait_for_mail_wakes_the_consumer() {
    explore(|| {
        let mailbox = mailbox(2, Discipline::Fifo);
        let mut inbox = mailbox.inbox();
        let consumer = thread::spawn(move || block_on(inbox.mail()).unwrap().items);
        let _ = mailbox.offer(7).unwrap();
        assert_eq!(consumer.join().unwrap(), [7]);
    });
}

#[test]
fn take_racing_with_a_wait_for_room_wakes_the_producer() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::Fifo);
        let mut inbox = mailbox.inbox();
        let _ = mailbox.offer(1).unwrap();
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || block_on(mailbox.offer_wait(2)).unwrap())
        };
        assert_eq!(inbox.take(), Some(1));
        producer.join().unwrap();
        assert_eq!(inbox.take(), Some(2));
    });
}

/// One of two waiters gives up while it is being woken.
#[test]
fn cancelled_waiter_passes_its_wake_up_on() {
    explore(|| {
        let mailbox = mailbox(2, Discipline::Fifo);
        let (mut first, mut second) = (mailbox.inbox(), mailbox.inbox());
        let cancelled = thread::spawn(move || {
            let mut mail = pin!(first.mail());
            match mail.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(mail) => mail.unwrap().items.len(),
                Poll::Pending => 0,
            }
        });
        let stays = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let items = block_on(second.mail()).map_or(0, |mail| mail.items.len());
                drop(mailbox);
                items
            })
        };
        let _ = mailbox.offer(7).unwrap();
        let taken_by_first = cancelled.join().unwrap();
        if taken_by_first > 0 {
            mailbox.close();
        }
        assert_eq!(taken_by_first + stays.join().unwrap(), 1);
    });
}

#[test]
fn close_wakes_waiting_consumers_and_rejects_producers() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::Fifo);
        let mut inbox = mailbox.inbox();
        let consumer = thread::spawn(move || block_on(inbox.mail()).is_none());
        mailbox.close();
        assert!(consumer.join().unwrap());
        assert!(block_on(mailbox.offer_wait(1)).is_err());
    });
}

/// Two producers wait for the place that is made while one of them gives up.
#[test]
fn producer_that_gives_up_passes_the_room_on() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::KeepOldest);
        let mut inbox = mailbox.inbox();
        let _ = mailbox.offer(1).unwrap();
        let gives_up = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let mut offer = pin!(mailbox.offer_wait(2));
                offer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
            })
        };
        let stays = {
            let mailbox = mailbox.clone();
            thread::spawn(move || block_on(mailbox.offer_wait(3)).unwrap())
        };
        assert_eq!(inbox.take(), Some(1));
        if gives_up.join().unwrap() {
            // Whichever of the two is there: it makes place for the other one.
            assert!(block_on(inbox.take_wait()).is_some());
        }
        stays.join().unwrap();
        assert!(inbox.take().is_some() || inbox.take().is_none());
    });
}

/// A shard is retired while a producer that picked it is about to lock it.
#[test]
fn offer_racing_with_fewer_shards_is_not_stranded() {
    explore(|| {
        let clock = ManualTime::new().clock();
        let builder = Mailbox::builder().capacity(4).shards(2).clock(clock).dice(Dice::seeded(3));
        let mailbox = builder.build().unwrap();
        let mut inbox = mailbox.inbox();
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || (0..2).for_each(|n| drop(mailbox.offer(n).unwrap())))
        };
        mailbox.set_shards(1).unwrap();
        let early = inbox.take().into_iter().count();
        producer.join().unwrap();
        let late = std::iter::from_fn(|| inbox.take()).count();
        assert_eq!(early + late, 2);
    });
}

#[test]
fn dropping_the_last_inbox_wakes_orphaned() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::Fifo);
        let inbox = mailbox.inbox();
        let owner = thread::spawn(move || drop(inbox));
        block_on(mailbox.orphaned());
        owner.join().unwrap();
    });
}

/// A rejection during a take is counted once, and a waiting consumer receives it.
#[test]
fn rejection_racing_with_a_report_is_reported_once() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::KeepOldest);
        let mut inbox = mailbox.inbox();
        let _ = mailbox.offer(1).unwrap();
        let _ = mailbox.offer(2).unwrap_err();
        let offers = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer(3).is_err())
        };
        let first = inbox.take_up_to(9);
        let rejected = 1 + u64::from(offers.join().unwrap());
        mailbox.close();
        let rest = block_on(inbox.mail());
        let reported = first.lost.rejected + rest.as_ref().map_or(0, |mail| mail.lost.rejected);
        assert_eq!(reported, rejected);
        let items = first.items.len() as u64 + rest.map_or(0, |mail| mail.items.len() as u64);
        assert_eq!(items + reported, 3);
    });
}
