//! Bugs that others had, or that once were here, each with its story.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_breaker::{
    Cause, CircuitBreaker, CircuitBreakerBuilder, CircuitState, OpenTime, Probes, Ramp, Trip,
};
use plimsoll_core::{Dice, Inspect, ManualTime, Outcome, Reason};
use std::time::Duration;
use tokio_test::assert_pending;
use tokio_test::task;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Two failures within ten seconds open it for ten; one probe at a time, with a lease of thirty; no ramp.
fn builder(time: &ManualTime) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .trip(Trip::failures().count(2))
        .open_time(OpenTime::fixed(10 * S))
        .ramp(Ramp::NONE)
        .clock(time.clock())
        .dice(Dice::seeded(1))
}

fn breaker() -> (CircuitBreaker, ManualTime) {
    let time = ManualTime::new();
    (builder(&time).build().unwrap(), time)
}

fn fail(breaker: &CircuitBreaker, times: u32) {
    (0..times).for_each(|_| breaker.try_acquire().unwrap().done(Outcome::Failure));
}

fn succeed(breaker: &CircuitBreaker, times: u32) {
    (0..times).for_each(|_| breaker.try_acquire().unwrap().done(Outcome::Success));
}

/// Q1: a fuse that was removed, installed again and blown was healed by the timer of the old one.
#[test]
fn an_open_time_of_another_life_heals_nothing() {
    let (old, time) = breaker();
    fail(&old, 2);
    time.advance(9 * S);
    drop(old);
    let new = builder(&time).build().unwrap();
    fail(&new, 2);
    time.advance(9 * S);
    assert_eq!(new.try_acquire().unwrap_err().retry_after(), Some(S));
    // Nor does one of an earlier life of the same breaker.
    new.reset();
    fail(&new, 2);
    time.advance(10 * S - MS);
    assert_eq!(new.try_acquire().unwrap_err().retry_after(), Some(MS));
    new.disable();
    new.enable();
    new.trip("again");
    time.advance(MS);
    assert_eq!(new.try_acquire().unwrap_err().retry_after(), Some(10 * S - MS));
}

/// Q1: what was admitted in an earlier life, whatever it was then, has no say in this one.
#[test]
fn a_result_of_another_life_changes_nothing() {
    let (breaker, time) = breaker();
    let closed_era: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    fail(&breaker, 2);
    time.advance(10 * S);
    let mut closed_era = closed_era.into_iter();
    let old_probe = breaker.try_acquire().unwrap();
    // Of the closed era, neither a failure nor a success says anything about the half-open one.
    closed_era.next().unwrap().done(Outcome::Failure);
    closed_era.next().unwrap().done(Outcome::Success);
    closed_era.next().unwrap().done(Outcome::TimedOut);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    time.advance(30 * S);
    assert!(breaker.try_acquire().is_err());
    assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Open, Cause::Hung));
    time.advance(10 * S);
    let probe = breaker.try_acquire().unwrap();
    old_probe.done(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "the probe of an earlier try");
    closed_era.next().unwrap().refund();
    assert!(breaker.try_acquire().is_err(), "it frees no place of a probe");
    probe.done(Outcome::Success);
    closed_era.for_each(|permit| permit.done(Outcome::Failure));
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Closed, "not even counted");
}

/// Q2: each melt of a fuse costs as much as there are in the window, and a failing dependency has many. Here
/// neither the work nor the memory depends on how many there are.
#[test]
fn a_million_failures_allocate_nothing() {
    let time = ManualTime::new();
    let trip = Trip::failures().ratio(1.0, u32::MAX).within(Duration::from_secs(3600));
    let breaker = CircuitBreaker::builder().trip(trip).clock(time.clock()).build().unwrap();
    fail(&breaker, 1); // the ring of this thread
    let million = measure(|| {
        for n in 0..1_000_000 {
            breaker.try_acquire().unwrap().done(if n % 2 == 0 {
                Outcome::Failure
            } else {
                Outcome::TimedOut
            });
            time.advance(MS / 1_000);
        }
    });
    assert_eq!((million.count_total, breaker.state()), (0, CircuitState::Closed));
}

/// Q2: nor do refusals allocate, nor whole cycles once the first one is done.
#[test]
fn neither_refusals_nor_cycles_allocate() {
    let (breaker, time) = breaker();
    let cycle = || {
        fail(&breaker, 2);
        (0..1_000).for_each(|_| assert!(breaker.try_acquire().is_err()));
        (0..1_000).for_each(|_| breaker.report(Outcome::Failure));
        time.advance(10 * S);
        succeed(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Closed);
    };
    cycle();
    assert_eq!(measure(|| (0..100).for_each(|_| cycle())).count_total, 0);
}

/// Q11: windows that were measured on the wall's clock moved when that was set. There is one clock here, that
/// never goes back, and nothing happens but by it.
#[test]
fn time_is_only_what_the_clock_says() {
    let (breaker, time) = breaker();
    fail(&breaker, 1);
    time.advance_to(plimsoll_core::Instant::default());
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
    for _ in 0..1_000 {
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(10 * S), "it stands still");
    }
    time.advance(Duration::from_secs(86_400 * 365 * 30));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// Q11: a worker that was killed from outside answered with a crash of the library's own. Here the caller's is
/// the runtime's answer, and the breaker counts as it is set.
#[test]
fn a_call_that_is_killed_from_outside_counts_as_it_is_set() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (cancelled, opens) in [(Outcome::Ignored, false), (Outcome::Failure, true)] {
        let time = ManualTime::new();
        let breaker = builder(&time).cancelled(cancelled).build().unwrap();
        runtime.block_on(async {
            for _ in 0..2 {
                let b = breaker.clone();
                let task = tokio::spawn(async move { b.run(std::future::pending::<Result<(), ()>>()).await });
                tokio::task::yield_now().await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            }
        });
        assert_eq!(breaker.state() == CircuitState::Open, opens);
    }
}

/// Q12: nine failures, a thousand successes and one more failure put it off.
#[test]
fn failures_decay() {
    for trip in [
        Trip::failures().count(10).within(60 * S),
        Trip::failures().ratio(0.5, 10).within(600 * S),
        Trip::failures().consecutive(10).within(600 * S),
    ] {
        let time = ManualTime::new();
        let breaker = CircuitBreaker::builder().trip(trip).clock(time.clock()).build().unwrap();
        fail(&breaker, 9);
        for _ in 0..1_000 {
            succeed(&breaker, 1);
            time.advance(S / 10);
        }
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Closed, "{trip}");
    }
}

/// A "sliding" window whose counters ran since the last transition: after ten thousand successes it took ten
/// thousand failures to open.
#[test]
fn successes_of_long_ago_hold_nothing_closed() {
    let time = ManualTime::new();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    succeed(&breaker, 10_000);
    time.advance(11 * S + MS);
    fail(&breaker, 19);
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Twenty calls that a time-out outside had dropped were not there at all, and a dead dependency was called on
/// and on.
#[test]
fn calls_that_are_dropped_late_are_seen() {
    let time = ManualTime::new();
    let breaker = CircuitBreaker::builder().call_timeout(S).clock(time.clock()).build().unwrap();
    let never = std::future::pending::<Result<(), ()>>;
    let mut calls: Vec<_> = (0..20).map(|_| task::spawn(breaker.run(never()))).collect();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    time.advance(S);
    assert_eq!(breaker.state(), CircuitState::Closed);
    drop(calls);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// One probe that hung, and a breaker without leases let no healthy call through ever after.
#[test]
fn a_hung_probe_wedges_nothing() {
    let (breaker, time) = breaker();
    fail(&breaker, 2);
    time.advance(10 * S);
    std::mem::forget(breaker.try_acquire().unwrap());
    time.advance(30 * S - MS);
    assert!(breaker.try_acquire().is_err() && breaker.state() == CircuitState::HalfOpen);
    time.advance(MS);
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(10 * S), "that is an answer, too");
    assert_eq!(breaker.status().cause, Cause::Hung);
    time.advance(10 * S);
    succeed(&breaker, 20);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A hundred of a hundred concurrent calls were let through as probes of a half-open length of two.
#[test]
fn no_more_probes_are_out_at_once_than_are_set() {
    let time = ManualTime::new();
    let probes = Probes { concurrency: 2, successes: 3, ..Probes::default() };
    let breaker = builder(&time).probes(probes).build().unwrap();
    fail(&breaker, 2);
    time.advance(10 * S);
    let mut out: Vec<_> = (0..100).filter_map(|_| breaker.try_acquire().ok()).collect();
    assert_eq!(out.len(), 2);
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::Open);
    // Each that comes back lets one more go, until there are as many good ones as are wanted.
    out.pop().unwrap().done(Outcome::Success);
    out.push(breaker.try_acquire().unwrap());
    assert!(breaker.try_acquire().is_err());
    // Given back or cancelled, one frees its place and says nothing.
    out.pop().unwrap().refund();
    drop(out.pop());
    out.extend((0..100).filter_map(|_| breaker.try_acquire().ok()));
    assert_eq!((out.len(), breaker.state()), (2, CircuitState::HalfOpen));
    out.into_iter().for_each(|probe| probe.done(Outcome::Success));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// The gauge of a state was set when it was entered and never cleared: after a cycle all of them read 1.
#[test]
fn one_state_shows_at_a_time() {
    let time = ManualTime::new();
    let breaker = builder(&time).ramp(Ramp::default()).build().unwrap();
    let shows = |expected: &str| {
        let mut on = vec![];
        // Not the settings: one probe at a time is 1, too.
        let flags = ["closed", "open", "half_open", "ramp", "blocked", "disabled", "fault"];
        breaker.read(&mut |name, value| on.extend((flags.contains(&name) && value == 1.0).then_some(name)));
        assert_eq!(on, [expected]);
    };
    for _ in 0..2 {
        shows("closed");
        fail(&breaker, 2);
        shows("open");
        time.advance(10 * S);
        let probe = breaker.try_acquire().unwrap();
        shows("half_open");
        probe.done(Outcome::Success);
        shows("ramp");
        time.advance(5 * S);
        succeed(&breaker, 1);
    }
}

/// All came back after the same fixed time, at once, over and over.
#[test]
fn the_open_time_grows_and_is_spread() {
    let time = ManualTime::new();
    let open = OpenTime { first: S, factor: 2.0, max: 10 * S, jitter: 0.5 };
    let dice = Dice::seeded(7);
    let fleet: Vec<_> =
        (0..200).map(|_| builder(&time).open_time(open).dice(dice.clone()).build().unwrap()).collect();
    for longest in [1, 2, 4, 8, 10, 10] {
        let longest = longest * S;
        let mut times: Vec<_> = fleet
            .iter()
            .map(|breaker| {
                let _ = breaker.try_acquire().map(|probe| probe.done(Outcome::Failure));
                breaker.report(Outcome::Failure);
                breaker.try_acquire().unwrap_err().retry_after().unwrap()
            })
            .collect();
        times.sort();
        assert!(times[0] >= longest / 2 && times[0] < longest * 6 / 10, "{:?}", times[0]);
        assert!(times[199] <= longest && times[199] > longest * 9 / 10, "{:?}", times[199]);
        times.dedup();
        assert!(times.len() > 190, "{}", times.len());
        time.advance(10 * S);
    }
    // Closed for once, it begins anew.
    succeed(&fleet[0], 1);
    fail(&fleet[0], 2);
    assert!(fleet[0].try_acquire().unwrap_err().retry_after().unwrap() <= S);
}

/// A ring that was filled by a success did not open it, and neither did what came next.
#[test]
fn the_first_failure_after_enough_calls_opens_it() {
    let time = ManualTime::new();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    fail(&breaker, 12);
    succeed(&breaker, 8);
    assert_eq!(breaker.state(), CircuitState::Closed, "a success never opens it");
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// A probe that came back after its lease, before anyone else had asked, was believed.
#[test]
fn what_a_probe_brings_after_its_lease_counts_for_nothing() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Cancelled] {
        let (breaker, time) = breaker();
        fail(&breaker, 2);
        time.advance(10 * S);
        let probe = breaker.try_acquire().unwrap();
        time.advance(30 * S);
        probe.done(outcome);
        assert_eq!(
            (breaker.state(), breaker.status().cause),
            (CircuitState::Open, Cause::Hung),
            "{outcome:?}"
        );
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(10 * S));
    }
    // Nor is one believed while another is overdue.
    let time = ManualTime::new();
    let probes = Probes { concurrency: 2, ..Probes::default() };
    let breaker = builder(&time).probes(probes).build().unwrap();
    fail(&breaker, 2);
    time.advance(10 * S);
    let _hung = breaker.try_acquire().unwrap();
    time.advance(S);
    let probe = breaker.try_acquire().unwrap();
    time.advance(29 * S);
    probe.done(Outcome::Success);
    assert_eq!(breaker.status().cause, Cause::Hung);
}

/// When the last one was is kept in steps of 1,024 ns; rounded down, a pause of exactly the time was too long.
#[test]
fn a_pause_as_long_as_the_time_does_not_break_a_row() {
    for (within, start) in [(MS, MS), (S, MS), (10 * S, 7 * MS), (MS, Duration::from_nanos(1))] {
        let time = ManualTime::new();
        time.advance(start);
        let trip = Trip::failures().consecutive(3).within(within);
        let breaker = builder(&time).config(Default::default()).trip(trip).build().unwrap();
        for _ in 0..3 {
            assert_eq!(breaker.state(), CircuitState::Closed);
            fail(&breaker, 1);
            time.advance(within);
        }
        assert_eq!(breaker.state(), CircuitState::Open, "{within:?} from {start:?}");
    }
}

/// The number of a slice of the window outgrew its bits: a window of a millisecond counted nothing any more
/// after 80 days.
#[test]
fn a_short_window_counts_after_years() {
    let time = ManualTime::new();
    let breaker = builder(&time).config(Default::default()).trip(Trip::failures().count(2).within(MS));
    let breaker = breaker.build().unwrap();
    for _ in 0..100 {
        time.advance(Duration::from_secs(86_400 * 37));
        fail(&breaker, 1);
        time.advance(2 * MS);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Closed, "too far apart");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Open);
        breaker.reset();
    }
}

#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn it_follows_tokios_paused_time() {
    let breaker = CircuitBreaker::builder()
        .trip(Trip::failures().count(1))
        .open_time(OpenTime::fixed(S))
        .build()
        .unwrap();
    fail(&breaker, 1);
    assert!(breaker.try_acquire().is_err());
    tokio::time::advance(S).await;
    assert!(breaker.try_acquire().is_ok());
}

/// Asked for of fuse for ten years: not all at once again. The share that passes grows evenly, and all do after it.
#[test]
fn calls_come_back_bit_by_bit() {
    let time = ManualTime::new();
    let ramp = Ramp { duration: 10 * S, start: 0.1, tolerance: 0.1 };
    let breaker = builder(&time).ramp(ramp).build().unwrap();
    breaker.trip("test");
    time.advance(10 * S);
    succeed(&breaker, 1);
    assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Ramp, Cause::Probe));
    for (second, share) in
        [0.10, 0.19, 0.28, 0.37, 0.46, 0.55, 0.64, 0.73, 0.82, 0.91].into_iter().enumerate()
    {
        let passed =
            (0..10_000).filter(|_| breaker.try_acquire().map(|p| p.done(Outcome::Success)).is_ok()).count();
        assert!((share * 10_000.0 - passed as f64).abs() < 200.0, "{second}: {passed}");
        time.advance(S);
    }
    assert_eq!(breaker.state(), CircuitState::Ramp, "seen by the next who asks");
    succeed(&breaker, 100);
    assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Closed, Cause::Ramp));
}

/// And an earlier trip in that time, also asked for there: a few bad ones are enough, and it is open for longer.
#[test]
fn on_the_ramp_little_is_tolerated() {
    let open = OpenTime { first: S, factor: 2.0, max: 60 * S, jitter: 0.0 };
    // After so many good ones: nine and a bad one are a tenth, which is tolerated, eight and a bad one are not.
    for (good, opens) in [(0, true), (8, true), (9, false)] {
        let time = ManualTime::new();
        let ramp = Ramp { duration: 10 * S, start: 1.0, tolerance: 0.1 };
        let breaker = builder(&time).open_time(open).ramp(ramp).build().unwrap();
        fail(&breaker, 2);
        time.advance(S);
        succeed(&breaker, 1);
        let before = breaker.try_acquire().unwrap();
        succeed(&breaker, good);
        fail(&breaker, 1);
        if opens {
            assert_eq!(
                (breaker.state(), breaker.status().cause),
                (CircuitState::Open, Cause::Ramp),
                "{good}"
            );
            assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(2 * S));
            before.done(Outcome::Failure);
            assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(2 * S));
        } else {
            assert_eq!(breaker.state(), CircuitState::Ramp);
            before.done(Outcome::Failure);
            assert_eq!(breaker.state(), CircuitState::Open, "a second one");
        }
    }
}

/// What the inner side pushed back is no fault of its, unless that is what one counts.
#[test]
fn overloads_count_in_a_trip_of_their_own() {
    let time = ManualTime::new();
    for (trip, opens) in [
        (Trip::failures().count(2), false),
        (Trip::errors().count(2), false),
        (Trip::overloads().count(2), true),
        (Trip::overloads().ratio(0.5, 4), true),
    ] {
        let breaker = CircuitBreaker::builder().trip(trip).clock(time.clock()).build().unwrap();
        succeed(&breaker, 2);
        (0..2).for_each(|_| breaker.try_acquire().unwrap().done(Outcome::Overloaded));
        assert_eq!(breaker.state() == CircuitState::Open, opens, "{trip}");
    }
}

/// A caller who gives up before an answer comes left no trace, and what hung was called on and on.
#[test]
fn a_slow_trip_sees_those_who_gave_up_waiting() {
    let time = ManualTime::new();
    let trip = Trip::slow(S).ratio(0.5, 4);
    let breaker = CircuitBreaker::builder().trip(trip).clock(time.clock()).build().unwrap();
    for _ in 0..4 {
        assert_eq!(breaker.state(), CircuitState::Closed);
        let permit = breaker.try_acquire().unwrap();
        time.advance(S);
        drop(permit);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// What a closed breaker bears kept it open for ever.
#[test]
fn what_no_trip_is_about_holds_nothing_open() {
    let time = ManualTime::new();
    let breaker =
        CircuitBreaker::builder().trip(Trip::timeouts().count(2)).clock(time.clock()).build().unwrap();
    breaker.trip("test");
    time.advance(60 * S);
    breaker.try_acquire().unwrap().done(Outcome::Failure);
    assert_eq!(breaker.state(), CircuitState::Ramp);
}

/// Its own trip asks for a row of errors; time-outs in between broke it.
#[test]
fn a_row_is_broken_by_a_success_alone() {
    let time = ManualTime::new();
    let trip = Trip::errors().consecutive(3);
    let breaker = CircuitBreaker::builder().trip(trip).clock(time.clock()).build().unwrap();
    for _ in 0..3 {
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.try_acquire().unwrap().done(Outcome::Failure);
        breaker.report(Outcome::TimedOut);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Shown under the lock, whoever looked closer while he was shown the numbers waited for himself.
#[test]
fn one_may_look_closer_while_one_looks() {
    let breaker = CircuitBreaker::new("looked-at").unwrap();
    let mut seen = 0;
    breaker.read(&mut |_, _| {
        let _ = breaker.status();
        seen += 1;
    });
    assert!(seen > 5);
}

/// Whoever tends goes on when a check panics; and a check that was begun in another life is not asked.
#[test]
fn tending_outlives_a_check_that_panics() {
    let time = ManualTime::new();
    let open = OpenTime::fixed(S);
    let breaker = builder(&time).open_time(open).ramp(Ramp::NONE).health_checked().build().unwrap();
    let mut asked = 0;
    let mut tending = task::spawn(breaker.run_health_checks(Duration::ZERO, || {
        asked += 1;
        let dies = asked == 1;
        async move { if dies { panic!("the check dies") } else { true } }
    }));
    breaker.trip("test");
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..20 {
        assert!(tending.poll().is_pending());
        time.advance(S / 4);
    }
    let _ = std::panic::take_hook();
    drop(tending);
    assert_eq!((breaker.state(), asked), (CircuitState::Closed, 2));

    breaker.trip("test");
    time.advance(S);
    let old = breaker.health_check_due().unwrap();
    breaker.reset();
    breaker.trip("again");
    time.advance(S);
    breaker.record_health_check(old, true);
    assert_eq!(breaker.state(), CircuitState::Open);
    fn spawned<F: Future + Send>(_: F) {}
    spawned(breaker.run_health_checks(S, || async { true }));
}

/// A ramp that nobody asked any more was one for ever.
#[test]
fn what_is_due_by_time_alone_is_seen_by_who_looks() {
    let time = ManualTime::new();
    let breaker = builder(&time).ramp(Ramp::default()).build().unwrap();
    fail(&breaker, 2);
    time.advance(10 * S);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Ramp);
    time.advance(60 * S);
    assert_eq!(breaker.status().state, CircuitState::Closed);
}

/// After nine years of one process a row of failures began anew with each of them.
#[test]
fn a_row_is_counted_after_years() {
    let year = Duration::from_secs(365 * 86_400);
    for years in [0, 9, 10, 100] {
        let time = ManualTime::new();
        let trip = Trip::failures().consecutive(3).within(S);
        let breaker = CircuitBreaker::builder().trip(trip).clock(time.clock()).build().unwrap();
        fail(&breaker, 2);
        time.advance(year * years + 2 * S);
        for _ in 0..3 {
            assert_eq!(breaker.state(), CircuitState::Closed, "{years}");
            fail(&breaker, 1);
            time.advance(S / 2);
        }
        assert_eq!(breaker.state(), CircuitState::Open, "{years}");
    }
}
