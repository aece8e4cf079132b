//! The simulator against queueing theory, and against the bound that follows from conservation of
//! work.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use plimsoll_lab::sim::{Arrivals, Case, Change, Clients, Law, Policy, ServerPlan, simulate};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const SEEDS: u64 = 20;
/// The 97.5 % quantile of Student's t distribution with 19 degrees of freedom.
const T: f64 = 2.093;

fn patient(server: ServerPlan, load: f64, seconds: u32) -> Case {
    Case {
        arrivals: Arrivals::poisson(load * server.capacity()),
        server,
        clients: Clients::default(),
        herd: None,
        window: Duration::ZERO..seconds * S,
        span: seconds * S,
    }
}

/// Asserts that the theoretical mean wait lies within the 95 % interval of the simulated mean, and
/// that the interval is narrow enough.
fn assert_waits(case: &Case, theory: f64) {
    let seconds = |seed| simulate(case, &Policy::Bare, seed).unwrap().mean_queueing().as_secs_f64();
    let waits: Vec<f64> = (1..=SEEDS).map(seconds).collect();
    let n = SEEDS as f64;
    let mean = waits.iter().sum::<f64>() / n;
    let deviation = (waits.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let half = T * deviation / n.sqrt();
    println!("theory {:.4} ms, simulated {:.4} ± {:.4} ms", theory * 1e3, mean * 1e3, half * 1e3);
    assert!((mean - theory).abs() <= half, "theory {theory}, simulated {mean} ± {half}");
    assert!(half < 0.1 * theory, "too wide to say anything: {half} of {theory}");
}

#[test]
fn one_slot_waits_as_m_m_1() {
    // W = ρ/(μ - λ)
    let (load, mean) = (0.7, 0.010);
    let case = patient(ServerPlan::new(1, Law::Exponential(10 * MS)), load, 150);
    assert_waits(&case, load / (1.0 / mean - load / mean));
}

#[test]
fn constant_service_waits_as_m_d_1() {
    // Pollaczek and Khinchine: half of the wait with exponential service.
    let (load, mean) = (0.7, 0.010);
    let case = patient(ServerPlan::new(1, Law::Constant(10 * MS)), load, 150);
    assert_waits(&case, load * mean / (2.0 * (1.0 - load)));
}

#[test]
fn many_slots_wait_as_erlang_c() {
    let (slots, load, mean) = (8_u32, 0.85, 0.010);
    let offered = load * f64::from(slots);
    // Erlang B by recursion, then Erlang C, then the wait.
    let blocked = (1..=slots).fold(1.0, |b, k| offered * b / (f64::from(k) + offered * b));
    let queued = blocked / (1.0 - load * (1.0 - blocked));
    let case = patient(ServerPlan::new(slots, Law::Exponential(10 * MS)), load, 50);
    assert_waits(&case, queued * mean / (f64::from(slots) * (1.0 - load)));
}

fn overloaded(rejection_cost: f64, load: f64) -> Case {
    let server = ServerPlan { rejection_cost, ..ServerPlan::new(16, Law::Exponential(10 * MS)) };
    let arrivals = Arrivals::poisson(load * server.capacity());
    let clients = Clients { deadline: Some(200 * MS), ..Clients::default() };
    Case { server, clients, arrivals, herd: None, window: S..9 * S, span: 9 * S }
}

#[test]
fn bounded_queue_reaches_the_bound() {
    let policy = Policy::QueueingValve { concurrency: 16, queue: 64, max_wait: 45 * MS };
    for (cost, load) in [(0.0, 2.0), (0.001, 10.0), (0.01, 5.0), (0.05, 10.0)] {
        let case = overloaded(cost, load);
        let records: Vec<_> = (1..=4).map(|seed| simulate(&case, &policy, seed).unwrap()).collect();
        let good = records.iter().map(|r| r.goodput()).sum::<f64>() / 4.0;
        let offered = records.iter().map(|r| r.offered_rate()).sum::<f64>() / 4.0;
        let of_bound = good / case.server.bound(case.server.capacity(), offered);
        println!("cost {cost} at {load}: {of_bound:.4} of the bound");
        assert!((of_bound - 1.0).abs() < 0.02, "cost {cost} at {load}: {of_bound}");
    }
}

#[test]
fn attempts_count_in_one_column_and_seeds_repeat() {
    let three = Policy::ThreeLayers { keep_rate: 0.9, concurrency: 16, queue: 64, max_wait: 45 * MS };
    let case = Case {
        clients: Clients {
            deadline: Some(60 * MS),
            retries: 2,
            backoff: 10 * MS,
            jitter: true,
            budget: None,
        },
        ..overloaded(0.001, 2.0)
    };
    let run = |seed| simulate(&case, &three, seed).unwrap();
    let (one, again, other) = (run(1), run(1), run(2));
    assert_eq!(one.offered, one.good + one.rejected + one.late);
    assert!(one.good > 0 && one.rejected > 0 && one.late > 0);
    assert_eq!(format!("{one:?}"), format!("{again:?}"));
    assert_ne!(format!("{one:?}"), format!("{other:?}"));
}

#[test]
fn stalled_server_serves_none_then_catches_up() {
    let mut case = patient(ServerPlan::new(4, Law::Constant(10 * MS)), 0.5, 10);
    case.server.changes = vec![
        Change { at: 2 * S, slots: 4, speed: 0.0 },
        Change { at: 3 * S, slots: 4, speed: 1.0 },
        Change { at: 6 * S, slots: 8, speed: 2.0 },
    ];
    let record = simulate(&case, &Policy::Bare, 1).unwrap();
    let good = |from: usize, until: usize| record.timeline[from..until].iter().map(|m| m.good).sum::<u32>();
    assert_eq!(good(20, 30), 0);
    // The backlog is served at full speed. After that the rate is that of the arrivals.
    assert!((395..=405).contains(&good(30, 40)), "{}", good(30, 40));
    assert_eq!(record.good, record.attempts);
}
