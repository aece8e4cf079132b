//! Faults of a dependency, and what a circuit breaker makes of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll::breaker::{CircuitBreakerConfig, OpenTime, Probes, Ramp};
use plimsoll::{Outcome as Ended, Trip};
use plimsoll_lab::Progress;
use plimsoll_lab::run::{Outcome, Row, Verdict, run};
use plimsoll_lab::scenario::{Scenario, find};
use plimsoll_lab::sim::{
    Arrivals, Case, Clients, Fault, FaultCounts, FaultKind, Law, Policy, Record, ServerPlan, simulate,
};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Two slots of 10 ms, a request every 10 ms from 5 ms on, and one fault from 100 ms to 200 ms.
fn case(kind: FaultKind, deadline: Duration) -> Case {
    let mut server = ServerPlan::new(2, Law::Constant(10 * MS));
    server.faults = vec![Fault { from: 100 * MS, until: 200 * MS, kind }];
    let moments: Vec<Duration> = (0..40).map(|n| 5 * MS + n * 10 * MS).collect();
    Case {
        server,
        clients: Clients { deadline: Some(deadline), ..Clients::default() },
        arrivals: Arrivals::Trace(moments.into()),
        herd: None,
        window: Duration::ZERO..S,
        span: S,
    }
}

fn bare(kind: FaultKind, deadline: Duration) -> Record {
    let record = simulate(&case(kind, deadline), &Policy::Bare, 1).unwrap();
    assert_eq!(record.offered, record.good + record.rejected + record.failed + record.late);
    assert_eq!(record.faults, [FaultCounts { sent: 10, reached: 10 }]);
    record
}

fn ends(record: &Record) -> (u64, u64, u64) {
    (record.good, record.failed, record.late)
}

#[test]
fn failing_server_answers_soon_and_serves_earlier_requests() {
    let record = bare(FaultKind::Fails { after: MS }, S);
    assert_eq!(ends(&record), (30, 10, 0));
    assert_eq!(record.timeline.iter().map(|moment| moment.failed).sum::<u32>(), 10);
    assert_eq!(record.timeline[1].failed, 10);
    // A failure that arrives after the deadline counts as late.
    assert_eq!(ends(&bare(FaultKind::Fails { after: 60 * MS }, 50 * MS)), (30, 0, 10));
}

#[test]
fn slow_server_takes_factor_times_as_long() {
    // Each request takes 20 ms, which is exactly the capacity of the two slots.
    let record = bare(FaultKind::Slow { factor: 2.0 }, S);
    assert_eq!(ends(&record), (40, 0, 0));
    assert!((record.good_ms(1.0).unwrap() - 20.0).abs() < 0.1, "{:?}", record.good_ms(1.0));
    // At a factor of four the slots serve half of the arrivals. The last one waits the longest.
    assert!(bare(FaultKind::Slow { factor: 4.0 }, S).good_ms(1.0).unwrap() > 50.0);
}

#[test]
fn hanging_server_continues_or_restarts() {
    let continued = bare(FaultKind::Hangs { forgets: false }, S);
    assert_eq!(ends(&continued), (40, 0, 0));
    // No answer arrives in between, and the first request has waited for the whole fault.
    assert_eq!(continued.timeline[1].good, 0);
    assert!(continued.good_ms(1.0).unwrap() > 99.0);
    // Requests of the time before the restart are lost, that of 95 ms included. Later ones find an
    // empty server.
    let restarted = bare(FaultKind::Hangs { forgets: true }, S);
    assert_eq!(ends(&restarted), (29, 0, 11));
    assert!(restarted.good_ms(1.0).unwrap() < 10.1);
    assert_eq!(restarted.wasted(), 0);
}

#[test]
fn breaker_counts_failures_but_not_valve_rejections() {
    let trip = Trip::failures().ratio(0.5, 4).within(50 * MS);
    let config = CircuitBreakerConfig {
        trips: vec![trip],
        open_time: OpenTime::fixed(20 * MS),
        ramp: Ramp::NONE,
        ..CircuitBreakerConfig::default()
    };
    let fails = case(FaultKind::Fails { after: MS }, S);
    let record = simulate(&fails, &Policy::CircuitBreaker(config.clone()), 1).unwrap();
    let met = record.faults[0];
    assert!(met.sent == 10 && (4..=8).contains(&met.reached), "{met:?}");
    assert_eq!((record.failed, record.good + record.rejected), (met.reached, 40 - met.reached));
    // The valve rejects three of four, and the breaker none.
    let mut crowded = case(FaultKind::Slow { factor: 1.0 }, S);
    crowded.server.service = Law::Constant(40 * MS);
    let both = Policy::CircuitBreakerValve { breaker: config, concurrency: 1 };
    let record = simulate(&crowded, &both, 1).unwrap();
    assert_eq!((record.good, record.rejected), (10, 30));
}

fn dependency(policies: &[&str]) -> Scenario {
    let mut scenario = find("dependency").unwrap();
    scenario.policies.retain(|(name, _)| policies.contains(&name.as_str()));
    assert_eq!((scenario.steps.len(), scenario.policies.len()), (1, policies.len()));
    scenario
}

fn outcome(scenario: &Scenario, seed: u64, seeds: u32) -> Outcome {
    run(scenario, seed, seeds, &mut Progress::silent()).unwrap().0
}

fn row<'a>(outcome: &'a Outcome, policy: &str) -> &'a Row {
    outcome.of(policy).next().unwrap()
}

fn config(scenario: &Scenario) -> &CircuitBreakerConfig {
    match &scenario.policies[0].1 {
        Policy::CircuitBreaker(config) | Policy::CircuitBreakerValve { breaker: config, .. } => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bare_sends_every_call_and_its_backlog_outlives_the_fault() {
    let outcome = outcome(&dependency(&["bare"]), 1, 2);
    let bare = row(&outcome, "bare");
    for fault in &bare.faults {
        assert_eq!(fault.reached, fault.sent);
    }
    // Fast failures leave no backlog. A queue of abandoned requests and their retries stays.
    let recovered: Vec<u32> = bare.faults.iter().map(|fault| fault.recovered).collect();
    assert_eq!(recovered, [2, 0, 0]);
    assert!(bare.faults[0].recovery_s.unwrap().high < 0.2);
    assert_eq!(bare.verdict, Verdict::Metastable);
}

#[test]
fn breaker_sends_few_calls_to_a_failed_dependency() {
    let outcome =
        outcome(&dependency(&["bare", "valve", "circuit breaker", "circuit breaker + valve"]), 1, 2);
    for policy in ["circuit breaker", "circuit breaker + valve"] {
        for fault in &row(&outcome, policy).faults {
            let share = fault.reached.high / fault.sent.low;
            assert!(share < 0.12, "{policy}: {share} of {fault:?}");
        }
    }
    // A valve cannot distinguish a failure from an answer. It does bound the calls that hang.
    let [fails, _, hangs] = &row(&outcome, "valve").faults[..] else { unreachable!() };
    assert_eq!(fails.reached, fails.sent);
    assert!(hangs.reached.high < 0.06 * hangs.sent.low, "{hangs:?}");
    assert!(row(&outcome, "circuit breaker + valve").faults[2].reached.high < hangs.reached.low);
}

#[test]
fn breaker_recovers_within_open_time_and_ramp() {
    for policy in ["circuit breaker", "circuit breaker + valve"] {
        let scenario = dependency(&[policy]);
        let config = config(&scenario);
        let deadline = scenario.steps[0].case.clients.deadline.unwrap();
        let ramp = config.ramp.duration.unwrap_or(config.open_time.first);
        let usual = (config.open_time.max + ramp).as_secs_f64();
        // A probe in flight at the end of the fault may still fail. It may also be the one in
        // twenty thousand that is slow without a fault. Either costs one more open time.
        let max = (2 * config.open_time.max + ramp + deadline).as_secs_f64();
        let mut all = Vec::new();
        for seed in 1..=10 {
            let outcome = outcome(&scenario, seed, 1);
            let row = row(&outcome, policy);
            assert_eq!((row.verdict, row.recovered), (Verdict::Stable, 1));
            for fault in &row.faults {
                let back = fault.recovery_s.unwrap_or_else(|| panic!("{policy}, {seed}: {fault:?}"));
                all.push(back.mean);
                assert!(back.mean <= max, "{policy}, seed {seed}: {back:?} of {max} after {}", fault.kind);
            }
        }
        let soon = all.iter().filter(|back| **back <= usual).count();
        assert!(soon >= all.len() - 1, "{policy}: {all:?} of {usual}");
    }
}

#[test]
fn every_breaker_recovers_from_every_fault() {
    let scenario = dependency(&["circuit breaker"]);
    let plain = config(&scenario).clone();
    let probes =
        |at_once, successes, lease| Probes { concurrency: at_once, successes, lease, ..Probes::default() };
    let configs = [
        ("as shipped", plain.clone()),
        ("one trip", CircuitBreakerConfig { trips: vec![plain.trips[0]], ..plain.clone() }),
        ("no ramp", CircuitBreakerConfig { ramp: Ramp::NONE, ..plain.clone() }),
        ("many probes", CircuitBreakerConfig { probes: probes(10, 10, 300 * MS), ..plain.clone() }),
        (
            "many, all at once",
            CircuitBreakerConfig { probes: probes(5, 3, 300 * MS), ramp: Ramp::NONE, ..plain.clone() },
        ),
        (
            "a lease shorter than a call",
            CircuitBreakerConfig { probes: probes(2, 1, 50 * MS), ..plain.clone() },
        ),
        (
            "a lease that ends with the call",
            CircuitBreakerConfig { probes: probes(1, 1, 200 * MS), ..plain.clone() },
        ),
        (
            "no call time-out",
            CircuitBreakerConfig { call_timeout: None, cancelled: Ended::TimedOut, ..plain },
        ),
    ];
    let case = &scenario.steps[0].case;
    for forgets in [false, true] {
        let mut case = case.clone();
        case.server.faults[2].kind = FaultKind::Hangs { forgets };
        for (name, config) in &configs {
            for policy in [
                Policy::CircuitBreaker(config.clone()),
                Policy::CircuitBreakerValve { breaker: config.clone(), concurrency: case.server.slots },
            ] {
                for seed in 1..=2 {
                    let record = simulate(&case, &policy, seed).unwrap();
                    assert_eq!(record.offered, record.good + record.rejected + record.failed + record.late);
                    // The last five seconds. The valve rejects a few requests now and then.
                    let last = &record.timeline[550..600];
                    let sum = |of: fn(&plimsoll_lab::sim::Interval) -> u32| last.iter().map(of).sum::<u32>();
                    let (fresh, good) = (sum(|m| m.fresh), sum(|m| m.good));
                    assert!(
                        f64::from(good) > 0.99 * f64::from(fresh),
                        "{name}, {forgets}, {seed}: {policy:?}: {good} of {fresh}"
                    );
                }
            }
        }
    }
}
