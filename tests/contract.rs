//! Puts every layer through every probe of `plimsoll-testkit`.
//!
//! Each guard has a [`Subject`] here: a fixture, and settings that it must reject. A cell of the
//! matrix that cannot be covered yet is a gap, and is listed in the testkit's README.
#![allow(missing_docs, clippy::unwrap_used)]

use plimsoll::breaker::{OpenTime, Probes, Ramp};
use plimsoll::drop::{Control, Curve, Signal, SignalReading};
use plimsoll::limit::Class;
use plimsoll::{
    AdaptiveThrottle, Buffer, CircuitBreaker, Discipline, Dispatch, FairRateLimiter, Gate,
    KeyedCircuitBreaker, KeyedExt, KeyedRateLimiter, LoadShedder, ManualTime, Only, Outcome, Permit, Quota,
    RandomDrop, RateLimiter, Rejected, Then, TieredRateLimiter, Trip, Valve, Wait, wait_layer,
};
use plimsoll_testkit::{Fixture, InvalidSetting, Kit, Matrix, Request, Subject, invalid, silence_panics};
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SUBJECTS: [Subject; 23] = [
    Subject::new("valve", valve_gate, valve_settings),
    Subject::new("valve, waiting", valve_waiting, valve_settings),
    Subject::new("Then(valve, random drop)", then, || [valve_settings(), drop_settings()].concat()),
    Subject::new("Only(valve)", only, valve_settings),
    Subject::new("circuit breaker", breaker, breaker_settings),
    Subject::new("keyed circuit breaker", keyed_breaker, breaker_settings),
    Subject::new("dispatch", dispatch, dispatch_settings),
    Subject::new("random drop", random_drop, drop_settings),
    Subject::new("load shedder", shedder, shedder_settings),
    Subject::new("adaptive throttle", throttle, throttle_settings),
    Subject::new("buffer, fifo", |kit| buffer(kit, Discipline::Fifo), buffer_settings),
    Subject::new("buffer, keep-oldest", |kit| buffer(kit, Discipline::KeepOldest), buffer_settings),
    Subject::new("buffer, lifo", |kit| buffer(kit, Discipline::Lifo), buffer_settings),
    Subject::new("buffer, lifo-with-age", |kit| buffer(kit, LIFO_WITH_AGE), buffer_settings),
    Subject::new("buffer, codel", |kit| buffer(kit, Discipline::CODEL), buffer_settings),
    Subject::new("buffer, adaptive-lifo", |kit| buffer(kit, Discipline::ADAPTIVE_LIFO), buffer_settings),
    Subject::new("buffer, time-buckets", |kit| buffer(kit, TIME_BUCKETS), buffer_settings),
    Subject::new("rate limiter", limiter_gate, limiter_settings),
    Subject::new("rate limiter, waiting", limiter_waiting, limiter_settings),
    Subject::new("keyed rate limiter", keyed_limiter, keyed_settings),
    Subject::new("tiered rate limiter", tiered_limiter, tiered_settings),
    Subject::new("fair rate limiter", fair_limiter, fair_settings),
    Subject::new("(random drop, valve)", tuple, || [valve_settings(), drop_settings()].concat()),
];

#[test]
fn every_layer_keeps_the_contract() {
    let matrix = silence_panics(|| Matrix::run(&SUBJECTS));
    println!("{matrix}");
    let faults = matrix.faults();
    assert!(faults.is_empty(), "{matrix}\n{faults:#?}");
}

const CONCURRENCY: u32 = 2;
const QUEUE: u32 = 3;

fn valve(kit: &Kit, queue: u32) -> Valve {
    let valve = Valve::builder().concurrency(CONCURRENCY).queue(queue).max_wait(Duration::from_millis(100));
    valve.clock(kit.clock()).observe(kit.observer()).build().unwrap()
}

/// States the limits of a guard that is bounded by `valve`.
fn limited_by(valve: &Valve, fixture: Fixture) -> Fixture {
    fixture
        .permits(valve, Valve::try_acquire_owned)
        .held(valve, |valve| valve.in_flight() + valve.queued())
        .concurrency(CONCURRENCY)
}

/// States the limits of a guard that waits for `valve`.
fn waiting_for(valve: &Valve, fixture: Fixture) -> Fixture {
    limited_by(valve, fixture).queue(valve, QUEUE, |valve, queue| valve.set_queue(queue).unwrap())
}

fn valve_gate(kit: &Kit) -> Fixture {
    let valve = valve(kit, 0);
    limited_by(&valve, Fixture::new(valve.layer()).shadow(valve.clone()))
}

fn valve_waiting(kit: &Kit) -> Fixture {
    let valve = valve(kit, QUEUE);
    waiting_for(&valve, Fixture::new(valve.wait_layer()))
}

fn then(kit: &Kit) -> Fixture {
    let valve = valve(kit, QUEUE);
    let then = Then(valve.clone(), drop_gate(kit));
    waiting_for(&valve, Fixture::new(wait_layer(then))).guards(2)
}

/// `Only` with a predicate that selects every request.
fn only(kit: &Kit) -> Fixture {
    let valve = valve(kit, 0);
    limited_by(&valve, Fixture::gate(Only::new(valve.clone(), |_: &Request| true)))
}

/// Saturated, the valve rejects, and the random drop is refunded.
fn tuple(kit: &Kit) -> Fixture {
    let valve = valve(kit, 0);
    limited_by(&valve, Fixture::gate((drop_gate(kit), valve.clone()))).guards(2)
}

fn valve_settings() -> Vec<InvalidSetting> {
    let live = Valve::builder().queue(1).build().unwrap();
    vec![
        invalid("empty name", Valve::builder().name("").build()),
        invalid("concurrency 0", Valve::new(0)),
        invalid("concurrency too large", Valve::new(u32::MAX)),
        invalid("queue too long", Valve::builder().queue(u32::MAX).build()),
        invalid("queue without a wait", Valve::builder().queue(1).max_wait(Duration::ZERO).build()),
        invalid("concurrency 0, live", live.set_concurrency(0)),
        invalid("queue without a wait, live", live.set_max_wait(Duration::ZERO)),
    ]
}

fn dispatch(kit: &Kit) -> Fixture {
    let pool = Dispatch::<()>::builder().slots(CONCURRENCY).clock(kit.clock()).dice(kit.dice.clone());
    let pool = pool.observe(kit.observer()).build().unwrap();
    Fixture::new(pool.layer())
        .shadow(pool.clone())
        .permits(&pool, Dispatch::try_acquire_owned)
        .held(&pool, Dispatch::in_use)
        .concurrency(CONCURRENCY)
}

fn dispatch_settings() -> Vec<InvalidSetting> {
    let (builder, live) = (Dispatch::<()>::builder, Dispatch::<()>::new(1).unwrap());
    vec![
        invalid("empty name", builder().name("").build()),
        invalid("no slots", builder().slots(0).build()),
        invalid("too many slots", builder().slots(u32::MAX).build()),
        invalid("no slots, live", live.set_slots(0)),
        invalid("too many slots, live", live.set_slots(u32::MAX)),
    ]
}

/// A circuit breaker that opens only by `block`: the failures of the probes are too few to trip it.
fn breaker(kit: &Kit) -> Fixture {
    let breaker = CircuitBreaker::builder().trips([Trip::failures().ratio(1.0, u32::MAX)]).clock(kit.clock());
    let breaker = breaker.dice(kit.dice.clone()).observe(kit.observer()).build().unwrap();
    blocked(&breaker, Fixture::new(breaker.layer()).shadow(breaker.clone()))
}

fn keyed_breaker(kit: &Kit) -> Fixture {
    let breakers = KeyedCircuitBreaker::<u64>::builder().trips([Trip::failures().ratio(1.0, u32::MAX)]);
    let breakers = breakers.max_keys(8).clock(kit.clock()).dice(kit.dice.clone());
    let breakers = breakers.observe(kit.observer()).build().unwrap();
    blocked(&breakers.breaker(&7).unwrap(), Fixture::gate(breakers.by(|_: &Request| 7)))
}

fn blocked(breaker: &CircuitBreaker, fixture: Fixture) -> Fixture {
    fixture
        .saturate(breaker, |breaker| breaker.block("saturated"))
        .relieve(breaker, CircuitBreaker::unblock)
        .holds_nothing("a closed circuit breaker counts, and holds nothing")
}

fn breaker_settings() -> Vec<InvalidSetting> {
    let builder = CircuitBreaker::builder;
    let trip = |trip| builder().trips([trip]).build();
    let probes = |probes| builder().probes(probes).build();
    let zero = Duration::ZERO;
    let decreasing = OpenTime { max: Duration::from_millis(1), ..OpenTime::default() };
    vec![
        invalid("empty name", builder().name("").build()),
        invalid("0 failures", trip(Trip::failures().count(0))),
        invalid("0 consecutive failures", trip(Trip::failures().consecutive(0))),
        invalid("share of failures 0", trip(Trip::failures().ratio(0.0, 1))),
        invalid("share of failures above 1", trip(Trip::failures().ratio(1.1, 1))),
        invalid("share of 0 calls", trip(Trip::failures().ratio(0.5, 0))),
        invalid("empty window", trip(Trip::failures().count(1).within(zero))),
        invalid("every call is slow", trip(Trip::slow(zero))),
        invalid("no open time", builder().open_time(OpenTime::fixed(zero)).build()),
        invalid("longest open time below the first", builder().open_time(decreasing).build()),
        invalid("no probes", probes(Probes { concurrency: 0, ..Probes::default() })),
        invalid("no successes", probes(Probes { successes: 0, ..Probes::default() })),
        invalid("no lease", probes(Probes { lease: zero, ..Probes::default() })),
        invalid("ramp starts above 1", builder().ramp(Ramp { start: 1.5, ..Ramp::default() }).build()),
        invalid("no call time-out", builder().call_timeout(zero).build()),
        invalid("share of faults not a number", builder().build().unwrap().set_fault(f64::NAN)),
        invalid("no keys", KeyedCircuitBreaker::<u64>::builder().max_keys(0).build()),
    ]
}

const LIFO_WITH_AGE: Discipline = Discipline::LifoWithAge { max_age: Duration::from_millis(30) };
const TIME_BUCKETS: Discipline = Discipline::TimeBuckets { slice: Duration::from_millis(20), slices: 3 };

fn buffer(kit: &Kit, discipline: Discipline) -> Fixture {
    let buffer = Buffer::builder().concurrency(CONCURRENCY).queue(QUEUE).discipline(discipline);
    let buffer = buffer.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    Fixture::new(buffer.layer())
        .permits(&buffer, |buffer| try_acquire(buffer).ok_or("no place is free"))
        .queue(&buffer, QUEUE, |buffer, queue| buffer.set_queue(queue).unwrap())
        .held(&buffer, |buffer| buffer.in_flight() + buffer.queued())
        .concurrency(CONCURRENCY)
}

/// Acquires a permit of a buffer without joining its queue.
fn try_acquire(buffer: &Buffer) -> Option<Permit<Buffer>> {
    if buffer.in_flight() == buffer.concurrency() || buffer.queued() > 0 {
        return None;
    }
    match pin!(buffer.wait(&())).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(place)) => Some(Permit::new(buffer.clone(), place)),
        _ => None,
    }
}

fn buffer_settings() -> Vec<InvalidSetting> {
    let builder = Buffer::builder;
    let live = builder().build().unwrap();
    let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
    let with = |discipline| builder().discipline(discipline).build();
    let half = Discipline::AdaptiveLifo { target: second, interval: second / 2 };
    vec![
        invalid("empty name", builder().name("").build()),
        invalid("concurrency 0", builder().concurrency(0).build()),
        invalid("queue too long", builder().queue(u32::MAX).build()),
        invalid("no wait", builder().max_wait(zero).build()),
        invalid("age 0", with(Discipline::LifoWithAge { max_age: zero })),
        invalid("target 0", with(Discipline::CoDel { target: zero, interval: second })),
        invalid("interval below the target", with(half)),
        invalid("slice of length 0", with(Discipline::TimeBuckets { slice: zero, slices: 2 })),
        invalid("one slice", with(Discipline::TimeBuckets { slice: second, slices: 1 })),
        invalid("concurrency 0, live", live.set_concurrency(0)),
        invalid("no wait, live", live.set_max_wait(zero)),
    ]
}

fn drop_gate(kit: &Kit) -> RandomDrop {
    RandomDrop::builder().dice(kit.dice.clone()).observe(kit.observer()).build().unwrap()
}

fn random_drop(kit: &Kit) -> Fixture {
    let gate = drop_gate(kit);
    Fixture::new(gate.layer())
        .shadow(gate.clone())
        .saturate(&gate, |gate| gate.set_keep_rate(0.0).unwrap())
        .relieve(&gate, |gate| gate.set_keep_rate(1.0).unwrap())
        .holds_nothing("a request that was kept holds nothing")
}

fn drop_settings() -> Vec<InvalidSetting> {
    let live = RandomDrop::new(1.0).unwrap();
    vec![
        invalid("empty name", RandomDrop::builder().name("").build()),
        invalid("keep below 0", RandomDrop::new(-0.01)),
        invalid("keep above 1", RandomDrop::new(1.01)),
        invalid("keep not a number", RandomDrop::new(f64::NAN)),
        invalid("keep not a number, live", live.set_keep_rate(f64::NAN)),
    ]
}

/// A throttle whose server has rejected 100,000 requests, so that it rejects nearly every request.
fn throttle(kit: &Kit) -> Fixture {
    let window = Duration::from_secs(10);
    let throttle = AdaptiveThrottle::builder().window(window).min_rate(0.0).clock(kit.clock());
    let throttle = throttle.dice(kit.dice.clone()).observe(kit.observer()).build().unwrap();
    Fixture::new(throttle.layer())
        .shadow(throttle.clone())
        .saturate(&(throttle, kit.time.clone()), |(throttle, time)| {
            for _ in 0..100_000 {
                if let Ok(permit) = throttle.try_acquire() {
                    permit.done(Outcome::Overloaded);
                }
            }
            // The probability of a rejection is updated every 20 ms.
            time.advance(Duration::from_millis(20));
        })
        .relieve(&kit.time, move |time| time.advance(2 * window))
        .holds_nothing("a throttle counts, and holds nothing")
}

fn throttle_settings() -> Vec<InvalidSetting> {
    let live = AdaptiveThrottle::new().unwrap();
    let builder = AdaptiveThrottle::builder;
    vec![
        invalid("empty name", builder().name("").build()),
        invalid("multiplier below 1", builder().multiplier(0.5).build()),
        invalid("no window", builder().window(Duration::ZERO).build()),
        invalid("min_rate below 0", builder().min_rate(-1.0).build()),
        invalid("multiplier not a number, live", live.set_multiplier(f64::NAN)),
        invalid("no window, live", live.set_window(Duration::ZERO)),
    ]
}

/// A load shedder that drops every request while its signal states a depth above 0.
fn shedder(kit: &Kit) -> Fixture {
    let depth = Arc::new(AtomicU64::new(0));
    let signal = depth.clone();
    let shedder = LoadShedder::builder()
        .control(Control::Curve(Curve::step(1.0, 0.0)))
        .signal(move || SignalReading::new().depth(signal.load(Ordering::Relaxed)))
        .target(Duration::from_micros(1))
        .clock(kit.clock())
        .dice(kit.dice.clone())
        .observe(kit.observer())
        .build()
        .unwrap();
    type Handles = (LoadShedder<Signal>, Arc<AtomicU64>, ManualTime);
    fn set_depth((shedder, depth, time): &Handles, requests: u64) {
        depth.store(requests, Ordering::Relaxed);
        time.advance(Duration::from_millis(10));
        shedder.tick();
    }
    let handles = (shedder.clone(), depth, kit.time.clone());
    Fixture::new(shedder.layer())
        .shadow(shedder.clone())
        .saturate(&handles, |handles| set_depth(handles, 9))
        .relieve(&handles, |handles| set_depth(handles, 0))
        .held(&shedder, LoadShedder::<Signal>::in_flight)
}

fn shedder_settings() -> Vec<InvalidSetting> {
    let builder = || LoadShedder::builder().workers(1);
    let live = builder().build().unwrap();
    let curve = |curve| builder().control(Control::Curve(curve)).build();
    vec![
        invalid("empty name", builder().name("").build()),
        invalid("target 0", builder().target(Duration::ZERO).build()),
        invalid("no workers", LoadShedder::new(0)),
        invalid("neither workers nor signal", LoadShedder::builder().build()),
        invalid("capacity 0", builder().capacity_hint(0.0).build()),
        invalid("capacity not a number", builder().capacity_hint(f64::NAN).build()),
        invalid("reshuffled every 0 s", builder().reshuffle_every(Duration::ZERO).build()),
        invalid("curve that decreases", curve(Curve::linear(2.0, 1.0))),
        invalid("curve above 1", curve(Curve::step(1.0, 1.1))),
        invalid("target 0, live", live.set_target(Duration::ZERO)),
    ]
}

const QUOTA: Quota = Quota::per_second(1_000);
const SECOND: Duration = Duration::from_secs(1);
/// Far longer than the quota takes to replenish.
const REPLENISHED: Duration = Duration::from_secs(10);

fn limiter(kit: &Kit) -> RateLimiter {
    let limiter = RateLimiter::builder().quota(QUOTA).queue(QUEUE).max_wait(100 * SECOND);
    limiter.clock(kit.clock()).observe(kit.observer()).build().unwrap()
}

fn limiter_gate(kit: &Kit) -> Fixture {
    let limiter = limiter(kit);
    Fixture::new(limiter.layer())
        .shadow(limiter.clone())
        .relieve(&kit.time, |time| time.advance(REPLENISHED))
        .permits(&limiter, RateLimiter::try_acquire_owned)
        .holds_nothing("units are spent, and nothing is held")
}

/// States the limits of a limiter whose units are all charged to the key of the probes.
fn by_key<G>(kit: &Kit, gate: G) -> Fixture
where
    G: Gate<Request> + Clone + Send + Sync + 'static,
{
    Fixture::gate(gate.clone())
        .relieve(&kit.time, |time| time.advance(REPLENISHED))
        .permits(&gate, |gate| gate.admit(&Request::default()).map(|token| Permit::new(gate.clone(), token)))
        .holds_nothing("units are spent, and nothing is held")
}

fn keyed_limiter(kit: &Kit) -> Fixture {
    let limiter = KeyedRateLimiter::<u64>::builder().quota(QUOTA).max_keys(8).dice(kit.dice.clone());
    let limiter = limiter.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    by_key(kit, limiter.by(|_: &Request| 7))
}

fn tiered_limiter(kit: &Kit) -> Fixture {
    let limiter = TieredRateLimiter::<u64>::builder().global(QUOTA).max_keys(8).dice(kit.dice.clone());
    let limiter = limiter.class(Class::new("free").each(QUOTA).all(QUOTA));
    let limiter = limiter.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    by_key(kit, limiter.by(|_: &Request| 7))
}

fn fair_limiter(kit: &Kit) -> Fixture {
    let limiter = FairRateLimiter::<u64>::builder().quota(QUOTA).max_keys(8).dice(kit.dice.clone());
    let limiter = limiter.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    by_key(kit, limiter.by(|_: &Request| 7))
}

type Waiting = Pin<Box<dyn Future<Output = Result<Permit<RateLimiter>, Rejected>>>>;

/// Occupied, no unit remains, and a request that is never polled again waits at the head of the
/// queue.
fn limiter_waiting(kit: &Kit) -> Fixture {
    let limiter = limiter(kit);
    let ahead: Rc<RefCell<Vec<Waiting>>> = Rc::default();
    let handles = (limiter.clone(), ahead.clone());
    Fixture::new(limiter.wait_layer())
        .relieve(&kit.time, |time| time.advance(REPLENISHED))
        .permits(&limiter, RateLimiter::try_acquire_owned)
        .occupy(&handles, |(limiter, ahead)| {
            let mut waiting: Waiting = Box::pin(limiter.acquire_owned());
            if waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                ahead.borrow_mut().push(waiting);
            }
        })
        .relieve(&ahead, |ahead| ahead.borrow_mut().clear())
        .saturate(&limiter, |limiter| limiter.set_max_wait(SECOND).unwrap())
        .relieve(&limiter, |limiter| limiter.set_max_wait(100 * SECOND).unwrap())
        .queue(&limiter, QUEUE, |limiter, queue| limiter.set_queue(queue).unwrap())
        .held_in_queue(&handles, |(limiter, ahead)| u64::from(limiter.queued()) - ahead.borrow().len() as u64)
}

fn limiter_settings() -> Vec<InvalidSetting> {
    let live = RateLimiter::new(QUOTA).unwrap();
    let zero = Duration::ZERO;
    vec![
        invalid("empty name", RateLimiter::builder().name("").build()),
        invalid("0 units", RateLimiter::new(Quota::per_second(0))),
        invalid("burst 0", RateLimiter::new(QUOTA.burst(0))),
        invalid("period 0", RateLimiter::new(Quota::per(1, zero))),
        invalid("a unit in a century", RateLimiter::new(Quota::per(1, 36_500 * 86_400 * SECOND))),
        invalid("burst above the maximum of a window", RateLimiter::new(Quota::at_most(5, SECOND).burst(6))),
        invalid("queue too long", RateLimiter::builder().queue(u32::MAX).build()),
        invalid("queue without a wait", RateLimiter::builder().max_wait(zero).build()),
        invalid("0 units, live", live.set_quota(Quota::per_second(0))),
        invalid("queue without a wait, live", live.set_max_wait(zero)),
    ]
}

fn keyed_settings() -> Vec<InvalidSetting> {
    let builder = KeyedRateLimiter::<u64>::builder;
    let live = KeyedRateLimiter::<u64>::new(QUOTA).unwrap();
    vec![
        invalid("empty name", builder().name("").build()),
        invalid("0 units", KeyedRateLimiter::<u64>::new(Quota::per_second(0))),
        invalid("no keys", builder().max_keys(0).build()),
        invalid("too many keys", builder().max_keys(usize::MAX).build()),
        invalid("0 units, live", live.set_quota(Quota::per_second(0))),
    ]
}

fn tiered_settings() -> Vec<InvalidSetting> {
    let builder = TieredRateLimiter::<u64>::builder;
    let zero = Quota::per_second(0);
    let class = |class| builder().class(class).build();
    let live = class(Class::new("free").each(QUOTA)).unwrap();
    vec![
        invalid("no limit", builder().build()),
        invalid("0 units for all", builder().class(Class::new("free")).global(zero).build()),
        invalid("0 units for each account", class(Class::new("free").each(zero))),
        invalid("0 units for a class", class(Class::new("free").all(zero))),
        invalid("class without a name", class(Class::new(""))),
        invalid("no keys", builder().class(Class::new("free").each(QUOTA)).max_keys(0).build()),
        invalid("unknown class, live", live.assign(&1, "gold")),
        invalid("quota of an unknown class, live", live.set_each("gold", QUOTA)),
        invalid("0 units for an account, live", live.assign_quota(&1, zero)),
    ]
}

fn fair_settings() -> Vec<InvalidSetting> {
    let builder = FairRateLimiter::<u64>::builder;
    vec![
        invalid("0 units", FairRateLimiter::<u64>::new(Quota::per_second(0))),
        invalid("burst 1", FairRateLimiter::<u64>::new(QUOTA.burst(1))),
        invalid("tail 0", builder().tail(0.0).build()),
        invalid("tail above 1", builder().tail(1.1).build()),
        invalid("tail not a number", builder().tail(f64::NAN).build()),
        invalid("no keys", builder().max_keys(0).build()),
    ]
}
