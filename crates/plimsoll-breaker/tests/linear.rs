//! On real threads: what a control promises once it has returned, and what many calls at once may not do. Time
//! stands still, so that nothing depends on how fast anyone is.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitState, OpenTime, Probes, Ramp, Trip};
use plimsoll_core::{ManualTime, Outcome};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const THREADS: usize = 4;

fn builder(time: &ManualTime) -> CircuitBreakerBuilder {
    CircuitBreaker::builder().open_time(OpenTime::fixed(S)).ramp(Ramp::NONE).clock(time.clock())
}

/// Shuts and opens again and again while others ask. An ask that began after it was shut, and ended before
/// anyone began to open it, was rejected; and the other way round. Asks that meet a change may go either way.
fn every_ask_goes_by_what_was_done_before(
    breaker: &CircuitBreaker,
    shut: impl Fn(&CircuitBreaker),
    open: impl Fn(&CircuitBreaker),
) {
    // Even: open. One more: shut. Between the two it is `CHANGING`.
    const CHANGING: u64 = u64::MAX;
    let (state, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (clear, wrong) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|s| {
        for n in 0..THREADS {
            let (state, over, clear, wrong) = (&state, &over, &clear, &wrong);
            s.spawn(move || {
                while !over.load(SeqCst) {
                    let before = state.load(SeqCst);
                    let answer = breaker.try_acquire();
                    let after = state.load(SeqCst);
                    let passed = answer.is_ok();
                    if let Ok(permit) = answer {
                        // Nothing here ever opens it by itself.
                        permit.done(if n % 2 == 0 { Outcome::Success } else { Outcome::Failure });
                    }
                    if before == after && before != CHANGING {
                        // Told at the end: who dies here would be waited for.
                        wrong.fetch_add(u32::from(passed != (before % 2 == 0)), SeqCst);
                        clear.fetch_add(1, SeqCst);
                    }
                    thread::yield_now();
                }
            });
        }
        for n in 0..2_000 {
            state.store(CHANGING, SeqCst);
            if n % 2 == 0 {
                shut(breaker)
            } else {
                open(breaker)
            }
            state.store(n + 1, SeqCst);
            // On this thread, as well.
            let passes = breaker.try_acquire().map(|permit| permit.done(Outcome::Ignored)).is_ok();
            wrong.fetch_add(u32::from(passes != (n % 2 == 1)), SeqCst);
            if n % 50 == 0 {
                let seen = clear.load(SeqCst);
                while clear.load(SeqCst) == seen {
                    thread::yield_now();
                }
            }
        }
        over.store(true, SeqCst);
    });
    assert_eq!(wrong.into_inner(), 0, "of {clear:?} clear cases");
}

fn by_hand_only() -> CircuitBreaker {
    let never = Trip::failures().count(u32::MAX);
    builder(&ManualTime::new()).trip(never).build().unwrap()
}

#[test]
fn after_a_trip_nothing_passes_and_after_a_reset_everything() {
    every_ask_goes_by_what_was_done_before(&by_hand_only(), |b| b.trip("test"), CircuitBreaker::reset);
}

#[test]
fn after_a_block_nothing_passes_and_after_its_end_everything() {
    every_ask_goes_by_what_was_done_before(&by_hand_only(), |b| b.block("test"), CircuitBreaker::unblock);
}

#[test]
fn out_of_action_everything_passes_and_back_in_it_is_closed() {
    let breaker = by_hand_only();
    breaker.block("for good");
    breaker.disable();
    every_ask_goes_by_what_was_done_before(&breaker, CircuitBreaker::enable, CircuitBreaker::disable);
}

#[test]
fn a_certain_fault_is_certain_at_once() {
    let fault = |share| move |b: &CircuitBreaker| b.set_fault(share).unwrap();
    every_ask_goes_by_what_was_done_before(&by_hand_only(), fault(1.0), fault(0.0));
}

/// The failure that is one too many opens it before `done` returns: who fails knows that the next is rejected.
#[test]
fn whoever_opens_it_is_refused_next() {
    let breaker = builder(&ManualTime::new()).trip(Trip::failures().count(1)).build().unwrap();
    for _ in 0..500 {
        thread::scope(|s| {
            for _ in 0..THREADS {
                s.spawn(|| {
                    if let Ok(permit) = breaker.try_acquire() {
                        permit.done(Outcome::Failure);
                    }
                    assert!(breaker.try_acquire().is_err());
                });
            }
        });
        breaker.reset();
    }
}

#[test]
fn no_more_probes_are_out_at_once_than_are_set() {
    for at_once in [1, 3] {
        let time = ManualTime::new();
        let probes = Probes { concurrency: at_once, successes: u32::MAX, lease: S };
        let breaker = builder(&time).probes(probes).build().unwrap();
        breaker.trip("test");
        time.advance(S);
        let (out, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let barrier = Barrier::new(THREADS);
        thread::scope(|s| {
            for n in 0..THREADS {
                let (breaker, out, most, barrier) = (&breaker, &out, &most, &barrier);
                s.spawn(move || {
                    barrier.wait();
                    for _ in 0..5_000 {
                        let Ok(permit) = breaker.try_acquire() else { continue };
                        most.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        out.fetch_sub(1, SeqCst);
                        match n % 4 {
                            0 => permit.refund(),
                            1 => drop(permit),
                            2 => permit.done(Outcome::Ignored),
                            _ => permit.done(Outcome::Success),
                        }
                    }
                });
            }
        });
        assert!((1..=at_once).contains(&most.load(SeqCst)), "{most:?} of {at_once}");
        // All places are there again.
        let held: Vec<_> = (0..THREADS).map_while(|_| breaker.try_acquire().ok()).collect();
        assert_eq!(
            (held.len() as u32, breaker.state()),
            (at_once.min(THREADS as u32), CircuitState::HalfOpen)
        );
    }
}

/// Exactly one of those who come when the open time is over turns it; the others wait for what it brings.
#[test]
fn when_the_time_is_over_one_of_many_is_the_probe() {
    let time = ManualTime::new();
    let breaker = builder(&time).build().unwrap();
    for _ in 0..500 {
        breaker.trip("test");
        time.advance(S);
        let passed = AtomicU32::new(0);
        let barrier = Barrier::new(THREADS);
        thread::scope(|s| {
            for _ in 0..THREADS {
                s.spawn(|| {
                    barrier.wait();
                    if let Ok(permit) = breaker.try_acquire_owned() {
                        passed.fetch_add(1, SeqCst);
                        std::mem::forget(permit);
                    }
                });
            }
        });
        assert_eq!((passed.load(SeqCst), breaker.state()), (1, CircuitState::HalfOpen));
        breaker.reset();
    }
}

/// Whatever meets a reset – failures that would open it, probes – it is closed after it: what was admitted before
/// comes before the reset or counts for nothing.
#[test]
fn no_result_of_an_earlier_life_opens_it() {
    let time = ManualTime::new();
    let breaker = builder(&time).trip(Trip::failures().count(1)).build().unwrap();
    for round in 0..1_000 {
        if round % 2 == 1 {
            breaker.trip("test");
            time.advance(S);
        }
        let permits: Vec<_> = (0..THREADS).filter_map(|_| breaker.try_acquire_owned().ok()).collect();
        assert_eq!(permits.len(), if round % 2 == 1 { 1 } else { THREADS });
        let barrier = Barrier::new(permits.len() + 1);
        thread::scope(|s| {
            for permit in permits {
                s.spawn(|| {
                    barrier.wait();
                    permit.done(Outcome::Failure);
                });
            }
            barrier.wait();
            breaker.reset();
        });
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

/// Fewer than enough never open it, however many threads they come from; enough do, with one more at the
/// latest: those who count at the very same time may miss each other.
#[test]
fn failures_of_all_threads_are_counted_together() {
    const EACH: u32 = 25;
    let all = EACH * THREADS as u32;
    for _ in 0..50 {
        for (enough, opens) in [(all + 2, false), (all, true)] {
            let breaker = builder(&ManualTime::new()).trip(Trip::failures().count(enough)).build().unwrap();
            let barrier = Barrier::new(THREADS);
            thread::scope(|s| {
                for _ in 0..THREADS {
                    s.spawn(|| {
                        barrier.wait();
                        (0..EACH).for_each(|_| breaker.report(Outcome::Failure));
                    });
                }
            });
            breaker.report(Outcome::Failure);
            assert_eq!(breaker.state() == CircuitState::Open, opens);
        }
    }
}
