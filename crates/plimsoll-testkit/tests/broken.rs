//! A probe that cannot fail is no probe: one guard broken on purpose for each of them.
#![allow(missing_docs)]

use plimsoll_core::parts::{FixedCapacity, Place, Semaphore};
use plimsoll_core::{
    Event, Gate, Mode, Observe, Observer, Outcome, Permit, Rejected, Settle, Shadow, Wait, layer, wait_layer,
};
use plimsoll_testkit::{BoxError, Built, Edge, Held, Inner, Kit, PROBES, Request, Subject, Verdict, service};
use std::cell::RefCell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::util::BoxCloneService;
use tower_service::Service;

const SOUND: u8 = 0;
const LEAKS_CANCELLED: u8 = 1;
const LEAKS_FAILED: u8 = 2;
const PANIC_IS_SUCCESS: u8 = 3;
const STATE_PER_LAYER: u8 = 4;
const RESERVES_WHEN_READIED: u8 = 5;
const CALLS_A_CLONE: u8 = 6;
const SWALLOWS_THE_WAKER: u8 = 7;
const HIDES_ERRORS: u8 = 8;
const DOES_NOT_WAIT: u8 = 9;
const TAKES_ANY_SETTING: u8 = 10;
const SHADOW_REFUSES: u8 = 11;
const TELLS_REFUSALS_TWICE: u8 = 12;
const LOSES_ONE_IN_TEN: u8 = 13;
const QUEUE_LOSES_THE_WAKER: u8 = 14;
const QUEUE_STAYS_WHEN_DROPPED: u8 = 15;
const QUEUE_HIDES_WHO_LEFT: u8 = 16;
const QUEUE_NEVER_EXPIRES: u8 = 17;

/// Two inside; broken as `F` says.
struct Faulty<const F: u8> {
    room: Arc<Semaphore<FixedCapacity>>,
    ears: Arc<dyn Observe>,
    settled: Arc<AtomicU64>,
}

impl<const F: u8> Clone for Faulty<F> {
    fn clone(&self) -> Self {
        Faulty { room: self.room.clone(), ears: self.ears.clone(), settled: self.settled.clone() }
    }
}

/// Tells everything as it is, but a failure as a success.
struct Liar(Arc<dyn Observe>);
impl Observe for Liar {
    fn event(&self, event: Event) {
        self.0.event(match event {
            Event::Completed { by, outcome: Outcome::Failure, .. } => Event::completed(by, Outcome::Success),
            event => event,
        });
    }
}

impl<const F: u8> Faulty<F> {
    fn new(kit: &Kit) -> Self {
        let ears = kit.observer();
        let told = if F == PANIC_IS_SUCCESS { Arc::new(Liar(ears.clone())) } else { ears.clone() };
        let room = Semaphore::new("faulty", FixedCapacity::new(2), kit.clock(), 0, Duration::ZERO);
        let room = Arc::new(room.observe(Observer::new(told, "faulty")));
        Faulty { room, ears, settled: Arc::default() }
    }
}

impl<const F: u8> Settle for Faulty<F> {
    type Token = Place;
    fn settle(&self, place: Place, outcome: Outcome) {
        let lost = match F {
            LEAKS_CANCELLED => outcome == Outcome::Cancelled,
            LEAKS_FAILED => outcome == Outcome::Failure,
            LOSES_ONE_IN_TEN => self.settled.fetch_add(1, SeqCst) % 10 == 9,
            _ => false,
        };
        if lost {
            self.ears.event(Event::completed("faulty", outcome));
        } else {
            self.room.settle(place, outcome);
        }
    }
    fn refund(&self, place: Place) {
        self.room.refund(place);
    }
}

impl<R: ?Sized, const F: u8> Gate<R> for Faulty<F> {
    fn admit(&self, _: &R) -> Result<Place, Rejected> {
        self.room.try_acquire().inspect_err(|no| {
            if F == TELLS_REFUSALS_TWICE {
                self.ears.event(Event::rejected(*no));
            }
        })
    }
}

/// Around the guarded service, or instead of it: what a layer of somebody else's might do wrong.
struct Wrong<const F: u8> {
    inner: Inner,
    gate: Faulty<F>,
    reserved: Option<Permit<Faulty<F>>>,
}

impl<const F: u8> Clone for Wrong<F> {
    fn clone(&self) -> Self {
        Wrong { inner: self.inner.clone(), gate: self.gate.clone(), reserved: None }
    }
}

impl<const F: u8> Service<Request> for Wrong<F> {
    type Response = u64;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if F == RESERVES_WHEN_READIED && self.reserved.is_none() {
            self.reserved = self.gate.admit(&()).ok().map(|place| Permit::new(self.gate.clone(), place));
        }
        match F {
            DOES_NOT_WAIT => Poll::Ready(Ok(())),
            SWALLOWS_THE_WAKER => self.inner.poll_ready(&mut Context::from_waker(Waker::noop())),
            _ => self.inner.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.reserved.take() {
            Some(permit) => permit,
            None => match self.gate.admit(&request) {
                Ok(place) => Permit::new(self.gate.clone(), place),
                Err(no) => return Box::pin(async move { Err(no.into()) }),
            },
        };
        let future =
            if F == CALLS_A_CLONE { self.inner.clone().call(request) } else { self.inner.call(request) };
        Box::pin(async move {
            let result = future.await;
            permit.done(if result.is_ok() { Outcome::Success } else { Outcome::Failure });
            if F == HIDES_ERRORS { result.map_err(|_| "something went wrong".into()) } else { result }
        })
    }
}

fn build<const F: u8>(kit: &Kit) -> Built {
    let gate = Faulty::<F>::new(kit);
    let held = RefCell::new(Vec::new());
    let held = std::rc::Rc::new(held);
    let (fills, empties) = (held.clone(), held);
    let (layered, filled, watched, shadowed) = (gate.clone(), gate.clone(), gate.clone(), gate);
    let kit = kit.clone();
    Built {
        layer: Box::new(move |inner| match F {
            STATE_PER_LAYER => service(&layer(Faulty::<F>::new(&kit)), inner),
            RESERVES_WHEN_READIED | CALLS_A_CLONE | SWALLOWS_THE_WAKER | HIDES_ERRORS | DOES_NOT_WAIT => {
                BoxCloneService::new(Wrong { inner, gate: layered.clone(), reserved: None })
            }
            _ => service(&layer(layered.clone()), inner),
        }),
        saturate: Box::new(move || {
            while filled.room.capacity().in_flight() < 2 {
                match filled.admit(&()) {
                    Ok(place) => fills.borrow_mut().push(Permit::new(filled.clone(), place)),
                    Err(_) => break,
                }
            }
        }),
        busy: None,
        relieve: Box::new(move || empties.borrow_mut().drain(..).for_each(Permit::refund)),
        held: Held::By(Box::new(move || u64::from(watched.room.capacity().in_flight()))),
        limit: Some(2),
        shadow: Some(Box::new(move |inner| {
            let mode = if F == SHADOW_REFUSES { Mode::On } else { Mode::Shadow };
            service(&layer(Shadow::new(shadowed.clone(), mode)), inner)
        })),
        guards: 1,
    }
}

fn edges<const F: u8>() -> Vec<Edge> {
    let refusal = "inside = 0 is not allowed: it must be 1 or more".to_owned();
    vec![("nobody inside", (F != TAKES_ANY_SETTING).then_some(refusal))]
}

/// A waiter: one inside, and two may wait; broken as `F` says.
struct Queue<const F: u8>(Arc<Semaphore<FixedCapacity>>);

impl<const F: u8> Clone for Queue<F> {
    fn clone(&self) -> Self {
        Queue(self.0.clone())
    }
}

impl<const F: u8> Settle for Queue<F> {
    type Token = Place;
    fn settle(&self, place: Place, outcome: Outcome) {
        self.0.settle(place, outcome);
    }
    fn refund(&self, place: Place) {
        self.0.refund(place);
    }
}

impl<R: ?Sized, const F: u8> Wait<R> for Queue<F> {
    type Place = Place;
    type Waiting = Pin<Box<dyn Future<Output = Result<Place, Rejected>> + Send>>;
    fn wait(&self, _: &R) -> Self::Waiting {
        let mut turn = Box::pin(self.0.acquire());
        match F {
            // Polls with nobody's waker.
            QUEUE_LOSES_THE_WAKER => Box::pin(std::future::poll_fn(move |_| {
                turn.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            })),
            // Never leaves the line, and so takes the place of those behind it.
            QUEUE_STAYS_WHEN_DROPPED => {
                let mut turn = ManuallyDrop::new(turn);
                Box::pin(std::future::poll_fn(move |cx| turn.as_mut().poll(cx)))
            }
            _ => turn,
        }
    }
    fn enter(&self, place: Place, _: &R) -> Result<Place, Rejected> {
        Ok(place)
    }
}

/// Hears nothing of those who leave.
struct Deaf(Arc<dyn Observe>);
impl Observe for Deaf {
    fn event(&self, event: Event) {
        if !matches!(event, Event::Abandoned { .. }) {
            self.0.event(event);
        }
    }
}

fn queue<const F: u8>(kit: &Kit) -> Built {
    let mut ears = kit.observer();
    if F == QUEUE_HIDES_WHO_LEFT {
        ears = Arc::new(Deaf(ears));
    }
    let longest = if F == QUEUE_NEVER_EXPIRES { Duration::MAX } else { Duration::from_millis(100) };
    let room = Semaphore::new("queue", FixedCapacity::new(1), kit.clock(), 2, longest);
    let queue = Queue::<F>(Arc::new(room.observe(Observer::new(ears, "queue"))));
    let held = std::rc::Rc::new(RefCell::new(Vec::new()));
    let (busies, fills, empties) = (held.clone(), held.clone(), held);
    let (layered, busied, filled, opened, watched) =
        (queue.clone(), queue.clone(), queue.clone(), queue.clone(), queue);
    let press = |queue: &Queue<F>| queue.0.try_acquire().ok().map(|place| Permit::new(queue.clone(), place));
    Built {
        layer: Box::new(move |inner| service(&wait_layer(layered.clone()), inner)),
        saturate: Box::new(move || {
            fills.borrow_mut().extend(press(&filled));
            filled.0.set_queue(0);
        }),
        busy: Some(Box::new(move || busies.borrow_mut().extend(press(&busied)))),
        relieve: Box::new(move || {
            opened.0.set_queue(2);
            empties.borrow_mut().drain(..).for_each(Permit::refund);
        }),
        held: Held::By(Box::new(move || u64::from(watched.0.capacity().in_flight() + watched.0.queued()))),
        limit: Some(1),
        shadow: None,
        guards: 1,
    }
}

/// What the probe finds in the waiter that is broken by `F`.
fn find_queue<const F: u8>(probe: &str) -> Verdict {
    let subject = Subject { name: "queue", build: queue::<F>, edges: edges::<SOUND> };
    let probe = PROBES.iter().find(|p| p.name.starts_with(probe)).expect("a probe of that name");
    probe.try_on(&subject)
}

/// What the probe whose name begins with `probe` finds in the guard that is broken by `F`.
fn find<const F: u8>(probe: &str) -> Verdict {
    let subject = Subject { name: "faulty", build: build::<F>, edges: edges::<F> };
    let probe = PROBES.iter().find(|p| p.name.starts_with(probe)).expect("a probe of that name");
    probe.try_on(&subject)
}

fn quietly<T>(test: impl FnOnce() -> T) -> T {
    std::panic::set_hook(Box::new(|_| {}));
    let done = test();
    let _ = std::panic::take_hook();
    done
}

#[test]
fn each_probe_catches_the_guard_that_is_broken_for_it() {
    let found = quietly(|| {
        [
            ("the readied instance", find::<CALLS_A_CLONE>("the readied instance")),
            ("shared", find::<STATE_PER_LAYER>("shared")),
            ("an idle readied clone", find::<RESERVES_WHEN_READIED>("an idle readied clone")),
            ("the waker", find::<SWALLOWS_THE_WAKER>("the waker")),
            ("cancel", find::<LEAKS_CANCELLED>("cancel")),
            ("a panic inside, leaked", find::<LEAKS_FAILED>("a panic inside")),
            ("a panic inside, as success", find::<PANIC_IS_SUCCESS>("a panic inside")),
            ("the inner error", find::<HIDES_ERRORS>("the inner error")),
            ("a pending inner service", find::<DOES_NOT_WAIT>("a pending inner service")),
            ("edge settings", find::<TAKES_ANY_SETTING>("edge settings")),
            ("shadow", find::<SHADOW_REFUSES>("shadow")),
            ("the books", find::<TELLS_REFUSALS_TWICE>("the books")),
            ("chaos", find::<LOSES_ONE_IN_TEN>("chaos")),
            ("the waker, of a waiter", find_queue::<QUEUE_LOSES_THE_WAKER>("the waker")),
            ("the waker, at the end of the wait", find_queue::<QUEUE_NEVER_EXPIRES>("the waker")),
            ("cancel, in line", find_queue::<QUEUE_STAYS_WHEN_DROPPED>("cancel")),
            ("chaos, in line", find_queue::<QUEUE_STAYS_WHEN_DROPPED>("chaos")),
            ("the books, of a waiter", find_queue::<QUEUE_HIDES_WHO_LEFT>("the books")),
            ("chaos, of a waiter's books", find_queue::<QUEUE_HIDES_WHO_LEFT>("chaos")),
        ]
    });
    for (probe, verdict) in &found {
        assert!(matches!(verdict, Verdict::Broken(_)), "{probe}: {verdict:?}");
        println!("{probe}: {verdict:?}");
    }
    assert!(found.len() > PROBES.len(), "every probe has its broken guard");
}

#[test]
fn the_sound_one_holds_everywhere() {
    let verdicts = quietly(|| PROBES.map(|p| (p.name, find::<SOUND>(p.name), find_queue::<SOUND>(p.name))));
    for (name, gate, waiter) in verdicts {
        assert_eq!(gate, Verdict::Holds, "{name}");
        let apart = matches!(waiter, Verdict::Apart(_)) && name.starts_with("shadow");
        assert!(waiter == Verdict::Holds || apart, "{name}: {waiter:?}");
    }
}

#[test]
fn nothing_told_is_a_gap_and_not_a_pass() {
    fn nothing(kit: &Kit) -> Built {
        Built { shadow: None, ..build::<SOUND>(kit) }
    }
    let subject = Subject { name: "faulty", build: nothing, edges: Vec::new };
    let gaps = PROBES.iter().filter(|p| matches!(p.try_on(&subject), Verdict::Gap(_)));
    assert_eq!(
        gaps.map(|p| p.name).collect::<Vec<_>>(),
        ["edge settings are rejected", "shadow refuses nobody"]
    );
}
