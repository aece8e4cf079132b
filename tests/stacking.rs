//! Guards together: tuples give back, stacked layers do not, `Then` waits first.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll::prelude::*;
use plimsoll::{Event, Gate, Mode, Observe, Settle, Shadow, Then, layer, wait_layer};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);
impl Observe for Ear {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
impl Ear {
    fn given_back(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|e| matches!(e, Event::Refunded { .. })).count()
    }
    fn ended(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|e| matches!(e, Event::Completed { .. })).count()
    }
}

#[tokio::test]
async fn in_a_tuple_the_earlier_token_is_given_back_and_in_a_stack_it_is_spent() {
    let ear = Arc::new(Ear::default());
    let outer = Valve::builder().name("outer").concurrency(9).observe(ear.clone()).build().unwrap();
    let inner = Valve::new(1).unwrap();
    let _held = inner.try_acquire().unwrap();
    let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));

    let tuple = ServiceBuilder::new().layer(layer((outer.clone(), inner.clone()))).service(work);
    assert!(tuple.oneshot(()).await.is_err());
    assert_eq!((ear.given_back(), ear.ended()), (1, 0), "it never began");

    let stack = ServiceBuilder::new().layer(outer.layer()).layer(inner.layer()).service(work);
    assert!(stack.oneshot(()).await.is_err());
    assert_eq!((ear.given_back(), ear.ended()), (1, 1), "for the outer one, work began and failed");
    assert_eq!(outer.in_flight(), 0);
}

#[tokio::test]
async fn a_valve_in_a_tuple_never_waits() {
    let valve = Valve::builder().concurrency(1).queue(8).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    let service = ServiceBuilder::new()
        .layer(layer((valve.clone(),)))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let no = service.oneshot(()).await.unwrap_err();
    assert_eq!(no.downcast_ref::<Rejected>().unwrap().reason(), Reason::Full);
}

#[tokio::test]
async fn then_asks_the_gates_only_when_the_turn_has_come() {
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(Duration::from_secs(3600)).build().unwrap();
    let shed = RandomDrop::new(0.0).unwrap();
    let service = ServiceBuilder::new()
        .layer(wait_layer(Then(valve.clone(), (shed.clone(),))))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let held = valve.try_acquire_owned().unwrap();
    let waits = tokio::spawn(service.clone().oneshot(()));
    while valve.queued() == 0 {
        tokio::task::yield_now().await;
    }
    // Had it been asked before it queued, it would have been dropped.
    shed.set_keep_rate(1.0).unwrap();
    drop(held);
    waits.await.unwrap().unwrap();
    shed.set_keep_rate(0.0).unwrap();
    let no = service.oneshot(()).await.unwrap_err();
    assert_eq!(no.downcast_ref::<Rejected>().unwrap().reason(), Reason::Dropped);
    assert_eq!(valve.in_flight(), 0, "the place is given back when a gate refuses");
}

#[tokio::test]
async fn a_tuple_in_shadow_and_with_an_answer_of_ones_own() {
    let gates = Shadow::new((RandomDrop::new(1.0).unwrap(), RandomDrop::new(0.0).unwrap()), Mode::On);
    let service = ServiceBuilder::new()
        .layer(layer(gates.clone()).respond(|no: Rejected| format!("later: {no}")))
        .service(service_fn(async |(): ()| Ok::<_, std::convert::Infallible>("now".to_string())));
    assert_eq!(service.clone().oneshot(()).await.unwrap(), "later: drop rejected: dropped");
    gates.set_mode(Mode::Shadow);
    assert_eq!(service.oneshot(()).await.unwrap(), "now");
}

/// Who is evicted while it waits never asks the gates behind, and spends nothing there.
#[tokio::test]
async fn behind_a_buffer_the_gates_are_asked_only_by_those_whose_turn_has_come() {
    let ear = Arc::new(Ear::default());
    let buffer = Buffer::builder().concurrency(1).queue(1).discipline(Discipline::Lifo).build().unwrap();
    let valve = Valve::builder().concurrency(1).observe(ear.clone()).build().unwrap();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (opens, its) = (gate.clone(), buffer.clone());
    let service = ServiceBuilder::new().layer(wait_layer(Then(buffer.clone(), valve))).service(service_fn(
        move |n: u32| {
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                Ok::<_, BoxError>(n)
            }
        },
    ));
    let calls: Vec<_> = {
        let mut calls = vec![];
        for n in 0..3 {
            calls.push(tokio::spawn(service.clone().oneshot(n)));
            while its.in_flight() + its.queued() < (n + 1).min(2) || (n == 2 && !calls[1].is_finished()) {
                tokio::task::yield_now().await;
            }
        }
        calls
    };
    opens.add_permits(3);
    let mut answers = vec![];
    for call in calls {
        answers.push(call.await.unwrap().map_err(|no| no.downcast_ref::<Rejected>().unwrap().reason()));
    }
    assert_eq!(answers, [Ok(0), Err(Reason::Evicted), Ok(2)]);
    let admitted = ear.0.lock().unwrap().iter().filter(|e| matches!(e, Event::Admitted { .. })).count();
    assert_eq!((admitted, ear.ended(), buffer.in_flight()), (2, 2, 0));
}

/// A probe that a later gate refuses never began: it frees its place, and says nothing about the dependency.
#[test]
fn in_a_tuple_a_probe_is_given_back_when_a_later_gate_refuses() {
    let time = plimsoll::ManualTime::new();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    let valve = Valve::new(1).unwrap();
    let gates = (breaker.clone(), valve.clone());
    breaker.trip("test");
    time.advance(Duration::from_secs(60));
    let held = valve.try_acquire().unwrap();
    for _ in 0..3 {
        let no = gates.admit(&()).unwrap_err();
        assert_eq!((no.by(), no.reason()), ("valve", Reason::Full));
        assert_eq!(breaker.state(), plimsoll::breaker::CircuitState::HalfOpen);
    }
    drop(held);
    let token = gates.admit(&()).unwrap();
    assert_eq!(gates.admit(&()).unwrap_err().by(), "breaker", "one probe at a time");
    gates.settle(token, Outcome::Success);
    assert_eq!(breaker.state(), plimsoll::breaker::CircuitState::Ramp);
}

/// Faults for trying out, tried out in shadow: told, and nobody rejected.
#[test]
fn injected_faults_in_shadow_refuse_nobody() {
    let ear = Arc::new(Ear::default());
    let breaker = CircuitBreaker::builder().observe(ear.clone()).build().unwrap();
    breaker.set_fault(1.0).unwrap();
    let shadow = Shadow::new(breaker.clone(), Mode::Shadow).observe(ear.clone());
    assert!(breaker.try_acquire().is_err());
    let token = shadow.admit(&()).unwrap();
    shadow.settle(token, Outcome::Success);
    let heard = ear.0.lock().unwrap();
    assert!(
        heard
            .iter()
            .any(|e| matches!(e, Event::Shadowed { rejected: no, .. } if no.reason() == Reason::Open)),
        "{heard:?}"
    );
}

/// The refusal of a guard further in is no failure of the dependency.
#[tokio::test]
async fn a_breaker_in_front_counts_the_inner_guards_refusals_as_nothing_over_http() {
    use axum::{Router, body::Body, http::Request, routing::get};
    let breaker = CircuitBreaker::builder().trip(Trip::failures().count(1)).build().unwrap();
    let valve = Valve::new(1).unwrap();
    let _held = valve.try_acquire().unwrap();
    let app: Router = Router::new()
        .route("/", get(async || "never"))
        .layer(valve.layer().http())
        .layer(breaker.layer().http());
    for _ in 0..3 {
        let answer = app.clone().oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), 503);
    }
    assert_eq!(breaker.state(), plimsoll::breaker::CircuitState::Closed);
    let broken = Router::new()
        .route("/", get(async || axum::http::StatusCode::INTERNAL_SERVER_ERROR))
        .layer(breaker.layer().http());
    assert_eq!(broken.oneshot(Request::new(Body::empty())).await.unwrap().status(), 500);
    assert_eq!(breaker.state(), plimsoll::breaker::CircuitState::Open);
}

/// A pool of slots in a tuple and behind `Then`: its seat is given back when a later guard refuses, and a waiter does
/// not wait for it.
#[tokio::test]
async fn a_seat_is_given_back_in_a_tuple_and_is_not_waited_for_behind_then() {
    let ear = Arc::new(Ear::default());
    let seats = Dispatch::<()>::builder().slots(1).observe(ear.clone()).build().unwrap();
    let full = Valve::new(1).unwrap();
    let _held = full.try_acquire().unwrap();
    let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));

    let tuple = ServiceBuilder::new().layer(layer((seats.clone(), full.clone()))).service(work);
    assert!(tuple.oneshot(()).await.is_err());
    assert_eq!((ear.given_back(), ear.ended(), seats.in_use()), (1, 0, 0));

    let turns = Valve::builder().concurrency(1).queue(8).build().unwrap();
    let then = ServiceBuilder::new().layer(wait_layer(Then(turns.clone(), (seats.clone(),)))).service(work);
    then.clone().oneshot(()).await.unwrap();
    let seat = seats.try_acquire().unwrap();
    let no = then.oneshot(()).await.unwrap_err();
    assert_eq!(no.downcast_ref::<Rejected>().unwrap().reason(), Reason::Busy);
    drop(seat);
    assert_eq!((turns.in_flight(), seats.in_use()), (0, 0));
}

fn one_unit(name: &str) -> RateLimiter {
    RateLimiter::builder().name(name).quota(Quota::per_minute(1)).build().unwrap()
}

/// Otherwise who is rejected for want of a place would pay for it with its rate.
#[test]
fn in_a_tuple_units_come_back_when_a_later_guard_refuses() {
    let time = plimsoll::ManualTime::new();
    let limiter = RateLimiter::builder().quota(Quota::per_minute(5)).clock(time.clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<str>::builder().quota(Quota::per_minute(5)).clock(time.clock());
    let keyed = keyed.build().unwrap();
    let valve = Valve::new(1).unwrap();
    let gates = (limiter.clone(), keyed.by_ref(|account: &&'static str| *account), valve.clone());
    let held = valve.try_acquire().unwrap();
    for _ in 0..20 {
        assert_eq!(gates.admit(&"ann").unwrap_err().by(), "valve");
        assert_eq!((limiter.remaining(), keyed.remaining("ann")), (5, 5), "whole again");
    }
    drop(held);
    let token = gates.admit(&"ann").unwrap();
    gates.settle(token, Outcome::Failure);
    assert_eq!(
        (limiter.remaining(), keyed.remaining("ann"), keyed.remaining("bob")),
        (4, 4, 5),
        "spent, however it ends"
    );
}

#[tokio::test]
async fn behind_a_valve_units_are_spent_by_those_whose_turn_has_come() {
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(Duration::from_secs(3600)).build().unwrap();
    let limiter = one_unit("limit");
    let service = ServiceBuilder::new()
        .layer(wait_layer(Then(valve.clone(), limiter.clone())))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let held = valve.try_acquire_owned().unwrap();
    let waits = tokio::spawn(service.clone().oneshot(()));
    let leaves = tokio::spawn(service.clone().oneshot(()));
    for _ in 0..1_000_000 {
        if valve.queued() == 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((valve.queued(), limiter.remaining()), (2, 1), "nobody has spent anything in line");
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    drop(held);
    waits.await.unwrap().unwrap();
    assert_eq!(limiter.remaining(), 0);
    let no = service.oneshot(()).await.unwrap_err();
    assert_eq!(no.downcast_ref::<Rejected>().unwrap().reason(), Reason::Throttled);
    assert_eq!(valve.in_flight(), 0, "the place is given back when the limiter refuses");
}

/// A limit that is tried out counts as it would, so that what is told is what would be; and refuses nobody.
#[test]
fn a_limiter_in_shadow_counts_and_tells_and_refuses_nobody() {
    let ear = Arc::new(Ear::default());
    let limiter = one_unit("tried");
    let shadow = Shadow::new((limiter.clone(),), Mode::Shadow).observe(ear.clone());
    let tokens: Vec<_> = (0..3).map(|_| shadow.admit(&()).unwrap()).collect();
    assert_eq!(limiter.remaining(), 0);
    let shadowed = |e: &&Event| matches!(e, Event::Shadowed { rejected: no, .. } if no.by() == "tried" && no.reason() == Reason::Throttled);
    assert_eq!(ear.0.lock().unwrap().iter().filter(shadowed).count(), 2);
    // Only the first has something to give back.
    tokens.into_iter().rev().for_each(|token| shadow.refund(token));
    assert_eq!(limiter.remaining(), 1);
    shadow.set_mode(Mode::On);
    assert!(shadow.admit(&()).is_ok() && shadow.admit(&()).is_err());
}

/// What a limiter refuses is no probe of the dependency; and while the dependency is down nobody's rate is spent.
#[test]
fn an_account_spends_nothing_while_the_breaker_is_open_and_takes_no_probe_when_it_is_limited() {
    let time = plimsoll::ManualTime::new();
    let quota = Quota::per_hour(2);
    let keyed = KeyedRateLimiter::<u64>::builder().quota(quota).clock(time.clock()).build().unwrap();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    let gates = (keyed.by(|account: &u64| *account), breaker.clone());
    breaker.trip("down");
    for _ in 0..10 {
        assert_eq!(gates.admit(&7).unwrap_err().by(), "breaker");
    }
    assert_eq!(keyed.remaining(&7), 2);
    time.advance(Duration::from_secs(60));
    assert!(keyed.try_acquire_n(&8, 2).is_ok());
    assert_eq!(gates.admit(&8).unwrap_err().by(), "accounts");
    let probe = gates.admit(&7).expect("the probe is still there");
    gates.settle(probe, Outcome::Success);
    assert_eq!((keyed.remaining(&7), breaker.state()), (1, plimsoll::breaker::CircuitState::Ramp));
}

#[tokio::test]
async fn two_limiters_tell_both_of_their_quotas_over_http() {
    use axum::{Router, body::Body, http::Request, routing::get};
    let time = plimsoll::ManualTime::new();
    let new = |name: &str, units| {
        let new = RateLimiter::builder().name(name).quota(Quota::per_minute(units)).clock(time.clock());
        new.build().unwrap()
    };
    let both = || (new("one", 2), new("two", 3));
    let plain = || Router::new().route("/", get(async || "well"));
    let (one, two) = both();
    let stacked = plain().layer(two.layer().http()).layer(one.layer().http());
    for app in [plain().layer(layer(both()).http()), stacked] {
        let app = app.with_state(());
        let ask = async || {
            let answer = app.clone().oneshot(Request::new(Body::empty())).await.unwrap();
            let lines = answer.headers().get_all("ratelimit").iter().map(|line| line.to_str().unwrap());
            let mut told: Vec<_> = lines.flat_map(|line| line.split(", ")).map(str::to_owned).collect();
            told.sort();
            (answer.status().as_u16(), told)
        };
        let told = |lines: [&str; 2]| lines.map(str::to_owned).to_vec();
        assert_eq!(ask().await, (200, told(["\"one\";r=1;t=30", "\"two\";r=2;t=20"])));
        assert_eq!(ask().await, (200, told(["\"one\";r=0;t=60", "\"two\";r=1;t=40"])));
        // A shared rate is nobody's quota: the caller learns when to come back, and no more.
        assert_eq!(ask().await, (503, vec![]));
    }
}

/// Who is kept, and rejected further on, was never in flight.
#[test]
fn in_a_tuple_a_shedder_gets_back_whom_a_later_gate_refuses() {
    let ear = Arc::new(Ear::default());
    let shedder = LoadShedder::builder().observe(ear.clone()).build().unwrap();
    let clock = plimsoll::ManualTime::new().clock();
    let (limiter, throttle) = (
        RateLimiter::builder().quota(Quota::per_second(1)).clock(clock).build().unwrap(),
        AdaptiveThrottle::new().unwrap(),
    );
    let gates = (shedder.clone(), throttle.clone(), limiter);
    let token = gates.admit(&()).unwrap();
    assert_eq!(shedder.in_flight(), 1);
    let no = gates.admit(&()).unwrap_err();
    assert_eq!((no.by(), no.reason()), ("limit", Reason::Throttled));
    assert_eq!((shedder.in_flight(), ear.given_back(), ear.ended()), (1, 1, 0));
    gates.settle(token, Outcome::Success);
    assert_eq!((shedder.in_flight(), ear.given_back(), ear.ended()), (0, 1, 1));
    assert_eq!(throttle.counts(), (1, 1), "of the server, the one rejected says nothing");
}
