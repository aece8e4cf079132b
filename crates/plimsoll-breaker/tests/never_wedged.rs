//! Whatever happened to a breaker: if its dependency works and calls keep coming, it closes within
//! a bound that follows from its settings.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState, OpenTime, Probes, Ramp, Trip};
use plimsoll_core::{Dice, ManualTime, Outcome, Permit};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn trips() -> impl Strategy<Value = Vec<Trip>> {
    let trip = prop_oneof![
        (1..5u32).prop_map(|n| Trip::failures().count(n)),
        (1..5u32).prop_map(|n| Trip::failures().consecutive(n)),
        (1..5u32).prop_map(|n| Trip::failures().ratio(0.5, n)),
        (1..5u32).prop_map(|n| Trip::slow(50 * MS).count(n)),
        (1..5u32).prop_map(|n| Trip::overloads().ratio(0.1, n)),
    ];
    prop::collection::vec(trip, 1..4)
}

fn config() -> impl Strategy<Value = CircuitBreakerConfig> {
    let open = (1..500u32, 1.0..4.0, 0..3_000u32, 0.0..=1.0).prop_map(|(first, factor, more, jitter)| {
        OpenTime { first: MS * first, factor, max: MS * (first + more), jitter }
    });
    let failures = prop::option::of(1..6u32);
    let probes =
        (1..6u32, 1..6u32, failures, 1..2_000u32).prop_map(|(at_once, successes, failures, lease)| Probes {
            concurrency: at_once,
            successes,
            failures,
            lease: MS * lease,
        });
    let ramp = (prop::option::of((0..2_000u32).prop_map(|n| MS * n)), 0.0..=1.0)
        .prop_map(|(duration, start)| Ramp { duration, start });
    let cancelled = prop_oneof![Just(Outcome::Ignored), Just(Outcome::Failure), Just(Outcome::TimedOut)];
    let timeout = prop::option::of((1..200u32).prop_map(|n| MS * n));
    (trips(), open, probes, ramp, cancelled, timeout, prop::bool::weighted(0.2)).prop_map(
        |(trips, open, probes, ramp, cancelled, call_timeout, checked)| CircuitBreakerConfig {
            name: "wedge".into(),
            trips,
            open_time: open,
            probes,
            ramp,
            call_timeout,
            cancelled,
            health_checked: checked,
        },
    )
}

/// Performs a random step. Bad ones are more frequent than good ones.
fn mischief(
    breaker: &CircuitBreaker,
    time: &ManualTime,
    dice: &Dice,
    kept: &mut Vec<Permit<CircuitBreaker>>,
) {
    match dice.below(20) {
        0 => breaker.block("mischief"),
        1 => breaker.unblock(),
        2 => breaker.disable(),
        3 => breaker.enable(),
        4 => breaker.trip("mischief"),
        5 if dice.chance(0.3) => breaker.reset(),
        6 => breaker.report(Outcome::Failure),
        7 => {
            if let Some(check) = breaker.health_check_due() {
                breaker.record_health_check(check, dice.chance(0.5));
            }
        }
        8..=11 => time.advance(MS * dice.below(700) as u32),
        12 if !kept.is_empty() => {
            let late = kept.swap_remove(dice.below(kept.len() as u64) as usize);
            late.done(if dice.chance(0.5) { Outcome::Failure } else { Outcome::Success });
        }
        _ => {
            let Ok(permit) = breaker.try_acquire_owned() else { return };
            match dice.below(8) {
                0 => drop(permit),
                1 => permit.refund(),
                2 => std::mem::forget(permit),
                3 => kept.push(permit),
                4 => {
                    let panicked = catch_unwind(AssertUnwindSafe(|| {
                        let _held = permit;
                        resume_unwind(Box::new("on purpose"));
                    }));
                    assert!(panicked.is_err());
                }
                5 => permit.done(Outcome::Success),
                6 => permit.done(Outcome::Overloaded),
                _ => permit.done(Outcome::Failure),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn healthy_dependency_closes_it_within_a_bound(
        config in config(),
        seed: u64,
        steps in 0..300u32,
        gap in 1..100u32,
        checks: bool,
    ) {
        let (time, dice, gap) = (ManualTime::new(), Dice::seeded(seed), MS * gap);
        let builder = CircuitBreaker::builder().config(config.clone()).clock(time.clock());
        let breaker = builder.dice(Dice::seeded(!seed)).build().unwrap();
        let mut kept = vec![];
        for _ in 0..steps {
            mischief(&breaker, &time, &dice, &mut kept);
        }
        // From here on the dependency works. Calls still in flight never end, and are overdue.
        time.advance(2 * config.call_timeout.unwrap_or_default());
        let _ = breaker.status();
        breaker.unblock();
        breaker.enable();
        let CircuitBreakerConfig { open_time: open, probes, ramp, health_checked, .. } = config;
        let ramp = ramp.duration.unwrap_or(open.first.min(Duration::from_secs(5)));
        // A hung probe exceeds its lease, the breaker stays open for the longest open time, enough
        // probes succeed, and the ramp ends. The next call detects each of these. If health checks
        // are expected and nothing runs them, calls are probes two leases later.
        let unchecked = if health_checked && !checks { 2 * probes.lease } else { Duration::ZERO };
        let bound = probes.lease + open.max + unchecked + ramp + gap * (probes.successes + 3);
        let healthy = time.clock().now();
        let mut closed = None;
        while time.clock().now().since(healthy) <= bound + 100 * gap {
            if let Some(check) = breaker.health_check_due().filter(|_| checks) {
                breaker.record_health_check(check, true);
            }
            if let Ok(permit) = breaker.try_acquire() {
                permit.done(Outcome::Success);
            }
            let now = time.clock().now();
            if breaker.state() == CircuitState::Closed {
                let since = *closed.get_or_insert(now);
                prop_assert!(since.since(healthy) <= bound, "after {:?}, not {:?}", since.since(healthy), bound);
                breaker.try_acquire().unwrap().refund();
            } else {
                prop_assert!(closed.is_none(), "it does not open again");
            }
            time.advance(gap);
        }
        prop_assert!(closed.is_some(), "{:?} after {:?}", breaker.status(), bound);
    }
}
