//! The worst day of a server, and what a load shedder makes of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "bad_day/mod.rs"]
mod bad_day;

use bad_day::{Day, Known, Report};
use plimsoll_core::{Event, ManualTime, Priority};
use plimsoll_drop::{Control, Curve, LoadShedder, SignalReading};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const KNOWN: [Known; 4] = [Known::Permits, Known::Depth, Known::All, Known::Delay];
const DEADLINES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Asserts that goodput two seconds after `end` and later is what it was before a fault at `start`.
#[track_caller]
fn is_back(report: &Report, start: usize, end: usize, name: &str) {
    let before = report.goodput(5, start);
    for second in end + 2..report.seconds.len() - 4 {
        let good = report.goodput(second, second + 3);
        assert!(good >= 0.95 * before, "{good} of {before} at {second} s: {name}");
    }
}

/// A stalled server answered nothing, so the measured capacity decayed until it counted as unknown.
/// "Unknown" then kept everything: after 41 s of a stall, 3,200 requests a second queued before a
/// dead server.
#[test]
fn long_stall_leaves_the_queue_at_its_bound() {
    for known in KNOWN {
        for (load, hint) in [(2.0, None), (2.0, Some(1_600.0)), (0.9, None), (0.7, None)] {
            let day = Day { known, hint, seconds: 90, ..Day::default() }.load(load).stall(20.0, 80.0);
            let report = day.run();
            let (name, queue) = (format!("{known:?} at {load} with {hint:?}"), report.queue_from(0));
            // Four targets are 128 requests. A delay alone is noticed late.
            let bound = if known == Known::Delay { 1_600 } else { 200 };
            println!("{name}: {queue}");
            assert!(queue <= bound, "{queue} wait: {name}");
            is_back(&report, 20, 80, &name);
        }
    }
}

/// Requests that timed out during a stall counted as departures. They were taken for the capacity,
/// and the shedder refused most requests for 8 s to 19 s after the stall.
#[test]
fn stall_is_over_within_two_seconds() {
    for known in KNOWN {
        for load in [0.7, 2.0] {
            for deadline in DEADLINES {
                for forgets in [false, true] {
                    let day = Day { known, deadline: Some(deadline), forgets, ..Day::default() };
                    let report = day.load(load).stall(20.0, 30.0).run();
                    let name = format!("{known:?} at {load}, {deadline:?}, forgets: {forgets}");
                    is_back(&report, 20, 30, &name);
                }
            }
        }
    }
}

#[test]
fn stall_is_over_within_two_seconds_under_each_control() {
    let curve = Curve::linear(16.0, 48.0);
    for control in [Control::Pie, Control::Red(curve), Control::Curve(curve)] {
        for load in [0.7, 2.0] {
            for deadline in DEADLINES {
                let day = Day { control, deadline: Some(deadline), ..Day::default() };
                let report = day.load(load).stall(20.0, 30.0).run();
                is_back(&report, 20, 30, &format!("{control:?} at {load}, {deadline:?}"));
            }
        }
    }
}

/// PIE without a measured departure rate took every queue for an empty one.
#[test]
fn long_stall_is_bounded_under_pie() {
    for load in [0.7, 2.0] {
        let day = Day { control: Control::Pie, seconds: 90, ..Day::default() };
        let queue = day.load(load).stall(20.0, 80.0).run().queue_from(0);
        assert!(queue < 3_200, "{queue} wait at {load}");
    }
}

/// A short stall every ten seconds costs little more than the time that it lasts.
#[test]
fn short_stalls_cost_their_own_time() {
    for known in [Known::Permits, Known::Depth, Known::All] {
        for load in [0.7, 2.0] {
            for length in [0.2, 1.0] {
                let mut day = Day { known, ..Day::default() }.load(load);
                day.deadline = Some(Duration::from_millis(200));
                let calm = day.run().goodput(10, 58);
                for n in 1..6 {
                    day = day.stall(10.0 * f64::from(n), 10.0 * f64::from(n) + length);
                }
                let possible = calm * (1.0 - length / 10.0);
                let good = day.run().goodput(10, 58);
                println!("{known:?} {load} {length}: {:.3}", good / possible);
                assert!(good >= 0.95 * possible, "{good} of {possible}: {known:?} at {load}, {length} s");
            }
        }
    }
}

/// The first overload met an unknown capacity: the queue grew to 39 targets at 20 times the load.
#[test]
fn spike_of_a_second_is_bounded_and_soon_over() {
    for known in [Known::Permits, Known::Depth, Known::All] {
        for loads in [vec![(0, 0.7), (20, 20.0), (21, 0.7)], vec![(0, 10.0), (5, 0.7)]] {
            let day = Day { known, loads, deadline: Some(Duration::from_millis(200)), ..Day::default() };
            let report = day.run();
            let queue = report.queue_from(0);
            println!("{known:?} {:?}: {queue}, {:?}", day.loads, report.goodput(20, 21));
            assert!(queue <= 256, "{queue} wait with {known:?} in {:?}", day.loads);
            assert!(report.goodput(20, 22) >= 0.95, "{known:?} in {:?}", day.loads);
            assert!(report.goodput(22, 58) >= 0.99, "{known:?} in {:?}", day.loads);
        }
    }
}

#[test]
fn changed_capacity_is_followed_within_five_seconds() {
    for known in [Known::Permits, Known::Depth, Known::All] {
        let day = Day { known, ..Day::default() };
        let speeds = vec![(0.0, 1.0), (20.0, 0.5), (40.0, 1.0), (60.0, 0.1), (80.0, 1.0)];
        let report = Day { speeds, seconds: 100, ..day }.load(1.5).run();
        for (from, share) in [(25, 0.5), (45, 1.0), (65, 0.1), (82, 1.0)] {
            let good = report.goodput(from, from + 14);
            let queue = report.seconds[from..from + 14].iter().map(|second| second.queue).max();
            assert!(good >= 0.93 * share, "{good} of {share} from {from} s with {known:?}");
            assert!(queue.is_some_and(|queue| queue <= 130), "{queue:?} from {from} s with {known:?}");
        }
    }
}

/// Callers that leave are not the capacity.
#[test]
fn callers_that_leave_do_not_change_the_capacity() {
    for load in [0.7, 2.0] {
        let day = Day { leaving: 0.1, ..Day::default() }.load(load);
        let report = day.run();
        let possible = 0.9 * load.min(1.0);
        let good: f64 = report.seconds[10..56].iter().map(|second| second.good).sum::<f64>() / 46.0;
        println!("{load}: {} {:?}", good / 1_600.0, report.capacity);
        assert!(good / 1_600.0 >= 0.95 * possible, "{good} at {load}");
    }
}

/// A service that drops its permits instead of reporting an outcome is served, too.
#[test]
fn dropped_permits_stand_for_completed_ones() {
    let report = Day { leaving: 1.0, ..Day::default() }.load(0.7).run();
    let admitted: f64 = report.seconds[10..].iter().map(|second| second.admitted / second.arrived).sum();
    assert!(admitted / 50.0 > 0.95, "{admitted}");
}

/// Long polls and leaked permits counted as a queue. At half the load, 16 of them left 8 % of the
/// requests admitted, and 20 left 0.1 %.
#[test]
fn held_permits_do_not_starve_normal_work() {
    for held in [8, 16, 20, 200] {
        for target in [5, 20] {
            for load in [0.5, 2.0] {
                let target = Duration::from_millis(target);
                let day = Day { held, target, ..Day::default() }.load(load);
                let report = day.run();
                let calm = Day { held: 0, ..day }.run().goodput(10, 58);
                let good = report.goodput(10, 58);
                println!("{held} held, {target:?}, {load}: {good} of {calm}, {}", report.goodput(0, 10));
                assert!(good >= 0.9 * calm, "{good} of {calm} with {held} held at {load}");
                assert!(report.queue_from(10) < 500, "with {held} held at {load}");
            }
        }
    }
}

/// Returns the changes of state.
fn changes(report: &Report) -> Vec<(&'static str, &'static str)> {
    let state = |event: &Event| match *event {
        Event::StateChanged { to, why, .. } => Some((to, why)),
        _ => None,
    };
    report.events.iter().filter_map(state).collect()
}

/// A signal that stood still at 20 requests, which is below the target, made the shedder refuse
/// everything within four seconds, for ever.
#[test]
fn stuck_signal_is_reported_and_survived() {
    type Broken = fn(u64, SignalReading) -> SignalReading;
    let stuck: [(Broken, Known); 7] = [
        (|_, _| SignalReading::new().depth(20), Known::Depth),
        (|_, _| SignalReading::new().depth(1_000), Known::Depth),
        (|_, _| SignalReading::new().depth(1_000).departed(7).busy(true), Known::All),
        (|_, _| SignalReading::new().delay(Duration::from_millis(60)), Known::Delay),
        (|_, _| SignalReading::new(), Known::Delay),
        (|now, at| if now < 10_000_000_000 { at } else { SignalReading::new().depth(1_000) }, Known::Depth),
        (|now, at| if now < 10_000_000_000 { at } else { SignalReading::new().depth(20) }, Known::Depth),
    ];
    let curve = Curve::linear(16.0, 48.0);
    for control in [Control::Rate, Control::Pie, Control::Red(curve), Control::Curve(curve)] {
        for (n, (broken, known)) in stuck.into_iter().enumerate() {
            let report = Day { known, broken, control, ..Day::default() }.load(0.5).run();
            let (good, changes) = (report.goodput(0, 58), changes(&report));
            println!("{control:?} {n}: {good:.3} {changes:?}");
            assert!(good >= 0.9, "{good} of signal {n} under {control:?}");
            assert!(changes.len() == 1 && changes[0].0 == "blind", "{changes:?} of signal {n}");
        }
    }
}

#[test]
fn stuck_signal_admits_the_known_capacity_under_overload() {
    let broken = |now, at| if now < 20_000_000_000 { at } else { SignalReading::new().depth(9) };
    let report = Day { known: Known::Depth, broken, ..Day::default() }.load(2.0).run();
    let admitted: f64 = report.seconds[25..].iter().map(|second| second.admitted).sum();
    let share = admitted / 35.0 / 1_600.0;
    assert!((0.75..1.05).contains(&share), "{share} of the capacity");
}

/// A signal that moves again is trusted again.
#[test]
fn signal_that_moves_again_steers_again() {
    let broken = |now, at| match now / 1_000_000_000 {
        10..20 => SignalReading::new().depth(500),
        _ => at,
    };
    let report = Day { known: Known::Depth, broken, ..Day::default() }.load(2.0).run();
    assert_eq!(changes(&report), [("blind", "the signal is stuck"), ("steered", "the signal moves")],);
    is_back(&report, 10, 20, "a signal that moves again");
}

/// A reading that is a second old makes the shedder swing under overload, and changes nothing at
/// half the load.
#[test]
fn late_signal_drops_little_at_half_the_load() {
    for known in [Known::Depth, Known::All] {
        static LATE: AtomicU64 = AtomicU64::new(0);
        // A reading once a second.
        let broken: fn(u64, SignalReading) -> SignalReading = |now, at| {
            let second = now / 1_000_000_000;
            if LATE.load(Ordering::Relaxed) >> 32 != second {
                LATE.store(second << 32 | at.depth.unwrap_or(0), Ordering::Relaxed);
            }
            at.depth(LATE.load(Ordering::Relaxed) & u64::from(u32::MAX))
        };
        let report = Day { known, broken, ..Day::default() }.load(0.5).run();
        let good = report.goodput(0, 58);
        println!("{known:?}: {good} {:?}", changes(&report));
        assert!(good >= 0.95, "{good} with {known:?}");
        assert!(changes(&report).len() <= 2, "{:?}", changes(&report));
    }
}

/// After the 64th admission, a signal that panicked was read by every call: 9,936 panics a second.
#[test]
fn panicking_signal_is_read_once_a_tick() {
    let (time, reads) = (ManualTime::new(), Arc::new(AtomicU64::new(0)));
    let counts = reads.clone();
    let shedder = LoadShedder::builder()
        .signal(move || {
            counts.fetch_add(1, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("this panic is expected, and the hook is silent"))
        })
        .clock(time.clock())
        .build()
        .unwrap();
    let mut kept = 0;
    for _ in 0..10_000 {
        time.advance(Duration::from_micros(100));
        kept += u32::from(shedder.keep(Priority::NORMAL));
    }
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads <= 220, "{reads} panics in a second");
    assert_eq!(kept, 10_000, "nothing is known, so nothing is dropped");
}

#[test]
fn panicking_signal_is_reported_once_and_survived() {
    for control in [Control::Rate, Control::Pie, Control::Curve(Curve::linear(16.0, 48.0))] {
        let broken: fn(u64, SignalReading) -> SignalReading = |now, at| match now / 1_000_000_000 {
            0..10 => at,
            _ => std::panic::resume_unwind(Box::new("this panic is expected")),
        };
        let report = Day { known: Known::Depth, control, broken, ..Day::default() }.load(0.5).run();
        assert_eq!(changes(&report), [("blind", "the signal fails")], "{control:?}");
        assert!(report.goodput(0, 58) >= 0.95, "{control:?}");
    }
}
