//! What the queue disciplines do under the same overload, by facts that hold with a wide margin.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll::Discipline;
use plimsoll_lab::Progress;
use plimsoll_lab::run::{Outcome, Row, Verdict, run};
use plimsoll_lab::scenario::{Scenario, find};
use plimsoll_lab::sim::{Arrivals, Case, Clients, Law, Policy, ServerPlan, simulate};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Returns the shipped scenario with one of its loads and some of its policies.
fn scenario(load: f64, policies: &[&str]) -> Scenario {
    let mut scenario = find("disciplines").unwrap();
    scenario.steps.retain(|step| step.load == load);
    scenario.policies.retain(|(name, _)| policies.contains(&name.as_str()));
    assert_eq!((scenario.steps.len(), scenario.policies.len()), (1, policies.len()));
    scenario
}

fn outcome(scenario: &Scenario) -> Outcome {
    run(scenario, 1, 2, &mut Progress::silent()).unwrap().0
}

fn row<'a>(outcome: &'a Outcome, policy: &str) -> &'a Row {
    outcome.of(policy).next().unwrap()
}

#[test]
fn scenario_has_each_discipline_once() {
    let scenario = find("disciplines").unwrap();
    let disciplines: Vec<&str> = scenario
        .policies
        .iter()
        .map(|(_, policy)| match policy {
            Policy::Buffer { discipline, .. } => discipline.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let all = ["fifo", "keep-oldest", "lifo", "lifo-with-age", "codel", "adaptive-lifo", "time-buckets"];
    assert_eq!(disciplines, all);
    let capacity = scenario.capacity;
    for (_, policy) in &scenario.policies {
        let &Policy::Buffer { concurrency, queue, max_wait, .. } = policy else { unreachable!() };
        let deadline = scenario.steps[0].case.clients.deadline.unwrap();
        assert_eq!(concurrency, scenario.steps[0].case.server.slots);
        assert!(
            f64::from(queue) / capacity > deadline.as_secs_f64() && max_wait > deadline,
            "it can be too long"
        );
    }
}

#[test]
fn at_5x_long_queues_serve_none_and_stacks_reach_the_bound() {
    let queues = ["fifo", "keep oldest", "codel"];
    let stacks = ["lifo", "lifo with age", "adaptive lifo", "time buckets"];
    let outcome = outcome(&scenario(5.0, &[&queues[..], &stacks[..]].concat()));
    for policy in queues {
        let row = row(&outcome, policy);
        assert!(row.of_bound.high < 0.02, "{policy}: {:?}", row.of_bound);
        assert_ne!(
            row.verdict,
            Verdict::Stable,
            "{policy}: what was begun in vain is still to be worked off"
        );
    }
    for policy in stacks {
        let row = row(&outcome, policy);
        assert!(row.of_bound.low > 0.97, "{policy}: {:?}", row.of_bound);
        assert_eq!((row.verdict, row.recovered), (Verdict::Stable, row.judged), "{policy}");
        // The median of the served requests is hardly above that of the work itself, which is 6.9
        // ms.
        assert!(row.p50_ms.unwrap().high < 15.0, "{policy}: {:?}", row.p50_ms);
    }
    // In a stack, a request that is not served times out. These two disciplines reject it.
    assert!(row(&outcome, "lifo").late.mean > 4_000.0);
    for policy in ["adaptive lifo", "time buckets"] {
        assert_eq!(row(&outcome, policy).late.mean, 0.0, "{policy}");
    }
    // CoDel's drop rate grows by about fifty per second each second. It is made for senders that
    // react.
    let rejected = row(&outcome, "codel").rejected;
    assert!((50.0..300.0).contains(&rejected.mean), "{rejected:?}");
}

#[test]
fn at_10x_evicting_the_oldest_keeps_a_queue_fresh() {
    // 2,000 places at 14,400 excess requests per second: the head is 140 ms old, below the
    // deadline.
    let outcome = outcome(&scenario(10.0, &["fifo", "keep oldest", "lifo"]));
    let (fifo, keeps) = (row(&outcome, "fifo"), row(&outcome, "keep oldest"));
    assert!(fifo.of_bound.low > 0.95, "{:?}", fifo.of_bound);
    assert!(keeps.of_bound.high < 0.02, "{:?}", keeps.of_bound);
    let lifo = row(&outcome, "lifo");
    let (queue, stack) = (fifo.p50_ms.unwrap(), lifo.p50_ms.unwrap());
    assert!(10.0 * stack.high < queue.low, "fifo {queue:?}, lifo {stack:?}");
}

#[test]
fn below_capacity_a_stack_has_the_longer_tail() {
    let outcome = outcome(&scenario(0.9, &["fifo", "lifo"]));
    let (fifo, lifo) = (row(&outcome, "fifo"), row(&outcome, "lifo"));
    let (p50, p99) = (|row: &Row| row.p50_ms.unwrap().mean, |row: &Row| row.p99_ms.unwrap().mean);
    assert!(p50(lifo) < p50(fifo), "{} {}", p50(lifo), p50(fifo));
    assert!(p99(lifo) > p99(fifo), "{} {}", p99(lifo), p99(fifo));
}

#[test]
fn max_wait_below_the_deadline_saves_queues_not_medians() {
    let mut scenario = scenario(5.0, &["fifo", "codel", "lifo"]);
    for (_, policy) in &mut scenario.policies {
        let Policy::Buffer { max_wait, .. } = policy else { unreachable!() };
        *max_wait = 100 * MS;
    }
    let outcome = outcome(&scenario);
    for policy in ["fifo", "codel", "lifo"] {
        assert!(row(&outcome, policy).of_bound.low > 0.97, "{policy}");
    }
    let p50 = |policy| row(&outcome, policy).p50_ms.unwrap().mean;
    assert!(10.0 * p50("lifo") < p50("fifo") && p50("fifo") > 95.0, "{} {}", p50("lifo"), p50("fifo"));
}

#[test]
fn no_request_waits_longer_than_all_time_buckets() {
    let service = 10 * MS;
    for (slice, slices, load) in [(20 * MS, 5, 5.0), (20 * MS, 5, 1.2), (7 * MS, 2, 2.0), (33 * MS, 4, 10.0)]
    {
        let server = ServerPlan::new(16, Law::Constant(service));
        let case = Case {
            arrivals: Arrivals::poisson(load * server.capacity()),
            server,
            clients: Clients { deadline: Some(400 * MS), ..Clients::default() },
            herd: None,
            window: Duration::ZERO..Duration::from_secs(3),
            span: Duration::from_secs(3),
        };
        let discipline = Discipline::TimeBuckets { slice, slices };
        let max_wait = Duration::from_secs(10);
        let policy = Policy::Buffer { concurrency: 16, queue: 1_000_000, max_wait, discipline };
        for seed in 1..=3 {
            let record = simulate(&case, &policy, seed).unwrap();
            let all = (slice * slices).as_secs_f64() * 1e3;
            // The record keeps three significant digits.
            let rounded_up = |wait: f64| wait * 1.001;
            let rejected = record.rejected_ms(1.0).unwrap();
            assert!(rejected <= rounded_up(all), "{rejected} of {all}");
            // An evicted request is at most one slice younger than that, so it is not evicted
            // early.
            let first = record.rejected_ms(0.0).unwrap();
            assert!(first >= 0.999 * (slice * (slices - 1)).as_secs_f64() * 1e3, "{first} of {all}");
            let good = record.good_ms(1.0).unwrap();
            assert!(good <= rounded_up(all + service.as_secs_f64() * 1e3), "{good} of {all}");
            // No client timed out, and the server's own queue was empty.
            assert_eq!((record.late, record.mean_queueing()), (0, Duration::ZERO));
            assert!(record.good > 0 && record.rejected > 0);
        }
    }
}
