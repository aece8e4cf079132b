//! The command `plimsoll-lab`: see the library for what it does.

use axum::Router;
use plimsoll::prelude::*;
use plimsoll_lab::{Guards, Plan, command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let guards = Guards { guard: &guarded, rejecting: &rejecting_all };
    command::run(std::env::args_os(), &guards)
}

/// The load line: as many inside as the bottleneck has slots, a room to smooth the arrivals.
///
/// A quarter of the time that the deadline leaves beside the work is for waiting. The room holds
/// half of what the bottleneck serves in that time: under load it is full, and a full room refuses
/// at once. The longest wait is for the day on which the bottleneck itself slows down.
fn guarded(router: Router, plan: &Plan) -> Router {
    let wait = plan.deadline.saturating_sub(plan.service_time) / 4;
    let queue = (plan.capacity() * wait.as_secs_f64() / 2.0).ceil() as u32;
    let concurrency = u32::try_from(plan.slots).unwrap_or(u32::MAX);
    let valve = Valve::builder().name("demo").concurrency(concurrency).queue(queue).max_wait(wait).build();
    match valve {
        Ok(valve) => router.layer(valve.wait_layer().http()),
        // `Plan` allows no slots, deadline or service time that a valve would refuse.
        Err(e) => unreachable!("{e}"),
    }
}

/// The same layer, refusing everything.
fn rejecting_all(router: Router) -> Router {
    let valve = Valve::new(1).unwrap_or_else(|e| unreachable!("{e}"));
    valve.close();
    router.layer(valve.wait_layer().http())
}
