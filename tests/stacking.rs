//! Guards together: tuples refund, stacked layers do not, `Then` waits first.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use axum::http::StatusCode;
use axum::{Router, routing::get};
use common::{BoxError, get_request, reason, until};
use plimsoll::breaker::CircuitState;
use plimsoll::http::HttpOptions;
use plimsoll::prelude::*;
use plimsoll::{Dice, Event, Gate, ManualTime, Mode, Observe, Settle, Shadow, Then, layer, wait_layer};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);

/// Records every event.
#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Observe for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    fn count(&self, counts: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| counts(event)).count()
    }

    fn admitted(&self) -> usize {
        self.count(|event| matches!(event, Event::Admitted { .. }))
    }

    fn refunded(&self) -> usize {
        self.count(|event| matches!(event, Event::Refunded { .. }))
    }

    fn completed(&self) -> usize {
        self.count(|event| matches!(event, Event::Completed { .. }))
    }

    /// Returns the number of rejections for `reason` that shadow mode did not carry out.
    fn shadowed(&self, reason: Reason) -> usize {
        self.count(|event| matches!(event, Event::Shadowed { rejected, .. } if rejected.reason() == reason))
    }
}

#[tokio::test]
async fn tuple_refunds_the_earlier_guard_and_stack_does_not() {
    let events = Arc::new(Recorder::default());
    let outer = Valve::builder().name("outer").concurrency(9).observe(events.clone()).build().unwrap();
    let inner = Valve::new(1).unwrap();
    let _held = inner.try_acquire().unwrap();
    let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));

    let tuple = ServiceBuilder::new().layer(layer((outer.clone(), inner.clone()))).service(work);
    assert!(tuple.oneshot(()).await.is_err());
    assert_eq!((events.refunded(), events.completed()), (1, 0), "the work never began");

    let stack = ServiceBuilder::new().layer(outer.layer()).layer(inner.layer()).service(work);
    assert!(stack.oneshot(()).await.is_err());
    assert_eq!(
        (events.refunded(), events.completed()),
        (1, 1),
        "for the outer guard, the work began and failed"
    );
    assert_eq!(outer.in_flight(), 0);
}

#[tokio::test]
async fn valve_in_a_tuple_never_waits() {
    let valve = Valve::builder().concurrency(1).queue(8).build().unwrap();
    let _held = valve.try_acquire().unwrap();
    let service = ServiceBuilder::new()
        .layer(layer((valve.clone(),)))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    assert_eq!(reason(service.oneshot(()).await.unwrap_err()), Reason::Full);
}

#[tokio::test]
async fn then_checks_the_gate_after_the_wait() {
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(HOUR).build().unwrap();
    let shed = RandomDrop::new(0.0).unwrap();
    let service = ServiceBuilder::new()
        .layer(wait_layer(Then(valve.clone(), (shed.clone(),))))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let held = valve.try_acquire_owned().unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(()));
    until(|| valve.queued() > 0).await;
    // Checked before the wait, the gate would have dropped the request.
    shed.set_keep_rate(1.0).unwrap();
    drop(held);
    waiting.await.unwrap().unwrap();
    shed.set_keep_rate(0.0).unwrap();
    assert_eq!(reason(service.oneshot(()).await.unwrap_err()), Reason::Dropped);
    assert_eq!(valve.in_flight(), 0, "the place is released when a gate rejects");
}

#[tokio::test]
async fn tuple_in_shadow_mode_with_a_response_of_its_own() {
    let gates = Shadow::new((RandomDrop::new(1.0).unwrap(), RandomDrop::new(0.0).unwrap()), Mode::On);
    let service = ServiceBuilder::new()
        .layer(layer(gates.clone()).respond(|rejected: Rejected| format!("later: {rejected}")))
        .service(service_fn(async |(): ()| Ok::<_, Infallible>("now".to_string())));
    assert_eq!(service.clone().oneshot(()).await.unwrap(), "later: drop rejected: dropped");
    gates.set_mode(Mode::Shadow);
    assert_eq!(service.oneshot(()).await.unwrap(), "now");
}

/// A request that is evicted while it waits never reaches the gate behind the buffer.
#[tokio::test]
async fn evicted_request_does_not_reach_the_gate_behind_a_buffer() {
    let events = Arc::new(Recorder::default());
    let buffer = Buffer::builder().concurrency(1).queue(1).discipline(Discipline::Lifo).build().unwrap();
    let valve = Valve::builder().concurrency(1).observe(events.clone()).build().unwrap();
    let work = Arc::new(Semaphore::new(0));
    let permits = work.clone();
    let service = ServiceBuilder::new().layer(wait_layer(Then(buffer.clone(), valve))).service(service_fn(
        move |n: u32| {
            let permits = permits.clone();
            async move {
                permits.acquire().await?.forget();
                Ok::<_, BoxError>(n)
            }
        },
    ));
    let first = tokio::spawn(service.clone().oneshot(0));
    until(|| buffer.in_flight() == 1).await;
    let second = tokio::spawn(service.clone().oneshot(1));
    until(|| buffer.queued() == 1).await;
    let third = tokio::spawn(service.clone().oneshot(2));
    until(|| second.is_finished()).await;
    work.add_permits(3);
    assert_eq!(first.await.unwrap().unwrap(), 0);
    assert_eq!(reason(second.await.unwrap().unwrap_err()), Reason::Evicted);
    assert_eq!(third.await.unwrap().unwrap(), 2);
    assert_eq!((events.admitted(), events.completed(), buffer.in_flight()), (2, 2, 0));
}

/// A probe that a later gate rejects never began: it frees its place, and has no outcome.
#[test]
fn tuple_refunds_a_probe_when_a_later_gate_rejects() {
    let time = ManualTime::new();
    let breaker = CircuitBreaker::builder().clock(time.clock()).build().unwrap();
    let valve = Valve::new(1).unwrap();
    let gates = (breaker.clone(), valve.clone());
    breaker.trip("test");
    time.advance(Duration::from_secs(60));
    let held = valve.try_acquire().unwrap();
    for _ in 0..3 {
        let rejected = gates.admit(&()).unwrap_err();
        assert_eq!((rejected.by(), rejected.reason()), ("valve", Reason::Full));
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
    }
    drop(held);
    let token = gates.admit(&()).unwrap();
    assert_eq!(gates.admit(&()).unwrap_err().by(), "breaker", "one probe at a time");
    gates.settle(token, Outcome::Success);
    assert_eq!(breaker.state(), CircuitState::Ramp);
}

/// Injected faults in shadow mode are reported and not carried out.
#[test]
fn injected_faults_in_shadow_mode_reject_nothing() {
    let events = Arc::new(Recorder::default());
    let breaker = CircuitBreaker::builder().observe(events.clone()).build().unwrap();
    breaker.set_fault(1.0).unwrap();
    let shadow = Shadow::new(breaker.clone(), Mode::Shadow).observe(events.clone());
    assert!(breaker.try_acquire().is_err());
    let token = shadow.admit(&()).unwrap();
    shadow.settle(token, Outcome::Success);
    assert_eq!(events.shadowed(Reason::Open), 1);
}

/// A rejection by a guard further in is not a failure of the dependency.
#[tokio::test]
async fn breaker_ignores_http_rejections_of_an_inner_guard() {
    let breaker = CircuitBreaker::builder().trips([Trip::failures().count(1)]).build().unwrap();
    let valve = Valve::new(1).unwrap();
    let _held = valve.try_acquire().unwrap();
    let app: Router = Router::new()
        .route("/", get(async || "never"))
        .layer(valve.layer().http())
        .layer(breaker.layer().http());
    for _ in 0..3 {
        let response = app.clone().oneshot(get_request("/")).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    let broken = Router::new()
        .route("/", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .layer(breaker.layer().http());
    let response = broken.oneshot(get_request("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// In a tuple the slot is refunded if a later guard rejects. `Then` does not wait for a slot.
#[tokio::test]
async fn slot_is_refunded_in_a_tuple_and_not_waited_for_by_then() {
    let events = Arc::new(Recorder::default());
    let pool = Dispatch::<()>::builder().slots(1).observe(events.clone()).build().unwrap();
    let full = Valve::new(1).unwrap();
    let _held = full.try_acquire().unwrap();
    let work = service_fn(async |(): ()| Ok::<_, BoxError>(()));

    let tuple = ServiceBuilder::new().layer(layer((pool.clone(), full.clone()))).service(work);
    assert!(tuple.oneshot(()).await.is_err());
    assert_eq!((events.refunded(), events.completed(), pool.in_use()), (1, 0, 0));

    let valve = Valve::builder().concurrency(1).queue(8).build().unwrap();
    let then = ServiceBuilder::new().layer(wait_layer(Then(valve.clone(), (pool.clone(),)))).service(work);
    then.clone().oneshot(()).await.unwrap();
    let slot = pool.try_acquire().unwrap();
    assert_eq!(reason(then.oneshot(()).await.unwrap_err()), Reason::Busy);
    drop(slot);
    assert_eq!((valve.in_flight(), pool.in_use()), (0, 0));
}

fn one_unit(name: &str) -> RateLimiter {
    RateLimiter::builder().name(name).quota(Quota::per_minute(1)).build().unwrap()
}

/// A request that is rejected because no place is free must not be charged for it.
#[test]
fn tuple_refunds_units_when_a_later_guard_rejects() {
    let time = ManualTime::new();
    let limiter = RateLimiter::builder().quota(Quota::per_minute(5)).clock(time.clock()).build().unwrap();
    let keyed = KeyedRateLimiter::<str>::builder().quota(Quota::per_minute(5)).clock(time.clock());
    let keyed = keyed.build().unwrap();
    let valve = Valve::new(1).unwrap();
    let gates = (limiter.clone(), keyed.by_ref(|account: &&'static str| *account), valve.clone());
    let held = valve.try_acquire().unwrap();
    for _ in 0..20 {
        assert_eq!(gates.admit(&"ann").unwrap_err().by(), "valve");
        assert_eq!((limiter.remaining(), keyed.remaining("ann")), (5, 5), "all units are refunded");
    }
    drop(held);
    let token = gates.admit(&"ann").unwrap();
    gates.settle(token, Outcome::Failure);
    assert_eq!(
        (limiter.remaining(), keyed.remaining("ann"), keyed.remaining("bob")),
        (4, 4, 5),
        "units stay charged, whatever the outcome"
    );
}

#[tokio::test]
async fn units_behind_a_valve_are_charged_after_the_wait() {
    let valve = Valve::builder().concurrency(1).queue(8).max_wait(HOUR).build().unwrap();
    let limiter = one_unit("limit");
    let service = ServiceBuilder::new()
        .layer(wait_layer(Then(valve.clone(), limiter.clone())))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let held = valve.try_acquire_owned().unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(()));
    let leaving = tokio::spawn(service.clone().oneshot(()));
    until(|| valve.queued() == 2).await;
    assert_eq!((valve.queued(), limiter.remaining()), (2, 1), "requests in the queue are charged nothing");
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    drop(held);
    waiting.await.unwrap().unwrap();
    assert_eq!(limiter.remaining(), 0);
    assert_eq!(reason(service.oneshot(()).await.unwrap_err()), Reason::Throttled);
    assert_eq!(valve.in_flight(), 0, "the place is released when the limiter rejects");
}

/// In shadow mode a limiter charges as usual, and reports what it would reject.
#[test]
fn limiter_in_shadow_mode_charges_and_rejects_nothing() {
    let events = Arc::new(Recorder::default());
    let limiter = one_unit("tried");
    let shadow = Shadow::new((limiter.clone(),), Mode::Shadow).observe(events.clone());
    let tokens: Vec<_> = (0..3).map(|_| shadow.admit(&()).unwrap()).collect();
    assert_eq!(limiter.remaining(), 0);
    let by_limiter = |event: &Event| matches!(event, Event::Shadowed { by: "tried", .. });
    assert_eq!((events.count(by_limiter), events.shadowed(Reason::Throttled)), (2, 2));
    // Only the first was charged.
    tokens.into_iter().rev().for_each(|token| shadow.refund(token));
    assert_eq!(limiter.remaining(), 1);
    shadow.set_mode(Mode::On);
    assert!(shadow.admit(&()).is_ok() && shadow.admit(&()).is_err());
}

/// While the circuit breaker is open, no account is charged. A limited request uses no probe.
#[test]
fn open_breaker_charges_nothing_and_limited_takes_no_probe() {
    let time = ManualTime::new();
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
    let probe = gates.admit(&7).expect("the probe was not used");
    gates.settle(probe, Outcome::Success);
    assert_eq!((keyed.remaining(&7), breaker.state()), (1, CircuitState::Ramp));
}

#[tokio::test]
async fn two_limiters_both_report_their_quotas_over_http() {
    let time = ManualTime::new();
    let limiter = |name: &str, units| {
        let limiter = RateLimiter::builder().name(name).quota(Quota::per_minute(units));
        limiter.clock(time.clock()).build().unwrap()
    };
    let both = || (limiter("one", 2), limiter("two", 3));
    let plain = || Router::new().route("/", get(async || "well"));
    let (one, two) = both();
    let options = || HttpOptions::new().shared_quotas(true);
    let stacked = plain().layer(two.layer().http_with(options())).layer(one.layer().http_with(options()));
    for app in [plain().layer(layer(both()).http_with(options())), stacked] {
        let app = app.with_state(());
        let call = async || {
            let response = app.clone().oneshot(get_request("/")).await.unwrap();
            let lines = response.headers().get_all("ratelimit").iter().map(|line| line.to_str().unwrap());
            let mut items: Vec<_> = lines.flat_map(|line| line.split(", ")).map(str::to_owned).collect();
            items.sort();
            (response.status().as_u16(), items)
        };
        let items = |items: [&str; 2]| items.map(str::to_owned).to_vec();
        assert_eq!(call().await, (200, items(["\"one\";r=1;t=30", "\"two\";r=2;t=20"])));
        assert_eq!(call().await, (200, items(["\"one\";r=0;t=30", "\"two\";r=1;t=20"])));
        // A rate that callers share is not the caller's quota, so the rejection does not report it.
        assert_eq!(call().await, (503, vec![]));
    }
}

/// A request that the shedder kept and a later gate rejected is not in flight.
#[test]
fn tuple_refunds_a_shedder_when_a_later_gate_rejects() {
    let events = Arc::new(Recorder::default());
    let shedder = LoadShedder::builder().workers(1).observe(events.clone()).build().unwrap();
    let clock = ManualTime::new().clock();
    let (limiter, throttle) = (
        RateLimiter::builder().quota(Quota::per_second(1)).clock(clock).build().unwrap(),
        AdaptiveThrottle::new().unwrap(),
    );
    let gates = (shedder.clone(), throttle.clone(), limiter);
    let token = gates.admit(&()).unwrap();
    assert_eq!(shedder.in_flight(), 1);
    let rejected = gates.admit(&()).unwrap_err();
    assert_eq!((rejected.by(), rejected.reason()), ("limit", Reason::Throttled));
    assert_eq!((shedder.in_flight(), events.refunded(), events.completed()), (1, 1, 0));
    gates.settle(token, Outcome::Success);
    assert_eq!((shedder.in_flight(), events.refunded(), events.completed()), (0, 1, 1));
    assert_eq!(throttle.counts(), (1, 1), "a request that was not sent is not counted");
}

/// The guide's rule for a shedder in front of a valve: a queue of target × rate, or twice that.
/// With a queue that is shorter, the valve decides instead of the shedder, and asks for no
/// priority.
#[tokio::test(start_paused = true)]
async fn shedder_keeps_what_is_important_if_the_queue_is_long_enough() {
    /// Returns the share of important requests that are served at four times the capacity.
    async fn important_served(queue: u32) -> f64 {
        const WORK: Duration = Duration::from_millis(20); // 16 at once: 800 a second
        let target = Duration::from_millis(50); // 40 requests at 800 a second
        let max_wait = Duration::from_millis(250);
        let valve = Valve::builder().concurrency(16).queue(queue).max_wait(max_wait).build().unwrap();
        let shedder =
            LoadShedder::builder().workers(16).target(target).dice(Dice::seeded(7)).build().unwrap();
        let by_priority = shedder.info(|important: &bool| {
            RequestInfo::new().priority(if *important { Priority(200) } else { Priority::NORMAL })
        });
        let work = service_fn(async |_: bool| {
            tokio::time::sleep(WORK).await;
            Ok::<_, BoxError>(())
        });
        let stack = ServiceBuilder::new().layer(layer(by_priority)).layer(valve.wait_layer()).service(work);
        let mut calls = Vec::new();
        for ms in 0..10_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Ten in three milliseconds, of which one is important.
            for n in 0..3 + u32::from(ms % 3 == 0) {
                let important = ms % 3 == 0 && n == 0;
                let call = tokio::spawn(stack.clone().oneshot(important));
                // The first seconds are for finding the rate.
                if important && ms >= 4_000 {
                    calls.push(call);
                }
            }
        }
        let (mut served, all) = (0, calls.len());
        for call in calls {
            served += usize::from(call.await.unwrap().is_ok());
        }
        served as f64 / all as f64
    }
    let (long, short) = (important_served(80).await, important_served(8).await);
    assert!(long >= 0.99, "{long} of the important requests are served with a queue of 80");
    assert!(short < 0.9, "{short} with a queue of 8");
}
