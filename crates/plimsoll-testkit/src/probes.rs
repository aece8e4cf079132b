//! The questions.

use crate::subject::{Built, Kit, Service, Subject};
use crate::tally::Sums;
use crate::{BoxError, Inner, InnerError, Request, Verdict, chaos};
use plimsoll_core::Rejected;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tower_service::Service as _;

/// One question, asked of any layer.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// What it asks.
    pub name: &'static str,
    pub(crate) ask: fn(&Subject) -> Verdict,
}

/// Every question there is.
pub const PROBES: [Probe; 12] = [
    Probe { name: "the readied instance is called", ask: readied_instance },
    Probe { name: "shared by clones and layer() calls", ask: shared },
    Probe { name: "an idle readied clone holds nothing", ask: idle_clone },
    Probe { name: "the waker is registered", ask: waker },
    Probe { name: "cancel at any await gives back", ask: cancel },
    Probe { name: "a panic inside gives back, as failure", ask: panics },
    Probe { name: "the inner error comes through", ask: inner_error },
    Probe { name: "a pending inner service is waited for", ask: pending_inner },
    Probe { name: "edge settings are rejected", ask: edges },
    Probe { name: "shadow refuses nobody", ask: shadow },
    Probe { name: "the books balance", ask: books },
    Probe { name: "chaos returns to the model", ask: chaos::ask },
];

type Call = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

pub(crate) struct Bell(AtomicBool);
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
impl Bell {
    fn rung(&self) -> bool {
        self.0.swap(false, SeqCst)
    }
}

/// A guarded service in front of an inner one, with what is needed to judge it.
struct Stage {
    kit: Kit,
    inner: Inner,
    built: Built,
    service: Service,
}

impl Stage {
    fn new(subject: &Subject) -> Self {
        let kit = Kit::new(1);
        let built = (subject.build)(&kit);
        let inner = Inner::default();
        let service = (built.layer)(inner.clone());
        Stage { kit, inner, built, service }
    }

    fn held(&self) -> u64 {
        self.built.held.now()
    }

    fn call(&mut self, request: Request) -> Call {
        ready(&mut self.service);
        self.service.call(request)
    }

    fn sums(&self) -> Sums {
        self.kit.tally.sums()
    }
}

fn ready(service: &mut Service) {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))), "the service should be ready");
}

pub(crate) fn poll(call: &mut Call) -> Poll<Result<u64, BoxError>> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn finish(call: &mut Call) -> Result<u64, BoxError> {
    for _ in 0..1_000 {
        if let Poll::Ready(result) = poll(call) {
            return result;
        }
    }
    panic!("a call that nothing holds up did not end");
}

fn assert_rejected(result: Result<u64, BoxError>) {
    match result {
        Ok(_) => panic!("a saturated guard let a request through"),
        Err(e) => assert!(e.is::<Rejected>(), "a refusal should be a `Rejected`, not: {e}"),
    }
}

fn readied_instance(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    for id in 0..3 {
        let mut call = stage.call(Request { id, ..Request::default() });
        assert_eq!(finish(&mut call).unwrap(), id);
    }
    // And through a clone, as servers do it.
    let mut clone = stage.service.clone();
    ready(&mut clone);
    finish(&mut clone.call(Request::default())).unwrap();
    assert_eq!(stage.inner.unready_calls(), 0, "an instance was called that had not been readied");
    assert_eq!(stage.inner.calls(), 4);
    Verdict::Holds
}

fn shared(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    let mut others = [stage.service.clone(), (stage.built.layer)(stage.inner.clone())];
    if let Some(limit) = stage.built.limit {
        // Requests through one service fill the line of all.
        let mut inside: Vec<Call> =
            (0..limit).map(|_| stage.call(Request { pending: 99, ..Request::default() })).collect();
        assert!(inside.iter_mut().all(|call| poll(call).is_pending()));
        let held = stage.held();
        assert_eq!(held, limit, "what is inside is held");
        for other in &mut others {
            ready(other);
            let mut one_more = other.call(Request::default());
            match poll(&mut one_more) {
                Poll::Ready(Ok(_)) => panic!("another service of the same guard let one more through"),
                Poll::Ready(Err(e)) => assert!(e.is::<Rejected>(), "{e}"),
                Poll::Pending => assert!(stage.built.busy.is_some(), "a gate answers at once"),
            }
        }
        drop(inside);
    }
    (stage.built.saturate)();
    for other in &mut others {
        ready(other);
        assert_rejected(finish(&mut other.call(Request::default())));
    }
    (stage.built.relieve)();
    for other in &mut others {
        ready(other);
        finish(&mut other.call(Request::default())).expect("relieved, all are admitted again");
    }
    Verdict::Holds
}

fn idle_clone(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    let before = stage.held();
    let mut idle: Vec<Service> = (0..8).map(|_| stage.service.clone()).collect();
    idle.iter_mut().for_each(ready);
    assert_eq!(stage.held(), before, "a readied clone holds something");
    // One was rejected once, was readied again, and is left alone.
    (stage.built.saturate)();
    assert_rejected(finish(&mut idle[0].call(Request::default())));
    let _ = idle[0].poll_ready(&mut Context::from_waker(Waker::noop()));
    (stage.built.relieve)();
    for id in 0..5 {
        let result = finish(&mut stage.call(Request { id, ..Request::default() }));
        assert_eq!(result.expect("nothing is in flight, so everyone is admitted"), id);
    }
    assert_eq!(stage.held(), before);
    Verdict::Holds
}

fn waker(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    let bell = Arc::new(Bell(AtomicBool::new(false)));
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    stage.inner.hold();
    let mut call = match stage.service.poll_ready(&mut cx) {
        Poll::Pending => {
            stage.inner.allow();
            assert!(bell.rung(), "the inner service is ready, and nobody was told");
            None
        }
        Poll::Ready(_) => {
            // Always ready itself: then the call has to wait for the inner service.
            let mut call = stage.service.call(Request::default());
            assert!(call.as_mut().poll(&mut cx).is_pending(), "called a service that was not ready");
            stage.inner.allow();
            assert!(bell.rung(), "the inner service is ready, and nobody was told");
            Some(call)
        }
    };
    if let Some(call) = &mut call {
        finish(call).unwrap();
    }
    if let Some(busy) = &mut stage.built.busy {
        busy();
        let mut waits = stage.call(Request::default());
        // Polled by one task and then by another: the last one is to be woken.
        assert!(poll(&mut waits).is_pending(), "the guard is busy, so the call waits");
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        (stage.built.relieve)();
        assert!(bell.rung(), "its turn has come, and nobody was told");
        finish(&mut waits).unwrap();

        // And when its time is up.
        if let Some(busy) = &mut stage.built.busy {
            busy();
        }
        let mut waits = stage.call(Request::default());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        stage.kit.time.advance(Duration::from_secs(86_400));
        assert!(bell.rung(), "its time is up, and nobody was told");
        assert_rejected(finish(&mut waits));
        assert!(stage.sums().rejected > 0, "an expiry is a refusal");
        (stage.built.relieve)();
    }
    Verdict::Holds
}

fn cancel(subject: &Subject) -> Verdict {
    for (waits, unready) in [(false, false), (true, false), (false, true)] {
        for polls in 0..8 {
            let mut stage = Stage::new(subject);
            if unready {
                // Admitted, and waiting for the inner service. A gate is not called before that is ready.
                if stage.built.busy.is_none() {
                    continue;
                }
                stage.inner.hold();
            }
            if waits {
                match &mut stage.built.busy {
                    Some(busy) => busy(),
                    None => continue,
                }
            }
            let before = stage.held();
            let mut call = stage.call(Request { pending: 4, ..Request::default() });
            let mut relieved = false;
            for n in 0..polls {
                if waits && n == 2 {
                    (stage.built.relieve)();
                    relieved = true;
                }
                if poll(&mut call).is_ready() {
                    break;
                }
            }
            drop(call);
            stage.inner.allow();
            if waits && !relieved {
                assert_eq!(
                    stage.held(),
                    before,
                    "dropped in line after {polls} polls, something is still held"
                );
                (stage.built.relieve)();
            }
            assert_eq!(stage.held(), 0, "dropped after {polls} polls, something is still held");
            let Sums { admitted, ended, given_back, .. } = stage.sums();
            assert_eq!(admitted, ended + given_back, "dropped after {polls} polls, it was not settled");
            finish(&mut stage.call(Request::default())).expect("what was cancelled is free again");
        }
    }
    Verdict::Holds
}

fn panics(subject: &Subject) -> Verdict {
    let guards = Stage::new(subject).built.guards;
    for request in [
        Request { panic_in_call: true, ..Request::default() },
        Request { panic_in_poll: true, ..Request::default() },
        Request { panic_in_poll: true, pending: 2, ..Request::default() },
    ] {
        let mut stage = Stage::new(subject);
        let mut call = None;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let call = call.insert(stage.call(request));
            let _ = finish(call);
        }));
        assert!(caught.is_err(), "the panic did not come through");
        // As if a catch-panic layer stood outside: the future is still alive, and must not matter.
        assert_eq!(stage.held(), 0, "after a panic something is still held");
        assert_eq!(stage.sums().failed, guards, "a panic counts as a failure, once for each guard");
        drop(call);
        assert_eq!(stage.sums().ended, guards, "and is not settled twice");
        finish(&mut stage.call(Request::default())).expect("after a panic it goes on");
    }
    Verdict::Holds
}

fn inner_error(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    let mut call = stage.call(Request { id: 7, fail: true, ..Request::default() });
    let error = finish(&mut call).unwrap_err();
    assert_eq!(error.downcast_ref::<InnerError>(), Some(&InnerError(7)), "not as it was: {error}");
    assert_eq!(stage.sums().failed, stage.built.guards, "an error counts as a failure");
    assert_eq!(stage.held(), 0);
    Verdict::Holds
}

fn pending_inner(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    stage.inner.hold();
    match stage.service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => {
            assert_eq!(stage.held(), 0, "a guard holds something while the inner service is not ready");
            assert_eq!(stage.sums().admitted, 0);
            stage.inner.allow();
            finish(&mut stage.call(Request::default())).unwrap();
        }
        Poll::Ready(_) => {
            let mut call = stage.service.call(Request::default());
            assert!(poll(&mut call).is_pending(), "called a service that was not ready");
            assert_eq!(stage.inner.calls(), 0);
            stage.inner.allow();
            finish(&mut call).unwrap();
        }
    }
    let mut call = stage.call(Request { id: 3, pending: 5, ..Request::default() });
    for _ in 0..5 {
        assert!(poll(&mut call).is_pending());
    }
    assert_eq!(finish(&mut call).unwrap(), 3);
    assert_eq!(stage.held(), 0);
    Verdict::Holds
}

fn edges(subject: &Subject) -> Verdict {
    let edges = (subject.edges)();
    if edges.is_empty() {
        return Verdict::Gap("no edge settings are given");
    }
    for (what, refusal) in edges {
        let Some(text) = refusal else { panic!("{what} was taken") };
        assert!(text.contains(" must be "), "{what}: {text:?} does not say what is allowed");
    }
    Verdict::Holds
}

fn shadow(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    let Some(shadow) = &stage.built.shadow else {
        return match stage.built.busy {
            Some(_) => Verdict::Apart("shadow is for gates: it never waits"),
            None => Verdict::Gap("no shadow is given"),
        };
    };
    let mut service = shadow(stage.inner.clone());
    (stage.built.saturate)();
    let rejected = stage.sums().rejected;
    let held = stage.held();
    for id in 0..5 {
        ready(&mut service);
        let result = finish(&mut service.call(Request { id, ..Request::default() }));
        assert_eq!(result.expect("shadow rejected a request"), id);
    }
    assert!(stage.sums().rejected > rejected, "shadow should decide, and tell what it would have done");
    assert_eq!(stage.held(), held);
    Verdict::Holds
}

fn books(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject);
    let guards = stage.built.guards;
    let mut asked = 0;
    // What pressing on it by hand did to the books.
    let mut hand = Sums::default();
    for round in 0..3 {
        finish(&mut stage.call(Request::default())).unwrap();
        let _ = finish(&mut stage.call(Request { fail: true, ..Request::default() }));
        let mut dropped = stage.call(Request { pending: 3, ..Request::default() });
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        asked += 3;
        let before = stage.sums();
        (stage.built.saturate)();
        let saturated = stage.sums();
        for _ in 0..=round {
            assert_rejected(finish(&mut stage.call(Request::default())));
        }
        let rejected = stage.sums();
        assert_eq!(rejected.rejected - saturated.rejected, round + 1, "each refusal is told once");
        (stage.built.relieve)();
        let sums = stage.sums();
        hand.admitted += saturated.admitted - before.admitted;
        hand.ended += sums.ended - rejected.ended;
        hand.given_back += sums.given_back - rejected.given_back;
        assert_eq!(sums.admitted, sums.ended + sums.given_back, "the admitted have ended or were given back");
        assert_eq!(sums.left, 0, "nobody left");
        assert_eq!(sums.ended - hand.ended, asked * guards, "everyone admitted has ended, once");
        // In a tuple the earlier guards get theirs back when a later one refuses.
        let undone = sums.given_back - hand.given_back;
        assert_eq!(sums.admitted - hand.admitted - undone, asked * guards, "asked = admitted + rejected");
    }
    let before = stage.sums();
    if let Some(busy) = &mut stage.built.busy {
        busy();
        let mut waits = stage.call(Request::default());
        assert!(poll(&mut waits).is_pending());
        drop(waits);
        let after = stage.sums();
        assert_eq!(after.left - before.left, 1, "who goes away while it waits is told");
        (stage.built.relieve)();
        let Sums { admitted, ended, given_back, .. } = stage.sums();
        assert_eq!(admitted, ended + given_back);
    }
    Verdict::Holds
}
