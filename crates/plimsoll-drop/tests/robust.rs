//! What a shedder bears: signals that panic or ask back, permits that end in any way, pauses and extremes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Dice, Inspect, ManualTime, Outcome, Priority};
use plimsoll_drop::{AdaptiveThrottle, Control, Curve, LoadShedder, LoadShedderBuilder, SignalReading};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

const N: Priority = Priority::NORMAL;
const TICK: Duration = Duration::from_millis(10);

fn set(time: &ManualTime) -> LoadShedderBuilder {
    LoadShedder::builder().clock(time.clock()).dice(Dice::seeded(1))
}

/// Runs it on a thread of its own, and fails if it has not ended after a minute: it hangs.
fn ends(run: impl FnOnce() + Send + 'static) {
    let (done, waits) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    match waits.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn a_signal_that_panics_stops_nothing() {
    let (time, calls) = (ManualTime::new(), Arc::new(AtomicU64::new(0)));
    let counts = calls.clone();
    let shedder = set(&time)
        .control(Control::Curve(Curve::step(0.0, 0.0)))
        .signal(move || {
            let call = counts.fetch_add(1, Ordering::Relaxed);
            assert!(call % 2 == 1, "every other time: this message is expected");
            SignalReading::new().depth(1)
        })
        .build()
        .unwrap();
    for _ in 0..6 {
        time.advance(2 * TICK);
        shedder.keep(N);
        shedder.tick();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 6, "it goes on being read");
    assert!(!shedder.keep(N) && shedder.keep_rate() == 0.0, "and what it said in between stands");
}

#[test]
fn a_curve_that_panics_stops_nothing() {
    let (time, calls) = (ManualTime::new(), Arc::new(AtomicU64::new(0)));
    let counts = calls.clone();
    let shedder = set(&time)
        .curve_fn(move |_| {
            assert!(counts.fetch_add(1, Ordering::Relaxed) > 0, "the first time: this message is expected");
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
fn a_signal_may_ask_its_shedder() {
    ends(|| {
        let (time, itself) = (ManualTime::new(), Arc::new(OnceLock::<LoadShedder>::new()));
        let (knows, calls) = (itself.clone(), Arc::new(AtomicU64::new(0)));
        let counts = calls.clone();
        let shedder = set(&time)
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
fn two_threads_tick_and_one_reads() {
    ends(|| {
        let (time, calls, at_once) =
            (ManualTime::new(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counts, inside) = (calls.clone(), at_once.clone());
        let wrong = Arc::new(AtomicU64::new(0));
        let notes = wrong.clone();
        let shedder = set(&time)
            .signal(move || {
                notes.fetch_add(inside.fetch_add(1, Ordering::SeqCst), Ordering::Relaxed);
                counts.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
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
        assert_eq!(wrong.load(Ordering::Relaxed), 0, "never two at once");
        assert_eq!(calls.load(Ordering::Relaxed), 200, "once for each time");
    });
}

#[test]
fn in_flight_are_those_with_a_permit_and_nobody_else() {
    let time = ManualTime::new();
    let shedder = set(&time).workers(4).build().unwrap();
    assert!(shedder.keep(N) && shedder.keep_for(N, "ann") && shedder.keep_with(N, || ()).is_some());
    assert_eq!(shedder.in_flight(), 0);
    let (one, two) = (shedder.try_acquire(N).unwrap(), shedder.try_acquire_for(N, "ann").unwrap());
    let (three, four) = (shedder.try_acquire_owned(N).unwrap(), shedder.try_acquire_owned(N).unwrap());
    assert_eq!(shedder.in_flight(), 4);
    one.refund();
    two.done(Outcome::Failure);
    drop(three);
    let unwound = std::thread::spawn(move || {
        let _four = four;
        panic!("this message is expected");
    });
    assert!(unwound.join().is_err());
    assert_eq!(shedder.in_flight(), 0);
}

/// What was given back left the queue without work: the capacity is not what is rejected behind.
#[test]
fn what_is_given_back_is_no_departure() {
    let capacity = |each: u32| {
        let time = ManualTime::new();
        let shedder = set(&time).workers(1).target(Duration::from_millis(500)).build().unwrap();
        let mut held: Vec<_> = (0..20).map(|_| shedder.try_acquire_owned(N).unwrap()).collect();
        for n in 1..=2_000 {
            time.advance(TICK);
            held.pop().unwrap().done(Outcome::Success);
            if n % each == 0 {
                held.pop().unwrap().refund();
            }
            while held.len() < 20 {
                // Whoever is dropped asks again later: there is always a queue.
                match shedder.try_acquire_owned(Priority::CRITICAL) {
                    Ok(permit) => held.push(permit),
                    Err(_) => break,
                }
            }
            shedder.tick();
            assert!(held.len() > 4, "there is a queue");
        }
        shedder.capacity().unwrap()
    };
    for each in [u32::MAX, 5] {
        let capacity = capacity(each);
        assert!((95.0..105.0).contains(&capacity), "{capacity} with one given back for {each}");
    }
}

#[test]
fn an_hours_pause_is_forgotten_at_once() {
    let time = ManualTime::new();
    let depth = Arc::new(AtomicU64::new(0));
    let reads = depth.clone();
    let shedder =
        set(&time).signal(move || SignalReading::new().depth(reads.load(Ordering::Relaxed))).build().unwrap();
    // A thousand a second leave, five thousand come.
    let overload = |seconds: u32| {
        let (mut came, mut kept) = (0.0, 0.0);
        for n in 0..5_000 * seconds {
            time.advance(Duration::from_micros(200));
            if n % 5 == 0 {
                let _ = depth.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            }
            came += 1.0;
            if shedder.keep(N) {
                kept += 1.0;
                depth.fetch_add(1, Ordering::Relaxed);
            }
        }
        kept / came
    };
    overload(10);
    assert!((0.15..0.25).contains(&overload(5)), "a fifth can be done");
    depth.store(0, Ordering::Relaxed);
    time.advance(Duration::from_secs(3_600));
    assert!(shedder.keep(N), "nothing waits");
    overload(5);
    let share = overload(5);
    assert!((0.15..0.25).contains(&share) && depth.load(Ordering::Relaxed) < 50, "{share}, {depth:?} wait");
}

#[test]
fn extreme_settings_work() {
    let long = Duration::from_secs(1 << 60);
    let (least, most) = (Duration::from_micros(1), Duration::from_secs(3_600));
    for (turnover, target) in [(long, least), (Duration::MAX, most), (Duration::from_secs(1), least)] {
        let time = ManualTime::new();
        let shedder = set(&time).reshuffle_every(turnover).target(target).build().unwrap();
        for _ in 0..1_000 {
            time.advance(Duration::from_secs(1));
            let permit = shedder.try_acquire_for(N, "ann");
            assert!(shedder.in_flight() <= 1 && permit.is_ok(), "{shedder:?}");
        }
        assert_eq!(shedder.target(), target);
    }
    for hint in [1e-3, 1.0, 64.0, 1e4, 1e9] {
        for target in [least, Duration::from_millis(5), most] {
            let time = ManualTime::new();
            let shedder = set(&time).capacity_hint(hint).target(target).build().unwrap();
            assert_eq!(shedder.capacity(), Some(hint), "known from the start");
            shedder.keep(N);
            time.advance(Duration::from_millis(100));
            shedder.tick();
            let capacity = shedder.capacity().expect("known at once");
            assert!((capacity / hint - 1.0).abs() < 1e-6, "{capacity} for {hint} at {target:?}");
        }
    }
}

#[test]
fn what_will_not_do_is_named_with_its_value() {
    let error = |builder: LoadShedderBuilder| builder.build().unwrap_err().to_string();
    let new = LoadShedder::builder;
    for (said, names) in [
        (error(new().target(Duration::ZERO)), "target = 0ns "),
        (error(new().target(Duration::from_secs(3_601))), "target = 3601s "),
        (error(new().capacity_hint(0.0)), "capacity_hint = 0 "),
        (error(new().capacity_hint(f64::NAN)), "capacity_hint = NaN "),
        (error(new().capacity_hint(f64::INFINITY)), "capacity_hint = inf "),
        (error(new().reshuffle_every(Duration::from_millis(999))), "reshuffle_every = 999ms "),
        (error(new().workers(0)), "workers = 0 "),
        (error(new().name("")), "name"),
    ] {
        assert!(said.starts_with(names) && said.contains("not allowed"), "{said}");
    }
}

#[test]
fn the_target_is_a_knob() {
    let shedder = LoadShedder::new(2).unwrap();
    shedder.set("target", 0.25).unwrap();
    let mut seen = vec![];
    shedder.read(&mut |name, value| seen.push((name, value)));
    let readings = [("keep_rate", 1.0), ("in_flight", 0.0), ("capacity", 0.0)];
    let settings = [("target", 0.25), ("capacity_hint", 0.0), ("reshuffle_every", 3_600.0), ("workers", 2.0)];
    assert_eq!(seen, [&readings[..], &settings[..]].concat());
    for value in [0.0, -1.0, f64::NAN, 1e30, 3_601.0] {
        assert!(shedder.set("target", value).unwrap_err().to_string().starts_with("target = "), "{value}");
    }
    assert!(shedder.set("keep_rate", 0.5).unwrap_err().to_string().contains("target"));
    assert_eq!(shedder.target(), Duration::from_millis(250), "nothing has changed");
}

/// Counts how often the signal is read.
fn counted(builder: LoadShedderBuilder) -> (LoadShedder, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counts = calls.clone();
    let signal = move || {
        counts.fetch_add(1, Ordering::Relaxed);
        SignalReading::new().depth(0)
    };
    (builder.signal(signal).build().unwrap(), calls)
}

#[test]
fn it_is_tended_on_a_manual_clock() {
    use std::task::{Context, Waker};
    let time = ManualTime::new();
    let (shedder, calls) = counted(set(&time));
    let mut tends = std::pin::pin!(shedder.run());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        assert!(tends.as_mut().poll(&mut cx).is_pending());
        time.advance(Duration::from_millis(1));
    }
    let calls = calls.load(Ordering::Relaxed);
    assert!((90..=100).contains(&calls), "{calls} in a second, of 10 ms each");
}

#[cfg(all(feature = "tower", feature = "test-util"))]
#[tokio::test(start_paused = true)]
async fn it_is_tended_on_tokios_paused_time() {
    let (shedder, calls) = counted(LoadShedder::builder());
    let tends = tokio::spawn(async move { shedder.run().await });
    let clock = plimsoll_core::Clock::system();
    clock.sleep_until(clock.now() + Duration::from_secs(10)).await;
    tends.abort();
    let calls = calls.load(Ordering::Relaxed);
    assert!((800..=1_000).contains(&calls), "{calls} in ten seconds, of 10 ms each");
}

#[test]
fn a_decision_allocates_nothing() {
    let time = ManualTime::new();
    let shedder = set(&time).workers(1).capacity_hint(1_000.0).build().unwrap();
    let half = set(&time)
        .control(Control::Curve(Curve::step(0.0, 0.5)))
        .signal(|| SignalReading::new().depth(1))
        .build()
        .unwrap();
    let throttle = AdaptiveThrottle::builder().clock(time.clock()).dice(Dice::seeded(1)).build().unwrap();
    let (mut kept, mut rejected) = (0, 0);
    let mut decide = || {
        for n in 0..2_000_u32 {
            // Ticks are among them.
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
