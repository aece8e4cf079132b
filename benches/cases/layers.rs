//! Tower layers around a service that does nothing.

use crate::limits::{PLENTY as UNITS, plenty};
use crate::side::{Case, Peer, Side, Target};
use axum::body::Body;
use http::{Request, Response};
use plimsoll::{KeyedExt, KeyedRateLimiter, RateLimiter, Rejected, Valve};
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::{BoxError, Layer, Service};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::{GlobalKeyExtractor, KeyExtractor};
use tower_governor::{GovernorError, GovernorLayer};
use tower_resilience_ratelimiter::RateLimiterLayer;

/// More places than threads, so that no call waits and none is rejected.
const PLENTY: u32 = 1_024;

/// A service that is always ready and answers at once.
#[derive(Clone)]
pub(crate) struct Bare;

/// Makes the response when it is polled. A future that held it from the start would be written and
/// read back at once, and the processor would wait for that longer than for the layers.
pub(crate) struct Echo<E>(u64, PhantomData<fn() -> E>);

impl<E> Future for Echo<E> {
    type Output = Result<u64, E>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(self.0))
    }
}

/// The error of a service that keeps a rejection as it is.
#[derive(Debug)]
pub(crate) struct Denied(Rejected);

impl From<Rejected> for Denied {
    fn from(rejected: Rejected) -> Self {
        Denied(rejected)
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
    type Future = Echo<Denied>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: u64) -> Self::Future {
        Echo(request, PhantomData)
    }
}

/// The same service with the error type of most tower stacks.
#[derive(Clone)]
struct Boxed;

impl Service<u64> for Boxed {
    type Response = u64;
    type Error = BoxError;
    type Future = Echo<BoxError>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: u64) -> Self::Future {
        Echo(request, PhantomData)
    }
}

/// Makes one call, from readiness to the response.
fn drive<S: Service<u64>>(service: &mut S) {
    call(service, 7);
}

/// Makes one call with this request.
pub(crate) fn call<S: Service<R>, R>(service: &mut S, request: R) {
    call_with(service, request, |_| ());
}

/// Makes one call. `work` runs between the call and the response.
fn call_with<S: Service<R>, R>(service: &mut S, request: R, work: impl FnOnce(&mut Context<'_>)) {
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
    let peer = Peer::new("tower", "ConcurrencyLimit", tower).target(1, Target::net(0.65, 0.50));
    vec![Case::new("valve.layer()", service(valve().layer().layer(Bare)), vec![peer]).bare(service(Bare))]
}

pub(crate) fn reject() -> Vec<Case> {
    let peer = || Peer::new("tower", "LoadShed over ConcurrencyLimit", saturated());
    vec![
        Case::new("valve.layer()", full(Bare), vec![peer().target(1, Target::net(0.25, 0.25))])
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
    let held = valve.try_acquire_owned().expect("the only place");
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
    // One worker serves all clones of a buffer. Here the calling thread polls it.
    let buffer = Side::new(
        || {
            let (buffer, worker) = Buffer::pair(Bare, PLENTY as usize);
            (buffer, Box::pin(worker))
        },
        |(buffer, worker): &mut (Buffer<u64, Echo<_>>, Pin<Box<_>>)| {
            call_with(buffer, 7, |cx| {
                assert!(Future::poll(worker.as_mut(), cx).is_pending(), "the worker ended")
            });
        },
    );
    let buffer = Peer::new("tower", "Buffer", buffer).target(1, Target::Ratio(0.25)).one_thread();
    // It waits as well, in `poll_ready`, where the request is not known yet. No queue bounds it.
    let limit = Peer::new("tower", "ConcurrencyLimit", service(ConcurrencyLimit::new(Bare, PLENTY as usize)));
    vec![
        Case::new("valve.wait_layer()", service(valve().wait_layer().layer(Bare)), vec![buffer, limit])
            .bare(service(Bare)),
    ]
}

/// The same service for HTTP requests, which tower_governor requires. Its responses have an empty
/// body.
#[derive(Clone)]
struct Web;

/// Makes the response when it is polled. A future that held it from the start would be large, and
/// moving it would be measured instead of the layers.
struct EmptyResponse;

impl Future for EmptyResponse {
    type Output = Result<Response<Body>, Denied>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Response::new(Body::empty())))
    }
}

impl Service<Request<()>> for Web {
    type Response = Response<Body>;
    type Error = Denied;
    type Future = EmptyResponse;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, _: Request<()>) -> EmptyResponse {
        EmptyResponse
    }
}

/// The account of all requests. It takes no time to find.
const ACCOUNT: u64 = 7;

#[derive(Clone)]
struct OneAccount;

impl KeyExtractor for OneAccount {
    type Key = u64;
    fn extract<T>(&self, _: &Request<T>) -> Result<u64, GovernorError> {
        Ok(black_box(ACCOUNT))
    }
}

fn web<S>(service: S) -> Side
where
    S: Service<Request<()>> + Clone + Sync + 'static,
{
    Side::new(move || service.clone(), |service| call(service, Request::new(())))
}

pub(crate) fn limit() -> Vec<Case> {
    let keyed = KeyedRateLimiter::<u64>::new(plenty()).expect("a valid quota");
    let by = keyed.by(|_: &Request<()>| black_box(ACCOUNT));
    let global = RateLimiter::new(plenty()).expect("a valid quota");
    let resilience = RateLimiterLayer::builder()
        .limit_for_period(UNITS as usize)
        .refresh_period(Duration::from_secs(1))
        .timeout_duration(Duration::ZERO)
        .build()
        .expect("valid settings");
    let for_keys =
        vec![Peer::new("tower_governor", "a key", governed(OneAccount)).target(1, Target::net(0.75, 1.00))];
    let for_all = vec![
        Peer::new("tower_governor", "a global key", governed(GlobalKeyExtractor))
            .target(1, Target::net(0.75, 1.00)),
        Peer::new("tower-resilience-ratelimiter", "fixed window", web(resilience.layer(Web))),
    ];
    vec![
        Case::new("limiter.by(account)", web(plimsoll::layer(by).layer(Web)), for_keys).bare(web(Web)),
        Case::new("limiter.layer()", web(global.layer().layer(Web)), for_all).bare(web(Web)),
    ]
}

fn governed<K: KeyExtractor + Send + Sync + 'static>(key: K) -> Side
where
    K::Key: Send + Sync,
{
    let mut config = GovernorConfigBuilder::default().key_extractor(key);
    let config = config.per_nanosecond(1).burst_size(UNITS).finish().expect("above zero");
    web(GovernorLayer::<_, _, Body>::new(config).layer(Web))
}
