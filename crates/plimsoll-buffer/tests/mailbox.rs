//! The handles: settings, waiting on threads and in tasks, cancelling, closing, shards.
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
fn a_setting_that_will_not_do_is_named_with_its_value_and_what_is_allowed() {
    let no = |built: Result<Mailbox<String>, ConfigError>| built.map(|_| ()).unwrap_err().to_string();
    assert_eq!(no(Mailbox::new(0)), "capacity = 0 is not allowed: it must be 1 to 4294967295");
    let new = Mailbox::<String>::builder;
    assert_eq!(no(new().shards(65).build()), "shards = 65 is not allowed: it must be 1 to 64");
    assert_eq!(no(new().shards(0).build()), "shards = 0 is not allowed: it must be 1 to 64");
    assert!(no(new().max_age(Duration::ZERO).build()).starts_with("max_age = 0ns"));
    assert!(no(new().max_bytes(0).build()).starts_with("max_weight = 0"));
    assert!(no(new().name("").build()).starts_with("name"));
    let slice = Duration::from_secs(1);
    let one = Discipline::TimeBuckets { slice, slices: 1 };
    assert!(no(new().discipline(one).build()).starts_with("slices = 1"));
    let target = Duration::from_secs(2);
    let short = Discipline::CoDel { target, interval: slice };
    assert_eq!(
        no(new().discipline(short).build()),
        "interval = 1s is not allowed: it must be at least the target"
    );
    let unweighed = plimsoll_buffer::MailboxConfig { max_weight: 7, ..Default::default() };
    assert!(no(new().config(unweighed).build()).contains("weigher"));
}

#[test]
fn a_live_setting_that_will_not_do_changes_nothing() {
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
    for (knob, value) in [
        ("capacity", 0.5),
        ("max_weight", -1.0),
        ("max_age", 0.0),
        ("max_age", f64::NAN),
        ("shards", 65.0),
        ("x", 1.0),
    ] {
        assert!(mailbox.set(knob, value).is_err(), "{knob} {value}");
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
fn settings_survive_a_settings_file() {
    use plimsoll_buffer::MailboxConfig;
    let default = MailboxConfig::default();
    let json = serde_json::to_string(&default).unwrap();
    assert_eq!(serde_json::from_str::<MailboxConfig>(&json).unwrap(), default, "{json}");
    assert!(!json.contains("max_"), "no bound is not written: {json}");
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
fn the_handles_show_themselves() {
    let mailbox = Mailbox::builder().name("jobs").capacity(2).build().unwrap();
    let inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let text = format!("{mailbox:?} {inbox:?} {:?} {:?}", mailbox.offer_wait(2), mailbox.offer(2));
    for part in ["jobs", "Fifo", "len: 2", "inboxes: 1", "closed: false", "OfferWait", "Displaced"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn weight_bounds_what_is_held_and_one_too_heavy_is_refused_whatever_there_is_room_for() {
    let mailbox: Mailbox<Vec<u8>> = Mailbox::builder().max_bytes(1_000).build().unwrap();
    let own = size_of::<Vec<u8>>();
    for _ in 0..3 {
        let mut small = Vec::with_capacity(400 - own);
        small.push(1);
        assert_eq!(small.bytes_held(), 400, "what it holds, not what it shows");
        let _ = mailbox.offer(small).unwrap();
    }
    assert_eq!((mailbox.usage().len, mailbox.usage().weight), (2, 800));
    let no = mailbox.offer(vec![0; 2_000]).unwrap_err();
    assert_eq!(no.to_string(), format!("mailbox rejected: too_large ({} of 1000)", 2_000 + own));
    assert_eq!(mailbox.usage().len, 2, "nothing had to go for it");
    let lost = mailbox.inbox().lost();
    assert_eq!((lost.evicted, lost.too_large), (1, 1));
}

#[test]
fn producers_wait_for_room_in_order_and_displace_nothing() {
    for discipline in [Discipline::Fifo, Discipline::Lifo, Discipline::KeepOldest] {
        let mailbox = Mailbox::builder().capacity(1).discipline(discipline).build().unwrap();
        let mut inbox = mailbox.inbox();
        assert_ready_ok!(task::spawn(mailbox.offer_wait(0)).poll());
        let mut waits: Vec<_> = (1..=3).map(|n| task::spawn(mailbox.offer_wait(n))).collect();
        waits.iter_mut().for_each(|w| assert_pending!(w.poll()));
        for n in 1..=3usize {
            assert_eq!(inbox.take(), Some(n as u32 - 1), "{discipline}");
            let woken: Vec<_> = waits.iter().map(|w| w.is_woken()).collect();
            assert_eq!(woken.iter().position(|&w| w), Some(0), "{discipline}: {woken:?}");
            assert_ready_ok!(waits.remove(0).poll());
        }
        assert_eq!((inbox.take(), inbox.lost()), (Some(3), Lost::default()));
    }
}

#[test]
fn one_who_gives_up_waiting_for_room_has_his_item_and_passes_the_room_on() {
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
    assert!(second.is_woken(), "the room is not lost with him");
    assert_ready_ok!(second.poll());
    assert_eq!(inbox.take(), Some(2));
}

#[test]
fn room_that_comes_about_by_age_is_given_to_who_waits() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder()
        .capacity(1)
        .max_age(Duration::from_millis(10))
        .clock(time.clock())
        .build()
        .unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let mut waits = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waits.poll());
    time.advance(Duration::from_millis(10));
    assert!(waits.is_woken());
    assert_ready_ok!(waits.poll());
    assert_eq!((inbox.take(), inbox.lost().expired), (Some(2), 1));
}

#[test]
fn a_thread_waits_for_room_or_for_an_item_as_long_as_it_says() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().capacity(1).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let no = mailbox.blocking_offer_timeout(2, Duration::ZERO).unwrap_err();
    assert_eq!((no.reason(), no.into_item()), (Reason::Expired, 2));
    assert_eq!(inbox.lost().rejected, 1, "he was rejected, and that is told");
    std::thread::scope(|s| {
        let waits = s.spawn(|| mailbox.blocking_offer_timeout(3, LONG));
        assert_eq!(inbox.blocking_take_timeout(LONG), Some(1));
        waits.join().unwrap().unwrap();
        assert_eq!(inbox.blocking_take_timeout(LONG), Some(3));
        let waits = s.spawn(move || inbox.blocking_take_timeout(LONG));
        mailbox.offer(4).unwrap();
        assert_eq!(waits.join().unwrap(), Some(4));
        let mut inbox = mailbox.inbox();
        mailbox.blocking_offer(5).unwrap();
        let waits = s.spawn(|| mailbox.blocking_offer(6));
        assert_eq!(inbox.blocking_take(), Some(5));
        waits.join().unwrap().unwrap();
        assert_eq!(inbox.blocking_mail().unwrap().items, [6]);
    });
    assert_eq!(mailbox.inbox().blocking_take_timeout(Duration::ZERO), None);
}

/// Cancelled at any await, nothing that was held is lost and nobody's turn is.
#[test]
fn a_cancelled_mail_takes_nothing_and_leaves_the_turn_to_the_next() {
    let mailbox = Mailbox::new(8).unwrap();
    let (mut first, mut second) = (mailbox.inbox(), mailbox.inbox());
    let mut asks = task::spawn(first.mail());
    let mut also = task::spawn(second.mail());
    assert_pending!(asks.poll());
    assert_pending!(also.poll());
    mailbox.offer(1).unwrap();
    assert!(asks.is_woken() && !also.is_woken(), "one is called for one item");
    drop(asks);
    assert!(also.is_woken());
    assert_eq!(assert_ready!(also.poll()).unwrap().items, [1]);
    drop(also);
    // And a stream, at every point.
    let mut stream = first.into_stream();
    assert_pending!(task::spawn(stream.next()).poll());
    mailbox.offer(2).unwrap();
    drop(task::spawn(stream.next()));
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), Some(Delivery::Item(2)));
    let mut first = stream.into_inbox();
    assert_eq!((first.take(), mailbox.inboxes()), (None, 2));
}

#[test]
fn a_panic_of_a_filter_loses_nothing_that_it_had_not_decided_about() {
    let mailbox = Mailbox::new(8).unwrap();
    let mut inbox = mailbox.inbox();
    (1..=4).for_each(|n| drop(mailbox.offer(n)));
    let died = catch_unwind(AssertUnwindSafe(|| {
        let filter = |n: &i32| match n {
            3 => panic!("the filter dies"),
            _ => plimsoll_buffer::Filter::Discard,
        };
        let _ = task::spawn(inbox.mail_with(filter)).poll();
    }));
    assert!(died.is_err());
    let mail = inbox.take_up_to(9);
    assert_eq!((mail.items, mail.lost.filtered), (vec![3, 4], 2));
}

#[test]
fn a_filter_may_offer_to_the_mailbox_it_filters() {
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
    assert_eq!(inbox.take(), Some(1), "what came while it thought is for the next mail");
}

/// Items are somebody else's code when they are dropped: it must not run under the lock.
#[test]
fn an_item_that_offers_when_it_is_dropped_does_not_lock_up() {
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
fn closing_refuses_what_comes_wakes_who_waits_and_leaves_what_is_held() {
    let mailbox = Mailbox::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    mailbox.offer(1).unwrap();
    let mut waits = task::spawn(mailbox.offer_wait(2));
    assert_pending!(waits.poll());
    mailbox.close();
    assert!(waits.is_woken());
    let no = assert_ready!(waits.poll()).unwrap_err();
    assert_eq!((no.reason(), no.into_item()), (Reason::Closed, 2));
    assert_eq!(mailbox.offer(3).unwrap_err().reason(), Reason::Closed);
    assert_eq!(assert_ready!(task::spawn(inbox.mail()).poll()).unwrap().items, [1]);
    assert_eq!(assert_ready!(task::spawn(inbox.mail()).poll()), None);
    let mut stream = inbox.into_stream();
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), None);
    assert_eq!(assert_ready!(task::spawn(stream.next()).poll()), None, "the end is the end");

    let mailbox = Mailbox::<()>::new(1).unwrap();
    let mut inbox = mailbox.inbox();
    let mut asks = task::spawn(inbox.mail());
    assert_pending!(asks.poll());
    let other = mailbox.clone();
    drop(mailbox);
    assert!(!asks.is_woken());
    drop(other);
    assert!(asks.is_woken(), "the last producer has gone");
    assert_eq!(assert_ready!(asks.poll()), None);
}

#[test]
fn a_new_discipline_holds_for_what_is_held() {
    let time = ManualTime::new();
    let mailbox = Mailbox::builder().capacity(4).clock(time.clock()).build().unwrap();
    let mut inbox = mailbox.inbox();
    (1..=4).for_each(|n| drop(mailbox.offer(n)));
    time.advance(LONG);
    mailbox.set_discipline(Discipline::LifoWithAge { max_age: Duration::from_secs(1) }).unwrap();
    assert_eq!(inbox.take(), Some(4), "their age counts from now");
    time.advance(Duration::from_secs(1));
    assert_eq!((inbox.take(), inbox.lost().expired), (None, 3));
    mailbox.set_discipline(Discipline::KeepOldest).unwrap();
    let rejected = (1..=6).filter(|&n| mailbox.offer(n).is_err()).count();
    assert_eq!((rejected, inbox.take()), (2, Some(1)));
    mailbox.set_discipline(Discipline::Fifo).unwrap();
    assert_eq!((5..=7).flat_map(|n| mailbox.offer(n).unwrap()).count(), 2, "nothing is rejected now");
    assert_eq!(inbox.take_up_to(9).items, [4, 5, 6, 7]);
}

mod sharded {
    use super::*;

    fn mailbox(shards: usize, pick: ShardPick) -> Mailbox<u64> {
        let builder = Mailbox::builder().capacity(10).shards(shards).pick(pick).dice(Dice::seeded(7));
        builder.build().unwrap()
    }

    #[test]
    fn bounds_hold_in_each_shard_and_the_books_balance() {
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

    /// The emptier of two keeps shards level, where one at random does not.
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
        // Two from each: the oldest of all shards are among them, none is taken to its end.
        let rest = inbox.take_up_to(usize::MAX);
        assert_eq!(rest.items.len(), held - 8);
        assert!(mail.items.iter().max() < rest.items.iter().max());
        assert!(mail.items.iter().all(|&n| n < 24), "{:?}", mail.items);
    }

    #[test]
    fn their_number_changes_while_it_runs_and_nothing_is_lost() {
        let mailbox = mailbox(1, ShardPick::Random);
        let mut inbox = mailbox.inbox();
        let (mut offered, mut gone, mut taken) = (0, 0, 0);
        for shards in [4, 2, 64, 1, 3] {
            mailbox.set_shards(shards).unwrap();
            assert_eq!(mailbox.shards(), shards);
            for n in 0..50 {
                gone += mailbox.offer(n).unwrap().count();
                offered += 1;
            }
            taken += inbox.take_up_to(7).items.len();
            assert_eq!(offered, gone + taken + mailbox.usage().len);
        }
        mailbox.close();
        while let Some(mail) = assert_ready!(task::spawn(inbox.mail()).poll()) {
            taken += mail.items.len();
        }
        assert_eq!(offered, gone + taken);
        mailbox.set_shards(8).unwrap();
        assert!((0..50).all(|n| mailbox.offer(n).is_err()), "closed is closed, in new shards, too");
    }

    #[test]
    fn one_who_waits_is_called_by_any_shard_also_a_new_one() {
        let mailbox = mailbox(1, ShardPick::Random);
        let mut inbox = mailbox.inbox();
        let mut asks = task::spawn(inbox.mail());
        assert_pending!(asks.poll());
        mailbox.set_shards(16).unwrap();
        let _ = asks.is_woken().then(|| asks.poll());
        mailbox.offer(1).unwrap();
        assert!(asks.is_woken());
        assert_eq!(assert_ready!(asks.poll()).unwrap().items, [1]);
    }

    /// In one shard or many, with settings that change all the while: what was offered was delivered, lost
    /// or is held.
    #[test]
    fn many_threads_at_once_keep_the_books() {
        const EACH: u64 = 5_000;
        for discipline in [Discipline::Fifo, Discipline::KeepOldest, Discipline::Lifo] {
            let mailbox = Mailbox::builder().capacity(16).shards(3).discipline(discipline).build().unwrap();
            let (displaced, rejected, taken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
            let told = std::sync::Mutex::new(Lost::default());
            std::thread::scope(|s| {
                for _ in 0..2 {
                    let mut inbox = mailbox.inbox();
                    let (taken, told) = (&taken, &told);
                    s.spawn(move || {
                        let clock = plimsoll_core::Clock::system();
                        while let Some(mail) = clock.block_until(None, inbox.mail()).unwrap() {
                            taken.fetch_add(mail.items.len() as u64, SeqCst);
                            *told.lock().unwrap() += mail.lost;
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
                                    Ok(kept) => displaced.fetch_add(kept.count() as u64, SeqCst),
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
            let told = told.into_inner().unwrap();
            assert_eq!(mailbox.usage().len, 0);
            assert_eq!(told.rejected, rejected.load(SeqCst), "{discipline}");
            assert!(told.evicted >= displaced.load(SeqCst), "resizing evicts, too");
            assert_eq!(taken.load(SeqCst) + told.total(), 3 * EACH, "{discipline}");
        }
    }
}

/// Tasks and threads, cancelled at random, waiting at both ends: no wake-up is lost, which would hang.
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
                    // Now and then it changes its mind in the middle.
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
fn the_handles_may_be_sent_and_shared() {
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
