//! What the test suites of PO Box check, for each kind of buffer.
//!
//! Where mailboxes differ on purpose, the test says so.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Discipline, Filter, Inbox, Lost, Mailbox, Orphaned};
use plimsoll_core::{ManualTime, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

const SIZE: usize = 3;

/// The queue, keep_old and stack of PO Box, and time buckets in place of its custom module.
fn kinds() -> [Discipline; 4] {
    let slice = Duration::from_secs(1);
    let buckets = Discipline::TimeBuckets { slice, slices: 2 };
    [Discipline::Fifo, Discipline::KeepOldest, Discipline::Lifo, buckets]
}

fn mailbox(discipline: Discipline) -> Mailbox<u32> {
    let clock = ManualTime::new().clock();
    Mailbox::builder().capacity(SIZE).discipline(discipline).clock(clock).build().unwrap()
}

/// Offers all items and ignores the results.
fn offer(mailbox: &Mailbox<u32>, items: impl IntoIterator<Item = u32>) {
    for item in items {
        let _ = mailbox.offer(item);
    }
}

fn is_stack(discipline: Discipline) -> bool {
    !matches!(discipline, Discipline::Fifo | Discipline::KeepOldest)
}

/// Returns what is left of 1 to `n`, in the order of taking.
fn left(discipline: Discipline, n: u32) -> Vec<u32> {
    let size = SIZE as u32;
    let mut kept: Vec<u32> = match discipline {
        Discipline::KeepOldest => (1..=n.min(size)).collect(),
        _ => (n.saturating_sub(size) + 1..=n).collect(),
    };
    if is_stack(discipline) {
        kept.reverse();
    }
    kept
}

fn mail(inbox: &mut Inbox<u32>) -> (Vec<u32>, Lost) {
    let mail = assert_ready!(task::spawn(inbox.mail()).poll()).expect("it is open");
    (mail.items, mail.lost)
}

fn nothing_comes(inbox: &mut Inbox<u32>) {
    assert_pending!(task::spawn(inbox.mail()).poll());
}

fn is_notified(inbox: &mut Inbox<u32>) -> bool {
    assert_ready!(task::spawn(inbox.notified()).poll())
}

/// P1: notified, then active. Every item arrives in order, and once.
#[test]
fn notified_consumer_takes_everything_once() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        {
            let mut notified = task::spawn(inbox.notified());
            assert_pending!(notified.poll());
            offer(&mailbox, 1..=3);
            assert!(notified.is_woken(), "{kind}");
            assert!(assert_ready!(notified.poll()));
        }
        assert_eq!(mail(&mut inbox), (left(kind, 3), Lost::default()), "{kind}");
        nothing_comes(&mut inbox);
        assert_pending!(task::spawn(inbox.notified()).poll());
    }
}

/// P2: of twice the capacity, half is lost. Which half depends on the kind.
///
/// The stack of PO Box keeps the oldest items except one for ever; this one keeps the newest.
#[test]
fn twice_the_capacity_loses_the_right_half() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=6);
        assert!(is_notified(&mut inbox));
        let (items, lost) = mail(&mut inbox);
        assert_eq!(items, left(kind, 6), "{kind}");
        let rejected = if kind == Discipline::KeepOldest { 3 } else { 0 };
        assert_eq!((lost.evicted, lost.rejected, lost.total()), (3 - rejected, rejected, 3), "{kind}");
        offer(&mailbox, 7..=7);
        assert_eq!(mail(&mut inbox), (vec![7], Lost::default()), "{kind}: counted once");
    }
}

/// P3: the way of offering makes no difference.
#[tokio::test]
async fn every_way_to_offer_has_the_same_effect() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        let _ = mailbox.offer(1);
        mailbox.clone().offer_wait(2).await.unwrap();
        let handle = mailbox.clone();
        tokio::task::spawn_blocking(move || handle.blocking_offer_timeout(3, Duration::from_secs(9)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(mail(&mut inbox).0, left(kind, 3), "{kind}");
    }
}

/// P4: one item in each mail, by a filter that stops.
#[test]
fn filter_that_stops_takes_one_item_at_a_time_in_order() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=3);
        for expected in left(kind, 3) {
            let mut room = 1;
            let one = |_: &u32| match room {
                0 => Filter::Stop,
                _ => {
                    room -= 1;
                    Filter::Take
                }
            };
            let mail = assert_ready!(task::spawn(inbox.mail_with(one)).poll()).unwrap();
            assert_eq!((mail.items, mail.lost.total()), (vec![expected], 0), "{kind}");
        }
        nothing_comes(&mut inbox);
    }
}

/// PO Box sends an empty mail if the filter takes nothing, and then stops delivering.
#[test]
fn filter_that_takes_nothing_waits_and_runs_again() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=1);
        let (mut calls, mut others) = (0, 0);
        {
            let mut mail = task::spawn(inbox.mail_with(|_| {
                calls += 1;
                if calls > 2 { Filter::Take } else { Filter::Stop }
            }));
            assert_pending!(mail.poll());
            for n in 2..=3 {
                offer(&mailbox, [n]);
                assert!(mail.is_woken(), "{kind}");
                if let std::task::Poll::Ready(mail) = mail.poll() {
                    others = mail.unwrap().items.len() - 1;
                    assert_eq!(n, 3, "{kind}");
                }
            }
        }
        assert_eq!(calls, 3 + others, "{kind}: once in each poll");
        assert_eq!(mailbox.usage().len, 0, "{kind}");
    }
}

/// P5: take one item and discard the rest. The next mail counts from zero.
#[test]
fn discarded_items_are_counted_once() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=3);
        let mut first = true;
        let filter = |_: &u32| if std::mem::take(&mut first) { Filter::Take } else { Filter::Discard };
        let filtered = assert_ready!(task::spawn(inbox.mail_with(filter)).poll()).unwrap();
        assert_eq!(filtered.items, left(kind, 3)[..1], "{kind}");
        assert_eq!((filtered.lost.filtered, filtered.lost.total()), (2, 2), "{kind}");
        offer(&mailbox, [4]);
        assert_eq!(mail(&mut inbox), (vec![4], Lost::default()), "{kind}");
    }
}

/// P6: from any way of waiting to any other. A consumer that has stopped waiting receives nothing.
#[test]
fn consumer_can_stop_waiting_and_wait_in_another_way() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        // Active, then passive.
        {
            let mut waiter: Spawn<_> = task::spawn(inbox.mail());
            assert_pending!(waiter.poll());
        }
        offer(&mailbox, [1]);
        assert_eq!(mailbox.usage().len, 1, "{kind}: without a waiter, items accumulate");
        // Passive, then notified: at once, because there is an item.
        assert!(is_notified(&mut inbox));
        // Notified again, because nothing was taken.
        assert!(is_notified(&mut inbox));
        assert_eq!(mail(&mut inbox).0, [1], "{kind}");
        // Notified, then active while the mailbox is empty.
        {
            let mut notified = task::spawn(inbox.notified());
            assert_pending!(notified.poll());
        }
        let mut waiter = task::spawn(inbox.mail());
        assert_pending!(waiter.poll());
        offer(&mailbox, [2]);
        assert!(waiter.is_woken());
        assert_eq!(assert_ready!(waiter.poll()).unwrap().items, [2], "{kind}");
    }
}

/// P7: growing loses nothing. Shrinking evicts by kind, and counts it.
///
/// The stack of PO Box evicts its newest items; this one the oldest.
#[test]
fn capacity_changes_while_the_mailbox_runs() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=3);
        mailbox.set_capacity(5).unwrap();
        offer(&mailbox, 4..=5);
        assert_eq!((inbox.usage().len, inbox.lost().total()), (5, 0), "{kind}");
        mailbox.set_capacity(2).unwrap();
        let (items, lost) = mail(&mut inbox);
        let kept = match kind {
            Discipline::KeepOldest => vec![1, 2],
            kind if is_stack(kind) => vec![5, 4],
            _ => vec![4, 5],
        };
        assert_eq!((items, lost.evicted, lost.total()), (kept, 3, 3), "{kind}");
        assert!(mailbox.set_capacity(0).is_err());
        assert_eq!(mailbox.bounds().capacity, 2);
    }
}

/// P8: a PO Box ends with its owner. A mailbox does not.
///
/// It closes when the last producer is dropped, and its items can still be taken.
#[test]
fn mailbox_outlives_its_consumer_and_items_their_producers() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        drop(mailbox.inbox());
        offer(&mailbox, 1..=3);
        let mut inbox = mailbox.inbox();
        drop(mailbox);
        assert!(inbox.is_closed());
        assert_eq!(mail(&mut inbox).0, left(kind, 3), "{kind}");
        assert!(assert_ready!(task::spawn(inbox.mail()).poll()).is_none(), "{kind}");
        assert!(!assert_ready!(task::spawn(inbox.notified()).poll()), "{kind}");
        assert_eq!(inbox.take(), None);
    }
}

/// P9: the length stays exact when the mailbox is filled and discarded again and again.
#[test]
fn repeated_filling_and_discarding_keeps_the_length_exact() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        for round in 0..20 {
            offer(&mailbox, 0..3 + round);
            let thrown = assert_ready!(task::spawn(inbox.mail_with(|_| Filter::Discard)).poll()).unwrap();
            assert!(thrown.items.is_empty());
            assert_eq!((thrown.lost.filtered, thrown.lost.total()), (3, u64::from(3 + round)), "{kind}");
            assert_eq!(inbox.usage().len, 0);
        }
    }
}

/// P10: the producer learns the result at once.
///
/// For a queue and a stack PO Box returns "full" although it accepts the item and evicts another. A
/// mailbox returns the evicted item.
#[test]
fn offer_returns_what_happened() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        for n in 1..=3 {
            assert!(mailbox.offer(n).unwrap().is_empty());
        }
        match mailbox.offer(4) {
            Err(rejected) => {
                assert_eq!((kind, rejected.reason()), (Discipline::KeepOldest, Reason::Full));
                let numbers = rejected.rejected();
                assert_eq!((numbers.limit(), numbers.observed()), (Some(3), Some(3)));
                assert_eq!(rejected.into_item(), 4, "the item is returned");
            }
            Ok(displaced) => assert_eq!(displaced.collect::<Vec<_>>(), [(1, Reason::Evicted)], "{kind}"),
        }
        let _ = mail(&mut inbox);
        let mut waiter = task::spawn(inbox.mail());
        assert_pending!(waiter.poll());
        assert!(mailbox.offer(5).unwrap().is_empty());
        assert_eq!(assert_ready!(waiter.poll()).unwrap().items, [5], "{kind}: while a consumer waits");
    }
}

/// P11: after the owner panicked, its successor is woken and finds every item. It receives nothing
/// before it takes.
#[test]
fn successor_takes_over_after_the_owner_panicked() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        assert_eq!(assert_ready!(task::spawn(mailbox.orphaned()).poll()), Orphaned::Unopened);
        let mut owner = mailbox.inbox();
        let mut successor = task::spawn(mailbox.orphaned());
        assert_pending!(successor.poll());
        offer(&mailbox, 1..=5);
        let result = catch_unwind(AssertUnwindSafe(move || {
            let _waiter = task::spawn(owner.notified()).poll();
            panic!("the owner panics");
        }));
        assert!(result.is_err());
        assert!(successor.is_woken(), "{kind}");
        assert_eq!(assert_ready!(successor.poll()), Orphaned::Panicked);
        assert_eq!(mailbox.inboxes(), 0);
        let mut inbox = mailbox.inbox();
        assert_eq!(mailbox.usage().len, 3, "{kind}: passive until it takes");
        assert_eq!(mail(&mut inbox).0, left(kind, 5), "{kind}");
        // While there is an owner again, a successor waits again.
        assert_pending!(task::spawn(mailbox.orphaned()).poll());
        drop(inbox);
        assert_eq!(assert_ready!(task::spawn(mailbox.orphaned()).poll()), Orphaned::Dropped);
    }
}

/// P12: moving the inbox hands it over. A waiting successor is not woken.
#[test]
fn moving_an_inbox_hands_it_over() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        let mut successor = task::spawn(mailbox.orphaned());
        assert_pending!(successor.poll());
        offer(&mailbox, 1..=3);
        assert!(is_notified(&mut inbox));
        let inbox = std::thread::spawn(move || {
            let items = inbox.take_up_to(2).items;
            (inbox, items)
        });
        let (mut inbox, items) = inbox.join().unwrap();
        assert_eq!(items, left(kind, 3)[..2], "{kind}");
        assert!(!successor.is_woken(), "{kind}: there was always an owner");
        assert_eq!(mail(&mut inbox).0, left(kind, 3)[2..], "{kind}");
    }
}

/// P13: of twice the capacity, exactly the capacity is rejected or displaces another item, whatever
/// happened before. A new inbox takes nothing by itself.
#[test]
fn twice_the_capacity_displaces_exactly_the_capacity() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        for round in 0..10 {
            let mut inbox = mailbox.inbox();
            let _ = inbox.take_up_to(usize::MAX);
            let lost: usize = (0..2 * SIZE as u32)
                .map(|n| match mailbox.offer(n) {
                    Ok(displaced) => displaced.len(),
                    Err(_) => 1,
                })
                .sum();
            assert_eq!(lost, SIZE, "{kind}, round {round}");
            drop(inbox);
            let before = mailbox.usage().len;
            let _next = mailbox.inbox();
            assert_eq!(mailbox.usage().len, before, "{kind}");
        }
    }
}
