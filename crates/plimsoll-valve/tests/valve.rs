//! The handle: settings, waiting on threads and in tasks, closing.
#![allow(clippy::unwrap_used)]

use plimsoll_core::{Clock, ManualTime, Outcome, Overload, Reason};
use plimsoll_valve::{Valve, ValveConfig};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_setting_that_will_not_do_is_named_with_its_value_and_what_is_allowed() {
    let text = |e: Result<Valve, _>| -> String {
        e.map(|_| ()).map_err(|e: plimsoll_core::ConfigError| e.to_string()).unwrap_err()
    };
    assert_eq!(text(Valve::new(0)), "concurrency = 0 is not allowed: it must be 1 to 2147483647");
    assert!(text(Valve::new(u32::MAX)).contains("concurrency = 4294967295"));
    assert!(text(Valve::builder().queue(u32::MAX).build()).contains("queue = 4294967295"));
    let no_time = text(Valve::builder().queue(1).max_wait(Duration::ZERO).build());
    assert!(no_time.starts_with("max_wait = 0ns is not allowed"), "{no_time}");
    assert!(
        Valve::builder().config(ValveConfig { concurrency: 3, ..ValveConfig::default() }).build().is_ok()
    );
}

#[test]
fn a_live_setting_that_will_not_do_changes_nothing() {
    let valve = Valve::builder().concurrency(3).queue(4).build().unwrap();
    assert_eq!(valve.set_concurrency(0).unwrap_err().field(), "concurrency");
    assert_eq!(valve.set_max_wait(Duration::ZERO).unwrap_err().field(), "max_wait");
    assert_eq!((valve.concurrency(), valve.queue_limit()), (3, 4));
}

#[test]
fn the_handle_shows_itself() {
    let valve = Valve::builder().name("orders").concurrency(2).queue(1).build().unwrap();
    let _one = valve.try_acquire().unwrap();
    let shown = format!("{valve:?}");
    assert!(
        shown.contains("\"orders\"") && shown.contains("in_flight: 1") && shown.contains("concurrency: 2"),
        "{shown}"
    );
}

#[test]
fn raising_the_number_inside_lets_those_in_who_wait() {
    let valve = Valve::builder().concurrency(1).queue(4).max_wait(LONG).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(valve.acquire())).collect();
    for w in &mut waiters {
        assert_pending!(w.poll());
    }
    valve.set_concurrency(3).unwrap();
    let woken: Vec<_> = waiters.iter().map(|w| w.is_woken()).collect();
    assert_eq!(woken, [true, true, false], "in order, and no more than there are places");
    assert_eq!((valve.in_flight(), valve.queued()), (3, 1));
    valve.set_concurrency(1).unwrap();
    let _in = assert_ready_ok!(waiters[0].poll());
    assert_eq!(valve.in_flight(), 3, "nobody is thrown out");
}

#[test]
fn newcomers_do_not_overtake() {
    let valve = Valve::builder().concurrency(1).queue(4).max_wait(LONG).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let mut first = task::spawn(valve.acquire());
    assert_pending!(first.poll());
    drop(held);
    assert_eq!(valve.try_acquire().unwrap_err().reason(), Reason::Full, "the place is the waiter's");
    let permit = assert_ready_ok!(first.poll());
    permit.done(Outcome::Success);
    assert!(valve.try_acquire().is_ok());
}

#[test]
fn closing_refuses_those_who_wait_and_all_who_come() {
    let valve = Valve::builder().concurrency(1).queue(4).max_wait(LONG).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let mut waits = task::spawn(valve.acquire());
    assert_pending!(waits.poll());
    valve.close();
    assert!(waits.is_woken() && valve.is_closed());
    assert_eq!(assert_ready_err!(waits.poll()).reason(), Reason::Closed);
    assert_eq!(valve.try_acquire().unwrap_err().reason(), Reason::Closed);
    assert_eq!(valve.blocking_acquire_timeout(LONG).unwrap_err().reason(), Reason::Closed);
    assert_eq!(valve.in_flight(), 1, "who is inside finishes in peace");
    drop(held);
    assert_eq!(valve.in_flight(), 0);
}

#[test]
fn run_tells_a_refusal_from_a_failure() {
    let block = |f| Clock::system().block_until(None, f).unwrap();
    let valve = Valve::new(1).unwrap();
    block(Box::pin(async {
        assert_eq!(valve.run(async { Ok::<_, &str>(1) }).await, Ok(1));
        assert_eq!(valve.run(async { Err::<(), _>("broken") }).await, Err(Overload::Inner("broken")));
        let _held = valve.try_acquire().unwrap();
        let no = valve.run(async { Ok::<_, &str>(1) }).await.unwrap_err();
        assert_eq!(no.rejected().unwrap().reason(), Reason::Full);
    }) as std::pin::Pin<Box<dyn Future<Output = ()> + '_>>);
    assert_eq!(valve.in_flight(), 0);
}

/// SafetyValve 2.5.1's `run` loses the slot when the function raises and the process lives on.
#[test]
fn a_panic_in_run_gives_the_place_back() {
    let valve = Valve::new(1).unwrap();
    let work = async { if true { panic!("as told") } else { Ok::<(), ()>(()) } };
    let mut run = task::spawn(valve.run(work));
    catch_unwind(AssertUnwindSafe(|| run.poll().is_ready())).unwrap_err();
    drop(run);
    assert_eq!(valve.in_flight(), 0);
}

/// In SafetyValve 2.5.1's CoDel queue a waiter that was killed is later started, and its slot is lost.
#[test]
fn a_waiter_that_is_gone_is_never_started() {
    let time = ManualTime::new();
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(LONG).clock(time.clock()).build().unwrap();
    let held = valve.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..5).map(|_| task::spawn(valve.acquire())).collect();
    for w in &mut waiters {
        assert_pending!(w.poll());
    }
    drop(waiters.remove(0)); // the head
    drop(waiters.remove(1)); // the middle
    drop(held);
    assert!(waiters[0].is_woken());
    drop(waiters.remove(0)); // granted, and gone before it came to fetch it
    assert!(waiters[0].is_woken(), "the next one has it");
    drop(assert_ready_ok!(waiters[0].poll()));
    drop(assert_ready_ok!(waiters[1].poll()));
    drop(waiters);
    assert_eq!((valve.in_flight(), valve.queued(), time.next_sleeper()), (0, 0, None));
}

#[test]
fn a_thread_gives_up_at_its_own_time_out_or_the_longest_wait() {
    let time = ManualTime::new();
    let clock = time.clock();
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(LONG).clock(clock).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    for timeout in [Duration::from_millis(5), LONG * 2] {
        std::thread::scope(|s| {
            let waits = s.spawn(|| valve.blocking_acquire_timeout(timeout).unwrap_err());
            while !waits.is_finished() {
                // Only once it waits, or it would begin to wait in the moved time.
                if valve.queued() == 1 {
                    time.advance(timeout.min(LONG));
                }
                std::thread::yield_now();
            }
            assert_eq!(waits.join().unwrap().reason(), Reason::Expired);
        });
    }
    assert_eq!(valve.queued(), 0);
}

/// Threads and tasks wait in one room; everyone gets in, never more than two at once. A wake-up
/// that is lost would leave someone waiting for an hour.
#[test]
fn threads_and_tasks_waiting_together_lose_no_wake_up() {
    const EACH: u32 = 2_000;
    let valve = Valve::builder().concurrency(2).queue(64).max_wait(LONG).build().unwrap();
    let (now, most, served) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let work = || {
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::yield_now();
        now.fetch_sub(1, SeqCst);
        served.fetch_add(1, SeqCst);
    };
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                for _ in 0..EACH {
                    let permit = valve.blocking_acquire_timeout(LONG).unwrap();
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
                        // Some give up while they wait.
                        let mut waits = Box::pin(valve.acquire());
                        let polled =
                            std::future::poll_fn(|cx| std::task::Poll::Ready(waits.as_mut().poll(cx))).await;
                        drop((polled, waits));
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
    assert!(most.load(SeqCst) <= 2);
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
    fn the_newest_enters_first_and_the_oldest_makes_room_and_is_told_at_once() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::Lifo);
        let held = valve.try_acquire().unwrap();
        let mut waits: Vec<_> = (0..3).map(|_| task::spawn(valve.acquire())).collect();
        assert_pending!(waits[0].poll());
        time.advance(Duration::from_millis(7));
        assert_pending!(waits[1].poll());
        assert_pending!(waits[2].poll());
        assert!(waits[0].is_woken(), "it is told the moment it is displaced");
        let no = assert_ready!(waits[0].poll()).unwrap_err();
        assert_eq!((no.reason(), no.window()), (Reason::Evicted, Some(Duration::from_millis(7))));
        drop(held);
        assert_pending!(waits[1].poll());
        assert_eq!(assert_ready!(waits[2].poll()).map(|_| ()), Ok(()));
        assert_eq!(assert_ready!(waits[1].poll()).map(|_| ()), Ok(()));
    }

    #[test]
    fn a_time_slice_goes_whole_and_its_waiters_are_woken_for_it() {
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
        time.advance(Duration::from_millis(1)); // 20 ms: the first slice has had its two
        assert!(old.is_woken());
        assert_eq!(assert_ready!(old.poll()).unwrap_err().reason(), Reason::Expired);
        assert_pending!(fresh.poll());
        drop(held);
        assert_eq!(assert_ready!(fresh.poll()).map(|_| ()), Ok(()));
    }

    #[test]
    fn a_new_discipline_holds_for_those_who_wait_already() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::KeepOldest);
        let held = valve.try_acquire().unwrap();
        let mut waits = task::spawn(valve.acquire());
        assert_pending!(waits.poll());
        assert!(valve.set_discipline(Discipline::LifoWithAge { max_age: Duration::ZERO }).is_err());
        valve.set_discipline(Discipline::LifoWithAge { max_age: Duration::from_millis(5) }).unwrap();
        assert!(waits.is_woken(), "to see when its time is up now");
        assert_pending!(waits.poll());
        time.advance(Duration::from_millis(5));
        assert!(waits.is_woken());
        assert_eq!(assert_ready!(waits.poll()).unwrap_err().reason(), Reason::Expired);
        drop(held);
        assert_eq!((valve.in_flight(), valve.queued()), (0, 0));
    }

    /// The line counts from the change, he from his coming: he looked too early, and then no more
    /// before his own time was up.
    #[test]
    fn who_waited_before_time_was_kept_is_told_when_it_is_up() {
        let time = ManualTime::new();
        let valve = valve(&time, Discipline::KeepOldest);
        let held = valve.try_acquire().unwrap();
        let mut waits = task::spawn(valve.acquire());
        assert_pending!(waits.poll());
        time.advance(Duration::from_millis(20));
        valve.set_discipline(Discipline::LifoWithAge { max_age: Duration::from_millis(10) }).unwrap();
        assert_pending!(waits.poll());
        time.advance(Duration::from_millis(10));
        assert!(waits.is_woken());
        assert_eq!(assert_ready!(waits.poll()).unwrap_err().reason(), Reason::Expired);
        drop(held);
    }

    /// He stayed for the sake of a newer one, who then went away: with the age of that one his own is up.
    #[test]
    fn who_stays_for_a_newer_one_goes_with_it() {
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

    /// Whoever leaves the line, in whatever order it is served, takes no place with him.
    #[test]
    fn who_gives_up_takes_no_place_along_in_any_discipline() {
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
            let mut waits: Vec<_> = (0..2).map(|_| task::spawn(valve.acquire())).collect();
            waits.iter_mut().for_each(|w| assert_pending!(w.poll()));
            drop(waits.remove(0));
            assert_eq!(valve.queued(), 1, "{discipline}");
            drop(held); // grants the other, who goes away before he looks
            assert!(waits[0].is_woken(), "{discipline}");
            drop(waits);
            assert_eq!((valve.in_flight(), valve.queued()), (0, 0), "{discipline}");
            assert!(valve.try_acquire().is_ok(), "{discipline}");
        }
    }
}
