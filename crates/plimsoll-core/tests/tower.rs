//! The service of gates and the service of waiters, polled step by step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg(feature = "tower")]

use plimsoll_core::{Gate, Outcome, Overload, Reason, Rejected, Settle, Wait, layer, wait_layer};
use std::error::Error;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_service::Service;

/// Records its calls. Admits every request, or rejects every request.
#[derive(Clone, Default)]
struct RecordingGuard {
    name: &'static str,
    rejects: bool,
    calls: Arc<Mutex<Vec<String>>>,
}

impl RecordingGuard {
    fn record(&self, call: String) {
        self.calls.lock().unwrap().push(format!("{}{call}", self.name));
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
    fn decide(&self) -> Result<(), Rejected> {
        if self.rejects { Err(Rejected::new("guard", Reason::Full)) } else { Ok(()) }
    }
}

impl Settle for RecordingGuard {
    type Token = ();
    fn settle(&self, (): (), outcome: Outcome) {
        self.record(format!("{outcome:?}"));
    }
    fn refund(&self, (): ()) {
        self.record("refunded".into());
    }
}
impl<R: ?Sized> Gate<R> for RecordingGuard {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.record("admit".into());
        self.decide()
    }
}
impl<R: ?Sized> Wait<R> for RecordingGuard {
    type Place = ();
    type Waiting = Ready<Result<(), Rejected>>;
    fn wait(&self, _: &R) -> Self::Waiting {
        ready(Ok(()))
    }
    fn enter(&self, (): (), _: &R) -> Result<(), Rejected> {
        self.record("enter".into());
        self.decide()
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// An inner service that panics in "ready", "call" or "poll".
#[derive(Clone, Copy)]
struct PanickingService(&'static str);

impl Service<()> for PanickingService {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert_ne!(self.0, "ready");
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, (): ()) -> Self::Future {
        assert_ne!(self.0, "call");
        let at = self.0;
        Box::pin(async move {
            assert_ne!(at, "poll");
            Ok(())
        })
    }
}

#[test]
fn a_gate_reserves_nothing_in_poll_ready_and_settles_the_call() {
    let guard = RecordingGuard::default();
    let (mock, mut handle) = tower_test::mock::pair::<&str, &str>();
    let mut service = task::spawn(layer(guard.clone()).layer(mock));
    handle.allow(0);
    assert_pending!(service.enter(|cx, mut s| s.poll_ready(cx)));
    handle.allow(1);
    assert!(service.is_woken(), "the inner service wakes the caller");
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    assert!(guard.take().is_empty(), "a ready service that is idle holds nothing");

    let mut call = task::spawn(service.call("hello"));
    assert_pending!(call.poll());
    assert_eq!(guard.take(), ["admit"]);
    let mut received = task::spawn(handle.next_request());
    let (request, answer) = assert_ready!(received.poll()).unwrap();
    assert_eq!(request, "hello");
    answer.send_response("world");
    assert_eq!(assert_ready_ok!(call.poll()), "world");
    assert_eq!(guard.take(), ["Success"]);
}

#[test]
fn a_rejected_call_never_reaches_the_inner_service() {
    let guard = RecordingGuard { rejects: true, ..RecordingGuard::default() };
    let (mock, mut handle) = tower_test::mock::pair::<(), ()>();
    let mut service = task::spawn(layer(guard).layer(mock));
    handle.allow(1);
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    let mut call = task::spawn(service.call(()));
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.downcast_ref::<Rejected>().unwrap().reason(), Reason::Full);
    assert_pending!(task::spawn(handle.next_request()).poll());
}

#[test]
fn an_inner_error_is_returned_unchanged_and_counts_as_failure() {
    let guard = RecordingGuard::default();
    let (mock, mut handle) = tower_test::mock::pair::<(), ()>();
    let mut service = task::spawn(layer(guard.clone()).wrap().layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    let mut call = task::spawn(service.call(()));
    assert_pending!(call.poll());
    assert_ready!(task::spawn(handle.next_request()).poll()).unwrap().1.send_error("broken");
    match assert_ready_err!(call.poll()) {
        Overload::Inner(error) => assert_eq!(error.to_string(), "broken"),
        Overload::Rejected(rejected) => panic!("{rejected}"),
    }
    assert_eq!(guard.take(), ["admit", "Failure"]);

    handle.send_error("gone");
    let gone = assert_ready_err!(service.enter(|cx, mut s| s.poll_ready(cx)));
    assert_eq!(gone.rejected(), None);
}

#[test]
fn a_dropped_call_settles_as_cancelled() {
    let guard = RecordingGuard::default();
    let (mock, _handle) = tower_test::mock::pair::<(), ()>();
    let mut service = task::spawn(layer(guard.clone()).layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    drop(service.call(()));
    assert_eq!(guard.take(), ["admit", "Cancelled"]);
}

#[test]
fn an_inner_panic_counts_as_failure_even_if_it_is_caught() {
    for at in ["call", "poll"] {
        let guard = RecordingGuard::default();
        let mut service = layer(guard.clone()).layer(PanickingService(at));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut call = task::spawn(service.call(()));
            // Caught between the future and its drop, as a catch-panic layer does.
            catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).unwrap_err()
        }));
        assert_eq!(caught.is_err(), at == "call");
        assert_eq!(guard.take(), ["admit", "Failure"], "panic in {at}");
    }
    for at in ["ready", "call", "poll"] {
        let guard = RecordingGuard::default();
        let mut service = wait_layer(guard.clone()).layer(PanickingService(at));
        let mut call = task::spawn(service.call(()));
        catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).unwrap_err();
        drop(call);
        assert_eq!(guard.take(), ["enter", "Failure"], "panic in {at}");
    }
}

#[test]
fn a_waiter_calls_the_instance_that_it_polled_ready() {
    let guard = RecordingGuard::default();
    let (mock, mut handle) = tower_test::mock::pair::<&str, &str>();
    handle.allow(0);
    let mut service = task::spawn(wait_layer(guard.clone()).layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)), "always ready");
    let mut call = task::spawn(service.call("x"));
    assert_pending!(call.poll());
    assert_eq!(guard.take(), ["enter"]);
    handle.allow(1);
    assert!(call.is_woken());
    // The mock panics if a clone is called that was not polled ready.
    assert_pending!(call.poll());
    assert_ready!(task::spawn(handle.next_request()).poll()).unwrap().1.send_response("y");
    assert_eq!(assert_ready_ok!(call.poll()), "y");
    assert_eq!(guard.take(), ["Success"]);
}

#[test]
fn the_permit_of_a_call_that_never_began_is_refunded() {
    let guard = RecordingGuard::default();
    let (mock, mut handle) = tower_test::mock::pair::<(), ()>();
    handle.allow(0);
    let mut service = wait_layer(guard.clone()).layer(mock);
    let mut call = task::spawn(service.call(()));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(guard.take(), ["enter", "refunded"], "dropped while the inner service was not ready");

    let mut call = task::spawn(service.call(()));
    assert_pending!(call.poll());
    handle.send_error("gone");
    assert_eq!(assert_ready_err!(call.poll()).to_string(), "gone");
    assert_eq!(guard.take(), ["enter", "refunded"], "the inner service never became ready");
}

#[test]
fn a_tuple_is_all_or_nothing() {
    let calls = Arc::<Mutex<Vec<String>>>::default();
    let guard = |name, rejects| RecordingGuard { name, rejects, calls: calls.clone() };
    let gates = (guard("a ", false), guard("b ", false), guard("c ", true), guard("d ", false));
    assert_eq!(gates.admit(&()).unwrap_err().reason(), Reason::Full);
    assert_eq!(gates.0.take(), ["a admit", "b admit", "c admit", "b refunded", "a refunded"]);

    let gates = (guard("a ", false), guard("b ", false));
    gates.settle(gates.admit(&()).unwrap(), Outcome::Success);
    assert_eq!(gates.0.take(), ["a admit", "b admit", "a Success", "b Success"]);
}

#[test]
fn classify_sets_the_outcome() {
    let guard = RecordingGuard::default();
    let layer = layer(guard.clone()).classify(|result: Result<&(), &BoxError>| match result {
        Ok(()) => Outcome::Overloaded,
        Err(_) => Outcome::Ignored,
    });
    let mut service = layer.layer(PanickingService("nowhere"));
    assert_ready_ok!(task::spawn(service.call(())).poll());
    assert_eq!(guard.take(), ["admit", "Overloaded"]);
}

#[test]
fn only_guards_the_requests_it_selects() {
    let guard = RecordingGuard { rejects: true, ..RecordingGuard::default() };
    let (mock, mut handle) = tower_test::mock::pair::<&str, ()>();
    let mut service = task::spawn(layer(guard.clone()).only(|path: &&str| *path != "/health").layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    assert_ready_err!(task::spawn(service.call("/orders")).poll());
    assert_eq!(guard.take(), ["admit"]);
    let mut call = task::spawn(service.call("/health"));
    assert_pending!(call.poll());
    assert_ready!(task::spawn(handle.next_request()).poll()).unwrap().1.send_response(());
    assert_ready_ok!(call.poll());
    assert!(guard.take().is_empty());
}

#[test]
fn services_are_send_and_sync_and_futures_are_send() {
    fn assert_send_sync<T: Send + Sync>(_: &T) {}
    fn assert_send<T: Send>(_: &T) {}
    let mut gated = layer(RecordingGuard::default()).layer(PanickingService(""));
    assert_send_sync(&gated);
    assert_send(&gated.call(()));
    assert_send(&wait_layer(RecordingGuard::default()).layer(PanickingService("")).call(()));
}
