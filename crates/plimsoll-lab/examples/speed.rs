//! Measures how many requests per second of wall time the simulator handles on one core.
//!
//! `cargo run --release -p plimsoll-lab --example speed`

use plimsoll_lab::sim::{Arrivals, Case, Clients, Law, Policy, ServerPlan, simulate};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ms, s) = (Duration::from_millis(1), Duration::from_secs(1));
    let server = ServerPlan { rejection_cost: 0.001, ..ServerPlan::new(16, Law::Exponential(10 * ms)) };
    let capacity = server.capacity();
    let three = Policy::ThreeLayers { keep_rate: 0.5, concurrency: 16, queue: 64, max_wait: 45 * ms };
    let waiting = Policy::QueueingValve { concurrency: 16, queue: 64, max_wait: 45 * ms };
    let valve = Policy::Valve { concurrency: 16 };
    for (name, policy) in [("bare", Policy::Bare), ("valve", valve), ("waiting", waiting), ("three", three)] {
        for load in [0.9, 2.0, 20.0] {
            let case = Case {
                server: server.clone(),
                clients: Clients { deadline: Some(200 * ms), ..Clients::default() },
                arrivals: Arrivals::poisson(load * capacity),
                herd: None,
                window: s..60 * s,
                span: 60 * s,
            };
            let mut best = 0.0_f64;
            for seed in 1..=5 {
                let start = Instant::now();
                let record = simulate(&case, &policy, seed)?;
                best = best.max(record.attempts as f64 / start.elapsed().as_secs_f64());
            }
            println!("{name:>8} at {load:>4}: {:.2} million requests/s", best / 1e6);
        }
    }
    Ok(())
}
