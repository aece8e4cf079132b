//! Bugs of the past, each with its story.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Delivery, Discipline, Filter, Lost, Mailbox};
use plimsoll_core::{Event, ManualTime, Observe, Reason};
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio_test::task;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

const MS: Duration = Duration::from_millis(1);

/// On a machine booted less than a day ago the coarse clock was hours behind. Items with a maximum
/// age of 200 ms or more expired at once.
#[cfg(not(feature = "test-util"))]
#[test]
fn item_with_an_hour_to_live_is_there_a_moment_later() {
    let mailbox = Mailbox::builder().max_age(Duration::from_secs(3600)).build().unwrap();
    let _ = mailbox.offer(1).unwrap();
    assert_eq!(mailbox.inbox().take(), Some(1));
}

/// A cancelled `next()` left its waiter registered. The next wake-up was lost, and another consumer
/// slept beside an item.
#[test]
fn cancelled_next_leaves_its_turn_to_another_consumer() {
    let mailbox = Mailbox::new(8).unwrap();
    let (mut stream, mut other) = (mailbox.inbox().into_stream(), mailbox.inbox());
    assert_pending!(task::spawn(stream.next()).poll());
    let mut mail = task::spawn(other.mail());
    assert_pending!(mail.poll());
    let _ = mailbox.offer(1).unwrap();
    assert!(mail.is_woken());
    assert_eq!(assert_ready!(mail.poll()).unwrap().items, [1]);
}

/// A consumer whose filter left the item it was woken for went back to sleep and woke no other.
#[test]
fn item_left_by_one_consumer_wakes_another() {
    let mailbox = Mailbox::new(8).unwrap();
    let (mut picky, mut other) = (mailbox.inbox(), mailbox.inbox());
    let mut leaves = task::spawn(picky.mail_with(|_| Filter::Stop));
    assert_pending!(leaves.poll());
    let mut takes = task::spawn(other.mail());
    assert_pending!(takes.poll());
    let _ = mailbox.offer(1).unwrap();
    assert!(leaves.is_woken());
    assert_pending!(leaves.poll());
    assert!(takes.is_woken());
    assert_eq!(assert_ready!(takes.poll()).unwrap().items, [1]);
}

/// The flag "full" was read without the clock, so that expired items kept new ones out.
#[test]
fn expired_items_do_not_keep_new_ones_out() {
    let time = ManualTime::new();
    let builder = Mailbox::builder().capacity(2).discipline(Discipline::KeepOldest).max_age(100 * MS);
    let mailbox = builder.clock(time.clock()).build().unwrap();
    assert_eq!((0..3).filter(|&n| mailbox.offer(n).is_err()).count(), 1);
    time.advance(100 * MS);
    assert!(mailbox.offer(3).is_ok());
    assert_eq!(mailbox.inbox().take(), Some(3));
}

/// A rejection that was counted during a report stayed unreported until the next offer.
#[test]
fn every_rejection_can_be_reported_after_the_last_offer() {
    let mailbox = Mailbox::builder().capacity(1).discipline(Discipline::KeepOldest).build().unwrap();
    let mut inbox = mailbox.inbox();
    for _ in 0..300 {
        let (mut rejected, mut reported, mut taken) = (0, 0, 0);
        std::thread::scope(|s| {
            let offers = s.spawn(|| (0..50).filter(|&n| mailbox.offer(n).is_err()).count() as u64);
            while !offers.is_finished() {
                let mail = inbox.take_up_to(9);
                reported += mail.lost.total();
                taken += mail.items.len() as u64;
            }
            rejected = offers.join().unwrap();
        });
        let rest = inbox.take_up_to(9);
        reported += rest.lost.total();
        assert_eq!((reported, taken + rest.items.len() as u64), (rejected, 50 - rejected));
        assert_pending!(task::spawn(inbox.notified()).poll());
    }
}

/// With a filter slower than the producers a mail never ended, and grew without bound.
#[test]
fn mail_ends_at_what_was_held_when_it_began() {
    let mailbox = Mailbox::new(10).unwrap();
    let mut inbox = mailbox.inbox();
    (0..10).for_each(|n| drop(mailbox.offer(n)));
    let slow = |n: &u32| {
        let _ = mailbox.offer(n + 100); // faster than the filter
        Filter::Take
    };
    let mail = assert_ready!(task::spawn(inbox.mail_with(slow)).poll()).unwrap();
    assert_eq!(mail.items.len(), 10);
}

/// After a panic in a filter no producer was woken, and the items it had taken were not counted.
#[test]
fn panicking_filter_wakes_producers_and_keeps_the_books() {
    let mailbox = Mailbox::new(2).unwrap();
    let mut inbox = mailbox.inbox();
    (1..=2).for_each(|n| drop(mailbox.offer(n)));
    let mut waiter = task::spawn(mailbox.offer_wait(3));
    assert_pending!(waiter.poll());
    let result = catch_unwind(AssertUnwindSafe(|| {
        let filter = |n: &i32| if *n == 1 { Filter::Take } else { panic!("the filter panics") };
        let _ = task::spawn(inbox.mail_with(filter)).poll();
    }));
    assert!(result.is_err());
    assert!(waiter.is_woken());
    assert_ready_ok!(waiter.poll());
    let mail = inbox.take_up_to(9);
    assert_eq!((mail.items, mail.lost.undelivered, mail.lost.total()), (vec![2, 3], 1, 1));
}

/// When the drop of an expired item panicked, the item being taken was lost and not counted.
#[test]
fn item_that_panics_when_dropped_loses_no_other() {
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
    let _ = mailbox.offer(Item(1)).map(|displaced| displaced.for_each(std::mem::forget));
    let _ = mailbox.offer(Item(13));
    time.advance(5 * MS);
    let _ = mailbox.offer(Item(2));
    time.advance(5 * MS);
    assert_eq!(inbox.take().map(|item| item.0), Some(2));
    assert_eq!(inbox.lost().expired, 4);
}

/// A light item evicted a heavy one, and no producer was woken for the room that was left.
#[test]
fn eviction_that_leaves_room_wakes_a_waiting_producer() {
    let mailbox = Mailbox::builder().max_weight(10, |n: &u32| *n).build().unwrap();
    let _ = mailbox.offer(10).unwrap();
    let mut waiter = task::spawn(mailbox.offer_wait(5));
    assert_pending!(waiter.poll());
    let _ = mailbox.offer(1).unwrap();
    assert!(waiter.is_woken());
    assert_ready_ok!(waiter.poll());
}

/// A stream that had ended never returned a report that was restored.
#[test]
fn ended_stream_returns_a_restored_report() {
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

/// An item that a filter had left expired, and its consumer was not woken.
#[test]
fn left_item_that_expires_is_reported_then() {
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
struct Recorder(AtomicU64, Mutex<Vec<Event>>);

impl Observe for Recorder {
    fn event(&self, event: Event) {
        if let Event::Lost { count, .. } = event {
            self.0.fetch_add(count, SeqCst);
        }
        self.1.lock().unwrap().push(event);
    }
}

/// A change of the number of shards removed expired items without an event.
#[test]
fn every_loss_is_emitted_to_the_observer() {
    let (time, observer) = (ManualTime::new(), Arc::new(Recorder::default()));
    let builder = Mailbox::builder().max_age(10 * MS).shards(4).clock(time.clock()).observe(observer.clone());
    let mailbox = builder.build().unwrap();
    (0..8).for_each(|n| drop(mailbox.offer(n)));
    time.advance(10 * MS);
    mailbox.set_shards(4).unwrap();
    let lost = mailbox.inbox().lost().total();
    let taken = mailbox.inbox().take_up_to(9);
    assert_eq!(lost + taken.lost.total(), 8);
    assert_eq!(observer.0.load(SeqCst), 8);
}

/// When an expiry made room, the first waiter to be polled took it, not the first in order.
#[test]
fn room_made_by_expiry_is_given_to_the_first_waiter() {
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

/// A mailbox was closed although an offer still waited, because its handle was dropped.
#[test]
fn waiting_offer_keeps_the_mailbox_open() {
    let mailbox = Mailbox::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    let _ = mailbox.offer(1).unwrap();
    let mut waiter = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waiter.poll());
    drop(mailbox);
    assert!(!inbox.is_closed());
    assert_eq!(inbox.take(), Some(1));
    assert_ready_ok!(waiter.poll());
    drop(waiter);
    assert!(inbox.is_closed());
    assert_eq!(inbox.take(), Some(2));
}

#[test]
fn waiting_item_is_weighed_once() {
    let weighed = Arc::new(AtomicU64::new(0));
    let counter = weighed.clone();
    let weigh = move |n: &u32| {
        counter.fetch_add(1, SeqCst);
        *n
    };
    let mailbox = Mailbox::builder().max_weight(10, weigh).build().unwrap();
    let mut inbox = mailbox.inbox();
    let _ = mailbox.offer(10).unwrap();
    let mut waiter = task::spawn(mailbox.offer_wait(5));
    (0..3).for_each(|_| assert_pending!(waiter.poll()));
    assert_eq!(inbox.take(), Some(10));
    assert_ready_ok!(waiter.poll());
    assert_eq!(weighed.load(SeqCst), 2);
}

/// Waking was quadratic in the number of waiters that had been woken and not polled yet.
#[test]
fn many_waiters_are_woken_in_order() {
    let mailbox = Mailbox::new(200).unwrap();
    let mut inbox = mailbox.inbox();
    (0..200).for_each(|n| drop(mailbox.offer(n)));
    let mut waiters: Vec<_> = (200..400).map(|n| task::spawn(mailbox.offer_wait(n))).collect();
    waiters.iter_mut().for_each(|w| assert_pending!(w.poll()));
    for taken in 0..100 {
        assert_eq!(inbox.take(), Some(taken));
    }
    let woken: Vec<_> = waiters.iter().map(|w| w.is_woken()).collect();
    assert!(woken[..100].iter().all(|&w| w) && !woken[100..].contains(&true));
    waiters.iter_mut().take(100).for_each(|w| assert_ready_ok!(w.poll()));
    assert_eq!(inbox.take_up_to(usize::MAX).items.len(), 200);
    assert!(waiters[100..].iter().all(|w| w.is_woken()), "one for each place");
}

/// The methods that wait for one item, or for some.
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
    assert!(inbox.blocking_mail_timeout(Duration::ZERO).unwrap().is_empty(), "an empty mail after the time");
    mailbox.close();
    assert!(inbox.blocking_mail_timeout(Duration::ZERO).is_none());
    assert_eq!(assert_ready!(task::spawn(inbox.take_wait()).poll()), None);
    let rejected = mailbox.offer(6).unwrap_err();
    assert_eq!(rejected.reason(), Reason::Closed);
    assert!(matches!(task::spawn(inbox.mail()).poll(), Poll::Ready(None)));
}

/// An item that reads how much its mailbox holds when it is dropped.
struct Probe {
    mailbox: Mailbox<Probe>,
    seen: Arc<Mutex<Vec<usize>>>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.seen.lock().unwrap().push(self.mailbox.usage().len);
    }
}

/// Who found a million items too old removed all of them under the lock: others waited for 50 ms.
#[test]
fn expired_items_are_removed_a_few_at_a_time() {
    const ITEMS: usize = 20_000;
    let (time, seen) = (ManualTime::new(), Arc::<Mutex<Vec<usize>>>::default());
    let builder = Mailbox::builder().capacity(ITEMS).max_age(10 * MS).clock(time.clock());
    let mailbox = builder.build().unwrap();
    for _ in 0..ITEMS {
        let _ = mailbox.offer(Probe { mailbox: mailbox.clone(), seen: Arc::clone(&seen) });
    }
    time.advance(10 * MS);
    assert!(mailbox.inbox().take().is_none());
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), ITEMS);
    let most = seen.windows(2).map(|pair| pair[0] - pair[1]).max();
    assert!(most.unwrap() <= 5_000 && seen[0] >= ITEMS - 5_000, "{most:?}");
    assert_eq!(mailbox.inbox().lost().expired, ITEMS as u64);
}

/// A producer that found a million items too old was handed all of them to drop.
#[test]
fn offer_returns_only_some_of_many_expired_items() {
    let buckets = Discipline::TimeBuckets { slice: MS, slices: 3 };
    for discipline in [Discipline::Fifo, Discipline::KeepOldest, buckets] {
        let time = ManualTime::new();
        let builder = Mailbox::builder().capacity(1_000).max_age(10 * MS).discipline(discipline);
        let mailbox = builder.clock(time.clock()).build().unwrap();
        (0..1_000).for_each(|n| drop(mailbox.offer(n)));
        time.advance(10 * MS);
        let mut expired = 0;
        for n in 0..100 {
            let displaced = mailbox.offer(n).expect("expired items make room");
            assert!(displaced.len() <= 32);
            assert!(displaced.into_iter().all(|(_, reason)| reason == Reason::Expired));
        }
        let mail = mailbox.inbox().take_up_to(2_000);
        assert_eq!(mail.items.len(), 100, "none is delivered too late");
        expired += mail.lost.expired;
        assert_eq!((expired, mail.lost.total()), (1_000, 1_000), "{discipline}");
    }
}

/// A take of a million items kept producers out for 32 ms.
#[test]
fn large_take_lets_producers_in_between() {
    const ITEMS: u64 = 100_000;
    struct Seen(Mailbox<u64>, AtomicU64);
    impl std::task::Wake for Seen {
        fn wake(self: Arc<Self>) {
            let _ = self.1.compare_exchange(0, self.0.usage().len as u64, SeqCst, SeqCst);
        }
    }
    let mailbox = Mailbox::new(ITEMS as usize).unwrap();
    (0..ITEMS).for_each(|n| drop(mailbox.offer(n)));
    let seen = Arc::new(Seen(mailbox.clone(), AtomicU64::new(0)));
    let waker = seen.clone().into();
    let mut waiter = std::pin::pin!(mailbox.offer_wait(ITEMS));
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(waiter.as_mut().poll(&mut cx).is_pending());
    let mail = mailbox.inbox().take_up_to(usize::MAX);
    assert!(mail.items.into_iter().eq(0..ITEMS));
    assert!(seen.1.load(SeqCst) > ITEMS / 2, "the producer was woken during the take");
}
