//! On real threads: a control has taken effect when it returns, and concurrent calls break no
//! limit. Time stands still, so that nothing depends on the speed of a thread.
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

/// Shuts and opens the breaker repeatedly while other threads make calls.
///
/// A call that lies between the end of `shut` and the beginning of `open` must be rejected, and the
/// other way round. A call that overlaps with a change may be admitted or rejected.
fn each_call_sees_the_last_change(
    breaker: &CircuitBreaker,
    shut: impl Fn(&CircuitBreaker),
    open: impl Fn(&CircuitBreaker),
) {
    // Even: calls are admitted. Odd: calls are rejected. `CHANGING` while that changes.
    const CHANGING: u64 = u64::MAX;
    let (state, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (clear, wrong) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|s| {
        for n in 0..THREADS {
            let (state, over, clear, wrong) = (&state, &over, &clear, &wrong);
            s.spawn(move || {
                while !over.load(SeqCst) {
                    let before = state.load(SeqCst);
                    let decision = breaker.try_acquire();
                    let after = state.load(SeqCst);
                    let passed = decision.is_ok();
                    if let Ok(permit) = decision {
                        // No trip of this breaker is ever fulfilled.
                        permit.done(if n % 2 == 0 { Outcome::Success } else { Outcome::Failure });
                    }
                    if before == after && before != CHANGING {
                        // Checked at the end: the main thread would wait for a thread that panics.
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
            // This thread must see it, too.
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
    assert_eq!(wrong.into_inner(), 0, "of {clear:?} calls that did not overlap with a change");
}

fn manual() -> CircuitBreaker {
    let never = Trip::failures().count(u32::MAX);
    builder(&ManualTime::new()).trips([never]).build().unwrap()
}

#[test]
fn trip_rejects_and_reset_admits_all_later_calls() {
    each_call_sees_the_last_change(&manual(), |b| b.trip("test"), CircuitBreaker::reset);
}

#[test]
fn block_rejects_and_unblock_admits_all_later_calls() {
    each_call_sees_the_last_change(&manual(), |b| b.block("test"), CircuitBreaker::unblock);
}

#[test]
fn disable_admits_all_later_calls_and_enable_ends_it() {
    let breaker = manual();
    breaker.block("for good");
    breaker.disable();
    each_call_sees_the_last_change(&breaker, CircuitBreaker::enable, CircuitBreaker::disable);
}

#[test]
fn fault_of_one_rejects_all_later_calls() {
    let fault = |share| move |b: &CircuitBreaker| b.set_fault(share).unwrap();
    each_call_sees_the_last_change(&manual(), fault(1.0), fault(0.0));
}

/// The failure that fulfills the trip opens the breaker before `done` returns.
#[test]
fn thread_that_opens_it_is_rejected_next() {
    let breaker = builder(&ManualTime::new()).trips([Trip::failures().count(1)]).build().unwrap();
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
fn probes_in_flight_are_limited() {
    for at_once in [1, 3] {
        let time = ManualTime::new();
        let probes = Probes { concurrency: at_once, successes: u32::MAX, failures: None, lease: S };
        let breaker = builder(&time).probes(probes).build().unwrap();
        breaker.trip("test");
        time.advance(S);
        let (out, max) = (AtomicU32::new(0), AtomicU32::new(0));
        let barrier = Barrier::new(THREADS);
        thread::scope(|s| {
            for n in 0..THREADS {
                let (breaker, out, max, barrier) = (&breaker, &out, &max, &barrier);
                s.spawn(move || {
                    barrier.wait();
                    let mut succeeds = true;
                    for _ in 0..5_000 {
                        let Ok(permit) = breaker.try_acquire() else { continue };
                        max.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        out.fetch_sub(1, SeqCst);
                        // Ten in a row without a verdict would open it.
                        match n % 4 {
                            0 => permit.refund(),
                            _ if succeeds => permit.done(Outcome::Success),
                            1 => drop(permit),
                            _ => permit.done(Outcome::Ignored),
                        }
                        succeeds = !succeeds;
                    }
                });
            }
        });
        assert!((1..=at_once).contains(&max.load(SeqCst)), "{max:?} of {at_once}");
        // All places are free again.
        let held: Vec<_> = (0..THREADS).map_while(|_| breaker.try_acquire().ok()).collect();
        assert_eq!(
            (held.len() as u32, breaker.state()),
            (at_once.min(THREADS as u32), CircuitState::HalfOpen)
        );
    }
}

/// After the open time, exactly one of several threads becomes the probe. The others are rejected.
#[test]
fn one_of_many_threads_becomes_the_probe() {
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

/// After a reset the breaker is closed, whatever outcomes arrive during it. A call that was
/// admitted earlier counts before the reset or not at all.
#[test]
fn outcome_of_an_earlier_life_does_not_open_it() {
    let time = ManualTime::new();
    let breaker = builder(&time).trips([Trip::failures().count(1)]).build().unwrap();
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

/// Too few failures do not open it, whichever threads they come from. Enough failures do, at the
/// latest with one more: threads that count at the same time may miss each other.
#[test]
fn failures_of_all_threads_are_added_up() {
    const EACH: u32 = 25;
    let all = EACH * THREADS as u32;
    for _ in 0..50 {
        for (enough, opens) in [(all + 2, false), (all, true)] {
            let breaker =
                builder(&ManualTime::new()).trips([Trip::failures().count(enough)]).build().unwrap();
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
