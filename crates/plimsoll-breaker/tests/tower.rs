//! The tower layer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg(feature = "tower")]

use plimsoll_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitState, OpenTime, Probes, Ramp, Trip};
use plimsoll_core::{ManualTime, Outcome, Overload, Reason, Rejected};
use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);

/// Returns the builder of a breaker that two failures open for a second.
fn builder(time: &ManualTime) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .trips([Trip::failures().count(2)])
        .open_time(OpenTime::fixed(S))
        .probes(Probes { failures: Some(1), ..Probes::default() })
        .ramp(Ramp::NONE)
        .clock(time.clock())
}

fn breaker() -> (CircuitBreaker, ManualTime) {
    let time = ManualTime::new();
    (builder(&time).build().unwrap(), time)
}

#[test]
fn rejected_call_does_not_reach_the_inner_service() {
    let (breaker, time) = breaker();
    let calls = Cell::new(0);
    let inner = service_fn(|fails: bool| {
        calls.set(calls.get() + 1);
        ready(if fails { Err(BoxError::from("broken")) } else { Ok(7) })
    });
    let mut service = breaker.layer().layer(inner);
    for _ in 0..2 {
        let error = assert_ready_err!(task::spawn(service.call(true)).poll());
        assert_eq!(error.to_string(), "broken");
    }
    for _ in 0..10 {
        let error = assert_ready_err!(task::spawn(service.call(false)).poll());
        let rejected = *error.downcast_ref::<Rejected>().unwrap();
        assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Open, Some(S)));
    }
    assert_eq!(calls.get(), 2);
    time.advance(S);
    assert_eq!(assert_ready_ok!(task::spawn(service.call(false)).poll()), 7);
    assert_eq!((calls.get(), breaker.state()), (3, CircuitState::Closed));
}

/// A layer that created the state would make a breaker per route in axum, with different states.
#[test]
fn all_services_of_all_layers_share_one_breaker() {
    let (breaker, _time) = breaker();
    let layer = breaker.layer();
    let broken = service_fn(|(): ()| ready(Err::<(), _>(BoxError::from("broken"))));
    let mut services = [layer.layer(broken), layer.layer(broken), breaker.layer().layer(broken)];
    for service in &mut services[..2] {
        assert_ready_err!(task::spawn(service.call(())).poll());
    }
    for service in &mut services {
        let mut clone = service.clone();
        let error = assert_ready_err!(task::spawn(clone.call(())).poll());
        assert!(error.is::<Rejected>());
    }
}

#[test]
fn ready_service_without_a_call_is_no_probe() {
    let (breaker, time) = breaker();
    let service = || breaker.layer().layer(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))));
    breaker.trip("test");
    time.advance(S);
    let mut idle: Vec<_> = (0..10).map(|_| task::spawn(service())).collect();
    for service in &mut idle {
        assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    }
    assert_ready_ok!(task::spawn(service().oneshot(())).poll());
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn dropped_call_counts_as_configured() {
    for (cancelled, timeout, takes, opens) in [
        (None, None, S, false),
        (None, Some(S), S, true),
        (None, Some(S), S / 2, false),
        (Some(Outcome::Failure), None, Duration::ZERO, true),
        (Some(Outcome::Success), Some(S), S / 2, false),
    ] {
        let time = ManualTime::new();
        let mut builder = builder(&time);
        if let Some(timeout) = timeout {
            builder = builder.call_timeout(timeout);
        }
        if let Some(cancelled) = cancelled {
            builder = builder.cancelled(cancelled);
        }
        let breaker = builder.build().unwrap();
        let mut service = breaker.layer().layer(service_fn(|(): ()| pending::<Result<(), BoxError>>()));
        let mut calls: Vec<_> = (0..2).map(|_| task::spawn(service.call(()))).collect();
        for call in &mut calls {
            assert_pending!(call.poll());
        }
        time.advance(takes);
        drop(calls);
        assert_eq!(breaker.state() == CircuitState::Open, opens, "{cancelled:?} {timeout:?} {takes:?}");
    }
}

#[test]
fn dropped_probe_frees_its_place() {
    let (breaker, time) = breaker();
    breaker.trip("test");
    time.advance(S);
    let mut service = breaker.layer().layer(service_fn(|hangs: bool| async move {
        if hangs { pending().await } else { Ok::<_, BoxError>(()) }
    }));
    let mut hangs = task::spawn(service.call(true));
    assert_pending!(hangs.poll());
    assert_ready_err!(task::spawn(service.call(false)).poll());
    drop(hangs);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert_ready_ok!(task::spawn(service.call(false)).poll());
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn panic_of_the_inner_service_is_a_failure() {
    type Response = Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;
    let (breaker, time) = breaker();
    let mut service = breaker.layer().layer(service_fn(|at_once: bool| -> Response {
        assert!(!at_once, "in call");
        Box::pin(async { panic!("in poll") })
    }));
    for _ in 0..2 {
        catch_unwind(AssertUnwindSafe(|| drop(service.call(true)))).unwrap_err();
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    time.advance(S);
    // A probe counts, too, before its future is dropped.
    let mut call = task::spawn(service.call(false));
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).unwrap_err();
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn classifier_decides_what_counts() {
    let (breaker, _time) = breaker();
    let layer = breaker.layer().classify(|result: Result<&u16, &BoxError>| match result {
        Ok(500..) => Outcome::Failure,
        Ok(429) => Outcome::Overloaded,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Ignored,
    });
    let mut service = layer.layer(service_fn(|status: u16| {
        ready(if status == 0 { Err(BoxError::from("the caller's own")) } else { Ok(status) })
    }));
    for _ in 0..20 {
        assert_ready_err!(task::spawn(service.call(0)).poll());
        assert_eq!(assert_ready_ok!(task::spawn(service.call(429)).poll()), 429);
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    for _ in 0..2 {
        assert_eq!(assert_ready_ok!(task::spawn(service.call(503)).poll()), 503);
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert!(assert_ready_err!(task::spawn(service.call(200)).poll()).is::<Rejected>());
}

/// The error type of the inner service cannot hold a rejection.
#[test]
fn wrapped_layer_returns_both_kinds_of_errors() {
    let (breaker, _time) = breaker();
    let mut service = breaker.layer().wrap().layer(service_fn(|(): ()| ready(Err::<(), _>(7))));
    for _ in 0..2 {
        assert_eq!(assert_ready_err!(task::spawn(service.call(())).poll()), Overload::Inner(7));
    }
    let rejected = assert_ready_err!(task::spawn(service.call(())).poll());
    assert_eq!(rejected.rejected().unwrap().reason(), Reason::Open);
}

/// Our own shedding further in opened the breaker: five calls that a full valve rejected, and then
/// no call passed for the whole open time, with a healthy dependency.
#[test]
fn rejections_by_an_inner_guard_do_not_open_it() {
    let (outer, _time) = breaker();
    let (inner, _time) = breaker();
    inner.block("our own");
    let works = || service_fn(|(): ()| ready(Ok::<_, BoxError>(())));
    let mut service = outer.layer().layer(inner.layer().layer(works()));
    let mut wrapped = outer.layer().wrap().layer(inner.layer().wrap().layer(works()));
    for _ in 0..50 {
        assert!(assert_ready_err!(task::spawn(service.call(())).poll()).is::<Rejected>());
        assert_ready_err!(task::spawn(wrapped.call(())).poll());
    }
    assert_eq!(outer.state(), CircuitState::Closed);
    inner.unblock();
    assert_ready_ok!(task::spawn(service.call(())).poll());
}
