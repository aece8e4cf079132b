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
    for pick in [SlotPick::Random, SlotPick::RoundRobin, SlotPick::Lowest] {
        let pool = builder(1).pick(pick).build().unwrap();
        (0..1_000).for_each(|_| pool.checkout().or_make(|| 7).unwrap().put_back());
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
                        lease.put_back();
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
        pool.checkout_for(&key).or_make(|| key).unwrap().put_back();
    }
    for key in 0..100 {
        let found = || {
            let lease = pool.checkout_for_owned(&key).or_make(|| 1_000).unwrap();
            let found = *lease;
            lease.put_back();
            found
        };
        let first = found();
        assert!(first < 100);
        assert!((0..3).all(|_| found() == first));
    }
}

/// The picks that choose freely take a slot with a resource, so that no caller makes one in vain.
#[test]
fn random_and_lowest_prefer_a_slot_with_a_resource() {
    for pick in [SlotPick::Random, SlotPick::Lowest] {
        for slots in [2, 64, 65, 5_000] {
            let pool = builder(slots).pick(pick).build().unwrap();
            let (one, other) = (take(&pool), take(&pool));
            drop(one);
            other.put_back();
            assert!((0..50).all(|_| match pool.checkout() {
                Checkout::Reuse(lease) => {
                    lease.put_back();
                    true
                }
                _ => false,
            }));
            let _reused = take(&pool);
            assert!(is_empty(pool.checkout()), "there is no other resource");
        }
    }
}

/// A slot that was swept is empty, and not taken before one that has a resource.
#[test]
fn swept_slot_is_not_preferred() {
    let time = ManualTime::new();
    for seed in 0..50 {
        let pool = builder(2).pick(SlotPick::Random).dice(Dice::seeded(seed)).clock(time.clock());
        let pool = pool.max_idle(MS).build().unwrap();
        let (one, other) = (take(&pool), take(&pool));
        one.put_back();
        time.advance(2 * MS);
        other.put_back();
        assert_eq!((pool.sweep(), pool.idle()), (1, 1));
        assert!(!is_empty(pool.checkout()));
    }
}

/// Round robin and a key choose by position, whether the slot has a resource or not.
#[test]
fn picks_by_position_ignore_resources() {
    let pool = builder(130).pick(SlotPick::RoundRobin).build().unwrap();
    let mut made = 0;
    for _ in 0..130 {
        let lease = pool.checkout().or_make(|| {
            made += 1;
            made
        });
        lease.unwrap().put_back();
    }
    assert_eq!((made, pool.idle()), (130, 130));
}

#[test]
fn lowest_uses_as_few_resources_as_possible() {
    let pool = builder(10).build().unwrap();
    for _ in 0..100 {
        let (one, other) = (take(&pool), take(&pool));
        one.put_back();
        other.put_back();
    }
    assert_eq!(pool.idle(), 2);
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
    let Checkout::Reuse(_third) = pool.checkout() else { panic!("the third resource is left") };
    assert!(is_empty(pool.checkout()), "the other two were swept");
}

#[test]
fn reuse_dropped_decides_about_dropped_leases() {
    for reuse in [true, false] {
        let pool = builder(1).reuse_dropped(reuse).build().unwrap();
        drop(take(&pool));
        assert_eq!(pool.idle(), usize::from(reuse));
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
    let pool = builder(4).build().unwrap();
    let held: Vec<_> = (0..4).map(|n| pool.checkout().or_make(|| n).unwrap()).collect();
    pool.set_slots(2).unwrap();
    assert_eq!((pool.slots(), pool.in_use()), (2, 4), "slots in use stay in use");
    assert!(pool.checkout().is_busy());
    held.into_iter().for_each(Lease::put_back);
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

/// A waiting caller is woken by the release and by nothing else, and gets the slot with its
/// resource before any newcomer.
#[test]
fn released_slot_passes_on_to_the_waiting_caller() {
    let time = ManualTime::new();
    let pool = builder(1).clock(time.clock()).build().unwrap();
    let held = take(&pool);
    let mut first = task::spawn(pool.checkout_within(1_000 * MS));
    let mut second = task::spawn(pool.checkout_within_owned(1_000 * MS));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(pool.queued(), 2);
    time.advance(900 * MS);
    assert!(!first.is_woken() && !second.is_woken());
    held.put_back();
    assert!(first.is_woken() && !second.is_woken());
    let Checkout::Busy(busy) = pool.checkout() else { panic!("the slot has passed on") };
    assert_eq!((busy.limit(), busy.observed()), (Some(1), Some(1)));
    let Checkout::Reuse(lease) = assert_ready!(first.poll()) else { panic!("there is a resource") };
    drop(lease);
    assert!(matches!(assert_ready!(second.poll()), Checkout::Make(_)), "the resource was half used");
    assert_eq!((pool.in_use(), pool.queued()), (0, 0));
}

/// A slot that was granted to a caller which is cancelled at that moment passes on, resource and
/// all.
#[test]
fn slot_granted_to_a_cancelled_caller_passes_on() {
    let pool = pool(1);
    let held = take(&pool);
    let mut first = task::spawn(pool.checkout_within(1_000 * MS));
    let mut second = task::spawn(pool.checkout_within(1_000 * MS));
    let mut third = task::spawn(pool.checkout_within(1_000 * MS));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(third.poll());
    drop(second);
    held.put_back();
    drop(first);
    assert!(third.is_woken());
    assert!(matches!(assert_ready!(third.poll()), Checkout::Reuse(_)));
}

#[test]
fn waiting_callers_get_the_slots_of_a_larger_pool() {
    let pool = pool(1);
    let _held = take(&pool);
    let mut waits: Vec<_> = (0..3).map(|_| task::spawn(pool.checkout_within(1_000 * MS))).collect();
    waits.iter_mut().for_each(|wait| assert_pending!(wait.poll()));
    pool.set_slots(3).unwrap();
    let woken: Vec<_> = waits.iter().map(|wait| wait.is_woken()).collect();
    assert_eq!(woken, [true, true, false]);
    assert_eq!((pool.in_use(), pool.queued()), (3, 1));
    assert_eq!(pool.close().len(), 0);
    let Checkout::Busy(rejected) = assert_ready!(waits[2].poll()) else { panic!("the pool is closed") };
    assert_eq!(rejected.reason(), Reason::Closed);
}

/// The last slot of a closed pool is released by a caller that was cancelled while it waited.
#[test]
fn cancelled_wait_after_close_completes_drained() {
    let pool = pool(1);
    let held = take(&pool);
    let mut waits = task::spawn(pool.checkout_within(1_000 * MS));
    assert_pending!(waits.poll());
    held.put_back();
    let mut drained = task::spawn(pool.drained());
    assert_eq!(pool.close().len(), 1, "the caller has not fetched the resource");
    assert_pending!(drained.poll());
    drop(waits);
    assert!(drained.is_woken());
    assert_ready!(drained.poll());
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
        held.put_back();
    });
    let start = Clock::system().now();
    assert!(matches!(pool.checkout_within(1_000 * MS).await, Checkout::Reuse(_)));
    assert!((30 * MS..=31 * MS).contains(&Clock::system().now().since(start)));
    releases.await.unwrap();
}

/// The books balance: each request was admitted or rejected, and each admission completed or
/// refunded.
#[test]
fn events_balance() {
    let recorder = Arc::new(Recorder::default());
    let pool = builder(1).observe(recorder.clone()).reuse_dropped(true).build().unwrap();
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

/// The same with callers that wait: one is served, one leaves, one is too late.
#[test]
fn events_of_waiting_callers_balance() {
    let (recorder, time) = (Arc::new(Recorder::default()), ManualTime::new());
    let pool = builder(1).observe(recorder.clone()).clock(time.clock()).build().unwrap();
    let held = take(&pool);
    let mut waits = [1_000, 1_000, 1].map(|ms| task::spawn(pool.checkout_within_owned(ms * MS)));
    waits.iter_mut().for_each(|wait| assert_pending!(wait.poll()));
    let [mut served, left, mut late] = waits;
    time.advance(MS);
    assert!(assert_ready!(late.poll()).is_busy());
    drop(left);
    drop(held); // a default pool counts that as cancelled
    assert_ready!(served.poll()).or_make(|| 1).unwrap().put_back();
    let second_release = pool.admit(&()).unwrap().pack();
    pool.refund(Pack::unpack(second_release));
    pool.refund(Pack::unpack(second_release));
    let mut counts = [0; 6];
    for event in recorder.0.lock().unwrap().iter() {
        let kind = match event {
            Event::Admitted { .. } => 0,
            Event::Rejected { .. } => 1,
            Event::Abandoned { .. } => 2,
            Event::Completed { outcome: Outcome::Success, .. } => 3,
            Event::Completed { outcome: Outcome::Cancelled, .. } => 4,
            Event::Refunded { .. } => 5,
            other => panic!("{other:?}"),
        };
        counts[kind] += 1;
    }
    assert_eq!(counts, [3, 1, 1, 1, 1, 1]);
}

/// Leases of all owned variants, and the futures, can be moved to another task or thread.
#[test]
fn owned_checkouts_can_be_moved_to_another_thread() {
    fn sent<S: Send + 'static>(sent: S) -> S {
        sent
    }
    let pool = pool(4);
    let wait = sent(pool.checkout_within_owned(MS));
    let waited = assert_ready!(task::spawn(wait).poll());
    for checkout in [pool.checkout_owned(), pool.checkout_for_owned("key"), waited] {
        sent(checkout.or_make(|| 7).unwrap()).put_back();
    }
    assert_eq!(pool.in_use(), 0);
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

    fn abort_with_a_job(workers: &Workers<u32>, worker: plimsoll_dispatch::Worker<u32>, job: u32) {
        let mut worker = worker;
        let mut taken = task::spawn(worker.next());
        assert_pending!(taken.poll());
        workers.submit(job).unwrap();
        drop(taken);
        drop(worker);
    }

    /// A job whose worker was aborted waits for the next worker that is idle.
    #[test]
    fn job_of_an_aborted_worker_waits_for_a_busy_one() {
        let (workers, mut all) = Workers::new(2).unwrap();
        let (mut busy, aborted) = (all.remove(0), all.remove(0));
        let mut first = task::spawn(busy.next());
        assert_pending!(first.poll());
        workers.submit(1).unwrap();
        assert_eq!(assert_ready!(first.poll()), Some(1));
        drop(first);
        abort_with_a_job(&workers, aborted, 2);
        assert_eq!(assert_ready!(task::spawn(busy.next()).poll()), Some(2));
        assert!(workers.reclaim().is_empty());
    }

    #[test]
    fn job_of_the_last_worker_can_be_reclaimed() {
        let (workers, mut all) = Workers::new(1).unwrap();
        abort_with_a_job(&workers, all.remove(0), 2);
        assert_eq!((workers.reclaim(), workers.reclaim()), (vec![2], vec![]));
        abort_with_a_job(&workers, workers.replace().unwrap(), 3);
        workers.close();
        let mut worker = workers.replace().unwrap();
        assert_eq!(assert_ready!(task::spawn(worker.next()).poll()), Some(3), "it is done even after that");
        assert_eq!(assert_ready!(task::spawn(worker.next()).poll()), None);
    }

    /// A job that nobody takes back is dropped with the last handle. Events state that.
    #[test]
    fn job_that_no_worker_is_left_for_is_reported_as_lost() {
        let recorder = Arc::new(Recorder::default());
        let (workers, mut all) = Workers::builder().workers(1).observe(recorder.clone()).build().unwrap();
        abort_with_a_job(&workers, all.remove(0), 2);
        drop(workers);
        let events = recorder.0.lock().unwrap();
        assert_eq!(events[0], Event::admitted("workers"));
        assert_eq!(events[1..], [Event::refunded("workers"), Event::lost("workers", Reason::Closed, 1)]);
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
