//! The breaker under every interleaving with at most three preemptions. Run it by:
//!
//! ```text
//! RUSTFLAGS="--cfg plimsoll_loom" \
//!     cargo test -p plimsoll-breaker --no-default-features --release --test loom
//! ```
#![cfg(plimsoll_loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use loom::thread;
use plimsoll_breaker::{Cause, CircuitBreaker, CircuitState, OpenTime, Probes, Ramp, Trip};
use plimsoll_core::{Dice, ManualTime, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// Returns a breaker that one failure opens for a second.
fn breaker(at_once: u32) -> (CircuitBreaker, ManualTime) {
    let time = ManualTime::new();
    let builder = CircuitBreaker::builder()
        .trips([Trip::failures().count(1)])
        .open_time(OpenTime::fixed(S))
        .ramp(Ramp::NONE);
    let builder = builder.probes(Probes { concurrency: at_once, ..Probes::default() }).dice(Dice::seeded(1));
    (builder.clock(time.clock()).build().unwrap(), time)
}

/// Acquires and leaks a permit on another thread. Returns whether the call was admitted.
fn call(breaker: &CircuitBreaker) -> thread::JoinHandle<bool> {
    let breaker = breaker.clone();
    thread::spawn(move || breaker.try_acquire_owned().map(std::mem::forget).is_ok())
}

/// The open time is over, and three calls come at once.
#[test]
fn probes_in_flight_are_limited() {
    for at_once in [1, 2] {
        explore(move || {
            let (breaker, time) = breaker(at_once);
            breaker.trip("loom");
            time.advance(S);
            let others = [call(&breaker), call(&breaker)];
            let mine = breaker.try_acquire_owned().map(std::mem::forget).is_ok();
            let passed = others.map(|other| other.join().unwrap()).iter().filter(|&&passed| passed).count();
            assert_eq!(passed as u32 + u32::from(mine), at_once);
            assert_eq!(breaker.state(), CircuitState::HalfOpen);
        });
    }
}

/// A failure of a call that was admitted earlier arrives during a reset.
#[test]
fn outcome_of_an_earlier_life_does_not_open_it() {
    explore(|| {
        let (breaker, _time) = breaker(1);
        let late = breaker.try_acquire_owned().unwrap();
        let fails = thread::spawn(move || late.done(Outcome::Failure));
        breaker.reset();
        fails.join().unwrap();
        assert_eq!(breaker.state(), CircuitState::Closed);
    });
}

/// The same with a probe.
#[test]
fn probe_of_an_earlier_life_does_not_open_it() {
    explore(|| {
        let (breaker, time) = breaker(1);
        breaker.trip("loom");
        time.advance(S);
        let probe = breaker.try_acquire_owned().unwrap();
        let fails = thread::spawn(move || probe.done(Outcome::Failure));
        breaker.reset();
        fails.join().unwrap();
        assert_eq!(breaker.state(), CircuitState::Closed);
    });
}

/// A call during a trip may be admitted or rejected. A later call is rejected.
#[test]
fn no_call_is_admitted_after_a_trip() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let (breaker, _time) = breaker(1);
        let meets = call(&breaker);
        let trips = {
            let breaker = breaker.clone();
            thread::spawn(move || {
                breaker.trip("loom");
                assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(S));
            })
        };
        saw[usize::from(meets.join().unwrap())].store(true, Relaxed);
        trips.join().unwrap();
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(S));
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both decisions were explored: {seen:?}");
}

/// A thread that sees an open breaker also sees the end and the cause of this opening, not those of
/// an earlier one.
#[test]
fn rejection_carries_the_numbers_of_its_opening() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let (breaker, time) = breaker(1);
        breaker.report(Outcome::Failure);
        assert_eq!(breaker.try_acquire().unwrap_err().observed(), Some(1));
        breaker.reset();
        time.advance(S / 2);
        let trips = {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.trip("loom"))
        };
        let decision = breaker.try_acquire_owned().map(std::mem::forget);
        saw[usize::from(decision.is_ok())].store(true, Relaxed);
        if let Err(rejected) = decision {
            assert_eq!((rejected.observed(), rejected.retry_after()), (None, Some(S)));
        }
        trips.join().unwrap();
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both decisions were explored: {seen:?}");
}

/// Each of two simultaneous failures fulfills the trip. Together they open the breaker once.
#[test]
fn two_simultaneous_failures_open_it_once() {
    explore(|| {
        let time = ManualTime::new();
        let open = OpenTime { first: S, factor: 2.0, max: 8 * S, jitter: 0.0 };
        let builder =
            CircuitBreaker::builder().trips([Trip::failures().count(1)]).open_time(open).clock(time.clock());
        let breaker = builder.dice(Dice::seeded(1)).build().unwrap();
        let permits = [breaker.try_acquire_owned().unwrap(), breaker.try_acquire_owned().unwrap()];
        let fails = permits.map(|permit| thread::spawn(move || permit.done(Outcome::Failure)));
        fails.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(S), "the open time has not grown");
    });
}

/// A probe is cancelled during another call. Its place is free for that call or for the next.
#[test]
fn cancelled_probe_frees_its_place() {
    explore(|| {
        let (breaker, time) = breaker(1);
        breaker.trip("loom");
        time.advance(S);
        let probe = breaker.try_acquire_owned().unwrap();
        let cancels = thread::spawn(move || drop(probe));
        let mine = breaker.try_acquire_owned().ok();
        cancels.join().unwrap();
        let probe = mine.or_else(|| breaker.try_acquire_owned().ok()).unwrap();
        probe.done(Outcome::Success);
        assert_eq!(breaker.state(), CircuitState::Closed);
    });
}

/// A failure ends while the trips change. It counts for the old trip or for the new one, and a trip
/// made of both does not open the breaker.
#[test]
fn failure_during_trip_change_counts_for_one_trip() {
    let seen = Arc::new([const { AtomicBool::new(false) }; 2]);
    let saw = seen.clone();
    explore(move || {
        let (breaker, _time) = breaker(1);
        let permit = breaker.try_acquire_owned().unwrap();
        let fails = thread::spawn(move || permit.done(Outcome::Failure));
        breaker.set_trips([Trip::errors().consecutive(2).within(5 * S)]).unwrap();
        fails.join().unwrap();
        let opened = breaker.state() == CircuitState::Open;
        saw[usize::from(opened)].store(true, Relaxed);
        if opened {
            assert_eq!(breaker.status().cause, Cause::Trip(Trip::failures().count(1)));
        } else {
            breaker.report(Outcome::Failure);
            breaker.report(Outcome::Failure);
            assert_eq!(breaker.state(), CircuitState::Open, "two failures in the new life");
        }
    });
    assert!(seen.iter().all(|seen| seen.load(Relaxed)), "both orders were explored");
}
