//! Whole runs over real sockets.
//!
//! The tests assert only what holds on any machine: every request is counted, and the fields are
//! there.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use plimsoll_lab::{Guards, Listener, Plan, Progress, Report, Row, Settings, demo};

fn answering(router: Router, status: StatusCode) -> Router {
    router.layer(from_fn(move |_: Request, _: Next| async move { status }))
}

fn rejecting(router: Router) -> Router {
    answering(router, StatusCode::SERVICE_UNAVAILABLE)
}

/// Runs four slots of 10 ms, with half a second per row.
fn run(loads: &[f64], guard: &dyn Fn(Router, &Plan) -> Router) -> Report {
    let ms = Duration::from_millis(1);
    let plan = Plan::near(400.0, 10 * ms, 100 * ms).unwrap();
    assert_eq!(plan.slots, 4);
    let settings = Settings::new(plan, loads.to_vec(), 500 * ms);
    let listener = Listener::bind(settings.listen).unwrap();
    let guards = Guards { guard, rejecting: &rejecting };
    demo(&settings, &listener, &guards, &mut Progress::silent()).unwrap()
}

fn assert_balanced(row: &Row) {
    let sum = row.goodput + row.late + row.rejected + row.failed;
    assert!(row.offered > 0.0, "{row:?}");
    assert!((row.offered - sum).abs() < 1e-6, "{row:?}");
}

#[test]
fn every_request_of_every_row_is_counted() {
    let report = run(&[0.5, 3.0], &|router, _| router);
    assert_eq!(report.rows.len(), 4);
    report.rows.iter().for_each(assert_balanced);
    // Both sides have the same arrivals, so the offered load does not depend on chance.
    assert_eq!(report.rows[0].offered, report.rows[2].offered);
    assert_eq!(report.rows[1].offered, report.rows[3].offered);
    assert!(report.rows[2].guarded && !report.rows[0].guarded);
}

#[test]
fn guard_that_rejects_all_leaves_only_rejections() {
    let report = run(&[1.0], &|router, _| rejecting(router));
    let row = &report.rows[1];
    assert_balanced(row);
    assert_eq!(row.goodput, 0.0);
    assert_eq!(row.p99_ms, None);
    assert!((row.rejected - (row.offered - row.failed - row.late)).abs() < 1e-6);
}

#[test]
fn other_statuses_are_failures_with_a_reason() {
    let broken = StatusCode::INTERNAL_SERVER_ERROR;
    let report = run(&[1.0], &|router, _| answering(router, broken));
    let row = &report.rows[1];
    assert_balanced(row);
    assert_eq!((row.goodput, row.rejected), (0.0, 0.0));
    if row.failed > 0.0 {
        assert!(row.first_failure.as_deref().unwrap().contains("500"));
    }
}

#[test]
fn guard_is_called_with_the_plan_for_each_row() {
    let calls = std::cell::Cell::new(0);
    run(&[0.2, 0.3], &|router, plan| {
        calls.set(calls.get() + 1);
        assert_eq!(plan.capacity(), 400.0);
        // A guard may start tasks of its own.
        tokio::spawn(async {});
        router
    });
    assert!(calls.get() >= 2);
}
