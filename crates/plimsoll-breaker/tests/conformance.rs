//! What fuse, Klarna's circuit_breaker and breaky check in suites of their own, in our words. Where we differ
//! on purpose, the test says so.
//!
//! To install is to build, and the handle is the proof of it: the rows about something that is not installed
//! become rows about what was dropped and built anew. To melt is to report a failure; fuse's intensity of
//! n is a count of n + 1; to heal is to reset, or that the open time is over.
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

/// A fuse that stands `intensity` melts within ten seconds, and is blown for a minute.
fn fuse(intensity: u32, time: &ManualTime) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .trip(Trip::failures().count(intensity + 1).within(10 * S))
        .open_time(OpenTime::fixed(60 * S))
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

/// Asks, and if it may, succeeds.
fn passes(breaker: &CircuitBreaker) -> bool {
    breaker.try_acquire().map(|permit| permit.done(Outcome::Success)).is_ok()
}

fn run<T, E>(breaker: &CircuitBreaker, work: Result<T, E>) -> Result<T, Overload<E>> {
    assert_ready!(task::spawn(breaker.run(async { work })).poll())
}

mod fuse_rows {
    use super::*;

    /// R01, R05, R10, R11, R15, R17, R19: whatever is done to a fuse that is not installed (any more) is done
    /// to no other.
    #[test]
    fn what_is_done_to_a_removed_one_changes_nothing_in_its_successor() {
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

        // And neither heals nor enables it.
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

    /// R02, R06, R22: healing a blown fuse makes it whole; healing a whole one does no harm, and forgets its
    /// melts.
    #[test]
    fn a_reset_heals_it_blown_or_not() {
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
        assert!(passes(&breaker), "the melt before the reset is forgotten");
        melt(&breaker, 1);
        assert!(!passes(&breaker));
    }

    /// R03: what will not do is rejected when it is installed, and named.
    #[test]
    fn settings_that_will_not_do_are_refused_by_name() {
        let no = |builder: CircuitBreakerBuilder, field: &str| {
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
            no(CircuitBreaker::builder().trip(trip), field);
        }
        let open = OpenTime::default();
        no(
            CircuitBreaker::builder().open_time(OpenTime { first: Duration::ZERO, ..open }),
            "open_time.first",
        );
        for factor in [0.99, -1.0, f64::NAN, f64::INFINITY] {
            no(CircuitBreaker::builder().open_time(OpenTime { factor, ..open }), "open_time.factor");
        }
        no(CircuitBreaker::builder().open_time(OpenTime { max: S, ..open }), "open_time.max");
        for share in [-0.1, 1.1, f64::NAN] {
            no(CircuitBreaker::builder().open_time(OpenTime { jitter: share, ..open }), "open_time.jitter");
            no(CircuitBreaker::builder().ramp(Ramp { start: share, ..Ramp::default() }), "ramp.start");
            no(
                CircuitBreaker::builder().ramp(Ramp { tolerance: share, ..Ramp::default() }),
                "ramp.tolerance",
            );
        }
        for at_once in [0, 1_025] {
            no(
                CircuitBreaker::builder().probes(Probes { concurrency: at_once, ..Probes::default() }),
                "probes.concurrency",
            );
        }
        no(
            CircuitBreaker::builder().probes(Probes { successes: 0, ..Probes::default() }),
            "probes.successes",
        );
        no(
            CircuitBreaker::builder().probes(Probes { lease: Duration::ZERO, ..Probes::default() }),
            "probes.lease",
        );
        no(CircuitBreaker::builder().call_timeout(Duration::ZERO), "call_timeout");
        assert!(CircuitBreaker::new("").is_err());
    }

    /// R04: everything else is accepted, and no trip at all means by hand only.
    #[test]
    fn settings_that_do_are_accepted() {
        for n in [1, 2, u32::MAX] {
            CircuitBreaker::builder().trip(Trip::failures().count(n).within(MS)).build().unwrap();
        }
        CircuitBreaker::builder()
            .trip(Trip::failures().consecutive(65_535).within(3_600 * S))
            .build()
            .unwrap();
        CircuitBreaker::builder().trip(Trip::failures().ratio(1.0, u32::MAX)).build().unwrap();
        CircuitBreaker::builder().open_time(OpenTime::fixed(Duration::MAX)).build().unwrap().trip("test");
        let config = CircuitBreakerConfig { trips: vec![], ..CircuitBreakerConfig::default() };
        let by_hand = CircuitBreaker::builder().config(config).build().unwrap();
        melt(&by_hand, 10_000);
        assert!(passes(&by_hand));
        by_hand.trip("test");
        assert!(!passes(&by_hand));
    }

    /// R07: what is run on a whole fuse is run, and what came of it comes through. Where fuse's function says
    /// ok or melt, ours is `Ok` or `Err`.
    #[test]
    fn a_run_on_a_closed_one_hands_on_what_came_of_it() {
        let (breaker, _time) = install(1);
        assert_eq!(run::<_, ()>(&breaker, Ok(7)), Ok(7));
        assert_eq!(run::<(), _>(&breaker, Err("no")), Err(Overload::Inner("no")));
        assert_eq!(breaker.call(|| Err::<(), _>("no")), Err(Overload::Inner("no")));
        assert_eq!(breaker.state(), CircuitState::Open);
    }

    /// R08: what is run on a blown fuse is never begun.
    #[test]
    fn a_run_on_an_open_one_is_never_begun() {
        let (breaker, _time) = install(0);
        melt(&breaker, 1);
        let begun = std::cell::Cell::new(false);
        let no = breaker.call(|| {
            begun.set(true);
            Ok::<_, ()>(())
        });
        assert_eq!(no.unwrap_err().rejected().unwrap().reason(), Reason::Open);
        let work = async {
            begun.set(true);
            Ok::<_, ()>(())
        };
        let no = assert_ready!(task::spawn(breaker.run(work)).poll());
        assert!(no.unwrap_err().rejected().is_some());
        assert!(!begun.get());
    }

    /// R09: it blows while something runs: that ends as it would have, and its good end does not heal the
    /// fuse.
    #[test]
    fn what_runs_while_it_opens_ends_as_it_would_have() {
        let (breaker, _time) = install(1);
        let answer = breaker.call(|| {
            melt(&breaker, 2);
            Ok::<_, ()>(7)
        });
        assert_eq!(answer, Ok(7));
        assert_eq!(breaker.state(), CircuitState::Open);
        assert!(!passes(&breaker));
    }

    /// R12, R13: melts up to the intensity change nothing that can be seen; the next blows it. More of them
    /// neither extend nor shorten the time that it is blown.
    #[test]
    fn it_opens_with_the_one_melt_that_is_too_many() {
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
            assert!(passes(&breaker), "what came while it was blown is not counted");
        }
    }

    /// R14: what is older than the window is forgotten. fuse does so to the instant; ours keeps it for a
    /// tenth of the window longer at most, and counts at the same cost however many there are.
    #[test]
    fn a_melt_is_forgotten_when_the_window_is_past_it() {
        for (pause, opens) in [(Duration::ZERO, true), (10 * S, true), (11 * S + MS, false)] {
            let (breaker, time) = install(1);
            time.advance(123 * MS);
            melt(&breaker, 1);
            time.advance(pause);
            melt(&breaker, 1);
            assert_eq!(breaker.state() == CircuitState::Open, opens, "{pause:?}");
        }
    }

    /// R16: asked, it answers; asks that come to nothing change nothing.
    #[test]
    fn asks_that_come_to_nothing_change_nothing() {
        let (breaker, _time) = install(0);
        for _ in 0..100 {
            breaker.try_acquire().unwrap().refund();
            drop(breaker.try_acquire().unwrap());
            breaker.try_acquire_owned().unwrap().done(Outcome::Ignored);
        }
        assert_eq!((breaker.state(), breaker.status().cause), (CircuitState::Closed, Cause::Never));
        melt(&breaker, 1);
        let no = breaker.try_acquire().unwrap_err();
        assert_eq!((no.by(), no.reason(), no.retry_after()), ("breaker", Reason::Open, Some(60 * S)));
        assert_eq!((no.observed(), no.limit(), no.window()), (Some(1), Some(1), Some(10 * S)));
    }

    /// R18: fuse's disabling is our block: it refuses, whatever it would do otherwise, and nothing but the
    /// end of the block ends that.
    #[test]
    fn a_block_refuses_whatever_else_is_done() {
        let (breaker, time) = install(0);
        breaker.block("migration");
        let no = breaker.try_acquire().unwrap_err();
        assert_eq!((no.reason(), no.retry_after()), (Reason::Open, None), "nobody knows how long");
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

    /// R20: enabled again, fuse has forgotten its melts. Ours is as it was, or would have become; who wants
    /// fuse's way resets it.
    #[test]
    fn after_a_block_it_is_as_it_would_have_become() {
        let (breaker, time) = install(1);
        breaker.unblock();
        assert!(passes(&breaker), "there was none");
        melt(&breaker, 2);
        breaker.block("one");
        breaker.block("two");
        assert_eq!(breaker.status().blocked, Some("two"));
        time.advance(30 * S);
        breaker.unblock();
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(30 * S), "its open time went on");
        breaker.block("three");
        time.advance(30 * S);
        breaker.unblock();
        assert!(passes(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
    }

    /// R21: melts of a disabled fuse. Blocked, ours goes on counting what still comes back; out of action
    /// (`disable`) it counts nothing, and is enabled with nothing counted.
    #[test]
    fn melts_of_a_blocked_one_count_and_of_a_disabled_one_do_not() {
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
        assert!(passes(&breaker), "one melt since");
        // Out of action an open one lets pass, too, and forgets when it was to heal.
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

    /// R22, R23: the programme of a blown fuse is a delay, then healing: rejected for the whole of it, and told
    /// how long it still is; whole at its end. Ours sees by a probe whether it works, and then closes.
    #[test]
    fn it_is_open_for_its_time_to_the_instant_and_then_heals() {
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

    /// fuse's fault injection: a share of what would pass is blown, and it is told like any other refusal
    /// (fuse itself counts none of it).
    #[test]
    fn injected_faults_refuse_their_share_and_are_told() {
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
        let (time, told) = (ManualTime::new(), Arc::new(Counts::default()));
        let breaker = fuse(0, &time).observe(told.clone()).build().unwrap();
        let mut seen = (0, 0);
        for (share, expected) in [(0.0, 0..=0), (0.3, 2_800..=3_200), (1.0, 10_000..=10_000), (0.0, 0..=0)] {
            breaker.set_fault(share).unwrap();
            let rejected = (0..10_000).filter(|_| !passes(&breaker)).count() as u32;
            assert!(expected.contains(&rejected), "{share}: {rejected}");
            seen = (seen.0 + 10_000 - rejected, seen.1 + rejected);
            assert_eq!(*told.0.lock().unwrap(), seen);
        }
        for share in [-1e-6, 1.000001, f64::NAN] {
            assert!(breaker.set_fault(share).is_err());
        }
        assert!(passes(&breaker), "what is rejected changes nothing");
        breaker.set("fault", 1.0).unwrap();
        assert!(!passes(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
        breaker.disable();
        assert!(passes(&breaker), "out of action there are no faults, either");
    }

    /// What panics inside a fuse's run does not count as a melt; here it does.
    #[test]
    fn a_panic_counts_as_a_failure_and_goes_on() {
        let (breaker, _time) = install(1);
        for _ in 0..2 {
            let died = catch_unwind(AssertUnwindSafe(|| {
                let _ = breaker.call(|| -> Result<(), ()> { panic!("as told") });
            }));
            assert_eq!(*died.unwrap_err().downcast::<&str>().unwrap(), "as told");
        }
        assert_eq!(breaker.state(), CircuitState::Open);
    }
}

mod monitor {
    use super::*;

    proptest! {
        /// fuse's monitor: an alarm at the first look that finds it blown, cleared by three in a row that do
        /// not.
        #[test]
        fn an_alarm_comes_at_once_and_goes_after_clean_looks_in_a_row(
            clean in 0..5u32,
            looks in prop::collection::vec(any::<bool>(), 1..60),
        ) {
            let (breaker, _time) = install(0);
            let mut monitor = Monitor::new(breaker.clone(), clean);
            let (mut raised, mut good) = (false, 0);
            for blown in looks {
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
    fn a_block_raises_it_and_being_out_of_action_does_not() {
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
        // Half-open is not well yet.
        melt(&breaker, 1);
        time.advance(60 * S);
        let _probe = breaker.try_acquire().unwrap();
        assert_eq!((breaker.state(), monitor.poll()), (CircuitState::HalfOpen, Some(Alarm::Raised)));
    }
}

mod klarna_rows {
    use super::*;

    const CALL: Duration = Duration::from_secs(10);

    /// Klarna's own numbers: ten errors or ten time-outs within a minute, ten calls that took too long within
    /// five.
    fn klarna(time: &ManualTime) -> CircuitBreakerBuilder {
        CircuitBreaker::builder()
            .name("klarna")
            .trip(Trip::errors().count(10).within(60 * S))
            .trip(Trip::timeouts().count(10).within(60 * S))
            .trip(Trip::slow(CALL).count(10).within(300 * S))
            .call_timeout(CALL)
            .open_time(OpenTime::fixed(600 * S))
            .ramp(Ramp::NONE)
            .clock(time.clock())
    }

    fn call(breaker: &CircuitBreaker, time: &ManualTime, takes: Duration, outcome: Outcome) {
        let permit = breaker.try_acquire().unwrap();
        time.advance(takes);
        permit.done(outcome);
    }

    /// call_timeout_block, timeout_block, error_block: at exactly the tenth, and the status has the reason.
    #[test]
    fn each_of_three_counters_opens_it_at_its_own_threshold() {
        for (outcome, takes, status) in [
            (Outcome::Failure, Duration::ZERO, "open (10 errors within 60s)"),
            (Outcome::TimedOut, Duration::ZERO, "open (10 time-outs within 60s)"),
            (Outcome::Success, CALL, "open (10 calls of 10s and longer within 300s)"),
        ] {
            let time = ManualTime::new();
            let breaker = klarna(&time).build().unwrap();
            for n in 0..10 {
                assert_eq!(breaker.state(), CircuitState::Closed, "{outcome:?} {n}");
                call(&breaker, &time, takes, outcome);
            }
            assert_eq!(breaker.status().to_string(), status);
            assert_eq!(breaker.status().blocked, None, "that is another flag");
            assert_eq!(breaker.try_acquire().unwrap_err().observed(), Some(10));
        }
    }

    /// The counters know nothing of each other.
    #[test]
    fn nine_of_each_do_not_open_it() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        for _ in 0..9 {
            call(&breaker, &time, Duration::ZERO, Outcome::Failure);
            call(&breaker, &time, Duration::ZERO, Outcome::TimedOut);
        }
        for _ in 0..9 {
            call(&breaker, &time, CALL, Outcome::Success);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        call(&breaker, &time, CALL, Outcome::Success);
        assert!(matches!(breaker.status().cause, Cause::Trip(trip) if trip.as_str() == "slow calls"));
    }

    /// A call that is given up after the call time-out counts as timed out, one that is given up earlier does
    /// not.
    #[test]
    fn a_call_given_up_after_the_call_time_out_counts_as_timed_out() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
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

    /// ignore_errors: twenty of them never open it.
    #[test]
    fn ignored_errors_never_open_it() {
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

    /// manual_block, deblock, clear: the manual block dominates, and clearing does not end it.
    #[test]
    fn a_manual_block_dominates_and_outlives_a_clear() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        breaker.block("by hand");
        melt(&breaker, 10);
        assert_eq!(
            (breaker.state(), breaker.status().to_string()),
            (CircuitState::Open, "blocked: by hand".into())
        );
        breaker.reset();
        assert_eq!((breaker.state(), breaker.status().blocked), (CircuitState::Closed, Some("by hand")));
        assert!(!passes(&breaker));
        breaker.unblock();
        assert!(passes(&breaker));
    }

    /// returns: values and errors come through as they are, what panics goes on.
    #[test]
    fn values_errors_and_panics_come_through() {
        let time = ManualTime::new();
        let breaker = klarna(&time).build().unwrap();
        assert_eq!(run::<_, ()>(&breaker, Ok("value")), Ok("value"));
        assert_eq!(run::<(), _>(&breaker, Err("error")), Err(Overload::Inner("error")));
        let dies = std::future::poll_fn(|_| -> std::task::Poll<Result<(), ()>> { panic!("exit") });
        let mut dies = task::spawn(breaker.run(dies));
        let died = catch_unwind(AssertUnwindSafe(|| dies.poll().is_ready())).unwrap_err();
        assert_eq!(*died.downcast::<&str>().unwrap(), "exit");
    }

    /// reset: a check of the owner's, not a call, decides whether it works again; while it says no, it stays
    /// open.
    #[test]
    fn a_check_decides_when_it_closes() {
        let time = ManualTime::new();
        let breaker = klarna(&time).health_checked().build().unwrap();
        assert!(breaker.health_check_due().is_none());
        answer(&breaker, false);
        assert!(passes(&breaker), "none was due");
        melt(&breaker, 10);
        answer(&breaker, true);
        assert!(!passes(&breaker), "nor is one now");
        for _ in 0..3 {
            time.advance(600 * S - MS);
            assert!(breaker.health_check_due().is_none());
            time.advance(MS);
            assert!(breaker.health_check_due().is_some());
            assert!(!passes(&breaker), "no call is a probe");
            answer(&breaker, false);
            assert!(breaker.health_check_due().is_none());
            assert_eq!(breaker.status().cause, Cause::HealthCheck);
        }
        time.advance(600 * S);
        answer(&breaker, true);
        assert!(passes(&breaker));
        assert_eq!(breaker.status().to_string(), "closed (health check)");
    }

    /// The same, looked after by `tend`; a check that hangs counts as a no.
    #[test]
    fn tended_it_is_checked_when_its_time_is_over() {
        let time = ManualTime::new();
        let lease = Probes { lease: 5 * S, ..Probes::default() };
        let breaker = klarna(&time).health_checked().probes(lease).build().unwrap();
        let (checks, works) = (std::cell::Cell::new(0), std::cell::Cell::new(None));
        let mut tending = task::spawn(breaker.run_health_checks(S, || async {
            checks.set(checks.get() + 1);
            match works.get() {
                Some(works) => works,
                None => std::future::pending().await,
            }
        }));
        let mut pass = |seconds: u32| {
            for _ in 0..seconds {
                assert_pending!(tending.poll());
                time.advance(S);
            }
            assert_pending!(tending.poll());
        };
        pass(700);
        assert_eq!(checks.get(), 0, "closed, there is nothing to check");
        melt(&breaker, 10);
        pass(599);
        assert_eq!(checks.get(), 0);
        pass(1);
        assert_eq!((checks.get(), breaker.state()), (1, CircuitState::Open), "it hangs");
        pass(4);
        assert!(breaker.health_check_due().is_some());
        pass(1);
        assert_eq!((checks.get(), breaker.health_check_due().is_some()), (1, false), "given up");
        works.set(Some(false));
        pass(600);
        assert_eq!((checks.get(), breaker.state()), (2, CircuitState::Open));
        works.set(Some(true));
        pass(600);
        assert_eq!((checks.get(), breaker.state()), (3, CircuitState::Closed));
    }

    /// info, info_to_text: how each stands, in a word and in a line.
    #[test]
    fn its_status_tells_how_it_stands_and_why() {
        let time = ManualTime::new();
        let breaker = klarna(&time).probes(Probes { lease: S, ..Probes::default() }).build().unwrap();
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

    /// Manual faults, asked for so that others build patterns of their own on them.
    #[test]
    fn what_nobody_asked_for_can_be_reported() {
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

    /// Ten failures, and it is off for ten seconds.
    fn breaky(time: &ManualTime) -> CircuitBreakerBuilder {
        CircuitBreaker::builder()
            .trip(Trip::failures().count(10).within(60 * S))
            .open_time(OpenTime::fixed(10 * S))
            .ramp(Ramp::NONE)
            .clock(time.clock())
    }

    /// run_something, crash_something, state, push_it_to_off_state: as long as the budget lasts it goes on,
    /// the tenth failure puts it off.
    #[test]
    fn ten_failures_put_it_off() {
        let time = ManualTime::new();
        let breaker = breaky(&time).build().unwrap();
        for n in 0..10 {
            assert_eq!(breaker.state(), CircuitState::Closed, "{n}");
            let died =
                catch_unwind(AssertUnwindSafe(|| breaker.call(|| -> Result<(), ()> { panic!("killed") })));
            assert!(died.is_err());
        }
        assert_eq!(breaker.state(), CircuitState::Open);
        assert!(run::<_, ()>(&breaker, Ok(())).is_err());
    }

    /// After the retry time-out there is one try: failed, it is off again; successful, it has its whole
    /// budget.
    #[test]
    fn after_the_retry_time_there_is_one_try() {
        let time = ManualTime::new();
        let breaker = breaky(&time).build().unwrap();
        melt(&breaker, 10);
        time.advance(10 * S);
        let first = breaker.try_acquire().unwrap();
        assert!(!passes(&breaker), "one at a time");
        first.done(Outcome::Failure);
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(10 * S));
        time.advance(10 * S);
        assert!(passes(&breaker));
        melt(&breaker, 9);
        assert!(passes(&breaker));
        melt(&breaker, 1);
        assert!(!passes(&breaker));
    }

    /// multiple, start_stop: they have nothing in common but their name.
    #[test]
    fn breakers_are_independent() {
        let time = ManualTime::new();
        let breakers: Vec<_> = (0..3).map(|_| breaky(&time).build().unwrap()).collect();
        melt(&breakers[1], 10);
        assert_eq!(breakers.iter().map(passes).collect::<Vec<_>>(), [true, false, true]);
        let no = breakers[1].clone().try_acquire().unwrap_err();
        assert_eq!(no.to_string(), "breaker rejected: open (10 of 10 in 60s), retry after 10s");
    }

    /// It works on the system's clock and outside of every runtime, too.
    #[test]
    fn it_needs_nothing_set() {
        let breaker = CircuitBreaker::new("plain").unwrap();
        assert_eq!(Clock::system().block_until(None, breaker.run(async { Ok::<_, ()>(1) })), Some(Ok(1)));
        melt(&breaker, 20);
        assert_eq!(breaker.state(), CircuitState::Open);
    }
}

/// The check's answer, if one is due.
fn answer(breaker: &CircuitBreaker, works: bool) {
    if let Some(check) = breaker.health_check_due() {
        breaker.record_health_check(check, works);
    }
}
