//! A dependency that is not well for a while, and who stands before it: faults, and what a breaker makes of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll::breaker::{CircuitBreakerConfig, OpenTime, Probes, Ramp};
use plimsoll::{Outcome as Ended, Trip};
use plimsoll_lab::Progress;
use plimsoll_lab::run::{Outcome, Row, Verdict, run};
use plimsoll_lab::scenario::{Scenario, find};
use plimsoll_lab::sim::{
    Arrivals, Case, Clients, Fault, FaultKind, Law, Met, Policy, Record, ServerPlan, simulate,
};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Two slots of ten milliseconds, a request each 10 ms from 5 ms on, and one fault from 100 ms to 200 ms.
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
    assert_eq!(record.faults, [Met { sent: 10, reached: 10 }]);
    record
}

fn ends(record: &Record) -> (u64, u64, u64) {
    (record.good, record.failed, record.late)
}

#[test]
fn a_server_that_fails_answers_soon_and_serves_whom_it_had() {
    let record = bare(FaultKind::Fails { after: MS }, S);
    assert_eq!(ends(&record), (30, 10, 0));
    assert_eq!(record.line.iter().map(|moment| moment.failed).sum::<u32>(), 10);
    assert_eq!(record.line[1].failed, 10);
    // An answer that comes after the deadline is none.
    assert_eq!(ends(&bare(FaultKind::Fails { after: 60 * MS }, 50 * MS)), (30, 0, 10));
}

#[test]
fn a_server_that_is_slow_takes_so_many_times_as_long() {
    // Each takes 20 ms of the two slots: just what they can do.
    let record = bare(FaultKind::Slow { factor: 2.0 }, S);
    assert_eq!(ends(&record), (40, 0, 0));
    assert!((record.good_ms(1.0).unwrap() - 20.0).abs() < 0.1, "{:?}", record.good_ms(1.0));
    // At four times as long they do half of what comes; the one that came last waits the longest.
    assert!(bare(FaultKind::Slow { factor: 4.0 }, S).good_ms(1.0).unwrap() > 50.0);
}

#[test]
fn a_server_that_hangs_goes_on_or_begins_anew() {
    let goes_on = bare(FaultKind::Hangs { forgets: false }, S);
    assert_eq!(ends(&goes_on), (40, 0, 0));
    // Nothing arrives in between, and the first has waited for all of it.
    assert_eq!(goes_on.line[1].good, 0);
    assert!(goes_on.good_ms(1.0).unwrap() > 99.0);
    // Who waited is not answered; who comes later finds it empty. The one sent at 95 ms is still in it.
    let begins_anew = bare(FaultKind::Hangs { forgets: true }, S);
    assert_eq!(ends(&begins_anew), (29, 0, 11));
    assert!(begins_anew.good_ms(1.0).unwrap() < 10.1);
    assert_eq!(begins_anew.wasted(), 0);
}

#[test]
fn a_breaker_is_told_of_failures_but_not_of_what_a_valve_beside_it_refuses() {
    let trip = Trip::failures().ratio(0.5, 4).within(50 * MS);
    let config = CircuitBreakerConfig {
        trips: vec![trip],
        open_time: OpenTime::fixed(20 * MS),
        ramp: Ramp::NONE,
        ..CircuitBreakerConfig::default()
    };
    let fails = case(FaultKind::Fails { after: MS }, S);
    let record = simulate(&fails, &Policy::Breaker(config.clone()), 1).unwrap();
    let met = record.faults[0];
    assert!(met.sent == 10 && (4..=8).contains(&met.reached), "{met:?}");
    assert_eq!((record.failed, record.good + record.rejected), (met.reached, 40 - met.reached));
    // Three of four are rejected by the valve, and none by the breaker.
    let mut crowded = case(FaultKind::Slow { factor: 1.0 }, S);
    crowded.server.service = Law::Constant(40 * MS);
    let both = Policy::BreakerValve { breaker: config, inside: 1 };
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
        Policy::Breaker(config) | Policy::BreakerValve { breaker: config, .. } => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bare_all_calls_go_to_the_dead_dependency_and_its_backlog_outlives_the_fault() {
    let outcome = outcome(&dependency(&["bare"]), 1, 2);
    let bare = row(&outcome, "bare");
    for fault in &bare.faults {
        assert_eq!(fault.reached, fault.sent);
    }
    // Quick failures leave nothing behind; a queue of those who have left, and their retries, stay.
    let returned: Vec<u32> = bare.faults.iter().map(|fault| fault.returned).collect();
    assert_eq!(returned, [2, 0, 0]);
    assert!(bare.faults[0].back_s.unwrap().high < 0.2);
    assert_eq!(bare.verdict, Verdict::Metastable);
}

#[test]
fn behind_a_breaker_few_calls_go_to_the_dead_dependency() {
    let outcome = outcome(&dependency(&["bare", "valve", "breaker", "breaker+valve"]), 1, 2);
    for policy in ["breaker", "breaker+valve"] {
        for fault in &row(&outcome, policy).faults {
            let share = fault.reached.high / fault.sent.low;
            assert!(share < 0.12, "{policy}: {share} of {fault:?}");
        }
    }
    // A valve cannot tell a failure from an answer; what hangs it bounds as well.
    let [fails, _, hangs] = &row(&outcome, "valve").faults[..] else { unreachable!() };
    assert_eq!(fails.reached, fails.sent);
    assert!(hangs.reached.high < 0.06 * hangs.sent.low, "{hangs:?}");
    assert!(row(&outcome, "breaker+valve").faults[2].reached.high < hangs.reached.low);
}

#[test]
fn behind_a_breaker_it_is_back_within_the_open_time_and_the_ramp() {
    for policy in ["breaker", "breaker+valve"] {
        let scenario = dependency(&[policy]);
        let config = config(&scenario);
        let deadline = scenario.steps[0].case.clients.deadline.unwrap();
        let usual = (config.open_time.max + config.ramp.duration).as_secs_f64();
        // A probe that was on its way when the fault ended may still fail, or be the one in twenty thousand that is
        // slow while all is well: that costs one more open time.
        let most = (2 * config.open_time.max + config.ramp.duration + deadline).as_secs_f64();
        let mut all = Vec::new();
        for seed in 1..=10 {
            let outcome = outcome(&scenario, seed, 1);
            let row = row(&outcome, policy);
            assert_eq!((row.verdict, row.returned), (Verdict::Stable, 1));
            for fault in &row.faults {
                let back = fault.back_s.unwrap_or_else(|| panic!("{policy}, {seed}: {fault:?}"));
                all.push(back.mean);
                assert!(back.mean <= most, "{policy}, seed {seed}: {back:?} of {most} after {}", fault.kind);
            }
        }
        let soon = all.iter().filter(|back| **back <= usual).count();
        assert!(soon >= all.len() - 1, "{policy}: {all:?} of {usual}");
    }
}

#[test]
fn nobody_is_wedged_whatever_the_breaker_and_the_fault_are() {
    let scenario = dependency(&["breaker"]);
    let plain = config(&scenario).clone();
    let probes = |at_once, successes, lease| Probes { concurrency: at_once, successes, lease };
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
                Policy::Breaker(config.clone()),
                Policy::BreakerValve { breaker: config.clone(), inside: case.server.slots },
            ] {
                for seed in 1..=2 {
                    let record = simulate(&case, &policy, seed).unwrap();
                    assert_eq!(record.offered, record.good + record.rejected + record.failed + record.late);
                    // Of the last five seconds before the end; the valve refuses a little now and then.
                    let last = &record.line[550..600];
                    let sum = |of: fn(&plimsoll_lab::sim::Moment) -> u32| last.iter().map(of).sum::<u32>();
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
