//! Bugs that once were here, each with its story.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Delivery, Discipline, Filter, Lost, Mailbox};
use plimsoll_core::{Event, ManualTime, Observe, Reason};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio_test::task;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

const MS: Duration = Duration::from_millis(1);

/// On a machine that was booted less than a day ago the coarse clock was hours behind, and whatever had
/// a bound of 200 ms and more was too old as soon as it came.
#[cfg(not(feature = "test-util"))]
#[test]
fn an_item_that_may_wait_for_an_hour_is_there_a_moment_later() {
    let mailbox = Mailbox::builder().max_age(Duration::from_secs(3600)).build().unwrap();
    let _ = mailbox.offer(1).unwrap();
    assert_eq!(mailbox.inbox().take(), Some(1));
}

/// The place in the row stayed with the stream when `next()` was cancelled: the next call went to
/// nobody, and another consumer slept beside an item.
#[test]
fn a_cancelled_next_leaves_its_turn_to_another_consumer() {
    let mailbox = Mailbox::new(8).unwrap();
    let (mut stream, mut other) = (mailbox.inbox().into_stream(), mailbox.inbox());
    assert_pending!(task::spawn(stream.next()).poll());
    let mut mail = task::spawn(other.mail());
    assert_pending!(mail.poll());
    let _ = mailbox.offer(1).unwrap();
    assert!(mail.is_woken());
    assert_eq!(assert_ready!(mail.poll()).unwrap().items, [1]);
}

/// One who skips what he was called for went to sleep again and told nobody.
#[test]
fn what_one_consumer_skips_another_is_called_for() {
    let mailbox = Mailbox::new(8).unwrap();
    let (mut picky, mut other) = (mailbox.inbox(), mailbox.inbox());
    let mut skips = task::spawn(picky.mail_with(|_| Filter::Stop));
    assert_pending!(skips.poll());
    let mut takes = task::spawn(other.mail());
    assert_pending!(takes.poll());
    let _ = mailbox.offer(1).unwrap();
    assert!(skips.is_woken());
    assert_pending!(skips.poll());
    assert!(takes.is_woken());
    assert_eq!(assert_ready!(takes.poll()).unwrap().items, [1]);
}

/// The flag "full" was looked at without the clock, so that items long too old kept new ones out.
#[test]
fn what_is_too_old_keeps_nothing_new_out() {
    let time = ManualTime::new();
    let builder = Mailbox::builder().capacity(2).discipline(Discipline::KeepOldest).max_age(100 * MS);
    let mailbox = builder.clock(time.clock()).build().unwrap();
    assert_eq!((0..3).filter(|&n| mailbox.offer(n).is_err()).count(), 1);
    time.advance(100 * MS);
    assert!(mailbox.offer(3).is_ok());
    assert_eq!(mailbox.inbox().take(), Some(3));
}

/// A refusal that was counted in the moment of a telling waited for the next traffic.
#[test]
fn once_producers_are_done_every_refusal_can_be_told() {
    let mailbox = Mailbox::builder().capacity(1).discipline(Discipline::KeepOldest).build().unwrap();
    let mut inbox = mailbox.inbox();
    for _ in 0..300 {
        let (mut rejected, mut told, mut taken) = (0, 0, 0);
        std::thread::scope(|s| {
            let offers = s.spawn(|| (0..50).filter(|&n| mailbox.offer(n).is_err()).count() as u64);
            while !offers.is_finished() {
                let mail = inbox.take_up_to(9);
                told += mail.lost.total();
                taken += mail.items.len() as u64;
            }
            rejected = offers.join().unwrap();
        });
        let rest = inbox.take_up_to(9);
        told += rest.lost.total();
        assert_eq!((told, taken + rest.items.len() as u64), (rejected, 50 - rejected));
        assert_pending!(task::spawn(inbox.notified()).poll());
    }
}

/// A filter slower than the producers never came to an end, and its mail grew without bound.
#[test]
fn a_mail_ends_at_what_was_held_when_it_began() {
    let mailbox = Mailbox::new(10).unwrap();
    let mut inbox = mailbox.inbox();
    (0..10).for_each(|n| drop(mailbox.offer(n)));
    let slow = |n: &u32| {
        let _ = mailbox.offer(n + 100); // faster than it is emptied
        Filter::Take
    };
    let mail = assert_ready!(task::spawn(inbox.mail_with(slow)).poll()).unwrap();
    assert_eq!(mail.items.len(), 10);
}

/// A panic in a filter left the room unannounced, and what it had kept out of the books.
#[test]
fn a_filter_that_panics_leaves_the_room_to_producers_and_the_books_right() {
    let mailbox = Mailbox::new(2).unwrap();
    let mut inbox = mailbox.inbox();
    (1..=2).for_each(|n| drop(mailbox.offer(n)));
    let mut waits = task::spawn(mailbox.offer_wait(3));
    assert_pending!(waits.poll());
    let died = catch_unwind(AssertUnwindSafe(|| {
        let filter = |n: &i32| if *n == 1 { Filter::Take } else { panic!("it dies") };
        let _ = task::spawn(inbox.mail_with(filter)).poll();
    }));
    assert!(died.is_err());
    assert!(waits.is_woken());
    assert_ready_ok!(waits.poll());
    let mail = inbox.take_up_to(9);
    assert_eq!((mail.items, mail.lost.undelivered, mail.lost.total()), (vec![2, 3], 1, 1));
}

/// The item in hand was lost, uncounted, when one that was too old panicked as it was dropped.
#[test]
fn an_item_that_panics_when_it_is_dropped_takes_none_along() {
    struct Item(u32);
    impl Drop for Item {
        fn drop(&mut self) {
            assert!(self.0 != 13, "unlucky");
        }
    }
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().max_age(10 * MS).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    for n in [13, 14] {
        let _ = mailbox.offer(Item(n));
    }
    time.advance(10 * MS);
    let _ = mailbox.offer(Item(1)).map(|kept| kept.for_each(std::mem::forget));
    let _ = mailbox.offer(Item(13));
    time.advance(5 * MS);
    let _ = mailbox.offer(Item(2));
    time.advance(5 * MS);
    assert_eq!(inbox.take().map(|item| item.0), Some(2));
    assert_eq!(inbox.lost().expired, 4);
}

/// A light item displaced a heavy one, and nobody told those who waited for the room that was left.
#[test]
fn room_that_comes_about_by_an_eviction_is_given_to_who_waits() {
    let mailbox = Mailbox::builder().max_weight(10, |n: &u32| *n).build().unwrap();
    let _ = mailbox.offer(10).unwrap();
    let mut waits = task::spawn(mailbox.offer_wait(5));
    assert_pending!(waits.poll());
    let _ = mailbox.offer(1).unwrap();
    assert!(waits.is_woken());
    assert_ready_ok!(waits.poll());
}

/// After it had ended, a stream never told what was given back to it.
#[test]
fn a_stream_that_has_ended_tells_what_is_given_back_to_it() {
    let mailbox = Mailbox::new(1).unwrap();
    let mut stream = mailbox.inbox().into_stream();
    (0..2).for_each(|n| drop(mailbox.offer(n)));
    mailbox.close();
    let Some(Delivery::Lost(lost)) = assert_ready!(task::spawn(stream.next()).poll()) else { panic!() };
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), Some(Delivery::Item(1)));
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), None);
    stream.restore_losses(lost);
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), Some(Delivery::Lost(lost)));
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), None);
}

/// An item that a filter had skipped grew too old, and its consumer was not told.
#[test]
fn what_was_skipped_and_grows_too_old_is_told_then() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().max_age(10 * MS).shards(2).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    (0..4).for_each(|n| drop(mailbox.offer(n)));
    let mut mail = task::spawn(inbox.mail_with(|_| Filter::Stop));
    assert_pending!(mail.poll());
    time.advance(10 * MS);
    assert!(mail.is_woken());
    assert_eq!(assert_ready!(mail.poll()).unwrap().lost.expired, 4);
}

#[derive(Default)]
struct Ear(AtomicU64, Mutex<Vec<Event>>);

impl Observe for Ear {
    fn event(&self, event: Event) {
        if let Event::Lost { count, .. } = event {
            self.0.fetch_add(count, SeqCst);
        }
        self.1.lock().unwrap().push(event);
    }
}

/// Changing the number of shards threw out what was too old, and the observer did not hear of it.
#[test]
fn whatever_goes_is_told_to_the_observer() {
    let (time, ear) = (ManualTime::new(), Arc::new(Ear::default()));
    let builder = Mailbox::builder().max_age(10 * MS).shards(4).clock(time.clock()).observe(ear.clone());
    let mailbox = builder.build().unwrap();
    (0..8).for_each(|n| drop(mailbox.offer(n)));
    time.advance(10 * MS);
    mailbox.set_shards(4).unwrap();
    let lost = mailbox.inbox().lost().total();
    let taken = mailbox.inbox().take_up_to(9);
    assert_eq!(lost + taken.lost.total(), 8);
    assert_eq!(ear.0.load(SeqCst), 8);
}

/// When room came about by age, whoever was polled first had it.
#[test]
fn room_that_comes_about_by_age_goes_to_the_first() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().capacity(1).max_age(10 * MS).clock(time.clock()).build().unwrap();
    let _ = mailbox.offer(0).unwrap();
    let mut first = task::spawn(mailbox.offer_wait(1));
    let mut second = task::spawn(mailbox.offer_wait(2));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    time.advance(10 * MS);
    assert_pending!(second.poll());
    assert_ready_ok!(first.poll());
    assert_eq!(mailbox.inbox().take(), Some(1));
}

/// The mailbox was closed under an offer that waited, because its handle had gone.
#[test]
fn an_offer_that_waits_is_a_producer_too() {
    let mailbox = Mailbox::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    let _ = mailbox.offer(1).unwrap();
    let mut waits = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waits.poll());
    drop(mailbox);
    assert!(!inbox.is_closed());
    assert_eq!(inbox.take(), Some(1));
    assert_ready_ok!(waits.poll());
    drop(waits);
    assert!(inbox.is_closed());
    assert_eq!(inbox.take(), Some(2));
}

#[test]
fn an_item_is_weighed_once_however_long_it_waits() {
    let weighed = Arc::new(AtomicU64::new(0));
    let its = weighed.clone();
    let weigh = move |n: &u32| {
        its.fetch_add(1, SeqCst);
        *n
    };
    let mailbox = Mailbox::builder().max_weight(10, weigh).build().unwrap();
    let mut inbox = mailbox.inbox();
    let _ = mailbox.offer(10).unwrap();
    let mut waits = task::spawn(mailbox.offer_wait(5));
    (0..3).for_each(|_| assert_pending!(waits.poll()));
    assert_eq!(inbox.take(), Some(10));
    assert_ready_ok!(waits.poll());
    assert_eq!(weighed.load(SeqCst), 2);
}

/// Calling who waits was quadratic in how many had been called and not been polled yet.
#[test]
fn many_who_wait_are_called_in_order() {
    let mailbox = Mailbox::new(200).unwrap();
    let mut inbox = mailbox.inbox();
    (0..200).for_each(|n| drop(mailbox.offer(n)));
    let mut waits: Vec<_> = (200..400).map(|n| task::spawn(mailbox.offer_wait(n))).collect();
    waits.iter_mut().for_each(|w| assert_pending!(w.poll()));
    for taken in 0..100 {
        assert_eq!(inbox.take(), Some(taken));
    }
    let woken: Vec<_> = waits.iter().map(|w| w.is_woken()).collect();
    assert!(woken[..100].iter().all(|&w| w) && !woken[100..].contains(&true));
    waits.iter_mut().take(100).for_each(|w| assert_ready_ok!(w.poll()));
    assert_eq!(inbox.take_up_to(usize::MAX).items.len(), 200);
    assert!(waits[100..].iter().all(|w| w.is_woken()), "as many as there is room for");
}

/// The ways to take that wait, one item or some.
#[test]
fn one_item_or_some_can_be_waited_for() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().clock(time.clock()).build().unwrap();
    let (mut inbox, polls) = (mailbox.inbox(), Cell::new(0));
    {
        let mut takes = task::spawn(inbox.take_wait());
        assert_pending!(takes.poll());
        (1..=5).for_each(|n| drop(mailbox.offer(n)));
        polls.set(polls.get() + 1);
        assert_eq!(assert_ready!(takes.poll()), Some(1));
    }
    let some = assert_ready!(task::spawn(inbox.mail_up_to(2)).poll()).unwrap();
    assert_eq!((some.items, some.lost), (vec![2, 3], Lost::default()));
    assert_eq!(inbox.blocking_mail_timeout(Duration::ZERO).unwrap().items, [4, 5]);
    assert!(inbox.blocking_mail_timeout(Duration::ZERO).unwrap().is_empty(), "nothing within the time");
    mailbox.close();
    assert!(inbox.blocking_mail_timeout(Duration::ZERO).is_none());
    assert_eq!(assert_ready!(task::spawn(inbox.take_wait()).poll()), None);
    let rejected = mailbox.offer(6).unwrap_err();
    assert_eq!(rejected.reason(), Reason::Closed);
    assert!(matches!(task::spawn(inbox.mail()).poll(), Poll::Ready(None)));
}
