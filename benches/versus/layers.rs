//! Tower layers around a service that does nothing.

use crate::side::{Case, Peer, Side, Target};
use plimsoll::{Rejected, Valve};
use std::fmt;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::{BoxError, Layer, Service};

/// More places than threads: nobody waits, nobody is refused.
const PLENTY: u32 = 1_024;

/// A service that is always ready and answers at once.
#[derive(Clone)]
pub(crate) struct Bare;

/// The error of a service that keeps a refusal as it is.
#[derive(Debug)]
pub(crate) struct Denied(Rejected);

impl From<Rejected> for Denied {
    fn from(no: Rejected) -> Self {
        Denied(no)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Denied {}

impl Service<u64> for Bare {
    type Response = u64;
    type Error = Denied;
    type Future = Ready<Result<u64, Denied>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request))
    }
}

/// The same with the error type most tower stacks have.
#[derive(Clone)]
struct Boxed;

impl Service<u64> for Boxed {
    type Response = u64;
    type Error = BoxError;
    type Future = Ready<Result<u64, BoxError>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request))
    }
}

/// One call from readiness to the answer.
fn drive<S: Service<u64>>(service: &mut S) {
    call(service, 7);
}

/// One call with this request.
pub(crate) fn call<S: Service<u64>>(service: &mut S, request: u64) {
    call_with(service, request, |_| ());
}

/// One call; `work` runs between the call and the answer.
fn call_with<S: Service<u64>>(service: &mut S, request: u64, work: impl FnOnce(&mut Context<'_>)) {
    let mut cx = Context::from_waker(Waker::noop());
    let service = black_box(service);
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "not ready");
    let mut future = pin!(service.call(black_box(request)));
    work(&mut cx);
    let answer = future.as_mut().poll(&mut cx);
    assert!(answer.is_ready(), "not at once");
    black_box(&answer);
}

pub(crate) fn service<S>(service: S) -> Side
where
    S: Service<u64> + Clone + Sync + 'static,
{
    Side::new(move || service.clone(), drive)
}

fn valve() -> Valve {
    Valve::new(PLENTY).expect("a valid size")
}

pub(crate) fn admit() -> Vec<Case> {
    let tower = service(ConcurrencyLimit::new(Bare, PLENTY as usize));
    let peer = Peer::new("tower", "ConcurrencyLimit", tower).target(1, Target::Ratio(0.65));
    vec![Case::new("valve.layer()", service(valve().layer().layer(Bare)), vec![peer]).bare(service(Bare))]
}

pub(crate) fn refuse() -> Vec<Case> {
    let peer = || Peer::new("tower", "LoadShed over ConcurrencyLimit", saturated());
    vec![
        Case::new("valve.layer()", full(Bare), vec![peer().target(1, Target::Ratio(0.25))])
            .bare(service(Bare)),
        Case::new("valve.layer(), boxed error", full(Boxed), vec![peer()]).bare(service(Bare)),
    ]
}

/// A valve whose only place is taken.
fn full<S>(inner: S) -> Side
where
    S: Service<u64, Error: From<Rejected>> + Clone + Sync + 'static,
{
    let valve = Valve::new(1).expect("a valid size");
    let held = valve.ask_owned().expect("the only place");
    let layered = valve.layer().layer(inner);
    Side::new(
        move || {
            black_box(&held);
            layered.clone()
        },
        drive,
    )
}

/// A limit whose only place is taken.
fn saturated() -> Side {
    let mut holder = ConcurrencyLimit::new(Bare, 1);
    let held = Service::<u64>::poll_ready(&mut holder, &mut Context::from_waker(Waker::noop()));
    assert!(held.is_ready(), "the only place");
    Side::new(move || LoadShed::new(holder.clone()), drive)
}

pub(crate) fn wait() -> Vec<Case> {
    // One worker serves all clones of a buffer; here the calling thread runs it by hand, at once.
    let buffer = Side::new(
        || {
            let (buffer, worker) = Buffer::pair(Bare, PLENTY as usize);
            (buffer, Box::pin(worker))
        },
        |(buffer, worker): &mut (Buffer<u64, Ready<_>>, Pin<Box<_>>)| {
            call_with(buffer, 7, |cx| {
                assert!(Future::poll(worker.as_mut(), cx).is_pending(), "the worker ended")
            });
        },
    );
    let peer = Peer::new("tower", "Buffer", buffer).target(1, Target::Ratio(0.25)).one_thread();
    vec![
        Case::new("valve.wait_layer()", service(valve().wait_layer().layer(Bare)), vec![peer])
            .bare(service(Bare)),
    ]
}
