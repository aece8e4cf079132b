//! What PO Box's own suites check, for each kind of buffer, in our words. Where we differ on purpose,
//! the test says so.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Discipline, Filter, Inbox, Lost, Mailbox};
use plimsoll_core::{ManualTime, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

const SIZE: usize = 3;

/// PO Box's queue, keep_old and stack, and time buckets in place of its custom module.
fn kinds() -> [Discipline; 4] {
    let slice = Duration::from_secs(1);
    let buckets = Discipline::TimeBuckets { slice, slices: 2 };
    [Discipline::Fifo, Discipline::KeepOldest, Discipline::Lifo, buckets]
}

fn mailbox(discipline: Discipline) -> Mailbox<u32> {
    let clock = ManualTime::new().clock();
    Mailbox::builder().capacity(SIZE).discipline(discipline).clock(clock).build().unwrap()
}

/// Offers all of these, whatever becomes of them.
fn offer(mailbox: &Mailbox<u32>, items: impl IntoIterator<Item = u32>) {
    for item in items {
        let _ = mailbox.offer(item);
    }
}

fn is_stack(discipline: Discipline) -> bool {
    !matches!(discipline, Discipline::Fifo | Discipline::KeepOldest)
}

/// What is left of 1 to `n`, in the order in which it is taken.
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

fn said(inbox: &mut Inbox<u32>) -> bool {
    assert_ready!(task::spawn(inbox.notified()).poll())
}

/// P1: notified, then active: everything in order, nothing lost, nothing twice.
#[test]
fn who_is_notified_and_asks_gets_everything_once() {
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

/// P2: twice the size: `Size` are kept, `Size` are lost, and which is a matter of the kind. PO Box's
/// stack keeps the oldest but one for ever; ours keeps the newest.
#[test]
fn of_twice_the_size_half_is_lost_and_the_right_half() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=6);
        assert!(said(&mut inbox));
        let (items, lost) = mail(&mut inbox);
        assert_eq!(items, left(kind, 6), "{kind}");
        let rejected = if kind == Discipline::KeepOldest { 3 } else { 0 };
        assert_eq!((lost.evicted, lost.rejected, lost.total()), (3 - rejected, rejected, 3), "{kind}");
        offer(&mailbox, 7..=7);
        assert_eq!(mail(&mut inbox), (vec![7], Lost::default()), "{kind}: counted once");
    }
}

/// P3: whatever way in was taken.
#[tokio::test]
async fn every_way_in_is_the_same() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        let _ = mailbox.offer(1);
        mailbox.clone().offer_wait(2).await.unwrap();
        let its = mailbox.clone();
        tokio::task::spawn_blocking(move || its.blocking_offer_timeout(3, Duration::from_secs(9)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(mail(&mut inbox).0, left(kind, 3), "{kind}");
    }
}

/// P4: one a mail, by a filter that skips.
#[test]
fn a_filter_that_skips_takes_one_at_a_time_in_order() {
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

/// PO Box sends an empty mail if the filter skips all there is, and stops delivering then.
#[test]
fn a_filter_that_skips_everything_waits_and_is_asked_again() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        offer(&mailbox, 1..=1);
        let (mut open, mut kept) = (0, 0);
        {
            let mut mail = task::spawn(inbox.mail_with(|_| {
                open += 1;
                if open > 2 { Filter::Take } else { Filter::Stop }
            }));
            assert_pending!(mail.poll());
            for n in 2..=3 {
                offer(&mailbox, [n]);
                assert!(mail.is_woken(), "{kind}");
                if let std::task::Poll::Ready(mail) = mail.poll() {
                    kept = mail.unwrap().items.len() - 1;
                    assert_eq!(n, 3, "{kind}");
                }
            }
        }
        assert_eq!(open, 3 + kept, "{kind}: asked once a time");
        assert_eq!(mailbox.usage().len, 0, "{kind}");
    }
}

/// P5: keep one, lose the rest; the next mail counts from zero.
#[test]
fn what_a_filter_loses_is_counted_once() {
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

/// P6: from any way of waiting to any other; nothing is sent to who has ceased to ask.
#[test]
fn who_ceases_to_ask_is_passive_and_may_ask_in_another_way() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        // Active, then passive.
        {
            let mut asks: Spawn<_> = task::spawn(inbox.mail());
            assert_pending!(asks.poll());
        }
        offer(&mailbox, [1]);
        assert_eq!(mailbox.usage().len, 1, "{kind}: nobody asks, so it accumulates");
        // Passive, then notified: at once, for there is something.
        assert!(said(&mut inbox));
        // Notified, and not asked yet: told again when asked again, and nothing was taken.
        assert!(said(&mut inbox));
        assert_eq!(mail(&mut inbox).0, [1], "{kind}");
        // Notified, then active while nothing is there.
        {
            let mut notified = task::spawn(inbox.notified());
            assert_pending!(notified.poll());
        }
        let mut asks = task::spawn(inbox.mail());
        assert_pending!(asks.poll());
        offer(&mailbox, [2]);
        assert!(asks.is_woken());
        assert_eq!(assert_ready!(asks.poll()).unwrap().items, [2], "{kind}");
    }
}

/// P7: growing loses nothing; shrinking loses as the kind has it, and counts it. PO Box's stack loses
/// its newest; ours the oldest.
#[test]
fn a_mailbox_is_resized_while_it_runs() {
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

/// P8: PO Box dies with its owner. A mailbox does not; it ends for its consumer when the last producer
/// has gone, and what it holds can still be had.
#[test]
fn a_mailbox_outlives_its_consumer_and_its_contents_outlive_its_producers() {
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

/// P9: filled and thrown out again and again, the sizes stay right.
#[test]
fn sizes_stay_right_however_often_it_is_filled_and_emptied() {
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

/// P10: the producer knows at once. PO Box says "full" for a queue and a stack although the item is
/// kept and another is displaced; we say which.
#[test]
fn an_offer_says_what_happened() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        for n in 1..=3 {
            assert!(mailbox.offer(n).unwrap().is_empty());
        }
        match mailbox.offer(4) {
            Err(no) => {
                assert_eq!((kind, no.reason()), (Discipline::KeepOldest, Reason::Full));
                assert_eq!((no.rejected().limit(), no.rejected().observed()), (Some(3), Some(3)));
                assert_eq!(no.into_item(), 4, "the item comes back");
            }
            Ok(kept) => assert_eq!(kept.collect::<Vec<_>>(), [(1, Reason::Evicted)], "{kind}"),
        }
        let _ = mail(&mut inbox);
        let mut asks = task::spawn(inbox.mail());
        assert_pending!(asks.poll());
        assert!(mailbox.offer(5).unwrap().is_empty());
        assert_eq!(assert_ready!(asks.poll()).unwrap().items, [5], "{kind}: offered to one who asks");
    }
}

/// P11: the owner dies by a panic; the heir is told, and finds everything, and nothing is sent to him
/// unasked.
#[test]
fn an_heir_takes_over_from_an_owner_that_panicked() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut owner = mailbox.inbox();
        let mut heir = task::spawn(mailbox.orphaned());
        assert_pending!(heir.poll());
        offer(&mailbox, 1..=5);
        let died = catch_unwind(AssertUnwindSafe(move || {
            let _asking = task::spawn(owner.notified()).poll();
            panic!("the owner dies");
        }));
        assert!(died.is_err());
        assert!(heir.is_woken(), "{kind}");
        assert_ready!(heir.poll());
        assert_eq!(mailbox.inboxes(), 0);
        let mut inbox = mailbox.inbox();
        assert_eq!(mailbox.usage().len, 3, "{kind}: passive until asked");
        assert_eq!(mail(&mut inbox).0, left(kind, 5), "{kind}");
        // Told once: while there is an owner again, an heir waits again.
        assert_pending!(task::spawn(mailbox.orphaned()).poll());
        drop(inbox);
        assert_ready!(task::spawn(mailbox.orphaned()).poll());
    }
}

/// P12: handing over is moving the value; the heir is none the wiser.
#[test]
fn an_inbox_is_given_away_by_moving_it() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        let mut inbox = mailbox.inbox();
        let mut heir = task::spawn(mailbox.orphaned());
        assert_pending!(heir.poll());
        offer(&mailbox, 1..=3);
        assert!(said(&mut inbox));
        let inbox = std::thread::spawn(move || {
            let items = inbox.take_up_to(2).items;
            (inbox, items)
        });
        let (mut inbox, items) = inbox.join().unwrap();
        assert_eq!(items, left(kind, 3)[..2], "{kind}");
        assert!(!heir.is_woken(), "{kind}: it was never without an owner");
        assert_eq!(mail(&mut inbox).0, left(kind, 3)[2..], "{kind}");
    }
}

/// P13: of twice the size exactly `Size` are told that there is no room, or displace one, whatever
/// was offered and taken before; and after a change of hands nothing is taken unasked.
#[test]
fn of_twice_the_size_exactly_the_size_has_to_go() {
    for kind in kinds() {
        let mailbox = mailbox(kind);
        for round in 0..10 {
            let mut inbox = mailbox.inbox();
            let _ = inbox.take_up_to(usize::MAX);
            let went: usize = (0..2 * SIZE as u32)
                .map(|n| match mailbox.offer(n) {
                    Ok(kept) => kept.len(),
                    Err(_) => 1,
                })
                .sum();
            assert_eq!(went, SIZE, "{kind}, round {round}");
            drop(inbox);
            let before = mailbox.usage().len;
            let _next = mailbox.inbox();
            assert_eq!(mailbox.usage().len, before, "{kind}");
        }
    }
}
