//! Bugs of other pools or of this one, each with its story, and tests of what the documentation
//! says.
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

fn is_empty(checkout: Checkout<u32, &Dispatch<u32>>) -> bool {
    matches!(checkout, Checkout::Make(_))
}

fn panics(work: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
}

fn die() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);
impl Observe for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// With one of dispcount's backends, a watcher that was restarted was busy for ever.
#[test]
fn discard_frees_the_slot_and_remake_keeps_it() {
    let pool = pool(1);
    take(&pool).discard();
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    assert!(is_empty(pool.checkout()));
    // The holder keeps the slot and makes the resource again.
    let vacant = take(&pool).remake();
    assert!(pool.checkout().is_busy());
    vacant.fill(8).put_back();
    assert_eq!(*take(&pool), 8);
}

/// In dispcount, a checkout whose caller had timed out owned the resource for ever.
#[test]
fn cancelled_make_holds_no_slot_later() {
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
    drop(making); // the caller has timed out
    assert_eq!(pool.in_use(), 0);
    time.advance(10 * MS); // the time at which `make` would have ended
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    let Checkout::Make(unpolled) = pool.checkout() else { panic!("nothing is in it") };
    drop(unpolled.make(async { Ok::<_, ()>(1) }));
    assert_eq!(pool.in_use(), 0);
}

/// In dispcount, a check-in is a message. Its sender was busy in 18 of 100 checkouts that followed.
#[test]
fn thread_that_released_a_slot_gets_it_again() {
    for pick in [SlotPick::Random, SlotPick::RoundRobin, SlotPick::TwoChoices, SlotPick::Lowest] {
        let pool = builder(1).pick(pick).build().unwrap();
        (0..1_000).for_each(|_| drop(pool.checkout().or_make(|| 7).unwrap()));
        (0..1_000).for_each(|_| drop(pool.try_acquire().unwrap()));
    }
}

/// The same across threads: a thread that learns of the release gets the slot at once.
#[test]
fn thread_that_learns_of_a_release_gets_the_slot() {
    let pool = pool(1);
    let turn = Barrier::new(2);
    std::thread::scope(|scope| {
        for first in [true, false] {
            let (pool, turn) = (&pool, &turn);
            scope.spawn(move || {
                for round in 0..500 {
                    if first == (round % 2 == 0) {
                        let mut lease = pool.checkout().or_make(|| round).unwrap();
                        assert_eq!(*lease, round, "it sees what the last holder did");
                        *lease += 1;
                    }
                    turn.wait();
                }
            });
        }
    });
}

#[test]
fn second_release_of_a_token_has_no_effect() {
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
fn same_key_gets_the_same_slot() {
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
fn two_choices_prefers_the_slot_with_a_resource() {
    // One of two slots has a resource. It is taken whenever it is among the two choices, so the
    // empty slot is taken in one of four requests.
    let share = |pick| {
        let empty = (0..2_000).filter(|&seed| {
            let pool = builder(2).pick(pick).dice(Dice::seeded(seed)).build().unwrap();
            take(&pool).put_back();
            is_empty(pool.checkout())
        });
        empty.count() as f64 / 2_000.0
    };
    let (two_choices, random) = (share(SlotPick::TwoChoices), share(SlotPick::Random));
    assert!((0.2..0.3).contains(&two_choices), "{two_choices}");
    assert!((0.45..0.55).contains(&random), "{random}");
}

/// A slot that was swept is empty, and no better than another empty one.
#[test]
fn two_choices_does_not_prefer_a_swept_slot() {
    let time = ManualTime::new();
    let empty = (0..400).filter(|&seed| {
        let pool =
            builder(2).pick(SlotPick::TwoChoices).dice(Dice::seeded(seed)).probes(2).clock(time.clock());
        let pool = pool.max_idle(MS).build().unwrap();
        let (one, other) = (take(&pool), take(&pool));
        one.put_back();
        time.advance(2 * MS);
        other.put_back();
        assert_eq!(pool.sweep(), 1);
        is_empty(pool.checkout())
    });
    let empty = empty.count();
    assert!((60..140).contains(&empty), "one of four, not one of two: {empty} of 400");
}

#[test]
fn lowest_uses_as_few_resources_as_possible() {
    let pool = builder(10).probes(10).build().unwrap();
    for _ in 0..100 {
        let two = (take(&pool), take(&pool));
        drop(two);
    }
    assert_eq!(pool.idle(), 2);
}

#[test]
fn number_of_probes_bounds_the_slots_tried() {
    let busy = |probes| {
        let pool = builder(10).pick(SlotPick::Random).probes(probes).build().unwrap();
        let mut held = vec![];
        while pool.in_use() < 9 {
            held.extend(pool.try_acquire().ok());
        }
        (0..1_000).filter(|_| pool.checkout().is_busy()).count()
    };
    assert!((850..950).contains(&busy(1)), "one in ten requests finds the free slot");
    assert!((150..250).contains(&busy(8)), "eight in ten requests find it");
    assert_eq!(busy(10), 0);
}

#[test]
fn sweep_drops_resources_idle_for_too_long() {
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
    assert_eq!(pool.sweep(), 0, "it was in use a moment ago");
    assert!(matches!(pool.checkout(), Checkout::Make(_)));
}

#[test]
fn keep_dropped_decides_about_dropped_leases() {
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

/// The drop of a resource is foreign code. If it panics, the slot is released all the same, and a
/// waiting `drained` is woken.
#[test]
fn panic_in_a_resource_drop_releases_the_slot() {
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
    panics(|| drop(pool.checkout())); // idle for too long
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
fn resize_keeps_leases_and_drops_surplus_resources() {
    let pool = builder(4).probes(200).build().unwrap();
    let held: Vec<_> = (0..4).map(|n| pool.checkout().or_make(|| n).unwrap()).collect();
    pool.set_slots(2).unwrap();
    assert_eq!((pool.slots(), pool.in_use()), (2, 4), "slots in use stay in use");
    assert!(pool.checkout().is_busy());
    drop(held);
    assert_eq!((pool.in_use(), pool.idle()), (0, 2), "resources beyond the limit are dropped");
    pool.set_slots(200).unwrap();
    let all: Vec<_> = (0..201).map_while(|n| pool.checkout().or_make(|| n).ok()).collect();
    assert_eq!(all.len(), 200);
    pool.set("slots", 1.0).unwrap();
    assert!(pool.set("slots", 0.5).is_err() && pool.set("slots", 0.0).is_err());
    assert!(pool.set_slots(0).is_err() && pool.set_slots(u32::MAX).is_err());
    assert_eq!(pool.slots(), 1);
}

#[test]
fn close_returns_idle_resources_then_drains() {
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
    let Checkout::Busy(rejected) = assert_ready!(task::spawn(pool.checkout_within(MS)).poll()) else {
        panic!()
    };
    assert_eq!(rejected.reason(), Reason::Closed, "rejected at once");
}

#[test]
fn checkout_within_gets_a_slot_soon_after_release() {
    let time = ManualTime::new();
    let pool = builder(1).clock(time.clock()).build().unwrap();
    let held = take(&pool);
    let mut waits = task::spawn(pool.checkout_within(1_000 * MS));
    let mut polls = 0;
    // The pauses grow from 0.1 ms to 10 ms: about a hundred polls a second, each after its timer.
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
async fn checkout_within_follows_the_clock_of_the_runtime() {
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

/// The books balance: each request was admitted or rejected, and each admission completed or
/// refunded.
#[test]
fn events_balance() {
    let recorder = Arc::new(Recorder::default());
    let pool = builder(1).observe(recorder.clone()).build().unwrap();
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
    let events = recorder.0.lock().unwrap();
    let completed = |outcome| {
        events.iter().filter(|e| matches!(e, Event::Completed { outcome: o, .. } if *o == outcome)).count()
    };
    let admitted = events.iter().filter(|e| matches!(e, Event::Admitted { .. })).count();
    let rejected = events.iter().filter(|e| matches!(e, Event::Rejected { .. })).count();
    let refunded = events.iter().filter(|e| matches!(e, Event::Refunded { .. })).count();
    assert_eq!((admitted, rejected, refunded), (7, 2, 1));
    let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Cancelled, Outcome::Ignored].map(completed);
    assert_eq!(outcomes, [1, 2, 2, 1]);
}

mod workers {
    use super::*;

    #[test]
    fn job_reaches_an_idle_worker_or_is_returned() {
        let (workers, mut all) = Workers::new(2).unwrap();
        assert_eq!(
            workers.submit("early").unwrap_err().rejected.reason(),
            Reason::Busy,
            "no worker is idle yet"
        );
        let (mut one, mut other) = (all.remove(0), all.remove(0));
        let mut first = task::spawn(one.next());
        assert_pending!(first.poll());
        assert_eq!(workers.idle(), 1);
        workers.submit("a").unwrap();
        assert!(first.is_woken());
        assert_eq!(workers.submit("b").unwrap_err().job, "b");
        assert_eq!(assert_ready!(first.poll()), Some("a"));
        drop(first);
        let mut second = task::spawn(other.next());
        assert_pending!(second.poll());
        workers.submit("b").unwrap();
        assert_eq!(assert_ready!(second.poll()), Some("b"));
        assert_eq!(workers.idle(), 0);
    }

    #[test]
    fn cancelled_wait_loses_no_job() {
        let (workers, mut all) = Workers::new(1).unwrap();
        let mut worker = all.remove(0);
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        drop(waits);
        assert!(workers.submit(1).is_err(), "the worker is not idle any more");
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        workers.submit(2).unwrap();
        drop(waits); // after a job was handed over
        assert!(workers.submit(3).is_err());
        assert_eq!(assert_ready!(task::spawn(worker.next()).poll()), Some(2));
    }

    /// A worker whose job panics leaves no slot that is busy for ever.
    #[test]
    fn replacement_is_idle_and_gets_the_waiting_job() {
        let (workers, mut all) = Workers::new(1).unwrap();
        assert!(workers.replace().is_none());
        let mut worker = all.remove(0);
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        workers.submit(1).unwrap();
        assert_eq!(assert_ready!(waits.poll()), Some(1));
        drop(waits);
        panics(move || {
            let _worker = worker;
            die()
        });
        assert_eq!((workers.missing(), workers.idle()), (1, 0));
        assert!(workers.submit(2).is_err());
        let mut worker = workers.replace().unwrap();
        let mut waits = task::spawn(worker.next());
        assert_pending!(waits.poll());
        workers.submit(2).unwrap();
        drop(waits);
        drop(worker);
        assert_eq!(workers.missing(), 1);
        let mut worker = workers.replace().unwrap();
        assert_eq!(
            assert_ready!(task::spawn(worker.next()).poll()),
            Some(2),
            "the job that was handed over waits for it"
        );
        assert_eq!(workers.missing(), 0);
    }

    #[test]
    fn job_handed_over_before_close_is_done() {
        let (workers, mut all) = Workers::new(2).unwrap();
        let (mut busy, mut idle) = (all.remove(0), all.remove(0));
        let mut has = task::spawn(busy.next());
        assert_pending!(has.poll());
        workers.submit(1).unwrap();
        let mut waits = task::spawn(idle.next());
        assert_pending!(waits.poll());
        workers.close();
        assert!(waits.is_woken());
        assert_eq!(assert_ready!(waits.poll()), None);
        assert_eq!(assert_ready!(has.poll()), Some(1), "it was handed over before the close");
        drop(has);
        assert_eq!(assert_ready!(task::spawn(busy.next()).poll()), None);
        let back = workers.submit(2).unwrap_err();
        assert_eq!((back.job, back.rejected.reason()), (2, Reason::Closed));
    }

    #[test]
    fn workers_serve_plain_threads() {
        const JOBS: u32 = 2_000;
        let (workers, all) = Workers::new(2).unwrap();
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
                while let Err(busy) = workers.submit(job) {
                    job = busy.job;
                    std::thread::yield_now();
                }
            }
            workers.close();
        });
        assert_eq!(sum.into_inner(), JOBS * (JOBS - 1) / 2);
    }
}
