//! The clock: manual, on a plain thread, and in a runtime.

use plimsoll_core::{Clock, Instant, ManualTime};
use std::future::Future;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, SystemTime};
use tokio_test::{assert_pending, assert_ready, task};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_manual_clock_moves_only_forward_and_only_when_advanced() {
    let time = ManualTime::new();
    let clock = time.clock();
    assert_eq!(clock.now(), Instant::from_nanos(0));
    time.advance(SECOND);
    time.advance_to(Instant::from_nanos(5));
    assert_eq!(clock.now(), Instant::from_nanos(0) + SECOND);
}

#[test]
fn the_coarse_time_is_never_ahead() {
    let clock = Clock::system();
    for _ in 0..10_000 {
        let coarse = clock.coarse();
        assert!(coarse <= clock.now());
    }
}

/// On a machine that was booted less than a day ago, our origin lies before the system's. The
/// coarse time must not fall back to the system's.
#[test]
fn the_coarse_time_is_less_than_100_ms_behind() {
    let clock = Clock::system();
    let mut behind = (0..10_000).map(|_| {
        let coarse = clock.coarse();
        clock.now().since(coarse)
    });
    assert!(behind.any(|behind| behind < Duration::from_millis(100)));
}

#[test]
fn a_manual_clock_is_exact_and_starts_at_the_epoch() {
    let time = ManualTime::new();
    let clock = time.clock();
    for passed in [Duration::ZERO, Duration::from_nanos(1), SECOND] {
        time.advance(passed);
        assert_eq!(clock.coarse(), clock.now());
        let since = Duration::from_nanos(clock.now().as_nanos());
        assert_eq!(clock.wall(clock.now()), SystemTime::UNIX_EPOCH + since);
    }
    assert_eq!(clock.wall(Instant::from_nanos(7)), SystemTime::UNIX_EPOCH + Duration::from_nanos(7));
}

/// The system's coarse clock stands still for a tick.
#[test]
fn a_manual_clock_with_a_tick_is_coarse() {
    let time = ManualTime::new();
    let clock = time.clock();
    time.set_tick(Duration::from_millis(4));
    for (passed, coarse) in [(3, 0), (1, 4), (3, 4), (10, 16)] {
        time.advance(Duration::from_millis(passed));
        assert_eq!(clock.coarse(), Instant::from_nanos(coarse * 1_000_000), "at {:?}", clock.now());
    }
    time.set_tick(Duration::ZERO);
    assert_eq!(clock.coarse(), clock.now());
}

#[test]
fn a_sleeper_wakes_at_its_instant_and_not_before() {
    let time = ManualTime::new();
    let clock = time.clock();
    let mut sleep = task::spawn(clock.sleep_until(clock.now() + SECOND));
    assert_pending!(sleep.poll());
    time.advance(SECOND - Duration::from_nanos(1));
    assert!(!sleep.is_woken());
    time.advance(Duration::from_nanos(1));
    assert!(sleep.is_woken());
    assert_ready!(sleep.poll());
}

#[test]
fn a_dropped_sleep_removes_its_timer() {
    let time = ManualTime::new();
    let clock = time.clock();
    let mut sleep = task::spawn(clock.sleep_until(clock.now() + SECOND));
    assert_pending!(sleep.poll());
    assert_eq!(time.next_sleeper(), Some(clock.now() + SECOND));
    drop(sleep);
    assert_eq!(time.next_sleeper(), None);
}

#[test]
fn blocked_threads_wake_when_manual_time_reaches_them() {
    let time = ManualTime::new();
    let clock = time.clock();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|s| {
        for n in 1..=3u32 {
            let (clock, sender) = (clock.clone(), sender.clone());
            s.spawn(move || {
                let at = Instant::from_nanos(0) + SECOND * n;
                clock.block_until(None, clock.sleep_until(at));
                sender.send(clock.now() >= at).unwrap();
            });
        }
        // Time is advanced until all three threads have woken.
        let mut woken = 0;
        while woken < 3 {
            time.advance(SECOND);
            woken += receiver.try_iter().inspect(|&on_time| assert!(on_time)).count();
            std::thread::yield_now();
        }
    });
}

#[test]
fn block_until_gives_up_by_its_own_clock() {
    let time = ManualTime::new();
    let clock = time.clock();
    let at = clock.now() + SECOND;
    std::thread::scope(|s| {
        let blocked = s.spawn(|| clock.block_until(Some(at), std::future::pending::<()>()));
        while !blocked.is_finished() {
            time.advance(SECOND);
            std::thread::yield_now();
        }
        assert_eq!(blocked.join().unwrap(), None);
    });
}

#[test]
fn the_system_clock_sleeps_without_a_runtime() {
    let clock = Clock::system();
    let at = clock.now() + Duration::from_millis(1);
    clock.block_until(None, clock.sleep_until(at));
    assert!(clock.now() >= at);
}

#[tokio::test]
async fn the_system_clock_sleeps_in_a_runtime() {
    let clock = Clock::system();
    let at = clock.now() + Duration::from_millis(1);
    clock.sleep_until(at).await;
    assert!(clock.now() >= at);
}

#[tokio::test]
async fn blocking_a_runtime_thread_does_not_use_its_timer() {
    // The runtime has one thread. While that is blocked, tokio's timer does not run.
    let clock = Clock::system();
    let at = clock.now() + Duration::from_millis(1);
    clock.block_until(None, clock.sleep_until(at));
    assert!(clock.now() >= at);
}

/// In a runtime without a timer everything went well until a call had to wait: that one panicked.
/// So the panic came with the first overload.
#[test]
fn a_runtime_without_a_timer_sleeps_by_the_timer_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sleep = || async {
        let clock = Clock::system();
        let at = clock.now() + Duration::from_millis(1);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    };
    runtime.block_on(sleep());
    for _ in 0..2 {
        runtime.block_on(runtime.spawn(sleep())).unwrap();
    }
}

/// A wait that had begun in a runtime panicked when it was polled after that runtime was dropped.
#[test]
fn a_sleep_survives_the_runtime_in_which_it_began() {
    let timed = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let clock = Clock::system();
    let begin = |at| {
        let runtime = timed();
        let mut sleep = Box::pin(clock.sleep_until(at));
        let poll_once = async move {
            let polled = std::future::poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await;
            (polled.is_pending(), sleep)
        };
        runtime.block_on(runtime.spawn(poll_once)).unwrap()
    };
    let at = clock.now() + Duration::from_millis(1);
    let (_, elsewhere) = begin(at);
    let other = timed();
    other.block_on(other.spawn(elsewhere)).unwrap();
    let (_, outside) = begin(at);
    clock.block_on(outside);
    assert!(clock.now() >= at);
    let (pending, far) = begin(clock.now() + SECOND * 3600);
    assert!(pending);
    assert_pending!(task::spawn(far).poll());
}

/// A runtime that is entered but not driven fires no timer: a longest wait of 300 ms never ended.
#[cfg(not(feature = "test-util"))]
#[test]
fn a_runtime_that_nobody_drives_holds_up_no_sleep() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let clock = Clock::system();
    let at = clock.now() + Duration::from_millis(1);
    let mut sleep = std::pin::pin!(clock.sleep_until(at));
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    while sleep.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending() {
        std::thread::park();
    }
    assert!(clock.now() >= at);
}

#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn the_system_clock_follows_tokios_paused_time() {
    let clock = Clock::system();
    let start = clock.now();
    clock.sleep_until(start + SECOND * 3600).await;
    let slept = clock.now().since(start);
    assert!(slept >= SECOND * 3600 && slept < SECOND * 3601, "{slept:?}");
}

#[test]
fn the_far_future_does_not_overflow() {
    let clock = Clock::system();
    let mut sleep = task::spawn(clock.sleep_until(Instant::FAR_FUTURE));
    assert_pending!(sleep.poll());
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut sleep = task::spawn(clock.sleep_until(Instant::FAR_FUTURE));
        assert_pending!(sleep.poll());
    });
    assert_eq!(clock.now() + Duration::MAX, Instant::FAR_FUTURE);
}
