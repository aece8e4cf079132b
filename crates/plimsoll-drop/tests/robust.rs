//! Robustness: signals that panic or call the shedder, permits that end in any way, long pauses and
//! extreme settings.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Inspect, ManualTime, Outcome, Priority};
use plimsoll_drop::{
    AdaptiveThrottle, Control, Curve, LoadShedder, LoadShedderBuilder, Signal, SignalReading,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

const N: Priority = Priority::NORMAL;
const TICK: Duration = Duration::from_millis(10);

fn builder(time: &ManualTime) -> LoadShedderBuilder {
    LoadShedder::builder().clock(time.clock()).dice(Dice::seeded(1))
}

/// Runs a closure on a thread of its own, and fails if it has not ended after a minute.
fn run_with_deadline(run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    match is_done.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it has not ended after a minute"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn panicking_signal_leaves_the_last_decision_in_force() {
    let (time, calls) = (ManualTime::new(), Arc::new(AtomicU64::new(0)));
    let counts = calls.clone();
    let shedder = builder(&time)
        .control(Control::Curve(Curve::step(0.0, 0.0)))
        .signal(move || {
            let call = counts.fetch_add(1, Ordering::Relaxed);
            assert!(call % 2 == 1, "this panic is expected in every other call");
            SignalReading::new().depth(1)
        })
        .build()
        .unwrap();
    for _ in 0..6 {
        time.advance(2 * TICK);
        shedder.keep(N);
        shedder.tick();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 6, "the signal is read at each tick");
    assert!(!shedder.keep(N) && shedder.keep_rate() == 0.0, "the readings in between are used");
}

#[test]
fn panicking_curve_is_called_again_at_the_next_tick() {
    let (time, calls) = (ManualTime::new(), Arc::new(AtomicU64::new(0)));
    let counts = calls.clone();
    let shedder = builder(&time)
        .curve_fn(move |_| {
            assert!(counts.fetch_add(1, Ordering::Relaxed) > 0, "this panic is expected in the first call");
            0.0
        })
        .signal(|| SignalReading::new().depth(1))
        .build()
        .unwrap();
    for _ in 0..3 {
        time.advance(2 * TICK);
        shedder.keep(N);
    }
    assert!(calls.load(Ordering::Relaxed) >= 2 && !shedder.keep(N));
}

#[test]
fn signal_may_call_its_shedder() {
    run_with_deadline(|| {
        let (time, itself) = (ManualTime::new(), Arc::new(OnceLock::<LoadShedder<Signal>>::new()));
        let (knows, calls) = (itself.clone(), Arc::new(AtomicU64::new(0)));
        let counts = calls.clone();
        let shedder = builder(&time)
            .signal(move || {
                let shedder = knows.get().unwrap();
                counts.fetch_add(1, Ordering::Relaxed);
                let _ = (shedder.keep_rate(), shedder.capacity(), format!("{shedder:?}"), shedder.keep(N));
                shedder.read(&mut |_, _| {});
                shedder.tick();
                shedder.set_target(Duration::from_millis(7)).unwrap();
                SignalReading::new().depth(shedder.in_flight())
            })
            .build()
            .unwrap();
        itself.set(shedder.clone()).unwrap();
        for _ in 0..5 {
            time.advance(TICK);
            shedder.keep(N);
        }
        assert_eq!(calls.load(Ordering::Relaxed), 5);
        assert_eq!(shedder.target(), Duration::from_millis(7));
    });
}

#[test]
fn concurrent_ticks_read_the_signal_once() {
    run_with_deadline(|| {
        let (time, calls, at_once) =
            (ManualTime::new(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counts, running) = (calls.clone(), at_once.clone());
        let overlaps = Arc::new(AtomicU64::new(0));
        let overlap_count = overlaps.clone();
        let shedder = builder(&time)
            .signal(move || {
                overlap_count.fetch_add(running.fetch_add(1, Ordering::SeqCst), Ordering::Relaxed);
                counts.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                SignalReading::new().depth(3)
            })
            .build()
            .unwrap();
        for _ in 0..200 {
            time.advance(TICK);
            std::thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        shedder.tick();
                        shedder.keep(N)
                    });
                }
            });
        }
        assert_eq!(overlaps.load(Ordering::Relaxed), 0, "two threads read the signal at once");
        assert_eq!(calls.load(Ordering::Relaxed), 200, "the signal is read once a tick");
    });
}

#[test]
fn in_flight_counts_permits_and_no_kept_items() {
    let time = ManualTime::new();
    let shedder = builder(&time).workers(4).build().unwrap();
    let items = builder(&time).signal(|| SignalReading::new().depth(0)).build().unwrap();
    assert!(items.keep(N) && items.keep_for(N, "ann") && items.keep_with(N, || ()).is_some());
    assert_eq!(items.in_flight(), 0);
    let (one, two) = (shedder.try_acquire(N).unwrap(), shedder.try_acquire_for(N, "ann").unwrap());
    let (three, four) = (shedder.try_acquire_owned(N).unwrap(), shedder.try_acquire_owned(N).unwrap());
    assert_eq!(shedder.in_flight(), 4);
    one.refund();
    two.done(Outcome::Failure);
    drop(three);
    let unwound = std::thread::spawn(move || {
        let _four = four;
        panic!("this panic is expected");
    });
    assert!(unwound.join().is_err());
    assert_eq!(shedder.in_flight(), 0);
}

/// A refunded request leaves the queue without having used the capacity.
#[test]
fn refund_is_not_counted_as_a_departure() {
    let capacity = |each: u32| {
        let time = ManualTime::new();
        let shedder = builder(&time).workers(1).target(Duration::from_millis(500)).build().unwrap();
        let mut held: Vec<_> = (0..20).map(|_| shedder.try_acquire_owned(N).unwrap()).collect();
        for n in 1..=2_000 {
            time.advance(TICK);
            held.pop().unwrap().done(Outcome::Success);
            if n % each == 0 {
                held.pop().unwrap().refund();
            }
            while held.len() < 20 {
                // A dropped caller tries again after the next tick, so the queue is never empty.
                match shedder.try_acquire_owned(Priority::CRITICAL) {
                    Ok(permit) => held.push(permit),
                    Err(_) => break,
                }
            }
            shedder.tick();
            assert!(held.len() > 4, "the queue is empty");
        }
        shedder.capacity().unwrap()
    };
    for each in [u32::MAX, 5] {
        let capacity = capacity(each);
        assert!((95.0..105.0).contains(&capacity), "{capacity} with one refund for {each} departures");
    }
}

#[test]
fn pause_of_an_hour_does_not_delay_the_controller() {
    let time = ManualTime::new();
    let depth = Arc::new(AtomicU64::new(0));
    let reads = depth.clone();
    let shedder = builder(&time)
        .signal(move || SignalReading::new().depth(reads.load(Ordering::Relaxed)))
        .build()
        .unwrap();
    // 5,000 requests a second arrive, and 1,000 leave.
    let overload = |seconds: u32| {
        let (mut arrived, mut kept) = (0.0, 0.0);
        for n in 0..5_000 * seconds {
            time.advance(Duration::from_micros(200));
            if n % 5 == 0 {
                let _ = depth.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            }
            arrived += 1.0;
            if shedder.keep(N) {
                kept += 1.0;
                depth.fetch_add(1, Ordering::Relaxed);
            }
        }
        kept / arrived
    };
    overload(10);
    assert!((0.15..0.25).contains(&overload(5)), "a fifth can be served");
    depth.store(0, Ordering::Relaxed);
    time.advance(Duration::from_secs(3_600));
    assert!(shedder.keep(N), "the queue is empty");
    overload(5);
    let share = overload(5);
    assert!((0.15..0.25).contains(&share) && depth.load(Ordering::Relaxed) < 50, "{share}, {depth:?} wait");
}

#[test]
fn extreme_settings_work() {
    let long = Duration::from_secs(1 << 60);
    let (min, max) = (Duration::from_micros(1), Duration::from_secs(3_600));
    for (reshuffle, target) in [(long, min), (Duration::MAX, max), (Duration::from_secs(1), min)] {
        let time = ManualTime::new();
        let shedder = builder(&time).workers(1).reshuffle_every(reshuffle).target(target).build().unwrap();
        for _ in 0..1_000 {
            time.advance(Duration::from_secs(1));
            let permit = shedder.try_acquire_for(N, "ann");
            assert!(shedder.in_flight() <= 1 && permit.is_ok(), "{shedder:?}");
        }
        assert_eq!(shedder.target(), target);
    }
    for hint in [1e-3, 1.0, 64.0, 1e4, 1e9] {
        for target in [min, Duration::from_millis(5), max] {
            let time = ManualTime::new();
            let shedder = builder(&time).workers(1).capacity_hint(hint).target(target).build().unwrap();
            assert_eq!(shedder.capacity(), Some(hint), "the hint is the first capacity");
            drop(shedder.try_acquire(N));
            time.advance(Duration::from_millis(100));
            shedder.tick();
            let capacity = shedder.capacity().expect("the capacity is known after one tick");
            assert!((capacity / hint - 1.0).abs() < 1e-6, "{capacity} instead of {hint} at {target:?}");
        }
    }
}

#[test]
fn invalid_setting_is_named_with_its_value() {
    let error = |builder: LoadShedderBuilder| builder.build().unwrap_err().to_string();
    let new = || LoadShedder::builder().workers(1);
    let text = error(LoadShedder::builder());
    assert!(text.contains("workers(") && text.contains("signal("), "what to write: {text}");
    for (error, start) in [
        (error(new().target(Duration::ZERO)), "target = 0ns "),
        (error(new().target(Duration::from_secs(3_601))), "target = 3601s "),
        (error(new().capacity_hint(0.0)), "capacity_hint = 0 "),
        (error(new().capacity_hint(f64::NAN)), "capacity_hint = NaN "),
        (error(new().capacity_hint(f64::INFINITY)), "capacity_hint = inf "),
        (error(new().reshuffle_every(Duration::from_millis(999))), "reshuffle_every = 999ms "),
        (error(new().workers(0)), "workers = 0 "),
        (error(new().name("")), "name"),
    ] {
        assert!(error.starts_with(start) && error.contains("not allowed"), "{error}");
    }
}

#[test]
fn target_is_set_and_all_settings_are_read() {
    let shedder = LoadShedder::new(2).unwrap();
    shedder.set("target", 0.25).unwrap();
    let mut seen = vec![];
    shedder.read(&mut |name, value| seen.push((name, value)));
    let readings = [("keep_rate", 1.0), ("in_flight", 0.0), ("capacity", 0.0)];
    let settings = [("target", 0.25), ("capacity_hint", 0.0), ("reshuffle_every", 60.0), ("workers", 2.0)];
    assert_eq!(seen, [&readings[..], &settings[..]].concat());
    for value in [0.0, -1.0, f64::NAN, 1e30, 3_601.0] {
        assert!(shedder.set("target", value).unwrap_err().to_string().starts_with("target = "), "{value}");
    }
    assert!(shedder.set("keep_rate", 0.5).unwrap_err().to_string().contains("target"));
    assert_eq!(shedder.target(), Duration::from_millis(250), "the target is unchanged");
}

/// Returns a shedder, and the number of times that its signal was read.
fn counted(builder: LoadShedderBuilder) -> (LoadShedder<Signal>, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counts = calls.clone();
    let signal = move || {
        counts.fetch_add(1, Ordering::Relaxed);
        SignalReading::new().depth(0)
    };
    (builder.signal(signal).build().unwrap(), calls)
}

#[test]
fn run_ticks_on_a_manual_clock() {
    use std::task::{Context, Waker};
    let time = ManualTime::new();
    let (shedder, calls) = counted(builder(&time));
    let mut run = std::pin::pin!(shedder.run());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        assert!(run.as_mut().poll(&mut cx).is_pending());
        time.advance(Duration::from_millis(1));
    }
    let calls = calls.load(Ordering::Relaxed);
    assert!((90..=100).contains(&calls), "{calls} ticks of 10 ms in a second");
}

/// An idle shedder once woke 800 times a second.
#[test]
fn run_wakes_an_idle_task_once_a_tick() {
    use std::task::{Context, Wake, Waker};
    struct Count(AtomicU64);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let time = ManualTime::new();
    let (shedder, _) = counted(builder(&time));
    let mut run = std::pin::pin!(shedder.run());
    let count = Arc::new(Count(AtomicU64::new(0)));
    let waker = Waker::from(count.clone());
    for _ in 0..10_000 {
        assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        time.advance(Duration::from_micros(100));
    }
    let wakes = count.0.load(Ordering::Relaxed);
    assert!((90..=101).contains(&wakes), "{wakes} wake-ups in a second with ticks of 10 ms");
}

#[cfg(all(feature = "tower", feature = "test-util"))]
#[tokio::test(start_paused = true)]
async fn run_ticks_on_the_paused_time_of_tokio() {
    let (shedder, calls) = counted(LoadShedder::builder());
    let run = tokio::spawn(async move { shedder.run().await });
    let clock = plimsoll_core::Clock::system();
    clock.sleep_until(clock.now() + Duration::from_secs(10)).await;
    run.abort();
    let calls = calls.load(Ordering::Relaxed);
    assert!((800..=1_000).contains(&calls), "{calls} ticks of 10 ms in ten seconds");
}

#[test]
fn decisions_and_ticks_allocate_nothing() {
    let time = ManualTime::new();
    let shedder = builder(&time).workers(1).capacity_hint(1_000.0).build().unwrap();
    let half = builder(&time)
        .control(Control::Curve(Curve::step(0.0, 0.5)))
        .signal(|| SignalReading::new().depth(1))
        .build()
        .unwrap();
    let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(1)).build().unwrap();
    let (mut kept, mut rejected) = (0, 0);
    let mut decide = || {
        for n in 0..2_000_u32 {
            // Some of the decisions tick.
            time.advance(Duration::from_micros(100));
            let all = [
                half.keep(N),
                half.keep_for(N, &n),
                half.try_acquire(N).is_ok(),
                half.try_acquire_for(N, "ann").is_ok(),
                shedder.try_acquire(N).map(|permit| permit.done(Outcome::Success)).is_ok(),
                throttle.try_acquire().map(|permit| permit.done(Outcome::Overloaded)).is_ok(),
            ];
            kept += all.iter().filter(|yes| **yes).count();
            rejected += all.iter().filter(|yes| !**yes).count();
        }
    };
    decide();
    let seen = allocation_counter::measure(decide);
    assert_eq!((seen.count_total, seen.bytes_total), (0, 0));
    assert!(kept > 1_000 && rejected > 1_000, "{kept} kept, {rejected} rejected");
}
