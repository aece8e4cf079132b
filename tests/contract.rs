//! Every layer through every probe.
//!
//! A guard that is added gets a subject here; a cell that cannot be covered yet is a gap, and is
//! listed in the testkit's README.
#![allow(missing_docs, clippy::unwrap_used)]

use plimsoll::breaker::{OpenTime, Probes, Ramp};
use plimsoll::drop::{Control, Curve, Signal, SignalReading};
use plimsoll::limit::Class;
use plimsoll::{
    Buffer, CircuitBreaker, Discipline, Dispatch, FairRateLimiter, Gate, KeyedCircuitBreaker, KeyedExt,
    KeyedRateLimiter, LoadShedder, Mode, Only, Permit, Quota, RandomDrop, RateLimiter, Rejected, Shadow,
    Then, TieredRateLimiter, Trip, Valve, Wait,
};
use plimsoll_testkit::{Built, Edge, Held, Inner, Kit, Request, Service, Subject, matrix, service};
use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const INSIDE: u32 = 2;

fn valve(kit: &Kit, room: u32) -> Valve {
    let wait = Duration::from_millis(100);
    Valve::builder()
        .concurrency(INSIDE)
        .queue(room)
        .max_wait(wait)
        .clock(kit.clock())
        .observe(kit.observer())
        .build()
        .unwrap()
}

fn drop_gate(kit: &Kit) -> RandomDrop {
    RandomDrop::builder().dice(kit.dice.clone()).observe(kit.observer()).build().unwrap()
}

fn refusal<T, E: Display>(result: Result<T, E>) -> Option<String> {
    result.err().map(|e| e.to_string())
}

/// Fills the valve by hand, and empties it.
fn press(valve: &Valve) -> (impl FnMut() + use<>, impl FnMut() + use<>) {
    let held: Rc<RefCell<Vec<Permit<Valve>>>> = Rc::default();
    let (fills, valve) = (held.clone(), valve.clone());
    let fill = move || {
        let mut held = fills.borrow_mut();
        while valve.in_flight() < valve.concurrency() && valve.queued() == 0 {
            match valve.try_acquire_owned() {
                Ok(permit) => held.push(permit),
                Err(_) => break,
            }
        }
    };
    (fill, move || held.borrow_mut().clear())
}

fn valve_gate(kit: &Kit) -> Built {
    let valve = valve(kit, 0);
    let (saturate, relieve) = press(&valve);
    let (layer, watched, shadowed) = (valve.layer(), valve.clone(), valve.clone());
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(saturate),
        busy: None,
        relieve: Box::new(relieve),
        held: Held::By(Box::new(move || u64::from(watched.in_flight()))),
        limit: Some(u64::from(INSIDE)),
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

type Press = (Box<dyn FnMut()>, Option<Box<dyn FnMut()>>, Box<dyn FnMut()>, Held);

/// Saturates, busies and relieves a valve with a room of three; how much it holds.
fn waiting(valve: &Valve) -> Press {
    let (mut fill, mut empty) = press(valve);
    let (busy, mut unbusy) = press(valve);
    let (watched, shut, open) = (valve.clone(), valve.clone(), valve.clone());
    // Full inside, and nobody may wait.
    let saturate = move || {
        fill();
        shut.set_queue(0).unwrap();
    };
    let relieve = move || {
        open.set_queue(3).unwrap();
        empty();
        unbusy();
    };
    let held = move || u64::from(watched.in_flight() + watched.queued());
    (Box::new(saturate), Some(Box::new(busy)), Box::new(relieve), Held::By(Box::new(held)))
}

/// A waiter around `valve`, with a layer that is made by hand.
fn waiter(valve: &Valve, layer: Box<dyn Fn(Inner) -> Service>, guards: u64) -> Built {
    let (saturate, busy, relieve, held) = waiting(valve);
    Built { layer, saturate, busy, relieve, held, limit: Some(u64::from(INSIDE)), shadow: None, guards }
}

fn valve_waiter(kit: &Kit) -> Built {
    let valve = valve(kit, 3);
    let layer = valve.wait_layer();
    waiter(&valve, Box::new(move |inner| service(&layer, inner)), 1)
}

/// So many seats, all of which are tried.
fn seats(kit: &Kit) -> Built {
    let pool = Dispatch::<()>::builder().slots(INSIDE).clock(kit.clock()).dice(kit.dice.clone());
    let pool = pool.observe(kit.observer()).build().unwrap();
    let held: Rc<RefCell<Vec<Permit<Dispatch<()>>>>> = Rc::default();
    let (fills, its) = (held.clone(), pool.clone());
    let saturate = move || {
        let mut held = fills.borrow_mut();
        while let Ok(permit) = its.try_acquire_owned() {
            held.push(permit);
        }
    };
    let (layer, watched, shadowed) = (pool.layer(), pool.clone(), pool);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(saturate),
        busy: None,
        relieve: Box::new(move || held.borrow_mut().clear()),
        held: Held::By(Box::new(move || u64::from(watched.in_use()))),
        limit: Some(u64::from(INSIDE)),
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

fn seat_edges() -> Vec<Edge> {
    let (new, live) = (Dispatch::<()>::builder, Dispatch::<()>::new(1).unwrap());
    vec![
        ("no name", refusal(new().name("").build())),
        ("no slot", refusal(new().slots(0).build())),
        ("too many", refusal(new().slots(u32::MAX).build())),
        ("no probe", refusal(new().probes(0).build())),
        ("no slot, live", refusal(live.set_slots(0))),
        ("too many, live", refusal(live.set_slots(u32::MAX))),
    ]
}

/// A breaker that only a hand opens: what the calls bring is counted and too little to trip.
fn breaker_gate(kit: &Kit) -> Built {
    let breaker = CircuitBreaker::builder()
        .trip(Trip::failures().ratio(1.0, u32::MAX))
        .clock(kit.clock())
        .dice(kit.dice.clone())
        .observe(kit.observer())
        .build()
        .unwrap();
    let (layer, shut, open, shadowed) = (breaker.layer(), breaker.clone(), breaker.clone(), breaker);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(move || shut.block("saturated")),
        busy: None,
        relieve: Box::new(move || open.unblock()),
        held: Held::Nothing("a closed breaker holds nothing"),
        limit: None,
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

/// The same for a key of its own, among many.
fn breakers_by_key(kit: &Kit) -> Built {
    let breakers = KeyedCircuitBreaker::<u64>::builder()
        .max_keys(8)
        .trip(Trip::failures().ratio(1.0, u32::MAX))
        .clock(kit.clock())
        .dice(kit.dice.clone())
        .observe(kit.observer())
        .build()
        .unwrap();
    let gate = breakers.by(|_: &Request| 7);
    let one = breakers.breaker(&7).unwrap();
    let (layer, shut, open, shadowed) = (plimsoll::layer(gate.clone()), one.clone(), one, gate);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(move || shut.block("saturated")),
        busy: None,
        relieve: Box::new(move || open.unblock()),
        held: Held::Nothing("a closed breaker holds nothing"),
        limit: None,
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

fn breaker_edges() -> Vec<Edge> {
    let new = CircuitBreaker::builder;
    let trip = |trip| refusal(new().trip(trip).build());
    let zero = Duration::ZERO;
    let short = OpenTime { max: Duration::from_millis(1), ..OpenTime::default() };
    vec![
        ("no name", refusal(new().name("").build())),
        ("no failure", trip(Trip::failures().count(0))),
        ("none in a row", trip(Trip::failures().consecutive(0))),
        ("no share", trip(Trip::failures().ratio(0.0, 1))),
        ("more than all", trip(Trip::failures().ratio(1.1, 1))),
        ("no calls", trip(Trip::failures().ratio(0.5, 0))),
        ("no time", trip(Trip::failures().count(1).within(zero))),
        ("slow from the start", trip(Trip::slow(zero))),
        ("open for no time", refusal(new().open_time(OpenTime::fixed(zero)).build())),
        ("longest below the first", refusal(new().open_time(short).build())),
        ("no probe", refusal(new().probes(Probes { concurrency: 0, ..Probes::default() }).build())),
        ("no success", refusal(new().probes(Probes { successes: 0, ..Probes::default() }).build())),
        ("no lease", refusal(new().probes(Probes { lease: zero, ..Probes::default() }).build())),
        ("a ramp from more than all", refusal(new().ramp(Ramp { start: 1.5, ..Ramp::default() }).build())),
        ("no call time-out", refusal(new().call_timeout(zero).build())),
        ("not a share of faults", refusal(new().build().unwrap().set_fault(f64::NAN))),
        ("no keys", refusal(KeyedCircuitBreaker::<u64>::builder().max_keys(0).build())),
    ]
}

/// Requests that wait in a buffer of three.
fn buffer(kit: &Kit, discipline: Discipline) -> Built {
    let buffer = Buffer::builder()
        .concurrency(INSIDE)
        .queue(3)
        .discipline(discipline)
        .clock(kit.clock())
        .observe(kit.observer())
        .build()
        .unwrap();
    let held: Rc<RefCell<Vec<Permit<Buffer>>>> = Rc::default();
    let (takes, its) = (held.clone(), buffer.clone());
    let fill = move || {
        while its.in_flight() < its.concurrency() && its.queued() == 0 {
            let mut turn = std::pin::pin!(its.wait(&()));
            let mut cx = Context::from_waker(Waker::noop());
            match turn.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(place)) => takes.borrow_mut().push(Permit::new(its.clone(), place)),
                _ => break,
            }
        }
    };
    let (busy, shut, open, watched, layer) =
        (fill.clone(), buffer.clone(), buffer.clone(), buffer.clone(), buffer.layer());
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        // Full inside, and nobody may wait.
        saturate: Box::new(move || {
            fill();
            shut.set_queue(0).unwrap();
        }),
        busy: Some(Box::new(busy)),
        relieve: Box::new(move || {
            open.set_queue(3).unwrap();
            held.borrow_mut().clear();
        }),
        held: Held::By(Box::new(move || u64::from(watched.in_flight() + watched.queued()))),
        limit: Some(u64::from(INSIDE)),
        shadow: None,
        guards: 1,
    }
}

fn buffer_edges() -> Vec<Edge> {
    let live = Buffer::builder().build().unwrap();
    let (zero, slice) = (Duration::ZERO, Duration::from_secs(1));
    let with = |discipline| refusal(Buffer::builder().discipline(discipline).build());
    vec![
        ("no name", refusal(Buffer::builder().name("").build())),
        ("none at once", refusal(Buffer::builder().concurrency(0).build())),
        ("too many", refusal(Buffer::builder().queue(u32::MAX).build())),
        ("no time to wait", refusal(Buffer::builder().max_wait(zero).build())),
        ("no time in a stack", with(Discipline::LifoWithAge { max_age: zero })),
        ("no target", with(Discipline::CoDel { target: zero, interval: slice })),
        (
            "an interval below the target",
            with(Discipline::AdaptiveLifo { target: slice, interval: slice / 2 }),
        ),
        ("slices of no length", with(Discipline::TimeBuckets { slice: zero, slices: 2 })),
        ("one slice", with(Discipline::TimeBuckets { slice, slices: 1 })),
        ("none at once, live", refusal(live.set_concurrency(0))),
        ("no time to wait, live", refusal(live.set_max_wait(zero))),
    ]
}

/// First the turn, then the drop.
fn then(kit: &Kit) -> Built {
    let valve = valve(kit, 3);
    let layer = plimsoll::wait_layer(Then(valve.clone(), drop_gate(kit)));
    waiter(&valve, Box::new(move |inner| service(&layer, inner)), 2)
}

/// A guard for some requests only: here for all.
fn only(kit: &Kit) -> Built {
    let valve = valve(kit, 0);
    let (saturate, relieve) = press(&valve);
    let watched = valve.clone();
    let gate = Only::new(valve, |_: &Request| true);
    let (layer, shadowed) = (plimsoll::layer(gate.clone()), gate);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(saturate),
        busy: None,
        relieve: Box::new(relieve),
        held: Held::By(Box::new(move || u64::from(watched.in_flight()))),
        limit: Some(u64::from(INSIDE)),
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

fn random_drop(kit: &Kit) -> Built {
    let gate = drop_gate(kit);
    let (layer, all, none, shadowed) = (gate.layer(), gate.clone(), gate.clone(), gate);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(move || none.set_keep(0.0).unwrap()),
        busy: None,
        relieve: Box::new(move || all.set_keep(1.0).unwrap()),
        held: Held::Nothing("who was kept holds nothing"),
        limit: None,
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

/// A shedder that drops everything while its queue is long, which a hand says.
fn shedder(kit: &Kit) -> Built {
    let depth = Arc::new(AtomicU64::new(0));
    let (reads, fills, empties) = (depth.clone(), depth.clone(), depth);
    let shedder = LoadShedder::builder()
        .control(Control::Curve(Curve::step(1.0, 0.0)))
        .signal(Signal::new(move || SignalReading::new().depth(reads.load(Ordering::Relaxed))))
        .target(Duration::from_micros(1))
        .clock(kit.clock())
        .dice(kit.dice.clone())
        .observe(kit.observer())
        .build()
        .unwrap();
    let (layer, watched, shadowed) = (shedder.layer(), shedder.clone(), shedder.clone());
    let (shut, open, time) = (shedder.clone(), shedder, kit.time.clone());
    let later = move |shedder: &LoadShedder| {
        time.advance(Duration::from_millis(10));
        shedder.tick();
    };
    let then = later.clone();
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(move || {
            fills.store(9, Ordering::Relaxed);
            later(&shut);
        }),
        busy: None,
        relieve: Box::new(move || {
            empties.store(0, Ordering::Relaxed);
            then(&open);
        }),
        held: Held::By(Box::new(move || watched.in_flight())),
        limit: None,
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

fn shedder_edges() -> Vec<Edge> {
    let new = LoadShedder::builder;
    let live = new().build().unwrap();
    let curve = |curve| refusal(new().control(Control::Curve(curve)).build());
    vec![
        ("no name", refusal(new().name("").build())),
        ("no target", refusal(new().target(Duration::ZERO).build())),
        ("no workers", refusal(LoadShedder::new(0))),
        ("no capacity", refusal(new().capacity_hint(0.0).build())),
        ("no number", refusal(new().capacity_hint(f64::NAN).build())),
        ("no time for a turnover", refusal(new().reshuffle_every(Duration::ZERO).build())),
        ("a curve from more to less", curve(Curve::linear(2.0, 1.0))),
        ("a share above all", curve(Curve::step(1.0, 1.1))),
        ("no target, live", refusal(live.set_target(Duration::ZERO))),
    ]
}

/// The drop first, then the valve; saturated, the valve refuses and the drop is given back.
fn tuple(kit: &Kit) -> Built {
    let (gate, valve) = (drop_gate(kit), valve(kit, 0));
    let (saturate, relieve) = press(&valve);
    let watched = valve.clone();
    let tuple = (gate, valve);
    let (layer, shadowed) = (plimsoll::layer(tuple.clone()), tuple);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(saturate),
        busy: None,
        relieve: Box::new(relieve),
        held: Held::By(Box::new(move || u64::from(watched.in_flight()))),
        limit: Some(u64::from(INSIDE)),
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 2,
    }
}

fn valve_edges() -> Vec<Edge> {
    let live = Valve::builder().queue(1).build().unwrap();
    vec![
        ("no name", refusal(Valve::builder().name("").build())),
        ("nobody inside", refusal(Valve::new(0))),
        ("too many inside", refusal(Valve::new(u32::MAX))),
        ("too large a room", refusal(Valve::builder().queue(u32::MAX).build())),
        ("a room without time", refusal(Valve::builder().queue(1).max_wait(Duration::ZERO).build())),
        ("nobody inside, live", refusal(live.set_concurrency(0))),
        ("a room without time, live", refusal(live.set_max_wait(Duration::ZERO))),
    ]
}

fn drop_edges() -> Vec<Edge> {
    let live = RandomDrop::new(1.0).unwrap();
    vec![
        ("less than nothing", refusal(RandomDrop::new(-0.01))),
        ("more than all", refusal(RandomDrop::new(1.01))),
        ("no name", refusal(RandomDrop::builder().name("").build())),
        ("not a number", refusal(RandomDrop::new(f64::NAN))),
        ("not a number, live", refusal(live.set_keep(f64::NAN))),
    ]
}

/// So many units at once, back in a second.
const UNITS: Quota = Quota::per_second(1_000);
const A_SECOND: Duration = Duration::from_secs(1);
const SPENT: &str = "units are spent, and nobody holds them";

/// A gate that takes units: saturated when they are spent, and relieved when time brings them back.
fn units<G>(kit: &Kit, gate: G, ask: impl Fn() -> Result<Permit<G>, Rejected> + 'static) -> Built
where
    G: Gate<Request, Token: Send> + Clone + Send + Sync + 'static,
{
    let held: Rc<RefCell<Vec<Permit<G>>>> = Rc::default();
    let (spends, time) = (held.clone(), kit.time.clone());
    let (layer, shadowed) = (plimsoll::layer(gate.clone()), gate);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        saturate: Box::new(move || spends.borrow_mut().extend(std::iter::from_fn(|| ask().ok()))),
        busy: None,
        relieve: Box::new(move || {
            held.borrow_mut().clear();
            time.advance(10 * A_SECOND);
        }),
        held: Held::Nothing(SPENT),
        limit: None,
        shadow: Some(Box::new(move |inner| {
            service(&plimsoll::layer(Shadow::new(shadowed.clone(), Mode::Shadow)), inner)
        })),
        guards: 1,
    }
}

/// The same for a guard with keys: what asks by hand is the gate itself.
fn units_by_key<G>(kit: &Kit, gate: G) -> Built
where
    G: Gate<Request, Token: Send> + Clone + Send + Sync + 'static,
{
    let asks = gate.clone();
    let ask = move || asks.admit(&Request::default()).map(|token| Permit::new(asks.clone(), token));
    units(kit, gate, ask)
}

fn limiter(kit: &Kit) -> RateLimiter {
    let new = RateLimiter::builder().quota(UNITS).queue(3).max_wait(100 * A_SECOND);
    new.clock(kit.clock()).observe(kit.observer()).build().unwrap()
}

fn limiter_gate(kit: &Kit) -> Built {
    let limiter = limiter(kit);
    let asks = limiter.clone();
    units(kit, limiter, move || asks.try_acquire_owned())
}

/// Busy, nothing is left, and somebody stands at the head of the line who never asks again.
fn limiter_waiter(kit: &Kit) -> Built {
    type Waits = Pin<Box<dyn Future<Output = Result<Permit<RateLimiter>, Rejected>>>>;
    let limiter = limiter(kit);
    let spent: Rc<RefCell<Vec<Permit<RateLimiter>>>> = Rc::default();
    let ahead: Rc<RefCell<Vec<Waits>>> = Rc::default();
    let (spends, asks) = (spent.clone(), limiter.clone());
    let spend = move || spends.borrow_mut().extend(std::iter::from_fn(|| asks.try_acquire_owned().ok()));
    let (spend_first, stands, its) = (spend.clone(), ahead.clone(), limiter.clone());
    let busy = move || {
        spend_first();
        let mut waits: Waits = Box::pin(its.acquire_owned());
        if waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            stands.borrow_mut().push(waits);
        }
    };
    let (shut, open, time, by_hand) = (limiter.clone(), limiter.clone(), kit.time.clone(), ahead.clone());
    let (layer, watched) = (limiter.wait_layer(), limiter);
    Built {
        layer: Box::new(move |inner| service(&layer, inner)),
        // Nothing is left, and nobody may wait.
        saturate: Box::new(move || {
            spend();
            shut.set_queue(0).unwrap();
            shut.set_max_wait(A_SECOND).unwrap();
        }),
        busy: Some(Box::new(busy)),
        relieve: Box::new(move || {
            open.set_queue(3).unwrap();
            open.set_max_wait(100 * A_SECOND).unwrap();
            ahead.borrow_mut().clear();
            spent.borrow_mut().clear();
            time.advance(10 * A_SECOND);
        }),
        held: Held::InLine(Box::new(move || u64::from(watched.queued()) - by_hand.borrow().len() as u64)),
        limit: None,
        shadow: None,
        guards: 1,
    }
}

fn keyed_limiter(kit: &Kit) -> Built {
    let new = KeyedRateLimiter::<u64>::builder().quota(UNITS).max_keys(8).dice(kit.dice.clone());
    let limiter = new.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    units_by_key(kit, limiter.by(|_: &Request| 7))
}

fn tiers(kit: &Kit) -> Built {
    let new = TieredRateLimiter::<u64>::builder().global(UNITS).max_keys(8).dice(kit.dice.clone());
    let new = new.class(Class::new("free").each(UNITS).all(UNITS));
    let tiers = new.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    units_by_key(kit, tiers.by(|_: &Request| 7))
}

fn fair_limiter(kit: &Kit) -> Built {
    let new = FairRateLimiter::<u64>::builder().quota(UNITS).max_keys(8).dice(kit.dice.clone());
    let limiter = new.clock(kit.clock()).observe(kit.observer()).build().unwrap();
    units_by_key(kit, limiter.by(|_: &Request| 7))
}

fn quota_edges() -> Vec<Edge> {
    let with = |quota| refusal(RateLimiter::new(quota));
    let live = RateLimiter::new(UNITS).unwrap();
    vec![
        ("no units", with(Quota::per_second(0))),
        ("none at once", with(UNITS.burst(0))),
        ("no time", with(Quota::per(1, Duration::ZERO))),
        ("a unit in a century", with(Quota::per(1, 36_500 * 86_400 * A_SECOND))),
        ("more at once than any window may hold", with(Quota::at_most(5, A_SECOND).burst(6))),
        ("no name", refusal(RateLimiter::builder().name("").build())),
        ("too large a room", refusal(RateLimiter::builder().queue(u32::MAX).build())),
        ("a room without time", refusal(RateLimiter::builder().max_wait(Duration::ZERO).build())),
        ("no units, live", refusal(live.set_quota(Quota::per_second(0)))),
        ("a room without time, live", refusal(live.set_max_wait(Duration::ZERO))),
    ]
}

fn keyed_edges() -> Vec<Edge> {
    let new = KeyedRateLimiter::<u64>::builder;
    let live = KeyedRateLimiter::<u64>::new(UNITS).unwrap();
    vec![
        ("no units", refusal(KeyedRateLimiter::<u64>::new(Quota::per_second(0)))),
        ("no name", refusal(new().name("").build())),
        ("no accounts", refusal(new().max_keys(0).build())),
        ("too many accounts", refusal(new().max_keys(usize::MAX).build())),
        ("no units, live", refusal(live.set_quota(Quota::per_second(0)))),
    ]
}

fn tiers_edges() -> Vec<Edge> {
    let new = TieredRateLimiter::<u64>::builder;
    let none = Quota::per_second(0);
    let live = new().class(Class::new("free").each(UNITS)).build().unwrap();
    vec![
        ("no limit at all", refusal(new().build())),
        ("no units for all", refusal(new().global(none).build())),
        ("no units for each", refusal(new().class(Class::new("free").each(none)).build())),
        ("no units for a class", refusal(new().class(Class::new("free").all(none)).build())),
        ("a class without a name", refusal(new().global(UNITS).class(Class::new("")).build())),
        ("no accounts", refusal(new().global(UNITS).max_keys(0).build())),
        ("an unknown class, live", refusal(live.assign(&1, "gold"))),
        ("a quota of an unknown class, live", refusal(live.set_each("gold", UNITS))),
        ("no units for one, live", refusal(live.assign_quota(&1, none))),
    ]
}

fn fair_edges() -> Vec<Edge> {
    let new = FairRateLimiter::<u64>::builder;
    vec![
        ("no units", refusal(FairRateLimiter::<u64>::new(Quota::per_second(0)))),
        ("one at a time", refusal(FairRateLimiter::<u64>::new(UNITS.burst(1)))),
        ("no tail", refusal(new().tail(0.0).build())),
        ("a tail of more than all", refusal(new().tail(1.1).build())),
        ("not a tail", refusal(new().tail(f64::NAN).build())),
        ("no accounts", refusal(new().max_keys(0).build())),
    ]
}

const AGED: Discipline = Discipline::LifoWithAge { max_age: Duration::from_millis(30) };
const BUCKETS: Discipline = Discipline::TimeBuckets { slice: Duration::from_millis(20), slices: 3 };

const SUBJECTS: [Subject; 22] = [
    Subject { name: "valve", build: valve_gate, edges: valve_edges },
    Subject { name: "valve, waiting", build: valve_waiter, edges: valve_edges },
    Subject { name: "Then(valve, drop)", build: then, edges: || [valve_edges(), drop_edges()].concat() },
    Subject { name: "Only(valve)", build: only, edges: valve_edges },
    Subject { name: "breaker", build: breaker_gate, edges: breaker_edges },
    Subject { name: "breakers.by(key)", build: breakers_by_key, edges: breaker_edges },
    Subject { name: "dispatch", build: seats, edges: seat_edges },
    Subject { name: "drop", build: random_drop, edges: drop_edges },
    Subject { name: "shedder", build: shedder, edges: shedder_edges },
    Subject { name: "buffer, fifo", build: |kit| buffer(kit, Discipline::Fifo), edges: buffer_edges },
    Subject {
        name: "buffer, keep-oldest",
        build: |kit| buffer(kit, Discipline::KeepOldest),
        edges: buffer_edges,
    },
    Subject { name: "buffer, lifo", build: |kit| buffer(kit, Discipline::Lifo), edges: buffer_edges },
    Subject { name: "buffer, lifo-with-age", build: |kit| buffer(kit, AGED), edges: buffer_edges },
    Subject { name: "buffer, codel", build: |kit| buffer(kit, Discipline::CODEL), edges: buffer_edges },
    Subject {
        name: "buffer, adaptive-lifo",
        build: |kit| buffer(kit, Discipline::ADAPTIVE_LIFO),
        edges: buffer_edges,
    },
    Subject { name: "buffer, time-buckets", build: |kit| buffer(kit, BUCKETS), edges: buffer_edges },
    Subject { name: "limiter", build: limiter_gate, edges: quota_edges },
    Subject { name: "limiter, waiting", build: limiter_waiter, edges: quota_edges },
    Subject { name: "keyed limiter.by(key)", build: keyed_limiter, edges: keyed_edges },
    Subject { name: "tiers.by(key)", build: tiers, edges: tiers_edges },
    Subject { name: "fair limiter.by(key)", build: fair_limiter, edges: fair_edges },
    Subject { name: "(drop, valve)", build: tuple, edges: || [valve_edges(), drop_edges()].concat() },
];

#[test]
fn every_layer_holds_to_the_contract() {
    std::panic::set_hook(Box::new(|_| {})); // the probes panic on purpose, many times
    let matrix = matrix(&SUBJECTS);
    let _ = std::panic::take_hook();
    println!("{matrix}");
    let faults = matrix.faults();
    assert!(faults.is_empty(), "{matrix}\n{faults:#?}");
}
