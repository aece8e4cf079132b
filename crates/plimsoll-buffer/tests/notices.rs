//! Loss reports: their position, and that they are exact, timely and never empty.
//!
//! After the tests of logplex and the bug reports of lager.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Deliveries, Delivery, Discipline, Lost, Mailbox};
use plimsoll_core::ManualTime;
use std::time::{Duration, SystemTime};
use tokio_test::task;
use tokio_test::{assert_pending, assert_ready};

fn mailbox(capacity: usize, discipline: Discipline) -> (Mailbox<u32>, ManualTime) {
    let time = ManualTime::new();
    let mailbox =
        Mailbox::builder().capacity(capacity).discipline(discipline).clock(time.clock()).build().unwrap();
    (mailbox, time)
}

fn offer(mailbox: &Mailbox<u32>, items: impl IntoIterator<Item = u32>) {
    for item in items {
        let _ = mailbox.offer(item);
    }
}

/// Returns all that the stream has now. A gap of n items is `Err(n)`.
fn all(stream: &mut Deliveries<u32>) -> Vec<Result<u32, u64>> {
    let mut all = vec![];
    loop {
        let mut next = task::spawn(stream.next());
        match next.poll() {
            std::task::Poll::Ready(Some(Delivery::Item(item))) => all.push(Ok(item)),
            std::task::Poll::Ready(Some(Delivery::Lost(lost))) => {
                assert!(!lost.is_empty(), "no report is empty");
                all.push(Err(lost.total()));
            }
            _ => return all,
        }
    }
}

#[test]
fn fifo_reports_the_gap_before_the_survivors() {
    let (mailbox, _) = mailbox(3, Discipline::Fifo);
    let mut stream = mailbox.inbox().into_stream();
    offer(&mailbox, 1..=4);
    assert_eq!(all(&mut stream), [Err(1), Ok(2), Ok(3), Ok(4)]);
    offer(&mailbox, 1..=5);
    assert_eq!(all(&mut stream), [Err(2), Ok(3), Ok(4), Ok(5)]);
    offer(&mailbox, 6..=6);
    assert_eq!(all(&mut stream), [Ok(6)], "reported once");
}

#[test]
fn keep_oldest_reports_the_gap_behind_the_held_items() {
    let (mailbox, _) = mailbox(3, Discipline::KeepOldest);
    let mut stream = mailbox.inbox().into_stream();
    offer(&mailbox, 1..=7);
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), Some(Delivery::Item(1)));
    offer(&mailbox, 8..=8); // there is room for one now, behind the gap
    assert_eq!(all(&mut stream), [Ok(2), Ok(3), Err(4), Ok(8)]);
}

#[test]
fn stacks_report_the_gap_before_the_next_item() {
    for discipline in [
        Discipline::Lifo,
        Discipline::TimeBuckets { slice: Duration::from_secs(1), slices: 2 },
        Discipline::LifoWithAge { max_age: Duration::from_secs(1) },
    ] {
        let (mailbox, _) = mailbox(2, discipline);
        let mut stream = mailbox.inbox().into_stream();
        offer(&mailbox, 1..=5);
        assert_eq!(all(&mut stream), [Err(3), Ok(5), Ok(4)], "{discipline}");
    }
}

/// In lager the report came with the next message, however late that was.
#[test]
fn gap_is_reported_although_no_item_follows() {
    let (mailbox, _) = mailbox(2, Discipline::KeepOldest);
    let mut stream = mailbox.inbox().into_stream();
    offer(&mailbox, 1..=5);
    assert_eq!(all(&mut stream), [Ok(1), Ok(2), Err(3)]);

    // Nothing is held: a waiting consumer is woken for the loss alone.
    let heavy = Mailbox::builder().max_weight(10, |n: &u32| *n).build().unwrap();
    let mut stream = heavy.inbox().into_stream();
    let mut waiter = task::spawn(stream.next());
    assert_pending!(waiter.poll());
    assert!(heavy.offer(11).is_err());
    assert!(waiter.is_woken());
    let Some(Delivery::Lost(lost)) = assert_ready!(waiter.poll()) else { panic!("the loss is reported") };
    assert_eq!((lost.too_large, lost.total()), (1, 1));
}

#[test]
fn expired_slice_is_reported_although_nothing_is_left() {
    let slice = Duration::from_millis(100);
    let (mailbox, time) = mailbox(10, Discipline::TimeBuckets { slice, slices: 2 });
    let mut stream = mailbox.inbox().into_stream();
    offer(&mailbox, 1..=4);
    time.advance(slice);
    offer(&mailbox, 5..=5);
    time.advance(slice);
    assert_eq!(all(&mut stream), [Err(4), Ok(5)], "the first slice expired as a whole");
    offer(&mailbox, 6..=7);
    time.advance(slice * 2);
    assert_eq!(all(&mut stream), [Err(2)]);
}

#[test]
fn report_has_reasons_and_the_time_of_the_first_loss() {
    let time = ManualTime::new();
    let mailbox =
        Mailbox::builder().capacity(4).max_age(Duration::from_secs(10)).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    time.advance(Duration::from_millis(43_445_120)); // 12:04:05.120
    offer(&mailbox, 0..304);
    time.advance(Duration::from_secs(10));
    offer(&mailbox, 304..305);
    time.advance(Duration::from_secs(3_600));
    let mail = assert_ready!(task::spawn(inbox.mail()).poll()).unwrap();
    assert!(mail.items.is_empty());
    assert_eq!(mail.lost.to_string(), "305 items lost since 12:04:05.120: 300 evicted, 5 expired");
    assert_eq!(Lost::default().to_string(), "nothing lost");
    // The next report has a time of its own.
    offer(&mailbox, 0..5);
    let lost = inbox.lost();
    let since = lost.since.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!((lost.total(), since), (1, Duration::from_millis(43_445_120 + 3_610_000)));
    assert!(lost.to_string().starts_with("1 item lost since "), "{lost}");
}

/// In logplex, a frame that could not be delivered was lost together with its report.
#[test]
fn restored_report_is_merged_with_later_losses() {
    let (mailbox, time) = mailbox(15, Discipline::Fifo);
    let mut inbox = mailbox.inbox();
    time.advance(Duration::from_secs(1));
    offer(&mailbox, 0..18);
    let frame = inbox.take_up_to(usize::MAX);
    assert_eq!((frame.items.len(), frame.lost.total()), (15, 3));
    // The sink fails: 15 items, and a report of 3.
    time.advance(Duration::from_secs(1));
    inbox.restore_losses(frame.into_lost());
    offer(&mailbox, 0..18);
    let frame = inbox.take_up_to(usize::MAX);
    assert_eq!(frame.items.len(), 15);
    assert_eq!((frame.lost.total(), frame.lost.undelivered, frame.lost.evicted), (21, 15, 6));
    assert_eq!(
        frame.lost.since,
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)),
        "the earlier of the two"
    );
    inbox.restore_losses(Lost::default());
    assert_pending!(task::spawn(inbox.mail()).poll());
    // Nothing was lost before this frame. Its items count as lost from now on.
    offer(&mailbox, 0..1);
    let frame = inbox.take_up_to(usize::MAX);
    inbox.restore_losses(frame.into_lost());
    assert_eq!(inbox.lost().to_string(), "1 item lost since 00:00:02.000: 1 undelivered");
}

#[test]
fn restored_report_comes_first_in_the_stream() {
    let (mailbox, _) = mailbox(2, Discipline::Fifo);
    let mut stream = mailbox.inbox().into_stream();
    offer(&mailbox, 1..=3);
    let Some(Delivery::Lost(lost)) = assert_ready!(task::spawn(stream.next()).poll()) else { panic!() };
    stream.restore_losses(lost);
    assert_eq!(all(&mut stream), [Err(1), Ok(2), Ok(3)]);
}

/// Logplex shrinks the buffer of an absent sink, and grows it when the sink returns.
#[test]
fn shrinking_and_growing_keep_the_count_exact() {
    let (mailbox, _) = mailbox(1_024, Discipline::Fifo);
    let mut inbox = mailbox.inbox();
    offer(&mailbox, 0..1_024);
    mailbox.set_capacity(10).unwrap();
    offer(&mailbox, 0..5);
    mailbox.set_capacity(1_024).unwrap();
    offer(&mailbox, 0..100);
    let mail = inbox.take_up_to(usize::MAX);
    assert_eq!((mail.items.len(), mail.lost.total()), (110, 1_024 + 5 - 10));
}

/// Frames of logplex have a budget of bytes. Items that do not fit stay. An item larger than the
/// whole budget is sent alone.
#[test]
fn filter_with_a_byte_budget_loses_nothing() {
    use plimsoll_buffer::Filter;
    let mailbox = Mailbox::new(100).unwrap();
    let mut inbox = mailbox.inbox();
    for word in ["four", "four", "four", "a pig of a message", "four"] {
        let _ = mailbox.offer(word);
    }
    let mut frames = vec![];
    while inbox.usage().len > 0 {
        let mut used = 0;
        let budget = |word: &&str| {
            if used > 0 && used + word.len() > 10 {
                return Filter::Stop;
            }
            used += word.len();
            Filter::Take
        };
        let frame = assert_ready!(task::spawn(inbox.mail_with(budget)).poll()).unwrap();
        assert!(frame.lost.is_empty());
        frames.push(frame.items);
    }
    assert_eq!(frames, [vec!["four", "four"], vec!["four"], vec!["a pig of a message"], vec!["four"]]);
}

/// Rejections by a full mailbox are only counted, by many threads at once. Each is reported once.
#[test]
fn rejections_are_counted_exactly_while_reported() {
    const EACH: u64 = 20_000;
    let (mailbox, _) = mailbox(8, Discipline::KeepOldest);
    let mut inbox = mailbox.inbox();
    let (mut seen, mut lost) = (0, Lost::default());
    std::thread::scope(|s| {
        let producers: Vec<_> = (0..3)
            .map(|_| {
                let mailbox = &mailbox;
                s.spawn(move || (0..EACH).filter(|_| mailbox.offer(0).is_err()).count() as u64)
            })
            .collect();
        while !producers.iter().all(|p| p.is_finished()) {
            let mail = inbox.take_up_to(3);
            seen += mail.items.len() as u64;
            lost += mail.lost;
        }
        let rejected: u64 = producers.into_iter().map(|p| p.join().unwrap()).sum();
        mailbox.close();
        while let Some(mail) = assert_ready!(task::spawn(inbox.mail()).poll()) {
            seen += mail.items.len() as u64;
            lost += mail.lost;
        }
        assert_eq!((lost.rejected, lost.total()), (rejected, rejected));
        assert_eq!(seen + rejected, 3 * EACH);
    });
}
