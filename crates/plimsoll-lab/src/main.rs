//! The command `plimsoll-lab`. The library's documentation describes it.

use axum::Router;
use plimsoll::prelude::*;
use plimsoll_lab::{Guards, Plan, command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let guards = Guards { guard: &guarded, rejecting: &rejecting_all };
    command::run(std::env::args_os(), &guards)
}

/// Puts the demo's valve in front of the router.
///
/// The valve admits as many requests as the bottleneck has slots, and has a short queue to smooth
/// the arrivals. The longest wait is a quarter of the time that the deadline leaves after the work.
/// The queue holds half of what the bottleneck serves in that time. Under load the queue is full
/// and newcomers are rejected at once. The longest wait matters only when the bottleneck itself
/// slows down.
fn guarded(router: Router, plan: &Plan) -> Router {
    let wait = plan.deadline.saturating_sub(plan.service_time) / 4;
    let queue = (plan.capacity() * wait.as_secs_f64() / 2.0).ceil() as u32;
    let concurrency = u32::try_from(plan.slots).unwrap_or(u32::MAX);
    let valve = Valve::builder().name("demo").concurrency(concurrency).queue(queue).max_wait(wait).build();
    match valve {
        Ok(valve) => router.layer(valve.wait_layer().http()),
        // A `Plan` has no slots, deadline or service time that a valve would reject.
        Err(e) => unreachable!("{e}"),
    }
}

/// Puts the same layer in front of the router, set to reject every request.
fn rejecting_all(router: Router) -> Router {
    let valve = Valve::new(1).unwrap_or_else(|e| unreachable!("{e}"));
    valve.close();
    router.layer(valve.wait_layer().http())
}
