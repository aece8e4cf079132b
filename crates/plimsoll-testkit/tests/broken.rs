//! For each probe, a guard that is broken on purpose and must be caught.
#![allow(missing_docs)]

use plimsoll_core::parts::{FixedCapacity, Place, Semaphore, check};
use plimsoll_core::{
    Event, Gate, Mode, Observe, Observer, Outcome, Permit, Rejected, Settle, Shadow, Wait, layer, wait_layer,
};
use plimsoll_testkit::{
    BoxError, Fixture, Inner, InvalidSetting, Kit, PROBES, Probe, Request, Subject, Verdict, invalid,
    silence_panics,
};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::util::BoxCloneService;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

// The faults. `build` of a subject is a plain function, so a fault is a constant parameter.
const NONE: u8 = 0;
const LEAKS_CANCELLED: u8 = 1;
const LEAKS_FAILED: u8 = 2;
const PANIC_IS_SUCCESS: u8 = 3;
const STATE_PER_LAYER: u8 = 4;
const RESERVES_WHEN_READY: u8 = 5;
const CALLS_A_CLONE: u8 = 6;
const LOSES_THE_WAKER: u8 = 7;
const HIDES_ERRORS: u8 = 8;
const DOES_NOT_WAIT_FOR_INNER: u8 = 9;
const ACCEPTS_ANY_SETTING: u8 = 10;
const SHADOW_REJECTS: u8 = 11;
const REPORTS_REJECTIONS_TWICE: u8 = 12;
const LEAKS_ONE_IN_TEN: u8 = 13;
const QUEUE_LOSES_THE_WAKER: u8 = 14;
const QUEUE_STAYS_WHEN_DROPPED: u8 = 15;
const QUEUE_HIDES_ABANDONED: u8 = 16;
const QUEUE_NEVER_EXPIRES: u8 = 17;

/// A gate that admits two requests at once, with a fault.
struct Faulty<const FAULT: u8> {
    semaphore: Arc<Semaphore<FixedCapacity>>,
    observer: Arc<dyn Observe>,
    settled: Arc<AtomicU64>,
}

impl<const FAULT: u8> Clone for Faulty<FAULT> {
    fn clone(&self) -> Self {
        let Faulty { semaphore, observer, settled } = self;
        Faulty { semaphore: semaphore.clone(), observer: observer.clone(), settled: settled.clone() }
    }
}

/// Reports failures as successes.
struct FailureAsSuccess(Arc<dyn Observe>);

impl Observe for FailureAsSuccess {
    fn event(&self, event: Event) {
        self.0.event(match event {
            Event::Completed { by, outcome: Outcome::Failure, .. } => Event::completed(by, Outcome::Success),
            event => event,
        });
    }
}

impl<const FAULT: u8> Faulty<FAULT> {
    fn new(kit: &Kit) -> Self {
        let observer = kit.observer();
        let reports: Arc<dyn Observe> = match FAULT {
            PANIC_IS_SUCCESS => Arc::new(FailureAsSuccess(observer.clone())),
            _ => observer.clone(),
        };
        let semaphore = Semaphore::new("faulty", FixedCapacity::new(2), kit.clock(), 0, Duration::ZERO);
        let semaphore = Arc::new(semaphore.observe(Observer::new(reports, "faulty")));
        Faulty { semaphore, observer, settled: Arc::default() }
    }

    fn permit(&self) -> Result<Permit<Self>, Rejected> {
        self.admit(&()).map(|place| Permit::new(self.clone(), place))
    }
}

impl<const FAULT: u8> Settle for Faulty<FAULT> {
    type Token = Place;
    fn settle(&self, place: Place, outcome: Outcome) {
        let leaks = match FAULT {
            LEAKS_CANCELLED => outcome == Outcome::Cancelled,
            LEAKS_FAILED => outcome == Outcome::Failure,
            LEAKS_ONE_IN_TEN => self.settled.fetch_add(1, SeqCst) % 10 == 9,
            _ => false,
        };
        if leaks {
            self.observer.event(Event::completed("faulty", outcome));
        } else {
            self.semaphore.settle(place, outcome);
        }
    }
    fn refund(&self, place: Place) {
        self.semaphore.refund(place);
    }
}

impl<R: ?Sized, const FAULT: u8> Gate<R> for Faulty<FAULT> {
    fn admit(&self, _: &R) -> Result<Place, Rejected> {
        self.semaphore.try_acquire().inspect_err(|rejected| {
            if FAULT == REPORTS_REJECTIONS_TWICE {
                self.observer.event(Event::rejected(*rejected));
            }
        })
    }
}

/// The service of a layer that was written from scratch, with a fault.
struct FaultyService<const FAULT: u8> {
    inner: Inner,
    gate: Faulty<FAULT>,
    reserved: Option<Permit<Faulty<FAULT>>>,
}

impl<const FAULT: u8> Clone for FaultyService<FAULT> {
    fn clone(&self) -> Self {
        FaultyService { inner: self.inner.clone(), gate: self.gate.clone(), reserved: None }
    }
}

impl<const FAULT: u8> Service<Request> for FaultyService<FAULT> {
    type Response = u64;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if FAULT == RESERVES_WHEN_READY && self.reserved.is_none() {
            self.reserved = self.gate.permit().ok();
        }
        match FAULT {
            DOES_NOT_WAIT_FOR_INNER => Poll::Ready(Ok(())),
            LOSES_THE_WAKER => self.inner.poll_ready(&mut Context::from_waker(Waker::noop())),
            _ => self.inner.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.reserved.take().map_or_else(|| self.gate.permit(), Ok) {
            Ok(permit) => permit,
            Err(rejected) => return Box::pin(async move { Err(rejected.into()) }),
        };
        let future = match FAULT {
            CALLS_A_CLONE => self.inner.clone().call(request),
            _ => self.inner.call(request),
        };
        Box::pin(async move {
            let result = permit.run(future).await;
            if FAULT == HIDES_ERRORS { result.map_err(|_| "something went wrong".into()) } else { result }
        })
    }
}

/// States the limits of the gate.
fn limits<const FAULT: u8>(fixture: Fixture, gate: &Faulty<FAULT>) -> Fixture {
    fixture
        .permits(gate, Faulty::permit)
        .held(gate, |gate| gate.semaphore.capacity().in_flight())
        .concurrency(2)
}

fn faulty<const FAULT: u8>(kit: &Kit) -> Fixture {
    let gate = Faulty::<FAULT>::new(kit);
    let shadow = Shadow::new(gate.clone(), if FAULT == SHADOW_REJECTS { Mode::On } else { Mode::Shadow });
    let (kit, layered) = (kit.clone(), gate.clone());
    let services = layer_fn(move |inner| match FAULT {
        STATE_PER_LAYER => BoxCloneService::new(layer(Faulty::<FAULT>::new(&kit)).layer(inner)),
        RESERVES_WHEN_READY | CALLS_A_CLONE | LOSES_THE_WAKER | HIDES_ERRORS | DOES_NOT_WAIT_FOR_INNER => {
            BoxCloneService::new(FaultyService { inner, gate: layered.clone(), reserved: None })
        }
        _ => BoxCloneService::new(layer(layered.clone()).layer(inner)),
    });
    limits(Fixture::new(services).shadow_layer(layer(shadow)), &gate)
}

fn settings<const FAULT: u8>() -> Vec<InvalidSetting> {
    let valid = if FAULT == ACCEPTS_ANY_SETTING { 0..=2 } else { 1..=2 };
    vec![invalid("no concurrency", check::within("concurrency", 0, valid))]
}

/// A guard that admits one request at once and queues two, with a fault.
struct FaultyQueue<const FAULT: u8>(Arc<Semaphore<FixedCapacity>>);

impl<const FAULT: u8> Clone for FaultyQueue<FAULT> {
    fn clone(&self) -> Self {
        FaultyQueue(self.0.clone())
    }
}

impl<const FAULT: u8> Settle for FaultyQueue<FAULT> {
    type Token = Place;
    fn settle(&self, place: Place, outcome: Outcome) {
        self.0.settle(place, outcome);
    }
    fn refund(&self, place: Place) {
        self.0.refund(place);
    }
}

impl<R: ?Sized, const FAULT: u8> Wait<R> for FaultyQueue<FAULT> {
    type Place = Place;
    type Waiting = Pin<Box<dyn Future<Output = Result<Place, Rejected>> + Send>>;
    fn wait(&self, _: &R) -> Self::Waiting {
        let mut acquire = Box::pin(self.0.acquire());
        match FAULT {
            QUEUE_LOSES_THE_WAKER => Box::pin(std::future::poll_fn(move |_| {
                acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            })),
            // It never leaves the queue, and so keeps a place from those behind it.
            QUEUE_STAYS_WHEN_DROPPED => {
                let mut acquire = ManuallyDrop::new(acquire);
                Box::pin(std::future::poll_fn(move |cx| acquire.as_mut().poll(cx)))
            }
            _ => acquire,
        }
    }
    fn enter(&self, place: Place, _: &R) -> Result<Place, Rejected> {
        Ok(place)
    }
}

/// Reports no caller that leaves while it waits.
struct WithoutAbandoned(Arc<dyn Observe>);

impl Observe for WithoutAbandoned {
    fn event(&self, event: Event) {
        if !matches!(event, Event::Abandoned { .. }) {
            self.0.event(event);
        }
    }
}

fn faulty_queue<const FAULT: u8>(kit: &Kit) -> Fixture {
    let observer: Arc<dyn Observe> = match FAULT {
        QUEUE_HIDES_ABANDONED => Arc::new(WithoutAbandoned(kit.observer())),
        _ => kit.observer(),
    };
    let max_wait = if FAULT == QUEUE_NEVER_EXPIRES { Duration::MAX } else { Duration::from_millis(100) };
    let semaphore = Semaphore::new("queue", FixedCapacity::new(1), kit.clock(), 2, max_wait);
    let queue = FaultyQueue::<FAULT>(Arc::new(semaphore.observe(Observer::new(observer, "queue"))));
    Fixture::new(wait_layer(queue.clone()))
        .permits(&queue, |queue| queue.0.try_acquire().map(|place| Permit::new(queue.clone(), place)))
        .queue(&queue, 2, |queue, length| queue.0.set_queue(length).unwrap())
        .held(&queue, |queue| queue.0.capacity().in_flight() + queue.0.queued())
        .concurrency(1)
}

/// Returns the probe whose name begins with `name`.
fn probe(name: &str) -> Probe {
    *PROBES.iter().find(|probe| probe.name.starts_with(name)).expect("a probe of that name")
}

/// Puts the gate with this fault through the probe whose name begins with `name`.
fn gate<const FAULT: u8>(name: &str) -> Verdict {
    probe(name).run(&Subject::new("faulty", faulty::<FAULT>, settings::<FAULT>))
}

/// Puts the queue with this fault through the probe whose name begins with `name`.
fn queue<const FAULT: u8>(name: &str) -> Verdict {
    probe(name).run(&Subject::new("faulty queue", faulty_queue::<FAULT>, settings::<NONE>))
}

#[test]
fn each_probe_catches_its_broken_guards() {
    type Check = fn(&str) -> Verdict;
    let checks: [(&str, &str, Check); 19] = [
        ("the ready instance", "calls a clone", gate::<CALLS_A_CLONE>),
        ("clones and layers", "state per layer", gate::<STATE_PER_LAYER>),
        ("an idle ready clone", "reserves when ready", gate::<RESERVES_WHEN_READY>),
        ("waiting tasks", "loses the waker", gate::<LOSES_THE_WAKER>),
        ("cancellation", "leaks cancelled calls", gate::<LEAKS_CANCELLED>),
        ("a panic", "leaks failed calls", gate::<LEAKS_FAILED>),
        ("a panic", "reports a panic as a success", gate::<PANIC_IS_SUCCESS>),
        ("the inner error", "hides errors", gate::<HIDES_ERRORS>),
        ("the inner service", "does not wait for it", gate::<DOES_NOT_WAIT_FOR_INNER>),
        ("invalid settings", "accepts any setting", gate::<ACCEPTS_ANY_SETTING>),
        ("shadow mode", "rejects in shadow mode", gate::<SHADOW_REJECTS>),
        ("the event counts", "reports rejections twice", gate::<REPORTS_REJECTIONS_TWICE>),
        ("random operations", "leaks one call in ten", gate::<LEAKS_ONE_IN_TEN>),
        ("waiting tasks", "queue loses the waker", queue::<QUEUE_LOSES_THE_WAKER>),
        ("waiting tasks", "queue never expires", queue::<QUEUE_NEVER_EXPIRES>),
        ("cancellation", "queue keeps dropped waiters", queue::<QUEUE_STAYS_WHEN_DROPPED>),
        ("random operations", "queue keeps dropped waiters", queue::<QUEUE_STAYS_WHEN_DROPPED>),
        ("the event counts", "queue hides abandoned waits", queue::<QUEUE_HIDES_ABANDONED>),
        ("random operations", "queue hides abandoned waits", queue::<QUEUE_HIDES_ABANDONED>),
    ];
    let verdicts = silence_panics(|| checks.map(|(name, fault, check)| (name, fault, check(name))));
    for (name, fault, verdict) in &verdicts {
        assert!(matches!(verdict, Verdict::Broken(_)), "{name}, {fault}: {verdict:?}");
        println!("{name}, {fault}: {verdict:?}");
    }
    let caught = |probe: &&Probe| checks.iter().any(|(name, ..)| probe.name.starts_with(name));
    assert_eq!(PROBES.iter().filter(caught).count(), PROBES.len(), "each probe has a broken guard");
}

#[test]
fn sound_guards_pass_every_probe() {
    let verdicts = silence_panics(|| {
        PROBES.map(|probe| (probe.name, gate::<NONE>(probe.name), queue::<NONE>(probe.name)))
    });
    for (name, gate, queue) in verdicts {
        assert_eq!(gate, Verdict::Holds, "{name}");
        let not_applicable = matches!(queue, Verdict::NotApplicable(_)) && name.starts_with("shadow");
        assert!(queue == Verdict::Holds || not_applicable, "{name}: {queue:?}");
    }
}

fn gaps(subject: Subject) -> Vec<&'static str> {
    let is_gap = |probe: &&Probe| matches!(probe.run(&subject), Verdict::Gap(_));
    PROBES.iter().filter(is_gap).map(|probe| probe.name).collect()
}

#[test]
fn missing_shadow_and_settings_are_gaps() {
    fn without_shadow(kit: &Kit) -> Fixture {
        let gate = Faulty::<NONE>::new(kit);
        limits(Fixture::new(layer(gate.clone())), &gate)
    }
    let gaps = gaps(Subject::new("faulty", without_shadow, Vec::new));
    assert_eq!(gaps, ["invalid settings are rejected", "shadow mode rejects nothing"]);
}

#[test]
fn incomplete_fixture_is_a_gap_in_every_probe() {
    let incomplete: [fn(&Kit) -> Fixture; 3] = [
        |kit| Fixture::gate(Faulty::<NONE>::new(kit)),
        |kit| Fixture::gate(Faulty::<NONE>::new(kit)).holds_nothing("not saturated"),
        |kit| {
            let gate = Faulty::<NONE>::new(kit);
            Fixture::gate(gate.clone()).permits(&gate, Faulty::permit)
        },
    ];
    for build in incomplete {
        assert_eq!(gaps(Subject::new("incomplete", build, settings::<NONE>)).len(), PROBES.len());
    }
}
