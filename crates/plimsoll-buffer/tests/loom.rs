//! A mailbox under every interleaving with at most three preemptions:
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll-buffer --no-default-features --release --test loom`
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::future::block_on;
use loom::thread;
use plimsoll_buffer::{Discipline, Mailbox};
use plimsoll_core::ManualTime;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn mailbox(count: usize, discipline: Discipline) -> Mailbox<u32> {
    let clock = ManualTime::new().clock(); // nobody moves it: whoever is not called waits for ever
    Mailbox::builder().capacity(count).discipline(discipline).clock(clock).build().unwrap()
}

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// A lost wake-up is a deadlock, which loom reports.
#[test]
fn one_who_waits_for_mail_is_called_however_offer_and_waiting_meet() {
    explore(|| {
        let mailbox = mailbox(2, Discipline::Fifo);
        let mut inbox = mailbox.inbox();
        let asks = thread::spawn(move || block_on(inbox.mail()).unwrap().items);
        let _ = mailbox.offer(7).unwrap();
        assert_eq!(asks.join().unwrap(), [7]);
    });
}

#[test]
fn one_who_waits_for_room_is_called_however_take_and_waiting_meet() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::Fifo);
        let mut inbox = mailbox.inbox();
        let _ = mailbox.offer(1).unwrap();
        let waits = {
            let mailbox = mailbox.clone();
            thread::spawn(move || block_on(mailbox.offer_wait(2)).unwrap())
        };
        assert_eq!(inbox.take(), Some(1));
        waits.join().unwrap();
        assert_eq!(inbox.take(), Some(2));
    });
}

/// One of two who wait gives up in the moment in which it is called.
#[test]
fn a_call_is_passed_on_by_who_has_given_up() {
    explore(|| {
        let mailbox = mailbox(2, Discipline::Fifo);
        let (mut first, mut second) = (mailbox.inbox(), mailbox.inbox());
        let gives_up = thread::spawn(move || {
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
        let by_the_first = gives_up.join().unwrap();
        if by_the_first > 0 {
            mailbox.close();
        }
        assert_eq!(by_the_first + stays.join().unwrap(), 1);
    });
}

#[test]
fn closing_reaches_who_waits_at_either_end() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::Fifo);
        let mut inbox = mailbox.inbox();
        let asks = thread::spawn(move || block_on(inbox.mail()).is_none());
        mailbox.close();
        assert!(asks.join().unwrap());
        assert!(block_on(mailbox.offer_wait(1)).is_err());
    });
}

#[test]
fn an_heir_is_called_however_the_owner_goes() {
    explore(|| {
        let mailbox = mailbox(1, Discipline::Fifo);
        let inbox = mailbox.inbox();
        let dies = thread::spawn(move || drop(inbox));
        block_on(mailbox.orphaned());
        dies.join().unwrap();
    });
}

/// Refused while it is being emptied: the refusal is counted, once, and who waits hears of it.
#[test]
fn a_refusal_is_told_once_however_it_meets_the_telling() {
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
        let told = first.lost.rejected + rest.as_ref().map_or(0, |mail| mail.lost.rejected);
        assert_eq!(told, rejected);
        let items = first.items.len() as u64 + rest.map_or(0, |mail| mail.items.len() as u64);
        assert_eq!(items + told, 3);
    });
}
