//! The test suites of fuse, Klarna's circuit_breaker and breaky, in our terms. Where we differ on
//! purpose, the test says so.
//!
//! | fuse | here |
//! |---|---|
//! | install | build. Tests of a fuse that is not installed use a breaker that was dropped |
//! | melt | report a failure |
//! | an intensity of n | a count of n + 1 |
//! | heal | reset, or the end of the open time |
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{
    Alarm, Cause, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerConfig, CircuitState, Monitor,
    OpenTime, Probes, Ramp, Trip,
};
use plimsoll_core::{Clock, Dice, Event, Inspect, ManualTime, Observe, Outcome, Overload, Reason};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_test::task;
use tokio_test::{assert_pending, assert_ready};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
/// In these libraries, one bad probe opens it again.
const STRICT: Probes =
    Probes { concurrency: 1, successes: 1, failures: Some(1), lease: Duration::from_secs(30) };

/// Tolerates `intensity` failures within ten seconds, and opens for a minute.
fn fuse(intensity: u32, time: &ManualTime) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .trips([Trip::failures().count(intensity + 1).within(10 * S)])
        .open_time(OpenTime::fixed(60 * S))
        .probes(STRICT)
        .ramp(Ramp::NONE)
        .clock(time.clock())
        .dice(Dice::seeded(1))
}

fn install(intensity: u32) -> (CircuitBreaker, ManualTime) {
    let time = ManualTime::new();
    (fuse(intensity, &time).build().unwrap(), time)
}

fn melt(breaker: &CircuitBreaker, times: u32) {
    (0..times).for_each(|_| breaker.report(Outcome::Failure));
}

/// Makes a call that succeeds. Returns whether it was admitted.
fn passes(breaker: &CircuitBreaker) -> bool {
    breaker.try_acquire().map(|permit| permit.done(Outcome::Success)).is_ok()
}

fn run<T, E>(breaker: &CircuitBreaker, work: Result<T, E>) -> Result<T, Overload<E>> {
    assert_ready!(task::spawn(breaker.run(async { work })).poll())
}

mod fuse_rows {
    use super::*;

    /// R01, R05, R10, R11, R15, R17, R19: operations on a fuse that is not installed affect no
    /// other.
    #[test]
    fn dropped_breaker_does_not_affect_its_successor() {
        let time = ManualTime::new();
        let old = fuse(0, &time).name("twice").build().unwrap();
        let (handle, permit, late) =
            (old.clone(), old.try_acquire_owned().unwrap(), old.try_acquire_owned().unwrap());
        drop(old);
        let new = fuse(0, &time).name("twice").build().unwrap();

        permit.done(Outcome::Failure);
        assert_eq!((handle.state(), new.state()), (CircuitState::Open, CircuitState::Closed));
        drop(handle);
        late.done(Outcome::Failure);
        assert!(passes(&new));

        // Nor does a reset, an unblock or an enable of another breaker reach it.
        let other = fuse(0, &time).name("twice").build().unwrap();
        new.trip("test");
        new.block("test");
        other.reset();
        other.unblock();
        other.enable();
        assert_eq!((new.state(), new.status().blocked), (CircuitState::Open, Some("test")));
        new.unblock();
        assert!(!passes(&new) && passes(&other));
    }

    /// R02, R06, R22: a reset closes an open breaker. It discards the counts of a closed one.
    #[test]
    fn reset_closes_it_and_discards_counts() {
        let (breaker, _time) = install(1);
        breaker.reset();
        assert!(passes(&breaker));
        melt(&breaker, 2);
        assert!(!passes(&breaker));
        breaker.reset();
        assert_eq!(breaker.status().to_string(), "closed (reset)");
        assert!(passes(&breaker));
        melt(&breaker, 1);
        breaker.reset();
        melt(&breaker, 1);
        assert!(passes(&breaker), "the failure before the reset was discarded");
        melt(&breaker, 1);
        assert!(!passes(&breaker));
    }

    /// R03: invalid settings are rejected by the builder, which names them.
    #[test]
    fn invalid_settings_are_rejected_by_name() {
        let rejects = |builder: CircuitBreakerBuilder, field: &str| {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        };
        for (trip, field) in [
            (Trip::failures().count(0), "count"),
            (Trip::failures().consecutive(0), "consecutive"),
            (Trip::failures().consecutive(65_536), "consecutive"),
            (Trip::failures().ratio(0.0, 1), "ratio"),
            (Trip::failures().ratio(-0.5, 1), "ratio"),
            (Trip::failures().ratio(1.01, 1), "ratio"),
            (Trip::failures().ratio(f64::NAN, 1), "ratio"),
            (Trip::failures().ratio(0.5, 0), "min_calls"),
            (Trip::failures().within(Duration::from_micros(999)), "within"),
            (Trip::slow(Duration::ZERO), "longer_than"),
        ] {
            rejects(CircuitBreaker::builder().trips([trip]), field);
        }
        let open = OpenTime::default();
        rejects(
            CircuitBreaker::builder().open_time(OpenTime { first: Duration::ZERO, ..open }),
            "open_time.first",
        );
        for factor in [0.99, -1.0, f64::NAN, f64::INFINITY] {
            rejects(CircuitBreaker::builder().open_time(OpenTime { factor, ..open }), "open_time.factor");
        }
        rejects(CircuitBreaker::builder().open_time(OpenTime { max: S, ..open }), "open_time.max");
        for share in [-0.1, 1.1, f64::NAN] {
            rejects(
                CircuitBreaker::builder().open_time(OpenTime { jitter: share, ..open }),
                "open_time.jitter",
            );
            rejects(CircuitBreaker::builder().ramp(Ramp { start: share, ..Ramp::default() }), "ramp.start");
        }
        for at_once in [0, 1_025] {
            rejects(
                CircuitBreaker::builder().probes(Probes { concurrency: at_once, ..Probes::default() }),
                "probes.concurrency",
            );
        }
        rejects(
            CircuitBreaker::builder().probes(Probes { successes: 0, ..Probes::default() }),
            "probes.successes",
        );
        rejects(
            CircuitBreaker::builder().probes(Probes { failures: Some(0), ..Probes::default() }),
            "probes.failures",
        );
        rejects(
            CircuitBreaker::builder().probes(Probes { lease: Duration::ZERO, ..Probes::default() }),
            "probes.lease",
        );
        rejects(CircuitBreaker::builder().call_timeout(Duration::ZERO), "call_timeout");
        assert!(CircuitBreaker::new("").is_err());
    }

    /// R04: all other settings are accepted. Without trips, only an operator opens it.
    #[test]
    fn extreme_settings_are_accepted() {
        for n in [1, 2, u32::MAX] {
            CircuitBreaker::builder().trips([Trip::failures().count(n).within(MS)]).build().unwrap();
        }
        CircuitBreaker::builder()
            .trips([Trip::failures().consecutive(65_535).within(3_600 * S)])
            .build()
            .unwrap();
        CircuitBreaker::builder().trips([Trip::failures().ratio(1.0, u32::MAX)]).build().unwrap();
        CircuitBreaker::builder().open_time(OpenTime::fixed(Duration::MAX)).build().unwrap().trip("test");
        let config = CircuitBreakerConfig { trips: vec![], ..CircuitBreakerConfig::default() };
        let manual = CircuitBreaker::builder().config(config).build().unwrap();
        melt(&manual, 10_000);
        assert!(passes(&manual));
        manual.trip("test");
        assert!(!passes(&manual));
    }

    /// R07: a closed breaker runs the work and returns its result. `Ok` and `Err` correspond to
    /// fuse's ok and melt.
    #[test]
    fn run_on_a_closed_breaker_returns_the_result() {
        let (breaker, _time) = install(1);
        assert_eq!(run::<_, ()>(&breaker, Ok(7)), Ok(7));
        assert_eq!(run::<(), _>(&breaker, Err("no")), Err(Overload::Inner("no")));
        assert_eq!(breaker.call(|| Err::<(), _>("no")), Err(Overload::Inner("no")));
        assert_eq!(breaker.state(), CircuitState::Open);
    }

    /// R08: an open breaker does not start the work.
    #[test]
    fn run_on_an_open_breaker_never_starts_the_work() {
        let (breaker, _time) = install(0);
        melt(&breaker, 1);
        let started = std::cell::Cell::new(false);
        let rejected = breaker.call(|| {
            started.set(true);
            Ok::<_, ()>(())
        });
        assert_eq!(rejected.unwrap_err().rejected().unwrap().reason(), Reason::Open);
        let work = async {
            started.set(true);
            Ok::<_, ()>(())
        };
        let rejected = assert_ready!(task::spawn(breaker.run(work)).poll());
        assert!(rejected.unwrap_err().rejected().is_some());
        assert!(!started.get());
    }

    /// R09: the breaker opens while a call runs. The call ends normally, and its success does not
    /// close the breaker.
    #[test]
    fn call_that_runs_while_it_opens_ends_normally() {
        let (breaker, _time) = install(1);
        let result = breaker.call(|| {
            melt(&breaker, 2);
            Ok::<_, ()>(7)
        });
        assert_eq!(result, Ok(7));
        assert_eq!(breaker.state(), CircuitState::Open);
        assert!(!passes(&breaker));
    }

    /// R12, R13: failures up to the intensity have no visible effect, and the next one opens the
    /// breaker. Further failures neither extend nor shorten the open time.
    #[test]
    fn it_opens_on_the_failure_above_the_intensity() {
        for intensity in [0, 1, 5, 100] {
            let (breaker, time) = install(intensity);
            melt(&breaker, intensity);
            assert!(passes(&breaker), "{intensity}");
            melt(&breaker, 1);
            assert_eq!(breaker.state(), CircuitState::Open);
            for _ in 0..59 {
                time.advance(S);
                melt(&breaker, 3);
                assert!(!passes(&breaker));
            }
            time.advance(S);
            assert!(passes(&breaker));
            assert_eq!(breaker.state(), CircuitState::Closed);
            melt(&breaker, intensity);
            assert!(passes(&breaker), "failures while it was open are not counted");
        }
    }

    /// R14: failures older than the window do not count. In fuse they expire exactly on time, here
    /// at most a tenth of the window late, at a cost that does not depend on their number.
    #[test]
    fn failures_expire_with_the_window() {
        for (pause, opens) in [(Duration::ZERO, true), (10 * S, true), (11 * S + MS, false)] {
            let (breaker, time) = install(1);
            time.advance(123 * MS);
            melt(&breaker, 1);
            time.advance(pause);
            melt(&breaker, 1);
            assert_eq!(breaker.state() == CircuitState::Open, opens, "{pause:?}");
        }
    }

    /// R16: calls without an outcome change nothing.
    #[test]
    fn refunded_and_ignored_calls_change_nothing() {
        let (breaker, _time) = install(0);
        for _ in 0..100 {
            breaker.try_acquire().unwrap().refund();
            drop(breaker.try_acquire().unwrap());
            breaker.try_acquire_owned().unwrap().done(Outcome::Ignored);
        }
        assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Closed, Cause::Never));
        melt(&breaker, 1);
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(
            (rejected.by(), rejected.reason(), rejected.retry_after()),
            ("breaker", Reason::Open, Some(60 * S))
        );
        assert_eq!(
            (rejected.observed(), rejected.limit(), rejected.window()),
            (Some(1), Some(1), Some(10 * S))
        );
    }

    /// R18: disabling in fuse is a block here. It rejects calls whatever the state, until it is
    /// lifted.
    #[test]
    fn only_unblock_ends_a_block() {
        let (breaker, time) = install(0);
        breaker.block("migration");
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(
            (rejected.reason(), rejected.retry_after()),
            (Reason::Open, None),
            "the end of a block is unknown"
        );
        assert_eq!(breaker.status().to_string(), "blocked: migration");
        breaker.reset();
        assert!(!passes(&breaker));
        melt(&breaker, 1);
        time.advance(60 * S);
        assert!(!passes(&breaker));
        breaker.reset();
        breaker.enable();
        assert!(!passes(&breaker));
        breaker.unblock();
        assert!(passes(&breaker));
    }

    /// R19, R20: as in fuse, a block that ends discards the melts. Unlike there, the state develops
    /// during the block: the open time and the ramp continue.
    #[test]
    fn state_develops_during_a_block() {
        let (breaker, time) = install(1);
        breaker.unblock();
        assert!(passes(&breaker), "there was no block");
        melt(&breaker, 2);
        breaker.block("one");
        breaker.block("two");
        assert_eq!(breaker.status().blocked, Some("two"));
        time.advance(30 * S);
        breaker.unblock();
        assert_eq!(
            breaker.try_acquire().unwrap_err().retry_after(),
            Some(30 * S),
            "the open time has continued"
        );
        breaker.block("three");
        time.advance(30 * S);
        breaker.unblock();
        assert!(passes(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
        melt(&breaker, 1);
        breaker.unblock();
        melt(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Open, "there was no block");
        breaker.reset();
        melt(&breaker, 1);
        breaker.block("four");
        breaker.unblock();
        melt(&breaker, 1);
        assert!(passes(&breaker), "the failure before the block is forgotten");
    }

    /// R21: melts of a disabled fuse. A blocked breaker still counts outcomes. A disabled one
    /// counts none, and its counts are zero when it is enabled.
    #[test]
    fn failures_count_while_blocked_but_not_while_disabled() {
        let (breaker, _time) = install(1);
        breaker.block("test");
        melt(&breaker, 2);
        breaker.unblock();
        assert_eq!(breaker.state(), CircuitState::Open);

        let (breaker, time) = install(1);
        let before = breaker.try_acquire().unwrap();
        melt(&breaker, 1);
        breaker.disable();
        assert_eq!(breaker.status().to_string(), "disabled");
        melt(&breaker, 50);
        let during = breaker.try_acquire().unwrap();
        breaker.enable();
        breaker.enable();
        before.done(Outcome::Failure);
        during.done(Outcome::Failure);
        melt(&breaker, 1);
        assert!(passes(&breaker), "one failure since it was enabled");
        // A disabled breaker also admits calls if it was open, and enabling it ends the open time.
        melt(&breaker, 1);
        assert!(!passes(&breaker));
        breaker.disable();
        assert!(passes(&breaker));
        time.advance(30 * S);
        breaker.enable();
        melt(&breaker, 2);
        time.advance(60 * S - MS);
        assert!(!passes(&breaker));
    }

    /// R22, R23: a blown fuse rejects calls for a delay and then heals. Here rejections state the
    /// remaining time, and a probe decides at its end.
    #[test]
    fn it_stays_open_for_exactly_the_open_time() {
        for reset in [MS, 7 * MS, S, 60 * S] {
            let time = ManualTime::new();
            let breaker = fuse(0, &time).open_time(OpenTime::fixed(reset)).build().unwrap();
            for _ in 0..3 {
                time.advance(3 * MS);
                melt(&breaker, 1);
                assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(reset));
                time.advance(reset - Duration::from_nanos(1));
                assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(Duration::from_nanos(1)));
                time.advance(Duration::from_nanos(1));
                assert!(passes(&breaker));
                assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Closed, Cause::Probe));
            }
        }
    }

    /// Fault injection, as in fuse: a share of the calls is rejected. Here an event is emitted for
    /// each.
    #[test]
    fn injected_faults_reject_their_share_and_are_emitted() {
        #[derive(Default)]
        struct Counts(Mutex<(u32, u32)>);
        impl Observe for Counts {
            fn event(&self, event: Event) {
                match event {
                    Event::Admitted { .. } => self.0.lock().unwrap().0 += 1,
                    Event::Rejected { .. } => self.0.lock().unwrap().1 += 1,
                    _ => {}
                }
            }
        }
        let (time, counts) = (ManualTime::new(), Arc::new(Counts::default()));
        let breaker = fuse(0, &time).observe(counts.clone()).build().unwrap();
        let mut seen = (0, 0);
        for (share, expected) in [(0.0, 0..=0), (0.3, 2_800..=3_200), (1.0, 10_000..=10_000), (0.0, 0..=0)] {
            breaker.set_fault(share).unwrap();
            let rejected = (0..10_000).filter(|_| !passes(&breaker)).count() as u32;
            assert!(expected.contains(&rejected), "{share}: {rejected}");
            seen = (seen.0 + 10_000 - rejected, seen.1 + rejected);
            assert_eq!(*counts.0.lock().unwrap(), seen);
        }
        for share in [-1e-6, 1.000001, f64::NAN] {
            assert!(breaker.set_fault(share).is_err());
        }
        assert!(passes(&breaker), "a rejected share changes nothing");
        breaker.set("fault", 1.0).unwrap();
        assert!(!passes(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.disable();
        assert!(passes(&breaker), "a disabled breaker injects no faults");
    }

    /// A panic of the work does not count as a melt in fuse. Here it counts as a failure.
    #[test]
    fn panic_counts_as_a_failure_and_is_resumed() {
        let (breaker, _time) = install(1);
        for _ in 0..2 {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _ = breaker.call(|| -> Result<(), ()> { panic!("on purpose") });
            }));
            assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        }
        assert_eq!(breaker.state(), CircuitState::Open);
    }
}

mod monitor {
    use super::*;

    proptest! {
        /// fuse's monitor: the first poll that finds it blown raises an alarm, and three
        /// consecutive polls that do not clear it.
        #[test]
        fn alarm_is_raised_at_once_and_cleared_after_clean_polls(
            clean in 0..5u32,
            polls in prop::collection::vec(any::<bool>(), 1..60),
        ) {
            let (breaker, _time) = install(0);
            let mut monitor = Monitor::new(breaker.clone(), clean);
            let (mut raised, mut good) = (false, 0);
            for blown in polls {
                if blown { breaker.trip("test") } else { breaker.reset() }
                good = if blown { 0 } else { good + 1 };
                let expected = match (raised, blown) {
                    (false, true) => Some(Alarm::Raised),
                    (true, false) if good >= clean.max(1) => Some(Alarm::Cleared),
                    _ => None,
                };
                raised = expected.map_or(raised, |alarm| alarm == Alarm::Raised);
                prop_assert_eq!(monitor.poll(), expected);
                prop_assert_eq!(monitor.is_raised(), raised);
            }
        }
    }

    #[test]
    fn block_raises_the_alarm_and_disable_clears_it() {
        let (breaker, time) = install(0);
        let mut monitor = Monitor::new(breaker.clone(), 1);
        assert_eq!(monitor.poll(), None);
        breaker.block("test");
        assert_eq!(monitor.poll(), Some(Alarm::Raised));
        breaker.disable();
        assert_eq!(monitor.poll(), Some(Alarm::Cleared));
        breaker.enable();
        assert_eq!(monitor.poll(), Some(Alarm::Raised));
        breaker.unblock();
        assert_eq!(monitor.poll(), Some(Alarm::Cleared));
        // A half-open breaker is not healthy yet.
        melt(&breaker, 1);
        time.advance(60 * S);
        let _probe = breaker.try_acquire().unwrap();
        assert_eq!((breaker.state(), monitor.poll()), (CircuitState::HalfOpen, Some(Alarm::Raised)));
    }
}

mod klarna_rows {
    use super::*;

    const CALL: Duration = Duration::from_secs(10);
    const SLOW: Duration = Duration::from_secs(5);

    /// The defaults of Klarna: ten errors or ten time-outs within a minute, or ten slow calls
    /// within five.
    fn klarna(time: &ManualTime) -> CircuitBreakerBuilder {
        CircuitBreaker::builder()
            .name("klarna")
            .trips([
                Trip::errors().count(10).within(60 * S),
                Trip::timeouts().count(10).within(60 * S),
                Trip::slow(SLOW).count(10).within(300 * S),
            ])
            .call_timeout(CALL)
            .open_time(OpenTime::fixed(600 * S))
            .probes(STRICT)
            .ramp(Ramp::NONE)
            .clock(time.clock())
    }

    fn call(breaker: &CircuitBreaker, time: &ManualTime, takes: Duration, outcome: Outcome) {
        let permit = breaker.try_acquire().unwrap();
        time.advance(takes);
        permit.done(outcome);
    }

    /// call_timeout_block, timeout_block, error_block: the tenth opens it, and the status has the
    /// cause.
    #[test]
    fn each_of_three_counters_has_its_own_threshold() {
        for (outcome, takes, status) in [
            (Outcome::Failure, Duration::ZERO, "open (10 errors within 60s)"),
            (Outcome::TimedOut, Duration::ZERO, "open (10 time-outs within 60s)"),
            (Outcome::Success, SLOW, "open (10 calls of 5s and longer within 300s)"),
        ] {
            let time = ManualTime::new();
            let breaker = klarna(&time).build().unwrap();
            for n in 0..10 {
                assert_eq!(breaker.state(), CircuitState::Closed, "{outcome:?} {n}");
                call(&breaker, &time, takes, outcome);
            }
            assert_eq!(breaker.status().to_string(), status);
            assert_eq!(breaker.status().blocked, None, "the block is a separate flag");
            assert_eq!(breaker.try_acquire().unwrap_err().observed(), Some(10));
        }
    }

    /// Nine errors, nine time-outs and nine slow calls do not open it.
    #[test]
    fn counters_are_independent() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        for _ in 0..9 {
            call(&breaker, &time, Duration::ZERO, Outcome::Failure);
            call(&breaker, &time, Duration::ZERO, Outcome::TimedOut);
        }
        for _ in 0..9 {
            call(&breaker, &time, SLOW, Outcome::Success);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        call(&breaker, &time, SLOW, Outcome::Success);
        assert!(matches!(breaker.status().cause, Cause::Trip(trip) if trip.as_str() == "slow calls"));
    }

    /// A call that is cancelled after the call time-out counts as timed out, and one that is
    /// cancelled earlier does not.
    #[test]
    fn call_cancelled_after_the_call_time_out_counts() {
        let time = ManualTime::new();
        let timeouts = Trip::timeouts().count(10).within(60 * S);
        let breaker = klarna(&time).trips([timeouts]).build().unwrap();
        for _ in 0..100 {
            let permit = breaker.try_acquire().unwrap();
            time.advance(CALL - MS);
            drop(permit);
            time.advance(S);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        let never = std::future::pending::<Result<(), ()>>;
        let mut calls: Vec<_> = (0..10).map(|_| task::spawn(breaker.run(never()))).collect();
        for call in &mut calls {
            assert_pending!(call.poll());
        }
        time.advance(CALL);
        drop(calls);
        assert!(matches!(breaker.status().cause, Cause::Trip(trip) if trip.as_str() == "time-outs"));
    }

    /// ignore_errors: twenty ignored errors do not open it.
    #[test]
    fn ignored_errors_do_not_open_it() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        let classify = |result: &Result<(), &str>| match result {
            Err("not_found") => Outcome::Ignored,
            Err("timeout") => Outcome::TimedOut,
            Err(_) => Outcome::Failure,
            Ok(()) => Outcome::Success,
        };
        let run =
            |error| assert_ready!(task::spawn(breaker.run_as(classify, async move { Err(error) })).poll());
        for _ in 0..20 {
            assert_eq!(run("not_found"), Err(Overload::Inner("not_found")));
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        (0..10).for_each(|_| assert!(run("timeout").is_err()));
        assert_eq!(breaker.state(), CircuitState::Open);
    }

    /// manual_block, deblock, clear: a block overrides the state, and a reset does not end it.
    #[test]
    fn block_overrides_the_state_and_outlives_a_reset() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        breaker.block("manual");
        melt(&breaker, 10);
        assert_eq!(
            (breaker.state(), breaker.status().to_string()),
            (CircuitState::Open, "blocked: manual".into())
        );
        breaker.reset();
        assert_eq!((breaker.state(), breaker.status().blocked), (CircuitState::Closed, Some("manual")));
        assert!(!passes(&breaker));
        breaker.unblock();
        assert!(passes(&breaker));
    }

    /// returns: values and errors are returned unchanged, and a panic is resumed.
    #[test]
    fn values_errors_and_panics_reach_the_caller() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        assert_eq!(run::<_, ()>(&breaker, Ok("value")), Ok("value"));
        assert_eq!(run::<(), _>(&breaker, Err("error")), Err(Overload::Inner("error")));
        let panics = std::future::poll_fn(|_| -> std::task::Poll<Result<(), ()>> { panic!("exit") });
        let mut panics = task::spawn(breaker.run(panics));
        let panicked = catch_unwind(AssertUnwindSafe(|| panics.poll().is_ready())).unwrap_err();
        assert_eq!(*panicked.downcast::<&str>().unwrap(), "exit");
    }

    /// reset: a health check, not a call, decides whether it closes. While checks fail, it stays
    /// open.
    #[test]
    fn health_check_decides_when_it_closes() {
        let time = ManualTime::new();
        let breaker = klarna(&time).health_checked().build().unwrap();
        assert!(breaker.health_check_due().is_none());
        check(&breaker, false);
        assert!(passes(&breaker), "no check was due");
        melt(&breaker, 10);
        check(&breaker, true);
        assert!(!passes(&breaker), "no check is due yet");
        for _ in 0..3 {
            time.advance(600 * S - MS);
            assert!(breaker.health_check_due().is_none());
            time.advance(MS);
            assert!(breaker.health_check_due().is_some());
            assert!(!passes(&breaker), "no call is a probe");
            check(&breaker, false);
            assert!(breaker.health_check_due().is_none());
            assert_eq!(breaker.status().cause, Cause::HealthCheck);
        }
        time.advance(600 * S);
        check(&breaker, true);
        assert!(passes(&breaker));
        assert_eq!(breaker.status().to_string(), "closed (health check)");
    }

    /// The same with `run_health_checks`. A check that hangs counts as unhealthy.
    #[test]
    fn health_checks_run_after_the_open_time() {
        let time = ManualTime::new();
        let lease = Probes { lease: 5 * S, ..STRICT };
        let breaker = klarna(&time).health_checked().probes(lease).build().unwrap();
        let (checks, works) = (std::cell::Cell::new(0), std::cell::Cell::new(None));
        let mut checking = task::spawn(breaker.run_health_checks(S, || async {
            checks.set(checks.get() + 1);
            match works.get() {
                Some(works) => works,
                None => std::future::pending().await,
            }
        }));
        let mut pass = |seconds: u32| {
            for _ in 0..seconds {
                assert_pending!(checking.poll());
                time.advance(S);
            }
            assert_pending!(checking.poll());
        };
        pass(700);
        assert_eq!(checks.get(), 0, "a closed breaker is not checked");
        melt(&breaker, 10);
        pass(599);
        assert_eq!(checks.get(), 0);
        pass(1);
        assert_eq!((checks.get(), breaker.state()), (1, CircuitState::Open), "the check hangs");
        pass(4);
        assert!(breaker.health_check_due().is_some());
        pass(1);
        assert_eq!(
            (checks.get(), breaker.health_check_due().is_some()),
            (1, false),
            "the check was abandoned"
        );
        works.set(Some(false));
        pass(600);
        assert_eq!((checks.get(), breaker.state()), (2, CircuitState::Open));
        works.set(Some(true));
        pass(600);
        assert_eq!((checks.get(), breaker.state()), (3, CircuitState::Closed));
    }

    /// info, info_to_text: the state as a word and as a line.
    #[test]
    fn status_states_the_state_and_its_cause() {
        let time = ManualTime::new();
        let breaker = klarna(&time).probes(Probes { lease: S, ..STRICT }).build().unwrap();
        let says = |expected: &str| assert_eq!(breaker.status().to_string(), expected);
        says("closed");
        assert_eq!(breaker.status().until, None);
        time.advance(S);
        melt(&breaker, 10);
        says("open (10 errors within 60s)");
        let status = breaker.status();
        assert_eq!(status.until.unwrap().since(status.since), 600 * S);
        assert_eq!(status.since, time.clock().now());
        time.advance(600 * S);
        let hung = breaker.try_acquire().unwrap();
        says("half-open (10 errors within 60s)");
        time.advance(S);
        assert!(!passes(&breaker));
        says("open (hung probe)");
        drop(hung);
        breaker.trip("release at noon");
        says("open (release at noon)");
        breaker.block("a");
        says("blocked: a");
        breaker.disable();
        says("disabled");
        let shows = |what| {
            let mut seen = None;
            breaker.read(&mut |name, value| seen = seen.or((name == what).then_some(value)));
            seen.unwrap()
        };
        assert_eq!(
            [shows("open"), shows("closed"), shows("blocked"), shows("disabled")],
            [1.0, 0.0, 1.0, 1.0]
        );
        assert_eq!(breaker.name(), "klarna");
    }

    /// Manual faults: a feature request, for patterns of one's own.
    #[test]
    fn outcomes_without_a_permit_can_be_reported() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        for _ in 0..9 {
            breaker.report(Outcome::TimedOut);
            breaker.report(Outcome::Failure);
            breaker.report(Outcome::Success);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.report(Outcome::TimedOut);
        assert_eq!(breaker.state(), CircuitState::Open);
    }
}

mod breaky_rows {
    use super::*;

    /// Ten failures open it for ten seconds.
    fn breaky(time: &ManualTime) -> CircuitBreakerBuilder {
        CircuitBreaker::builder()
            .trips([Trip::failures().count(10).within(60 * S)])
            .open_time(OpenTime::fixed(10 * S))
            .probes(STRICT)
            .ramp(Ramp::NONE)
            .clock(time.clock())
    }

    /// run_something, crash_something, state, push_it_to_off_state: calls are admitted until the
    /// tenth failure opens it.
    #[test]
    fn ten_failures_open_it() {
        let time = ManualTime::new();
        let breaker = breaky(&time).build().unwrap();
        for n in 0..10 {
            assert_eq!(breaker.state(), CircuitState::Closed, "{n}");
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                breaker.call(|| -> Result<(), ()> { panic!("on purpose") })
            }));
            assert!(panicked.is_err());
        }
        assert_eq!(breaker.state(), CircuitState::Open);
        assert!(run::<_, ()>(&breaker, Ok(())).is_err());
    }

    /// After the open time there is one probe. If it fails, the breaker opens again. If it
    /// succeeds, ten failures are needed again.
    #[test]
    fn one_probe_follows_the_open_time() {
        let time = ManualTime::new();
        let breaker = breaky(&time).build().unwrap();
        melt(&breaker, 10);
        time.advance(10 * S);
        let first = breaker.try_acquire().unwrap();
        assert!(!passes(&breaker), "one probe at a time");
        first.done(Outcome::Failure);
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(10 * S));
        time.advance(10 * S);
        assert!(passes(&breaker));
        melt(&breaker, 9);
        assert!(passes(&breaker));
        melt(&breaker, 1);
        assert!(!passes(&breaker));
    }

    /// multiple, start_stop: breakers share nothing but their name.
    #[test]
    fn breakers_with_the_same_name_are_independent() {
        let time = ManualTime::new();
        let breakers: Vec<_> = (0..3).map(|_| breaky(&time).build().unwrap()).collect();
        melt(&breakers[1], 10);
        assert_eq!(breakers.iter().map(passes).collect::<Vec<_>>(), [true, false, true]);
        let rejected = breakers[1].clone().try_acquire().unwrap_err();
        assert_eq!(
            rejected.to_string(),
            "breaker rejected: open (10 failures in 60s, limit 10), retry after 10s"
        );
    }

    /// The system clock works, also outside of a runtime.
    #[test]
    fn defaults_work_without_a_runtime() {
        let breaker = CircuitBreaker::new("plain").unwrap();
        assert_eq!(Clock::system().block_until(None, breaker.run(async { Ok::<_, ()>(1) })), Some(Ok(1)));
        melt(&breaker, 20);
        assert_eq!(breaker.state(), CircuitState::Open);
    }
}

/// Records the result of a health check, if one is due.
fn check(breaker: &CircuitBreaker, works: bool) {
    if let Some(due) = breaker.health_check_due() {
        breaker.record_health_check(due, works);
    }
}
