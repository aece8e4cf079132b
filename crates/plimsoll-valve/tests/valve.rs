//! The handle: waiting on threads and in tasks, disciplines, closing.
#![allow(clippy::unwrap_used)]

use plimsoll_core::{Clock, Discipline, Event, ManualTime, Observe, Outcome, Overload, Reason};
use plimsoll_valve::Valve;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn raising_concurrency_admits_waiting_requests_in_order() {
    let valve = Valve::builder().concurrency(1).queue(4).max_wait(HOUR).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(valve.acquire())).collect();
    for w in &mut waiters {
        assert_pending!(w.poll());
    }
    valve.set_concurrency(3).unwrap();
    let woken: Vec<_> = waiters.iter().map(|w| w.is_woken()).collect();
    assert_eq!(woken, [true, true, false], "in order, up to the number of places");
    assert_eq!((valve.in_flight(), valve.queued()), (3, 1));
    valve.set_concurrency(1).unwrap();
    let _admitted = assert_ready_ok!(waiters[0].poll());
    assert_eq!(valve.in_flight(), 3, "a lower limit interrupts no request");
}

/// Waiters whose time had passed filled the queue until they were polled, which takes longest under
/// overload. A newcomer was rejected as `Full` 9.9 s after both waiters had expired.
#[test]
fn waiters_past_their_time_do_not_fill_the_queue() {
    for discipline in [Discipline::KeepOldest, Discipline::Fifo, Discipline::Lifo] {
        let time = ManualTime::new();
        let builder = Valve::builder().concurrency(1).queue(2).discipline(discipline);
        let valve = builder.max_wait(Duration::from_millis(100)).clock(time.clock()).build().unwrap();
        let _held = valve.try_acquire().unwrap();
        let mut late: Vec<_> = (0..2).map(|_| task::spawn(valve.acquire())).collect();
        late.iter_mut().for_each(|w| assert_pending!(w.poll()));
        time.advance(Duration::from_millis(99));
        assert_eq!(is_queued(&valve), discipline != Discipline::KeepOldest);
        time.advance(Duration::from_secs(10));
        let mut newcomers: Vec<_> = (0..2).map(|_| task::spawn(valve.acquire())).collect();
        newcomers.iter_mut().for_each(|w| assert_pending!(w.poll()));
        assert_eq!(valve.queued(), 2);
        let reasons: Vec<_> = late.iter_mut().map(|w| assert_ready_err!(w.poll()).reason()).collect();
        // The first one was evicted before its time had passed, where the discipline evicts.
        let first = if discipline == Discipline::KeepOldest { Reason::Expired } else { Reason::Evicted };
        assert_eq!(reasons, [first, Reason::Expired], "{discipline}");
    }
}

/// Returns whether a newcomer is queued. It leaves at once.
fn is_queued(valve: &Valve) -> bool {
    match task::spawn(valve.acquire()).poll() {
        std::task::Poll::Pending => true,
        std::task::Poll::Ready(decision) => {
            assert_eq!(decision.unwrap_err().reason(), Reason::Full);
            false
        }
    }
}

#[test]
fn newcomers_do_not_overtake_waiting_requests() {
    let valve = Valve::builder().concurrency(1).queue(4).max_wait(HOUR).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let mut first = task::spawn(valve.acquire());
    assert_pending!(first.poll());
    drop(held);
    assert_eq!(valve.try_acquire().unwrap_err().reason(), Reason::Full, "the waiter has the place");
    let permit = assert_ready_ok!(first.poll());
    permit.done(Outcome::Success);
    assert!(valve.try_acquire().is_ok());
}

#[test]
fn closing_rejects_waiting_and_later_requests() {
    let valve = Valve::builder().concurrency(1).queue(4).max_wait(HOUR).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let mut waiter = task::spawn(valve.acquire());
    assert_pending!(waiter.poll());
    valve.close();
    assert!(waiter.is_woken() && valve.is_closed());
    assert_eq!(assert_ready_err!(waiter.poll()).reason(), Reason::Closed);
    assert_eq!(valve.try_acquire().unwrap_err().reason(), Reason::Closed);
    assert_eq!(valve.blocking_acquire_timeout(HOUR).unwrap_err().reason(), Reason::Closed);
    assert_eq!(valve.in_flight(), 1, "requests in flight continue");
    drop(held);
    assert_eq!(valve.in_flight(), 0);
}

#[test]
fn run_distinguishes_a_rejection_from_a_failure() {
    let block = |f| Clock::system().block_until(None, f).unwrap();
    let valve = Valve::new(1).unwrap();
    block(Box::pin(async {
        assert_eq!(valve.run(async { Ok::<_, &str>(1) }).await, Ok(1));
        assert_eq!(valve.run(async { Err::<(), _>("broken") }).await, Err(Overload::Inner("broken")));
        let _held = valve.try_acquire().unwrap();
        let rejected = valve.run(async { Ok::<_, &str>(1) }).await.unwrap_err();
        assert_eq!(rejected.rejected().unwrap().reason(), Reason::Full);
    }) as std::pin::Pin<Box<dyn Future<Output = ()> + '_>>);
    assert_eq!(valve.in_flight(), 0);
}

/// In SafetyValve 2.5.1, `run` loses the slot if the function raises and the process survives.
#[test]
fn a_panic_in_run_releases_the_place() {
    let valve = Valve::new(1).unwrap();
    let work = async { if true { panic!("on purpose") } else { Ok::<(), ()>(()) } };
    let mut run = task::spawn(valve.run(work));
    catch_unwind(AssertUnwindSafe(|| run.poll().is_ready())).unwrap_err();
    drop(run);
    assert_eq!(valve.in_flight(), 0);
}

/// In the CoDel queue of SafetyValve 2.5.1, a waiter that was killed is started later, and its slot
/// is lost.
#[test]
fn a_dropped_waiter_is_never_admitted() {
    let time = ManualTime::new();
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(HOUR).clock(time.clock()).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..5).map(|_| task::spawn(valve.acquire())).collect();
    for w in &mut waiters {
        assert_pending!(w.poll());
    }
    drop(waiters.remove(0)); // the head
    drop(waiters.remove(1)); // the middle
    drop(held);
    assert!(waiters[0].is_woken());
    drop(waiters.remove(0)); // granted, and dropped before its next poll
    assert!(waiters[0].is_woken(), "the next waiter has the place");
    drop(assert_ready_ok!(waiters[0].poll()));
    drop(assert_ready_ok!(waiters[1].poll()));
    drop(waiters);
    assert_eq!((valve.in_flight(), valve.queued(), time.next_sleeper()), (0, 0, None));
}

#[test]
fn a_blocked_thread_expires_at_its_timeout_or_the_longest_wait() {
    let time = ManualTime::new();
    let clock = time.clock();
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(HOUR).clock(clock).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    for timeout in [Duration::from_millis(5), HOUR * 2] {
        std::thread::scope(|s| {
            let waiter = s.spawn(|| valve.blocking_acquire_timeout(timeout).unwrap_err());
            while !waiter.is_finished() {
                // Only once it waits: the wait is measured from its beginning.
                if valve.queued() == 1 {
                    time.advance(timeout.min(HOUR));
                }
                std::thread::yield_now();
            }
            assert_eq!(waiter.join().unwrap().reason(), Reason::Expired);
        });
    }
    assert_eq!(valve.queued(), 0);
}

#[test]
fn blocking_acquire_admits_or_expires_after_the_longest_wait() {
    let time = ManualTime::new();
    let clock = time.clock();
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(HOUR).clock(clock).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let await_queued = || {
        while valve.queued() == 0 {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|s| {
        let waiter = s.spawn(|| valve.blocking_acquire().map(drop));
        await_queued();
        time.advance(HOUR);
        assert_eq!(waiter.join().unwrap().unwrap_err().reason(), Reason::Expired);
        let waiter = s.spawn(|| valve.blocking_acquire().map(drop));
        await_queued();
        drop(held);
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
}

#[derive(Default)]
struct EventLog(Mutex<Vec<Event>>);

impl Observe for EventLog {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn the_observer_receives_each_decision_once() {
    let log = Arc::new(EventLog::default());
    let valve = Valve::builder().name("orders").queue(1).observe(log.clone()).build().unwrap();
    let permit = valve.try_acquire().unwrap();
    let rejected = valve.try_acquire().map(drop).unwrap_err();
    let mut waiter = task::spawn(valve.acquire());
    assert_pending!(waiter.poll());
    drop(waiter);
    permit.done(Outcome::TimedOut);
    valve.try_acquire_owned().unwrap().refund();
    let expected = [
        Event::admitted("orders"),
        Event::rejected(rejected),
        Event::abandoned("orders"),
        Event::completed("orders", Outcome::TimedOut),
        Event::admitted("orders"),
        Event::refunded("orders"),
    ];
    assert_eq!(*log.0.lock().unwrap(), expected);
}

/// Threads and tasks wait in one queue. All are admitted, never more than two at once. After a lost
/// wake-up, a waiter would wait for an hour.
#[test]
fn threads_and_tasks_in_one_queue_lose_no_wake_up() {
    const EACH: u32 = 2_000;
    let valve = Valve::builder().concurrency(2).queue(64).max_wait(HOUR).build().unwrap();
    let (working, max, served) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let work = || {
        max.fetch_max(working.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::yield_now();
        working.fetch_sub(1, SeqCst);
        served.fetch_add(1, SeqCst);
    };
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                for _ in 0..EACH {
                    let permit = valve.blocking_acquire_timeout(HOUR).unwrap();
                    work();
                    drop(permit);
                }
            });
        }
        s.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = async || {
                for n in 0..EACH {
                    if n % 7 == 0 {
                        // Some waiters are dropped while they wait.
                        let mut waiter = Box::pin(valve.acquire());
                        let polled =
                            std::future::poll_fn(|cx| std::task::Poll::Ready(waiter.as_mut().poll(cx))).await;
                        drop((polled, waiter));
                    }
                    let permit = valve.acquire().await.unwrap();
                    work();
                    tokio::task::yield_now().await;
                    drop(permit);
                }
            };
            runtime.block_on(async { tokio::join!(tasks(), tasks(), tasks()) });
        });
    });
    assert_eq!(served.load(SeqCst), 6 * EACH);
    assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
    assert!(max.load(SeqCst) <= 2);
}

mod disciplines {
    use super::*;
    use plimsoll_core::{Discipline, ManualTime};
    use tokio_test::task;
    use tokio_test::{assert_pending, assert_ready};

    fn valve(time: &ManualTime, discipline: Discipline) -> Valve {
        let wait = Duration::from_millis(100);
        let builder = Valve::builder().concurrency(1).queue(2).max_wait(wait).discipline(discipline);
        builder.clock(time.clock()).build().unwrap()
    }

    #[test]
    fn lifo_admits_the_newest_and_evicts_the_oldest_at_once() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::Lifo);
        let held = valve.try_acquire().unwrap();
        let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(valve.acquire())).collect();
        assert_pending!(waiters[0].poll());
        time.advance(Duration::from_millis(7));
        assert_pending!(waiters[1].poll());
        assert_pending!(waiters[2].poll());
        assert!(waiters[0].is_woken(), "an evicted waiter is woken at once");
        let rejected = assert_ready!(waiters[0].poll()).unwrap_err();
        assert_eq!((rejected.reason(), rejected.window()), (Reason::Evicted, Some(Duration::from_millis(7))));
        drop(held);
        assert_pending!(waiters[1].poll());
        assert_eq!(assert_ready!(waiters[2].poll()).map(|_| ()), Ok(()));
        assert_eq!(assert_ready!(waiters[1].poll()).map(|_| ()), Ok(()));
    }

    #[test]
    fn an_expired_time_slice_wakes_its_waiters() {
        let time = ManualTime::new();
        let slice = Duration::from_millis(10);
        let valve = valve(&time, Discipline::TimeBuckets { slice, slices: 2 });
        let held = valve.try_acquire().unwrap();
        let mut old = task::spawn(valve.acquire());
        time.advance(Duration::from_millis(8));
        assert_pending!(old.poll());
        time.advance(Duration::from_millis(11));
        let mut fresh = task::spawn(valve.acquire());
        assert_pending!(fresh.poll());
        time.advance(Duration::from_millis(1)); // 20 ms: the first slice is two slices old
        assert!(old.is_woken());
        assert_eq!(assert_ready!(old.poll()).unwrap_err().reason(), Reason::Expired);
        assert_pending!(fresh.poll());
        drop(held);
        assert_eq!(assert_ready!(fresh.poll()).map(|_| ()), Ok(()));
    }

    /// An operator lowers the longest wait in an incident. Requests that waited already once kept
    /// the earlier one: ten seconds instead of a tenth.
    #[test]
    fn a_shorter_wait_applies_to_waiting_requests() {
        let time = ManualTime::new();
        let valve = Valve::builder().concurrency(1).queue(8).max_wait(Duration::from_secs(10));
        let valve = valve.clock(time.clock()).build().unwrap();
        let held = valve.try_acquire().unwrap();
        let mut waiter = task::spawn(valve.acquire());
        assert_pending!(waiter.poll());
        valve.set_max_wait(Duration::from_millis(100)).unwrap();
        assert!(waiter.is_woken(), "it must set its timer for the new wait");
        assert_pending!(waiter.poll());
        valve.set_max_wait(Duration::from_secs(10)).unwrap();
        time.advance(Duration::from_millis(100));
        assert!(waiter.is_woken());
        assert_eq!(assert_ready!(waiter.poll()).unwrap_err().reason(), Reason::Expired);
        drop(held);
        assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
    }

    #[test]
    fn a_new_discipline_applies_to_waiting_requests() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::KeepOldest);
        let held = valve.try_acquire().unwrap();
        let mut waiter = task::spawn(valve.acquire());
        assert_pending!(waiter.poll());
        assert!(valve.set_discipline(Discipline::LifoWithAge { max_age: Duration::ZERO }).is_err());
        valve.set_discipline(Discipline::LifoWithAge { max_age: Duration::from_millis(5) }).unwrap();
        assert!(waiter.is_woken(), "it must set its timer for the new discipline");
        assert_pending!(waiter.poll());
        time.advance(Duration::from_millis(5));
        assert!(waiter.is_woken());
        assert_eq!(assert_ready!(waiter.poll()).unwrap_err().reason(), Reason::Expired);
        drop(held);
        assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
    }

    /// The queue counts ages from the change of discipline, but the waiter set its timer by its
    /// arrival. The timer fired too early, and was then set for the longest wait.
    #[test]
    fn a_waiter_older_than_a_timed_discipline_expires_in_time() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::KeepOldest);
        let held = valve.try_acquire().unwrap();
        let mut waiter = task::spawn(valve.acquire());
        assert_pending!(waiter.poll());
        time.advance(Duration::from_millis(20));
        valve.set_discipline(Discipline::LifoWithAge { max_age: Duration::from_millis(10) }).unwrap();
        assert_pending!(waiter.poll());
        time.advance(Duration::from_millis(10));
        assert!(waiter.is_woken());
        assert_eq!(assert_ready!(waiter.poll()).unwrap_err().reason(), Reason::Expired);
        drop(held);
    }

    /// Under `LifoWithAge` an old waiter stays as long as a newer one is not too old. The newer one
    /// left before that. The old one still expires when the newer one would have.
    #[test]
    fn a_waiter_that_stays_because_of_a_newer_one_expires() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::LifoWithAge { max_age: Duration::from_millis(10) });
        let held = valve.try_acquire().unwrap();
        let mut old = task::spawn(valve.acquire());
        assert_pending!(old.poll());
        time.advance(Duration::from_millis(8));
        let mut newer = task::spawn(valve.acquire());
        assert_pending!(newer.poll());
        time.advance(Duration::from_millis(2));
        assert_pending!(old.poll());
        drop(newer);
        time.advance(Duration::from_millis(8));
        assert!(old.is_woken());
        assert_eq!(assert_ready!(old.poll()).unwrap_err().reason(), Reason::Expired);
        drop(held);
    }

    #[test]
    fn a_dropped_waiter_loses_no_place_under_any_discipline() {
        let (five, slices) = (Duration::from_millis(5), 3);
        for discipline in [
            Discipline::Fifo,
            Discipline::KeepOldest,
            Discipline::Lifo,
            Discipline::LifoWithAge { max_age: five },
            Discipline::CODEL,
            Discipline::ADAPTIVE_LIFO,
            Discipline::TimeBuckets { slice: five, slices },
        ] {
            let time = ManualTime::new();
            let valve = valve(&time, discipline);
            let held = valve.try_acquire().unwrap();
            let mut waiters: Vec<_> = (0..2).map(|_| task::spawn(valve.acquire())).collect();
            waiters.iter_mut().for_each(|w| assert_pending!(w.poll()));
            drop(waiters.remove(0));
            assert_eq!(valve.queued(), 1, "{discipline}");
            drop(held); // admits the other waiter, which is dropped before its next poll
            assert!(waiters[0].is_woken(), "{discipline}");
            drop(waiters);
            assert_eq!((valve.in_flight(), valve.queued()), (0, 0), "{discipline}");
            assert!(valve.try_acquire().is_ok(), "{discipline}");
        }
    }
}
