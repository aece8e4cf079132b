//! Bugs that others had, or that once were here, each with its story; and what is promised, each as it is said.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Event, Gate, Inspect, ManualTime, Observe, Outcome, Pack, Reason, Settle};
use plimsoll_dispatch::{Checkout, Dispatch, DispatchBuilder, Lease, SlotPick, Workers};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready, task};

const MS: Duration = Duration::from_millis(1);

fn builder(slots: u32) -> DispatchBuilder<u32> {
    Dispatch::builder().slots(slots).dice(Dice::seeded(1)).pick(SlotPick::Lowest)
}

fn pool(slots: u32) -> Dispatch<u32> {
    builder(slots).build().unwrap()
}

fn take(pool: &Dispatch<u32>) -> Lease<u32, &Dispatch<u32>> {
    pool.checkout().or_make(|| 7).unwrap()
}

fn is_made(answer: Checkout<u32, &Dispatch<u32>>) -> bool {
    matches!(answer, Checkout::Make(_))
}

fn panics(work: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
}

fn die() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);
impl Observe for Ear {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Q5: with one of dispcount's backends a watcher that was restarted was busy for ever.
#[test]
fn what_breaks_is_made_again_and_its_slot_is_free() {
    let pool = pool(1);
    take(&pool).discard();
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    assert!(is_made(pool.checkout()));
    // To make it again oneself keeps the slot.
    let vacant = take(&pool).remake();
    assert!(pool.checkout().is_busy());
    vacant.fill(8).put_back();
    assert_eq!(*take(&pool), 8);
}

/// Q6: a checkout that had timed out with its caller owned the resource for ever.
#[test]
fn a_cancelled_making_owns_nothing_later() {
    let time = ManualTime::new();
    let clock = time.clock();
    let pool = builder(1).clock(clock.clone()).build().unwrap();
    let Checkout::Make(vacant) = pool.checkout() else { panic!("nothing is in it") };
    let wake = clock.sleep_until(clock.now() + 10 * MS);
    let mut making = task::spawn(vacant.make(async move {
        wake.await;
        Ok::<_, ()>(1)
    }));
    assert_pending!(making.poll());
    assert_eq!(pool.in_use(), 1);
    drop(making); // its caller's time is over
    assert_eq!(pool.in_use(), 0);
    time.advance(10 * MS); // when it would have been made
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    let Checkout::Make(unpolled) = pool.checkout() else { panic!("nothing is in it") };
    drop(unpolled.make(async { Ok::<_, ()>(1) }));
    assert_eq!(pool.in_use(), 0);
}

/// Q7: dispcount's check-in is a message; the one who had sent it was told "busy" 18 times in a hundred.
#[test]
fn whoever_puts_it_back_can_have_it_again() {
    for pick in [SlotPick::Random, SlotPick::RoundRobin, SlotPick::TwoChoices, SlotPick::Lowest] {
        let pool = builder(1).pick(pick).build().unwrap();
        (0..1_000).for_each(|_| drop(pool.checkout().or_make(|| 7).unwrap()));
        (0..1_000).for_each(|_| drop(pool.try_acquire().unwrap()));
    }
}

/// Q7 with a word to another thread in between: it has it at once.
#[test]
fn whoever_is_told_that_it_is_back_can_have_it() {
    let pool = pool(1);
    let turn = Barrier::new(2);
    std::thread::scope(|scope| {
        for first in [true, false] {
            let (pool, turn) = (&pool, &turn);
            scope.spawn(move || {
                for round in 0..500 {
                    if first == (round % 2 == 0) {
                        let mut lease = pool.checkout().or_make(|| round).unwrap();
                        assert_eq!(*lease, round, "it sees what the last one did to it");
                        *lease += 1;
                    }
                    turn.wait();
                }
            });
        }
    });
}

#[test]
fn a_seat_that_comes_back_twice_frees_nobody_elses() {
    let pool = pool(1);
    let first = pool.admit(&()).unwrap().pack();
    pool.refund(Pack::unpack(first));
    let second = pool.admit(&()).unwrap().pack();
    pool.settle(Pack::unpack(first), Outcome::Success);
    assert_eq!(pool.in_use(), 1);
    assert!(pool.try_acquire().is_err());
    pool.refund(Pack::unpack(second));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn what_has_the_same_key_keeps_its_slot() {
    let pool = builder(16).build().unwrap();
    for key in 0..100 {
        let Checkout::Make(vacant) = pool.checkout_for(&key) else { continue };
        vacant.fill(key).put_back();
    }
    for key in 0..100 {
        let first = *pool.checkout_for(&key).or_make(|| 1_000).unwrap();
        assert!(first < 100);
        assert!((0..3).all(|_| *pool.checkout_for(&key).or_make(|| 1_000).unwrap() == first));
    }
}

#[test]
fn of_two_that_which_has_a_resource_is_preferred() {
    // One of two is filled: whenever it is among the two that are looked at, it is it, so that the other is made in
    // one of four.
    let share = |pick| {
        let made = (0..2_000).filter(|&seed| {
            let pool = builder(2).pick(pick).dice(Dice::seeded(seed)).build().unwrap();
            take(&pool).put_back();
            is_made(pool.checkout())
        });
        made.count() as f64 / 2_000.0
    };
    let (two, any) = (share(SlotPick::TwoChoices), share(SlotPick::Random));
    assert!((0.2..0.3).contains(&two), "{two}");
    assert!((0.45..0.55).contains(&any), "{any}");
}

/// What was swept is not preferred for having been filled once.
#[test]
fn of_two_that_which_was_emptied_is_not_preferred() {
    let time = ManualTime::new();
    let made = (0..400).filter(|&seed| {
        let pool =
            builder(2).pick(SlotPick::TwoChoices).dice(Dice::seeded(seed)).probes(2).clock(time.clock());
        let pool = pool.max_idle(MS).build().unwrap();
        let (one, other) = (take(&pool), take(&pool));
        one.put_back();
        time.advance(2 * MS);
        other.put_back();
        assert_eq!(pool.sweep(), 1);
        is_made(pool.checkout())
    });
    let made = made.count();
    assert!((60..140).contains(&made), "one of four, not one of two: {made} of 400");
}

#[test]
fn the_lowest_uses_as_few_as_possible() {
    let pool = builder(10).probes(10).build().unwrap();
    for _ in 0..100 {
        let two = (take(&pool), take(&pool));
        drop(two);
    }
    assert_eq!(pool.idle(), 2);
}

#[test]
fn so_many_are_tried_as_are_set() {
    let busy = |probes| {
        let pool = builder(10).pick(SlotPick::Random).probes(probes).build().unwrap();
        let mut held = vec![];
        while pool.in_use() < 9 {
            held.extend(pool.try_acquire().ok());
        }
        (0..1_000).filter(|_| pool.checkout().is_busy()).count()
    };
    assert!((850..950).contains(&busy(1)), "one in ten finds it");
    assert!((150..250).contains(&busy(8)), "eight in ten find it");
    assert_eq!(busy(10), 0);
}

#[test]
fn what_lies_idle_for_too_long_is_swept() {
    let time = ManualTime::new();
    let pool = builder(3).max_idle(10 * MS).clock(time.clock()).build().unwrap();
    let (one, other, out) = (take(&pool), take(&pool), take(&pool));
    one.put_back();
    time.advance(6 * MS);
    other.put_back();
    time.advance(5 * MS);
    assert_eq!(pool.sweep(), 1);
    assert_eq!((pool.idle(), pool.in_use()), (1, 1));
    time.advance(6 * MS);
    assert_eq!((pool.sweep(), pool.sweep()), (1, 0));
    out.put_back();
    assert_eq!(pool.sweep(), 0, "what was used a moment ago is not idle");
    assert!(matches!(pool.checkout(), Checkout::Make(_)));
}

#[test]
fn what_was_only_dropped_is_kept_or_not_as_is_set() {
    for keep in [true, false] {
        let pool = builder(1).keep_dropped(keep).build().unwrap();
        drop(take(&pool));
        assert_eq!(pool.idle(), usize::from(keep));
        take(&pool).put_back();
        assert_eq!(pool.idle(), 1);
        panics(|| {
            let _lease = take(&pool);
            die()
        });
        assert_eq!((pool.idle(), pool.in_use()), (0, 0), "never after a panic");
    }
}

/// What is dropped is somebody's code: when it panics, the slot is free all the same, and who waits is told.
#[test]
fn a_resource_whose_end_panics_takes_no_slot_with_it() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 && !std::thread::panicking() {
                die()
            }
        }
    }
    let time = ManualTime::new();
    let pool = Dispatch::builder().slots(1).max_idle(MS).clock(time.clock()).build().unwrap();
    let bomb = || pool.checkout().or_make(|| Bomb(true)).unwrap();
    panics(|| bomb().discard());
    assert_eq!(pool.in_use(), 0);
    panics(|| drop(bomb().remake()));
    assert_eq!(pool.in_use(), 0);
    bomb().put_back();
    time.advance(2 * MS);
    panics(|| drop(pool.checkout())); // it was idle for too long
    assert_eq!(pool.in_use(), 0);
    let last = bomb();
    pool.close();
    let mut drained = task::spawn(pool.drained());
    assert_pending!(drained.poll());
    panics(|| last.put_back());
    assert!(drained.is_woken());
    assert_ready!(drained.poll());
}

#[test]
fn it_is_made_smaller_and_larger_while_leases_are_out() {
    let pool = builder(4).probes(200).build().unwrap();
    let held: Vec<_> = (0..4).map(|n| pool.checkout().or_make(|| n).unwrap()).collect();
    pool.set_slots(2).unwrap();
    assert_eq!((pool.slots(), pool.in_use()), (2, 4), "nobody is thrown out");
    assert!(pool.checkout().is_busy());
    drop(held);
    assert_eq!((pool.in_use(), pool.idle()), (0, 2), "what is beyond is not kept");
    pool.set_slots(200).unwrap();
    let all: Vec<_> = (0..201).map_while(|n| pool.checkout().or_make(|| n).ok()).collect();
    assert_eq!(all.len(), 200);
    pool.set("slots", 1.0).unwrap();
    assert!(pool.set("slots", 0.5).is_err() && pool.set("slots", 0.0).is_err());
    assert!(pool.set_slots(0).is_err() && pool.set_slots(u32::MAX).is_err());
    assert_eq!(pool.slots(), 1);
}

#[test]
fn it_closes_in_peace() {
    let pool = builder(2).build().unwrap();
    let (idle, out) = (take(&pool), take(&pool));
    idle.put_back();
    let mut early = task::spawn(pool.drained());
    assert_pending!(early.poll());
    assert_eq!(pool.close(), [7]);
    assert_pending!(early.poll());
    out.put_back();
    assert!(early.is_woken());
    assert_ready!(early.poll());
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    assert_eq!(pool.try_acquire().unwrap_err().reason(), Reason::Closed);
    let Checkout::Busy(no) = assert_ready!(task::spawn(pool.checkout_within(MS)).poll()) else { panic!() };
    assert_eq!(no.reason(), Reason::Closed, "at once");
}

#[test]
fn whoever_can_wait_has_it_soon_after_it_is_free() {
    let time = ManualTime::new();
    let pool = builder(1).clock(time.clock()).build().unwrap();
    let held = take(&pool);
    let mut waits = task::spawn(pool.checkout_within(1_000 * MS));
    let mut polls = 0;
    // A timer each time, from 0.1 ms up to 10: a hundred or so in a second, and none without its time.
    for _ in 0..900 {
        assert_pending!(waits.poll());
        polls += 1;
        while !waits.is_woken() {
            time.advance(MS / 10);
        }
        if time.clock().now().as_nanos() > 900_000_000 {
            break;
        }
    }
    assert!((90..140).contains(&polls), "{polls}");
    held.put_back();
    time.advance(10 * MS);
    assert!(matches!(assert_ready!(waits.poll()), Checkout::Reuse(_)));
}

#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn whoever_waits_in_a_runtime_waits_by_its_clock() {
    let pool = pool(1);
    let held = pool.checkout_owned().or_make(|| 7).unwrap();
    assert!(pool.checkout_within(50 * MS).await.is_busy());
    use plimsoll_core::Clock;
    let releases = tokio::spawn(async move {
        let clock = Clock::system();
        clock.sleep_until(clock.now() + 30 * MS).await;
        drop(held);
    });
    let start = Clock::system().now();
    assert!(matches!(pool.checkout_within(1_000 * MS).await, Checkout::Reuse(_)));
    assert!((30 * MS..=41 * MS).contains(&Clock::system().now().since(start)));
    releases.await.unwrap();
}

/// The books: who asked was admitted or rejected; who was admitted has ended or was given back.
#[test]
fn the_books_balance() {
    let ear = Arc::new(Ear::default());
    let pool = builder(1).observe(ear.clone()).build().unwrap();
    take(&pool).put_back();
    take(&pool).discard();
    drop(pool.checkout());
    drop(pool.try_acquire());
    pool.try_acquire().unwrap().refund();
    let held = take(&pool);
    drop((pool.checkout(), pool.try_acquire()));
    drop(held);
    panics(|| {
        let _lease = take(&pool);
        die()
    });
    let events = ear.0.lock().unwrap();
    let ended = |outcome| {
        events.iter().filter(|e| matches!(e, Event::Completed { outcome: o, .. } if *o == outcome)).count()
    };
    let admitted = events.iter().filter(|e| matches!(e, Event::Admitted { .. })).count();
    let rejected = events.iter().filter(|e| matches!(e, Event::Rejected { .. })).count();
    let back = events.iter().filter(|e| matches!(e, Event::Refunded { .. })).count();
    assert_eq!((admitted, rejected, back), (7, 2, 1));
    let ends = [Outcome::Success, Outcome::Failure, Outcome::Cancelled, Outcome::Ignored].map(ended);
    assert_eq!(ends, [1, 2, 2, 1]);
}

mod workers {
    use super::*;

    #[test]
    fn a_job_goes_to_an_idle_worker_or_comes_back() {
        let (hands, mut all) = Workers::new(2).unwrap();
        assert_eq!(hands.submit("early").unwrap_err().rejected.reason(), Reason::Busy, "nobody is idle yet");
        let (mut one, mut other) = (all.remove(0), all.remove(0));
        let mut first = task::spawn(one.next());
        assert_pending!(first.poll());
        assert_eq!(hands.idle(), 1);
        hands.submit("a").unwrap();
        assert!(first.is_woken());
        assert_eq!(hands.submit("b").unwrap_err().job, "b");
        assert_eq!(assert_ready!(first.poll()), Some("a"));
        drop(first);
        let mut second = task::spawn(other.next());
        assert_pending!(second.poll());
        hands.submit("b").unwrap();
        assert_eq!(assert_ready!(second.poll()), Some("b"));
        assert_eq!(hands.idle(), 0);
    }

    #[test]
    fn a_cancelled_wait_loses_no_job() {
        let (hands, mut all) = Workers::new(1).unwrap();
        let mut worker = all.remove(0);
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        drop(waits);
        assert!(hands.submit(1).is_err(), "it is not idle any more");
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        hands.submit(2).unwrap();
        drop(waits); // with a job on its desk
        assert!(hands.submit(3).is_err());
        assert_eq!(assert_ready!(task::spawn(worker.next()).poll()), Some(2));
    }

    /// Q5: a worker whose job panics leaves no slot that is busy for ever.
    #[test]
    fn who_replaces_a_worker_that_died_is_idle_and_has_what_waited_for_it() {
        let (hands, mut all) = Workers::new(1).unwrap();
        assert!(hands.replace().is_none());
        let mut worker = all.remove(0);
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        hands.submit(1).unwrap();
        assert_eq!(assert_ready!(waits.poll()), Some(1));
        drop(waits);
        panics(move || {
            let _worker = worker;
            die()
        });
        assert_eq!((hands.missing(), hands.idle()), (1, 0));
        assert!(hands.submit(2).is_err());
        let mut worker = hands.replace().unwrap();
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        hands.submit(2).unwrap();
        drop(waits);
        drop(worker);
        assert_eq!(hands.missing(), 1);
        let mut worker = hands.replace().unwrap();
        assert_eq!(assert_ready!(task::spawn(worker.next()).poll()), Some(2), "its desk was not empty");
        assert_eq!(hands.missing(), 0);
    }

    #[test]
    fn closed_with_a_job_in_hand_it_is_done() {
        let (hands, mut all) = Workers::new(2).unwrap();
        let (mut busy, mut idle) = (all.remove(0), all.remove(0));
        let mut has = task::spawn(busy.next());
        assert_pending!(has.poll());
        hands.submit(1).unwrap();
        let mut waits = task::spawn(idle.next());
        assert_pending!(waits.poll());
        hands.close();
        assert!(waits.is_woken());
        assert_eq!(assert_ready!(waits.poll()), None);
        assert_eq!(assert_ready!(has.poll()), Some(1), "it was handed over before");
        drop(has);
        assert_eq!(assert_ready!(task::spawn(busy.next()).poll()), None);
        let back = hands.submit(2).unwrap_err();
        assert_eq!((back.job, back.rejected.reason()), (2, Reason::Closed));
    }

    #[test]
    fn they_work_on_plain_threads() {
        const JOBS: u32 = 2_000;
        let (hands, all) = Workers::new(2).unwrap();
        let sum = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for mut worker in all {
                let sum = &sum;
                scope.spawn(move || {
                    while let Some(job) = worker.blocking_next() {
                        sum.fetch_add(job, SeqCst);
                    }
                });
            }
            for n in 0..JOBS {
                let mut job = n;
                while let Err(busy) = hands.submit(job) {
                    job = busy.job;
                    std::thread::yield_now();
                }
            }
            hands.close();
        });
        assert_eq!(sum.into_inner(), JOBS * (JOBS - 1) / 2);
    }
}
