//! Bugs of other breakers or of earlier versions of this one, each with its story.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use allocation_counter::measure;
use plimsoll_breaker::{
    Cause, CircuitBreaker, CircuitBreakerBuilder, CircuitState, OpenTime, Probes, Ramp, Trip,
};
use plimsoll_core::{Dice, Event, Inspect, ManualTime, Observe, Outcome, Reason};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::assert_pending;
use tokio_test::task;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
/// One bad probe opens it again.
const STRICT: Probes =
    Probes { concurrency: 1, successes: 1, failures: Some(1), lease: Duration::from_secs(30) };

/// Two failures within ten seconds open it for ten seconds. One probe with a lease of 30 s, no
/// ramp.
fn builder(time: &ManualTime) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .trips([Trip::failures().count(2)])
        .open_time(OpenTime::fixed(10 * S))
        .probes(STRICT)
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

/// Q1: a fuse was removed, installed again and blown. The timer of the old fuse healed it.
#[test]
fn open_time_of_an_earlier_life_closes_nothing() {
    let (old, time) = breaker();
    fail(&old, 2);
    time.advance(9 * S);
    drop(old);
    let new = builder(&time).build().unwrap();
    fail(&new, 2);
    time.advance(9 * S);
    assert_eq!(new.try_acquire().unwrap_err().retry_after(), Some(S));
    // Nor does the open time of an earlier life of the same breaker.
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

/// Q1: a call that was admitted in an earlier life does not count in this one.
#[test]
fn outcome_of_an_earlier_life_is_ignored() {
    let (breaker, time) = breaker();
    let earlier: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    fail(&breaker, 2);
    time.advance(10 * S);
    let mut earlier = earlier.into_iter();
    let old_probe = breaker.try_acquire().unwrap();
    // Calls that were admitted while closed do not count while half-open.
    earlier.next().unwrap().done(Outcome::Failure);
    earlier.next().unwrap().done(Outcome::Success);
    earlier.next().unwrap().done(Outcome::TimedOut);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    time.advance(30 * S);
    assert!(breaker.try_acquire().is_err());
    assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Open, Cause::Hung));
    time.advance(10 * S);
    let probe = breaker.try_acquire().unwrap();
    old_probe.done(Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "the probe of an earlier half-open phase is ignored");
    earlier.next().unwrap().refund();
    assert!(breaker.try_acquire().is_err(), "the refund frees no place of a probe");
    probe.done(Outcome::Success);
    earlier.for_each(|permit| permit.done(Outcome::Failure));
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Closed, "the earlier failures were not counted");
}

/// Q2: a melt of a fuse costs time in proportion to the melts in the window. Here neither time nor
/// memory depends on their number.
#[test]
fn a_million_failures_allocate_nothing() {
    let time = ManualTime::new();
    let trip = Trip::failures().ratio(1.0, u32::MAX).within(Duration::from_secs(3600));
    let breaker = CircuitBreaker::builder().trips([trip]).clock(time.clock()).build().unwrap();
    fail(&breaker, 1); // allocates the ring of this thread
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

/// Q2: rejections do not allocate, and neither do whole cycles after the first one.
#[test]
fn rejections_and_whole_cycles_do_not_allocate() {
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

/// Q11: windows that were measured by the wall clock moved when that was set. Here there is one
/// monotonic clock.
#[test]
fn only_the_clock_advances_time() {
    let (breaker, time) = breaker();
    fail(&breaker, 1);
    time.advance_to(plimsoll_core::Instant::default());
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
    for _ in 0..1_000 {
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(10 * S), "the clock stands still");
    }
    time.advance(Duration::from_secs(86_400 * 365 * 30));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// Q11: a worker that was killed from outside made the library crash. Here the caller receives the
/// error of the runtime, and the breaker counts the call as configured.
#[test]
fn aborted_call_counts_as_configured() {
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

/// Q12: nine failures, a thousand successes and one more failure opened it.
#[test]
fn failures_expire() {
    for trip in [
        Trip::failures().count(10).within(60 * S),
        Trip::failures().ratio(0.5, 10).within(600 * S),
        Trip::failures().consecutive(10).within(600 * S),
    ] {
        let time = ManualTime::new();
        let breaker = CircuitBreaker::builder().trips([trip]).clock(time.clock()).build().unwrap();
        fail(&breaker, 9);
        for _ in 0..1_000 {
            succeed(&breaker, 1);
            time.advance(S / 10);
        }
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Closed, "{trip}");
    }
}

/// The counters of a "sliding" window ran since the last transition. After ten thousand successes,
/// it took ten thousand failures to open.
#[test]
fn old_successes_do_not_keep_it_closed() {
    let time = ManualTime::new();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    succeed(&breaker, 10_000);
    time.advance(11 * S + MS);
    fail(&breaker, 19);
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Twenty calls that an outer time-out had dropped were not counted, and a dead dependency kept
/// being called.
#[test]
fn calls_dropped_after_the_time_out_open_it() {
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

/// After one hung probe, a breaker without leases rejected all calls for ever.
#[test]
fn hung_probe_opens_it_after_its_lease() {
    let (breaker, time) = breaker();
    fail(&breaker, 2);
    time.advance(10 * S);
    std::mem::forget(breaker.try_acquire().unwrap());
    time.advance(30 * S - MS);
    assert!(breaker.try_acquire().is_err() && breaker.state() == CircuitState::HalfOpen);
    time.advance(MS);
    assert_eq!(
        breaker.try_acquire().unwrap_err().retry_after(),
        Some(10 * S),
        "a hung probe counts as failed"
    );
    assert_eq!(breaker.status().cause, Cause::Hung);
    time.advance(10 * S);
    succeed(&breaker, 20);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A hundred of a hundred concurrent calls were admitted as probes, although the limit was two.
#[test]
fn probes_in_flight_are_limited() {
    let time = ManualTime::new();
    let probes = Probes { concurrency: 2, successes: 3, ..STRICT };
    let breaker = builder(&time).probes(probes).build().unwrap();
    fail(&breaker, 2);
    time.advance(10 * S);
    let mut out: Vec<_> = (0..100).filter_map(|_| breaker.try_acquire().ok()).collect();
    assert_eq!(out.len(), 2);
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::Open);
    // Each probe that ends makes room for another, until enough have succeeded.
    out.pop().unwrap().done(Outcome::Success);
    out.push(breaker.try_acquire().unwrap());
    assert!(breaker.try_acquire().is_err());
    // A probe that is refunded or cancelled frees its place and is not counted.
    out.pop().unwrap().refund();
    drop(out.pop());
    out.extend((0..100).filter_map(|_| breaker.try_acquire().ok()));
    assert_eq!((out.len(), breaker.state()), (2, CircuitState::HalfOpen));
    out.into_iter().for_each(|probe| probe.done(Outcome::Success));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// The gauge of a state was set on entry and never cleared. After a cycle, all of them read 1.
#[test]
fn inspect_shows_one_state_at_a_time() {
    let time = ManualTime::new();
    let breaker = builder(&time).ramp(Ramp::default()).build().unwrap();
    let shows = |expected: &str| {
        let mut on = vec![];
        // Without the settings, of which some are 1, too.
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

/// All instances probed the dependency after the same fixed time, again and again.
#[test]
fn open_time_grows_and_is_spread() {
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
    // After it has closed, the open time begins at the first one again.
    succeed(&fleet[0], 1);
    fail(&fleet[0], 2);
    assert!(fleet[0].try_acquire().unwrap_err().retry_after().unwrap() <= S);
}

/// A success completed the required calls and did not open it, and neither did the next failure.
#[test]
fn first_failure_after_enough_calls_opens_it() {
    let time = ManualTime::new();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    fail(&breaker, 12);
    succeed(&breaker, 8);
    assert_eq!(breaker.state(), CircuitState::Closed, "a success does not open it");
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// The outcome of a probe counted after its lease if no other call had come in between.
#[test]
fn outcome_of_a_probe_after_its_lease_is_ignored() {
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
    // The success of a probe is ignored, too, while another one has exceeded its lease.
    let time = ManualTime::new();
    let probes = Probes { concurrency: 2, ..STRICT };
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

/// The time of the last failure is kept in coarse steps. Rounded down, a pause of exactly the time
/// was too long.
#[test]
fn pause_as_long_as_the_time_keeps_the_streak() {
    for (within, start) in [(MS, MS), (S, MS), (10 * S, 7 * MS), (MS, Duration::from_nanos(1))] {
        let time = ManualTime::new();
        time.advance(start);
        let trip = Trip::failures().consecutive(3).within(within);
        let breaker =
            builder(&time).config(Default::default()).clock(time.clock()).trips([trip]).build().unwrap();
        for _ in 0..3 {
            assert_eq!(breaker.state(), CircuitState::Closed);
            fail(&breaker, 1);
            time.advance(within);
        }
        assert_eq!(breaker.state(), CircuitState::Open, "{within:?} from {start:?}");
    }
}

/// The number of a slice of the window overflowed. After 80 days, a window of a millisecond counted
/// nothing.
#[test]
fn short_window_counts_after_years() {
    let time = ManualTime::new();
    let breaker = builder(&time)
        .config(Default::default())
        .clock(time.clock())
        .trips([Trip::failures().count(2).within(MS)]);
    let breaker = breaker.build().unwrap();
    for _ in 0..100 {
        time.advance(Duration::from_secs(86_400 * 37));
        fail(&breaker, 1);
        time.advance(2 * MS);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Closed, "the failures are too far apart");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Open);
        breaker.reset();
    }
}

#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn clock_follows_tokios_paused_time() {
    let breaker = CircuitBreaker::builder()
        .trips([Trip::failures().count(1)])
        .open_time(OpenTime::fixed(S))
        .build()
        .unwrap();
    fail(&breaker, 1);
    assert!(breaker.try_acquire().is_err());
    tokio::time::advance(S).await;
    assert!(breaker.try_acquire().is_ok());
}

/// A feature request to fuse, open for ten years: admit a growing share of the calls, not all at
/// once.
#[test]
fn ramp_admits_an_evenly_growing_share() {
    let time = ManualTime::new();
    let ramp = Ramp { duration: Some(10 * S), start: 0.1 };
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
    assert_eq!(breaker.state(), CircuitState::Ramp, "the next call ends the ramp");
    succeed(&breaker, 100);
    assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Closed, Cause::Ramp));
}

/// Also requested there: failures on the ramp open it again, for a longer time. They are judged by
/// the trips, from the first call of the ramp on.
#[test]
fn trip_on_the_ramp_opens_it_for_longer() {
    let open = OpenTime { first: S, factor: 2.0, max: 60 * S, jitter: 0.0 };
    let dead = Trip::failures().ratio(0.5, 20);
    for (trip, bears) in [(Trip::failures().count(3), 2), (Trip::failures().consecutive(3), 2), (dead, 19)] {
        let time = ManualTime::new();
        let ramp = Ramp { duration: Some(10 * S), start: 1.0 };
        let breaker = builder(&time).trips([trip]).open_time(open).ramp(ramp).build().unwrap();
        let open_for = || breaker.try_acquire().unwrap_err().retry_after();
        fail(&breaker, bears + 1);
        assert_eq!(open_for(), Some(S), "{trip}");
        time.advance(S);
        succeed(&breaker, 1);
        let before = breaker.try_acquire().unwrap();
        fail(&breaker, bears);
        assert_eq!(breaker.state(), CircuitState::Ramp, "{trip}");
        fail(&breaker, 1);
        assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Open, Cause::Trip(trip)));
        assert_eq!(open_for(), Some(2 * S));
        before.done(Outcome::Failure);
        assert_eq!(open_for(), Some(2 * S));
    }
}

/// A dependency that rejects calls because of overload has not failed.
#[test]
fn overloads_count_only_for_their_own_trip() {
    let time = ManualTime::new();
    for (trip, opens) in [
        (Trip::failures().count(2), false),
        (Trip::errors().count(2), false),
        (Trip::overloads().count(2), true),
        (Trip::overloads().ratio(0.5, 4), true),
    ] {
        let breaker = CircuitBreaker::builder().trips([trip]).clock(time.clock()).build().unwrap();
        succeed(&breaker, 2);
        (0..2).for_each(|_| breaker.try_acquire().unwrap().done(Outcome::Overloaded));
        assert_eq!(breaker.state() == CircuitState::Open, opens, "{trip}");
    }
}

/// Callers that gave up waiting were not counted, and a hanging dependency kept being called.
#[test]
fn slow_trip_counts_cancelled_calls() {
    let time = ManualTime::new();
    let trip = Trip::slow(S).ratio(0.5, 4);
    let breaker = CircuitBreaker::builder().trips([trip]).clock(time.clock()).build().unwrap();
    for _ in 0..4 {
        assert_eq!(breaker.state(), CircuitState::Closed);
        let permit = breaker.try_acquire().unwrap();
        time.advance(S);
        drop(permit);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Failures that a closed breaker tolerates kept it open for ever.
#[test]
fn failure_that_no_trip_counts_does_not_keep_it_open() {
    let time = ManualTime::new();
    let breaker =
        CircuitBreaker::builder().trips([Trip::timeouts().count(2)]).clock(time.clock()).build().unwrap();
    breaker.trip("test");
    time.advance(60 * S);
    breaker.try_acquire().unwrap().done(Outcome::Failure);
    assert_eq!(breaker.state(), CircuitState::Ramp);
}

/// The trip counts consecutive errors. Time-outs in between ended the streak.
#[test]
fn only_a_success_ends_a_streak() {
    let time = ManualTime::new();
    let trip = Trip::errors().consecutive(3);
    let breaker = CircuitBreaker::builder().trips([trip]).clock(time.clock()).build().unwrap();
    for _ in 0..3 {
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.try_acquire().unwrap().done(Outcome::Failure);
        breaker.report(Outcome::TimedOut);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// The callback ran under the lock, so a callback that read the status deadlocked.
#[test]
fn inspect_callback_can_read_the_status() {
    let breaker = CircuitBreaker::new("inspected").unwrap();
    let mut seen = 0;
    breaker.read(&mut |_, _| {
        let _ = breaker.status();
        seen += 1;
    });
    assert!(seen > 5);
}

/// A panic of a health check ended all health checks. And the result of a check that was due in an
/// earlier life counted.
#[test]
fn health_checks_continue_after_a_panic() {
    let time = ManualTime::new();
    let open = OpenTime::fixed(S);
    let breaker = builder(&time).open_time(open).ramp(Ramp::NONE).health_checked().build().unwrap();
    let mut checks = 0;
    let mut checking = task::spawn(breaker.run_health_checks(Duration::ZERO, || {
        checks += 1;
        let panics = checks == 1;
        async move { if panics { panic!("the check panics") } else { true } }
    }));
    breaker.trip("test");
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..20 {
        assert!(checking.poll().is_pending());
        time.advance(S / 4);
    }
    let _ = std::panic::take_hook();
    drop(checking);
    assert_eq!((breaker.state(), checks), (CircuitState::Closed, 2));

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

/// Without calls, a ramp never ended.
#[test]
fn status_ends_a_ramp_whose_time_is_over() {
    let time = ManualTime::new();
    let breaker = builder(&time).ramp(Ramp::default()).build().unwrap();
    fail(&breaker, 2);
    time.advance(10 * S);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Ramp);
    time.advance(60 * S);
    assert_eq!(breaker.status().state, CircuitState::Closed);
}

/// In a process that had run for nine years, each failure began a new streak.
#[test]
fn streak_is_counted_after_years() {
    let year = Duration::from_secs(365 * 86_400);
    for years in [0, 9, 10, 100] {
        let time = ManualTime::new();
        let trip = Trip::failures().consecutive(3).within(S);
        let breaker = CircuitBreaker::builder().trips([trip]).clock(time.clock()).build().unwrap();
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

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Observe for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A second `trip`, a `reset` of a closed breaker and an `unblock` of one that was not blocked
/// emitted changes of state, which inflated their metric.
#[test]
fn state_change_is_emitted_only_if_something_changed() {
    let time = ManualTime::new();
    let recorder = Arc::<Recorder>::default();
    let observer = Arc::<Recorder>::clone(&recorder);
    let breaker = builder(&time).health_checked().observe(observer).build().unwrap();
    for _ in 0..3 {
        breaker.reset();
        breaker.unblock();
        breaker.enable();
    }
    (0..3).for_each(|_| breaker.trip("test"));
    (0..3).for_each(|_| breaker.block("test"));
    (0..3).for_each(|_| breaker.unblock());
    time.advance(10 * S);
    let check = breaker.health_check_due().unwrap();
    breaker.record_health_check(check, false);
    (0..3).for_each(|_| breaker.reset());
    (0..3).for_each(|_| breaker.disable());
    (0..3).for_each(|_| breaker.enable());
    let events = recorder.0.lock().unwrap();
    let changes = events.iter().filter_map(|event| match event {
        Event::StateChanged { to, .. } => Some(*to),
        _ => None,
    });
    let expected = ["open", "blocked", "unblocked", "closed", "disabled", "closed"];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
}

/// An outcome that was reported without a permit was counted, and told to nobody.
#[test]
fn reported_outcome_is_emitted() {
    let time = ManualTime::new();
    let recorder = Arc::<Recorder>::default();
    let breaker = builder(&time).observe(Arc::<Recorder>::clone(&recorder)).build().unwrap();
    breaker.report(Outcome::Failure);
    let event = Event::reported("breaker", Outcome::Failure);
    assert_eq!(*recorder.0.lock().unwrap(), [event]);
}

/// With health checks and nothing to run them, an open breaker stayed open for ever.
#[test]
fn calls_probe_if_nothing_runs_the_health_checks() {
    let time = ManualTime::new();
    let breaker = builder(&time).health_checked().build().unwrap();
    breaker.trip("test");
    time.advance(10 * S);
    assert!(breaker.try_acquire().is_err(), "a check may still decide");
    time.advance(2 * STRICT.lease - MS);
    assert!(breaker.try_acquire().is_err());
    time.advance(MS);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Closed);
}
