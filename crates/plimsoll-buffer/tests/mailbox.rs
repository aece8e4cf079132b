//! The handles: settings, waiting on threads and in tasks, cancellation, closing, shards.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_buffer::{Bounds, Delivery, Discipline, Lost, Mailbox, ShardPick, Weigh};
use plimsoll_core::{ConfigError, Dice, Inspect, ManualTime, Reason};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;
use tokio_test::task;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn invalid_settings_name_field_value_and_range() {
    let error = |built: Result<Mailbox<String>, ConfigError>| built.map(|_| ()).unwrap_err().to_string();
    assert_eq!(error(Mailbox::new(0)), "capacity = 0 is not allowed: it must be 1 to 4294967295");
    let new = Mailbox::<String>::builder;
    assert_eq!(error(new().shards(65).build()), "shards = 65 is not allowed: it must be 1 to 64");
    assert_eq!(error(new().shards(0).build()), "shards = 0 is not allowed: it must be 1 to 64");
    assert!(error(new().max_age(Duration::ZERO).build()).starts_with("max_age = 0ns"));
    assert!(error(new().max_bytes(0).build()).starts_with("max_weight = 0"));
    assert!(error(new().name("").build()).starts_with("name"));
    let slice = Duration::from_secs(1);
    let one = Discipline::TimeBuckets { slice, slices: 1 };
    assert!(error(new().discipline(one).build()).starts_with("slices = 1"));
    let target = Duration::from_secs(2);
    let short = Discipline::CoDel { target, interval: slice };
    assert_eq!(
        error(new().discipline(short).build()),
        "interval = 1s is not allowed: it must be at least the target"
    );
    let unweighed = plimsoll_buffer::MailboxConfig { max_weight: 7, ..Default::default() };
    assert!(error(new().config(unweighed).build()).contains("weigher"));
}

#[test]
fn invalid_live_settings_change_nothing() {
    let mailbox: Mailbox<u8> = Mailbox::new(3).unwrap();
    let before = (mailbox.bounds(), mailbox.discipline(), mailbox.shards());
    assert!(mailbox.set_capacity(0).is_err());
    assert!(mailbox.set_bounds(Bounds { max_weight: 5, ..Bounds::with_capacity(3) }).is_err());
    assert!(
        mailbox.set_bounds(Bounds { max_age: Some(Duration::ZERO), ..Bounds::with_capacity(3) }).is_err()
    );
    assert!(mailbox.set_max_weight(5).is_err() && mailbox.set_max_weight(0).is_err());
    assert!(mailbox.set_max_age(Some(Duration::ZERO)).is_err());
    assert!(mailbox.set_discipline(Discipline::LifoWithAge { max_age: Duration::ZERO }).is_err());
    assert!(mailbox.set_shards(0).is_err());
    for (setting, value) in [
        ("capacity", 0.5),
        ("max_weight", -1.0),
        ("max_age", 0.0),
        ("max_age", f64::NAN),
        ("shards", 65.0),
        ("x", 1.0),
    ] {
        assert!(mailbox.set(setting, value).is_err(), "{setting} {value}");
    }
    assert_eq!((mailbox.bounds(), mailbox.discipline(), mailbox.shards()), before);
    mailbox.set("capacity", 7.0).unwrap();
    mailbox.set("max_age", 2.5).unwrap();
    mailbox.set("shards", 2.0).unwrap();
    let mut seen = vec![];
    mailbox.read(&mut |name, value| seen.push((name, value)));
    for expected in [("capacity", 7.0), ("max_age", 2.5), ("shards", 2.0), ("len", 0.0)] {
        assert!(seen.contains(&expected), "{seen:?}");
    }
    mailbox.set("max_age", f64::INFINITY).unwrap();
    assert_eq!(mailbox.bounds().max_age, None);
}

#[test]
fn every_setting_has_a_setter_and_a_getter() {
    let mailbox = Mailbox::builder().max_weight(9, |n: &u32| *n).build().unwrap();
    assert_eq!((mailbox.capacity(), mailbox.max_weight(), mailbox.max_age()), (1_024, 9, None));
    assert_eq!((mailbox.shards(), mailbox.pick()), (1, ShardPick::TwoChoices));
    mailbox.set_capacity(3).unwrap();
    mailbox.set_max_weight(7).unwrap();
    mailbox.set_max_age(Some(LONG)).unwrap();
    mailbox.set_shards(2).unwrap();
    mailbox.set_pick(ShardPick::Random);
    mailbox.set_discipline(Discipline::Lifo).unwrap();
    assert_eq!(mailbox.bounds(), Bounds { capacity: 3, max_weight: 7, max_age: Some(LONG) });
    assert_eq!((mailbox.capacity(), mailbox.max_weight(), mailbox.max_age()), (3, 7, Some(LONG)));
    assert_eq!((mailbox.shards(), mailbox.pick()), (2, ShardPick::Random));
    assert_eq!(mailbox.discipline(), Discipline::Lifo);
}

#[cfg(feature = "serde")]
#[test]
fn config_round_trips_through_json() {
    use plimsoll_buffer::MailboxConfig;
    let default = MailboxConfig::default();
    let json = serde_json::to_string(&default).unwrap();
    assert_eq!(serde_json::from_str::<MailboxConfig>(&json).unwrap(), default, "{json}");
    assert!(!json.contains("max_"), "an absent bound is left out: {json}");
    let config = MailboxConfig {
        name: "jobs".into(),
        discipline: Discipline::CODEL,
        capacity: 7,
        max_weight: 9,
        max_age: Some(LONG),
        shards: 2,
        pick: ShardPick::Random,
    };
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<MailboxConfig>(&json).unwrap(), config, "{json}");
    let json = r#"{"capacity": 5, "max_age": "2s", "pick": "two-choices", "discipline": "keep-oldest"}"#;
    let read = serde_json::from_str::<MailboxConfig>(json).unwrap();
    let expected = MailboxConfig {
        capacity: 5,
        max_age: Some(Duration::from_secs(2)),
        discipline: Discipline::KeepOldest,
        ..default
    };
    assert_eq!(read, expected);
    assert!(serde_json::from_str::<MailboxConfig>(r#"{"count": 5}"#).is_err(), "an unknown setting");
}

#[test]
fn debug_output_shows_name_usage_and_state() {
    let mailbox = Mailbox::builder().name("jobs").capacity(2).build().unwrap();
    let inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let text = format!("{mailbox:?} {inbox:?} {:?} {:?}", mailbox.offer_wait(2), mailbox.offer(2));
    for part in ["jobs", "Fifo", "len: 2", "inboxes: 1", "closed: false", "OfferWait", "Displaced"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn weight_is_bounded_and_a_too_heavy_item_is_rejected() {
    let mailbox: Mailbox<Vec<u8>> = Mailbox::builder().max_bytes(1_000).build().unwrap();
    let own = size_of::<Vec<u8>>();
    for _ in 0..3 {
        let mut small = Vec::with_capacity(400 - own);
        small.push(1);
        assert_eq!(small.bytes_held(), 400, "the capacity counts, not the length");
        let _ = mailbox.offer(small).unwrap();
    }
    assert_eq!((mailbox.usage().len, mailbox.usage().weight), (2, 800));
    let rejected = mailbox.offer(vec![0; 2_000]).unwrap_err();
    assert_eq!(rejected.to_string(), format!("mailbox rejected: too_large ({} of 1000)", 2_000 + own));
    assert_eq!(mailbox.usage().len, 2, "no item was evicted for it");
    let lost = mailbox.inbox().lost();
    assert_eq!((lost.evicted, lost.too_large), (1, 1));
}

#[test]
fn waiting_producers_are_admitted_in_order_and_evict_nothing() {
    for discipline in [Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest] {
        let mailbox = Mailbox::builder().capacity(1).discipline(discipline).build().unwrap();
        let mut inbox = mailbox.inbox();
        assert_ready_ok!(task::spawn(mailbox.offer_wait(0)).poll());
        let mut waiters: Vec<_> = (1..=3).map(|n| task::spawn(mailbox.offer_wait(n))).collect();
        waiters.iter_mut().for_each(|w| assert_pending!(w.poll()));
        for n in 1..=3usize {
            assert_eq!(inbox.take(), Some(n as u32 - 1), "{discipline}");
            let woken: Vec<_> = waiters.iter().map(|w| w.is_woken()).collect();
            assert_eq!(woken.iter().position(|&w| w), Some(0), "{discipline}: {woken:?}");
            assert_ready_ok!(waiters.remove(0).poll());
        }
        assert_eq!((inbox.take(), inbox.lost()), (Some(3), Lost::default()));
    }
}

#[test]
fn cancelled_offer_returns_its_item_and_passes_the_room_on() {
    let mailbox = Mailbox::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(0).unwrap();
    let mut first = task::spawn(mailbox.offer_wait(1));
    let mut second = task::spawn(mailbox.offer_wait(2));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(inbox.take(), Some(0));
    assert!(first.is_woken() && !second.is_woken());
    assert_eq!(first.into_inner().into_item(), Some(1));
    assert!(second.is_woken(), "the wake-up is passed on");
    assert_ready_ok!(second.poll());
    assert_eq!(inbox.take(), Some(2));
}

#[test]
fn expiry_makes_room_for_a_waiting_producer() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder()
        .capacity(1)
        .max_age(Duration::from_millis(10))
        .clock(time.clock())
        .build()
        .unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let mut waiter = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waiter.poll());
    time.advance(Duration::from_millis(10));
    assert!(waiter.is_woken());
    assert_ready_ok!(waiter.poll());
    assert_eq!((inbox.take(), inbox.lost().expired), (Some(2), 1));
}

#[test]
fn threads_wait_for_room_or_an_item_until_their_time_out() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().capacity(1).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let rejected = mailbox.blocking_offer_timeout(2, Duration::ZERO).unwrap_err();
    assert_eq!((rejected.reason(), rejected.into_item()), (Reason::Expired, 2));
    assert_eq!(inbox.lost().rejected, 1, "the rejection is reported");
    std::thread::scope(|s| {
        let waiter = s.spawn(|| mailbox.blocking_offer_timeout(3, LONG));
        assert_eq!(inbox.blocking_take_timeout(LONG), Some(1));
        waiter.join().unwrap().unwrap();
        assert_eq!(inbox.blocking_take_timeout(LONG), Some(3));
        let waiter = s.spawn(move || inbox.blocking_take_timeout(LONG));
        mailbox.offer(4).unwrap();
        assert_eq!(waiter.join().unwrap(), Some(4));
        let mut inbox = mailbox.inbox();
        mailbox.blocking_offer(5).unwrap();
        let waiter = s.spawn(|| mailbox.blocking_offer(6));
        assert_eq!(inbox.blocking_take(), Some(5));
        waiter.join().unwrap().unwrap();
        assert_eq!(inbox.blocking_mail().unwrap().items, [6]);
    });
    assert_eq!(mailbox.inbox().blocking_take_timeout(Duration::ZERO), None);
}

/// Cancellation at any await loses no item and no wake-up.
#[test]
fn cancelled_mail_takes_nothing_and_wakes_the_next() {
    let mailbox = Mailbox::new(8).unwrap();
    let (mut first, mut second) = (mailbox.inbox(), mailbox.inbox());
    let mut waiter = task::spawn(first.mail());
    let mut also = task::spawn(second.mail());
    assert_pending!(waiter.poll());
    assert_pending!(also.poll());
    mailbox.offer(1).unwrap();
    assert!(waiter.is_woken() && !also.is_woken(), "one waiter is woken for one item");
    drop(waiter);
    assert!(also.is_woken());
    assert_eq!(assert_ready!(also.poll()).unwrap().items, [1]);
    drop(also);
    // The same with a stream.
    let mut stream = first.into_stream();
    assert_pending!(task::spawn(stream.next()).poll());
    mailbox.offer(2).unwrap();
    drop(task::spawn(stream.next()));
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), Some(Delivery::Item(2)));
    let mut first = stream.into_inbox();
    assert_eq!((first.take(), mailbox.inboxes()), (None, 2));
}

#[test]
fn panicking_filter_leaves_undecided_items_in_place() {
    let mailbox = Mailbox::new(8).unwrap();
    let mut inbox = mailbox.inbox();
    (1..=4).for_each(|n| drop(mailbox.offer(n)));
    let result = catch_unwind(AssertUnwindSafe(|| {
        let filter = |n: &i32| match n {
            3 => panic!("the filter panics"),
            _ => plimsoll_buffer::Filter::Discard,
        };
        let _ = task::spawn(inbox.mail_with(filter)).poll();
    }));
    assert!(result.is_err());
    let mail = inbox.take_up_to(9);
    assert_eq!((mail.items, mail.lost.filtered), (vec![3, 4], 2));
}

#[test]
fn filter_can_offer_to_its_own_mailbox() {
    let mailbox = Mailbox::new(8).unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(3).unwrap();
    let halve = |n: &u32| {
        if *n > 0 {
            let _ = mailbox.offer(n / 2);
        }
        plimsoll_buffer::Filter::Take
    };
    assert_eq!(assert_ready!(task::spawn(inbox.mail_with(halve)).poll()).unwrap().items, [3]);
    assert_eq!(inbox.take(), Some(1), "an item offered by the filter is left for the next mail");
}

/// Dropping an item runs foreign code, which must not happen under the lock.
#[test]
fn item_that_offers_when_dropped_does_not_deadlock() {
    struct Echo(Mailbox<Option<Echo>>);
    impl Drop for Echo {
        fn drop(&mut self) {
            let _ = self.0.offer(None);
        }
    }
    let time = ManualTime::new();
    let ten = Duration::from_millis(10);
    let mailbox = Mailbox::builder().capacity(2).max_age(ten).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    let echo = || Some(Echo(mailbox.clone()));
    (0..4).for_each(|_| drop(mailbox.offer(echo())));
    time.advance(ten);
    assert!(inbox.take().is_none() || inbox.take().is_some());
    (0..4).for_each(|_| drop(mailbox.offer(echo())));
    mailbox.set_capacity(1).unwrap();
    mailbox.set_discipline(Discipline::Lifo).unwrap();
    time.advance(ten);
    let _ = inbox.take_up_to(9);
    mailbox.close();
}

#[test]
fn close_rejects_offers_wakes_waiters_and_keeps_items() {
    let mailbox = Mailbox::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let mut waiter = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waiter.poll());
    mailbox.close();
    assert!(waiter.is_woken());
    let rejected = assert_ready!(waiter.poll()).unwrap_err();
    assert_eq!((rejected.reason(), rejected.into_item()), (Reason::Closed, 2));
    assert_eq!(mailbox.offer(3).unwrap_err().reason(), Reason::Closed);
    assert_eq!(assert_ready!(task::spawn(inbox.mail()).poll()).unwrap().items, [1]);
    assert_eq!(assert_ready!(task::spawn(inbox.mail()).poll()), None);
    let mut stream = inbox.into_stream();
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), None);
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), None, "the stream stays at its end");

    let mailbox = Mailbox::<()>::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    let mut waiter = task::spawn(inbox.mail());
    assert_pending!(waiter.poll());
    let other = mailbox.clone();
    drop(mailbox);
    assert!(!waiter.is_woken());
    drop(other);
    assert!(waiter.is_woken(), "the last handle was dropped");
    assert_eq!(assert_ready!(waiter.poll()), None);
}

#[test]
fn new_discipline_applies_to_held_items() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().capacity(4).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    (1..=4).for_each(|n| drop(mailbox.offer(n)));
    time.advance(LONG);
    mailbox.set_discipline(Discipline::LifoWithAge { max_age: Duration::from_secs(1) }).unwrap();
    assert_eq!(inbox.take(), Some(4), "ages count from the change");
    time.advance(Duration::from_secs(1));
    assert_eq!((inbox.take(), inbox.lost().expired), (None, 3));
    mailbox.set_discipline(Discipline::KeepOldest).unwrap();
    let rejected = (1..=6).filter(|&n| mailbox.offer(n).is_err()).count();
    assert_eq!((rejected, inbox.take()), (2, Some(1)));
    mailbox.set_discipline(Discipline::Fifo).unwrap();
    assert_eq!((5..=7).flat_map(|n| mailbox.offer(n).unwrap()).count(), 2, "`Fifo` evicts instead");
    assert_eq!(inbox.take_up_to(9).items, [4, 5, 6, 7]);
}

mod sharded {
    use super::*;

    fn mailbox(shards: usize, pick: ShardPick) -> Mailbox<u64> {
        let builder = Mailbox::builder().capacity(10).shards(shards).pick(pick).dice(Dice::seeded(7));
        builder.build().unwrap()
    }

    #[test]
    fn bounds_apply_to_each_shard_and_the_books_balance() {
        for pick in [ShardPick::Random, ShardPick::TwoChoices] {
            let mailbox = mailbox(4, pick);
            let mut inbox = mailbox.inbox();
            let displaced: usize = (0..1_000).map(|n| mailbox.offer(n).unwrap().count()).sum();
            assert_eq!(mailbox.usage().len, 40, "{pick:?}");
            let mail = inbox.take_up_to(usize::MAX);
            assert_eq!((mail.items.len(), mail.lost.evicted), (40, displaced as u64));
            assert_eq!(displaced, 960);
        }
    }

    /// The emptier of two keeps shards level; one at random does not.
    #[test]
    fn two_choices_fill_shards_evenly() {
        let lost_at_first = |pick| {
            let mailbox = mailbox(8, pick);
            (0..80).map(|n| mailbox.offer(n).unwrap().count()).sum::<usize>()
        };
        let (random, two) = (lost_at_first(ShardPick::Random), lost_at_first(ShardPick::TwoChoices));
        assert!(two < random, "{two} lost, and {random} by one choice, with room for all");
        assert!(two <= 4, "{two}");
    }

    #[test]
    fn shards_are_drained_in_turn() {
        let mailbox = mailbox(4, ShardPick::TwoChoices);
        let mut inbox = mailbox.inbox();
        (0..40).for_each(|n| drop(mailbox.offer(n)));
        let held = mailbox.usage().len;
        let mail = inbox.take_up_to(8);
        assert_eq!(mail.items.len(), 8);
        // Two from each shard: among them the oldest ones, and no shard is emptied.
        let rest = inbox.take_up_to(usize::MAX);
        assert_eq!(rest.items.len(), held - 8);
        assert!(mail.items.iter().max() < rest.items.iter().max());
        assert!(mail.items.iter().all(|&n| n < 24), "{:?}", mail.items);
    }

    #[test]
    fn live_change_of_shards_loses_nothing() {
        let mailbox = mailbox(1, ShardPick::Random);
        let mut inbox = mailbox.inbox();
        let (mut offered, mut displaced, mut taken) = (0, 0, 0);
        for shards in [4, 2, 64, 1, 3] {
            mailbox.set_shards(shards).unwrap();
            assert_eq!(mailbox.shards(), shards);
            for n in 0..50 {
                displaced += mailbox.offer(n).unwrap().count();
                offered += 1;
            }
            taken += inbox.take_up_to(7).items.len();
            assert_eq!(offered, displaced + taken + mailbox.usage().len);
        }
        mailbox.close();
        while let Some(mail) = assert_ready!(task::spawn(inbox.mail()).poll()) {
            taken += mail.items.len();
        }
        assert_eq!(offered, displaced + taken);
        mailbox.set_shards(8).unwrap();
        assert!((0..50).all(|n| mailbox.offer(n).is_err()), "new shards are closed, too");
    }

    #[test]
    fn waiting_consumer_is_woken_by_a_new_shard() {
        let mailbox = mailbox(1, ShardPick::Random);
        let mut inbox = mailbox.inbox();
        let mut waiter = task::spawn(inbox.mail());
        assert_pending!(waiter.poll());
        mailbox.set_shards(16).unwrap();
        let _ = waiter.is_woken().then(|| waiter.poll());
        mailbox.offer(1).unwrap();
        assert!(waiter.is_woken());
        assert_eq!(assert_ready!(waiter.poll()).unwrap().items, [1]);
    }

    /// In several shards, with settings that change all the while: every offered item is delivered,
    /// lost or held.
    #[test]
    fn books_balance_under_many_threads() {
        const EACH: u64 = 5_000;
        for discipline in [Discipline::Fifo, Discipline::KeepOldest, Discipline::Lifo] {
            let mailbox = Mailbox::builder().capacity(16).shards(3).discipline(discipline).build().unwrap();
            let (displaced, rejected, taken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
            let reported = std::sync::Mutex::new(Lost::default());
            std::thread::scope(|s| {
                for _ in 0..2 {
                    let mut inbox = mailbox.inbox();
                    let (taken, reported) = (&taken, &reported);
                    s.spawn(move || {
                        let clock = plimsoll_core::Clock::system();
                        while let Some(mail) = clock.block_on(inbox.mail()) {
                            taken.fetch_add(mail.items.len() as u64, SeqCst);
                            *reported.lock().unwrap() += mail.lost;
                        }
                    });
                }
                let producers: Vec<_> = (0..3)
                    .map(|_| {
                        let mailbox = mailbox.clone();
                        let (displaced, rejected) = (&displaced, &rejected);
                        s.spawn(move || {
                            for n in 0..EACH {
                                match mailbox.offer(n) {
                                    Ok(items) => displaced.fetch_add(items.count() as u64, SeqCst),
                                    Err(_) => rejected.fetch_add(1, SeqCst),
                                };
                            }
                        })
                    })
                    .collect();
                for n in 0..200 {
                    mailbox.set_shards(1 + n % 5).unwrap();
                    mailbox.set_capacity(8 + n % 16).unwrap();
                }
                producers.into_iter().for_each(|p| p.join().unwrap());
                mailbox.close();
            });
            let reported = reported.into_inner().unwrap();
            assert_eq!(mailbox.usage().len, 0);
            assert_eq!(reported.rejected, rejected.load(SeqCst), "{discipline}");
            assert!(reported.evicted >= displaced.load(SeqCst), "a smaller capacity evicts, too");
            assert_eq!(taken.load(SeqCst) + reported.total(), 3 * EACH, "{discipline}");
        }
    }
}

/// Tasks and threads wait at both ends and are cancelled. A lost wake-up would hang.
#[test]
fn waiting_at_both_ends_loses_no_wake_up() {
    const EACH: u32 = 2_000;
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mailbox = Mailbox::new(4).unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let (mut inbox, taken) = (mailbox.inbox(), taken.clone());
            rt.spawn(async move {
                loop {
                    // Cancels a mail now and then.
                    let mut polls = 0;
                    let mut mail = std::pin::pin!(inbox.mail());
                    let mail = std::future::poll_fn(|cx| match mail.as_mut().poll(cx) {
                        Poll::Ready(mail) => Poll::Ready(Some(mail)),
                        Poll::Pending if polls == 1 => Poll::Ready(None),
                        Poll::Pending => {
                            polls += 1;
                            Poll::Pending
                        }
                    });
                    match mail.await {
                        Some(Some(mail)) => drop(taken.fetch_add(mail.items.len() as u64, SeqCst)),
                        Some(None) => return,
                        None => tokio::task::yield_now().await,
                    }
                }
            })
        })
        .collect();
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let mailbox = mailbox.clone();
            rt.spawn(async move {
                for n in 0..EACH {
                    mailbox.offer_wait(n).await.unwrap();
                }
            })
        })
        .collect();
    std::thread::scope(|s| {
        s.spawn(|| (0..EACH).for_each(|n| mailbox.blocking_offer_timeout(n, LONG).unwrap()));
    });
    rt.block_on(async {
        for producer in producers {
            producer.await.unwrap();
        }
        mailbox.close();
        for consumer in consumers {
            consumer.await.unwrap();
        }
    });
    assert_eq!(taken.load(SeqCst), 5 * u64::from(EACH));
    assert_eq!(mailbox.inbox().lost(), Lost::default(), "back-pressure loses nothing");
}

#[test]
fn handles_and_futures_are_send() {
    fn send_sync<T: Send + Sync>() {}
    fn send<T: Send>(_: &T) {}
    send_sync::<Mailbox<std::cell::Cell<u8>>>();
    send_sync::<plimsoll_buffer::Inbox<u8>>();
    let mailbox = Mailbox::<u8>::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    send(&inbox.mail());
    send(&inbox.notified());
    send(&mailbox.offer_wait(1));
    send(&mailbox.orphaned());
}
