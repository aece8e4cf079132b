//! The one service of gates and the one of waiters, polled by hand.
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

/// Writes down what it is told, and answers as it is set.
#[derive(Clone, Default)]
struct Scribe {
    name: &'static str,
    refuses: bool,
    told: Arc<Mutex<Vec<String>>>,
}

impl Scribe {
    fn write(&self, what: String) {
        self.told.lock().unwrap().push(format!("{}{what}", self.name));
    }
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
    fn answer(&self) -> Result<(), Rejected> {
        if self.refuses { Err(Rejected::new("scribe", Reason::Full)) } else { Ok(()) }
    }
}

impl Settle for Scribe {
    type Token = ();
    fn settle(&self, (): (), outcome: Outcome) {
        self.write(format!("{outcome:?}"));
    }
    fn refund(&self, (): ()) {
        self.write("given back".into());
    }
}
impl<R: ?Sized> Gate<R> for Scribe {
    fn admit(&self, _: &R) -> Result<(), Rejected> {
        self.write("asked".into());
        self.answer()
    }
}
impl<R: ?Sized> Wait<R> for Scribe {
    type Place = ();
    type Waiting = Ready<Result<(), Rejected>>;
    fn wait(&self, _: &R) -> Self::Waiting {
        ready(Ok(()))
    }
    fn enter(&self, (): (), _: &R) -> Result<(), Rejected> {
        self.write("entered".into());
        self.answer()
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// An inner service that panics where it is told to.
#[derive(Clone, Copy)]
struct Panics(&'static str);

impl Service<()> for Panics {
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
fn a_gate_reserves_nothing_when_readied_and_settles_what_it_admitted() {
    let scribe = Scribe::default();
    let (mock, mut handle) = tower_test::mock::pair::<&str, &str>();
    let mut service = task::spawn(layer(scribe.clone()).layer(mock));
    handle.allow(0);
    assert_pending!(service.enter(|cx, mut s| s.poll_ready(cx)));
    handle.allow(1);
    assert!(service.is_woken(), "the inner service's waker is the caller's");
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    assert!(scribe.told().is_empty(), "an idle readied service holds nothing");

    let mut call = task::spawn(service.call("hello"));
    assert_pending!(call.poll());
    assert_eq!(scribe.told(), ["asked"]);
    let mut wants = task::spawn(handle.next_request());
    let (request, answer) = assert_ready!(wants.poll()).unwrap();
    assert_eq!(request, "hello");
    answer.send_response("world");
    assert_eq!(assert_ready_ok!(call.poll()), "world");
    assert_eq!(scribe.told(), ["Success"]);
}

#[test]
fn a_refused_call_never_reaches_the_inner_service() {
    let scribe = Scribe { refuses: true, ..Scribe::default() };
    let (mock, mut handle) = tower_test::mock::pair::<(), ()>();
    let mut service = task::spawn(layer(scribe).layer(mock));
    handle.allow(1);
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    let mut call = task::spawn(service.call(()));
    let error = assert_ready_err!(call.poll());
    assert_eq!(error.downcast_ref::<Rejected>().unwrap().reason(), Reason::Full);
    assert_pending!(task::spawn(handle.next_request()).poll());
}

#[test]
fn the_inner_error_comes_through_as_it_was_and_counts_as_failure() {
    let scribe = Scribe::default();
    let (mock, mut handle) = tower_test::mock::pair::<(), ()>();
    let mut service = task::spawn(layer(scribe.clone()).wrap().layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    let mut call = task::spawn(service.call(()));
    assert_pending!(call.poll());
    assert_ready!(task::spawn(handle.next_request()).poll()).unwrap().1.send_error("broken");
    match assert_ready_err!(call.poll()) {
        Overload::Inner(error) => assert_eq!(error.to_string(), "broken"),
        Overload::Rejected(no) => panic!("{no}"),
    }
    assert_eq!(scribe.told(), ["asked", "Failure"]);

    handle.send_error("gone");
    let gone = assert_ready_err!(service.enter(|cx, mut s| s.poll_ready(cx)));
    assert_eq!(gone.rejected(), None);
}

#[test]
fn a_dropped_call_is_cancelled() {
    let scribe = Scribe::default();
    let (mock, _handle) = tower_test::mock::pair::<(), ()>();
    let mut service = task::spawn(layer(scribe.clone()).layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    drop(service.call(()));
    assert_eq!(scribe.told(), ["asked", "Cancelled"]);
}

#[test]
fn a_panic_below_is_a_failure_even_if_someone_catches_it() {
    for at in ["call", "poll"] {
        let scribe = Scribe::default();
        let mut service = layer(scribe.clone()).layer(Panics(at));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut call = task::spawn(service.call(()));
            // Caught between the future and its drop, as a catch-panic layer does.
            catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).unwrap_err()
        }));
        assert_eq!(caught.is_err(), at == "call");
        assert_eq!(scribe.told(), ["asked", "Failure"], "panic in {at}");
    }
    for at in ["ready", "call", "poll"] {
        let scribe = Scribe::default();
        let mut service = wait_layer(scribe.clone()).layer(Panics(at));
        let mut call = task::spawn(service.call(()));
        catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).unwrap_err();
        drop(call);
        assert_eq!(scribe.told(), ["entered", "Failure"], "panic in {at}");
    }
}

#[test]
fn a_waiter_calls_the_very_instance_it_readied() {
    let scribe = Scribe::default();
    let (mock, mut handle) = tower_test::mock::pair::<&str, &str>();
    handle.allow(0);
    let mut service = task::spawn(wait_layer(scribe.clone()).layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)), "always ready");
    let mut call = task::spawn(service.call("x"));
    assert_pending!(call.poll());
    assert_eq!(scribe.told(), ["entered"]);
    handle.allow(1);
    assert!(call.is_woken());
    // The mock panics if a clone that was not readied is called.
    assert_pending!(call.poll());
    assert_ready!(task::spawn(handle.next_request()).poll()).unwrap().1.send_response("y");
    assert_eq!(assert_ready_ok!(call.poll()), "y");
    assert_eq!(scribe.told(), ["Success"]);
}

#[test]
fn what_never_began_is_given_back() {
    let scribe = Scribe::default();
    let (mock, mut handle) = tower_test::mock::pair::<(), ()>();
    handle.allow(0);
    let mut service = wait_layer(scribe.clone()).layer(mock);
    let mut call = task::spawn(service.call(()));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(scribe.told(), ["entered", "given back"], "dropped while the inner service was not ready");

    let mut call = task::spawn(service.call(()));
    assert_pending!(call.poll());
    handle.send_error("gone");
    assert_eq!(assert_ready_err!(call.poll()).to_string(), "gone");
    assert_eq!(scribe.told(), ["entered", "given back"], "the inner service never became ready");
}

#[test]
fn a_tuple_is_all_or_nothing() {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let scribe = |name, refuses| Scribe { name, refuses, told: told.clone() };
    let gates = (scribe("a ", false), scribe("b ", false), scribe("c ", true), scribe("d ", false));
    assert_eq!(gates.admit(&()).unwrap_err().reason(), Reason::Full);
    assert_eq!(gates.0.told(), ["a asked", "b asked", "c asked", "b given back", "a given back"]);

    let gates = (scribe("a ", false), scribe("b ", false));
    gates.settle(gates.admit(&()).unwrap(), Outcome::Success);
    assert_eq!(gates.0.told(), ["a asked", "b asked", "a Success", "b Success"]);
}

#[test]
fn classify_reads_the_outcome() {
    let scribe = Scribe::default();
    let by = layer(scribe.clone()).classify(|result: Result<&(), &BoxError>| match result {
        Ok(()) => Outcome::Overloaded,
        Err(_) => Outcome::Ignored,
    });
    let mut service = by.layer(Panics("nowhere"));
    assert_ready_ok!(task::spawn(service.call(())).poll());
    assert_eq!(scribe.told(), ["asked", "Overloaded"]);
}

#[test]
fn only_asks_for_those_it_picks() {
    let scribe = Scribe { refuses: true, ..Scribe::default() };
    let (mock, mut handle) = tower_test::mock::pair::<&str, ()>();
    let mut service = task::spawn(layer(scribe.clone()).only(|path: &&str| *path != "/health").layer(mock));
    assert_ready_ok!(service.enter(|cx, mut s| s.poll_ready(cx)));
    assert_ready_err!(task::spawn(service.call("/orders")).poll());
    assert_eq!(scribe.told(), ["asked"]);
    let mut call = task::spawn(service.call("/health"));
    assert_pending!(call.poll());
    assert_ready!(task::spawn(handle.next_request()).poll()).unwrap().1.send_response(());
    assert_ready_ok!(call.poll());
    assert!(scribe.told().is_empty());
}

#[test]
fn services_and_futures_go_where_their_parts_do() {
    fn is<T: Send + Sync>(_: &T) {}
    let mut gated = layer(Scribe::default()).layer(Panics(""));
    is(&gated);
    fn sends<T: Send>(_: &T) {}
    sends(&gated.call(()));
    sends(&wait_layer(Scribe::default()).layer(Panics("")).call(()));
}
