//! A guarded service and an inner one, with everything that a probe needs to judge them.

use crate::kit::Counts;
use crate::{BoxError, Fixture, Inner, Kit, Request, Service, Subject};
use plimsoll_core::Rejected;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use tower_service::Service as _;

pub(crate) type Call = Pin<Box<dyn Future<Output = Result<u64, BoxError>> + Send>>;

pub(crate) struct Stage {
    pub(crate) kit: Kit,
    pub(crate) fixture: Fixture,
    pub(crate) inner: Inner,
    pub(crate) service: Service,
}

impl Stage {
    pub(crate) fn new(subject: &Subject, seed: u64) -> Self {
        let kit = Kit::new(seed);
        let fixture = (subject.build)(&kit);
        let inner = Inner::default();
        let service = (fixture.layer)(inner.clone());
        Stage { kit, fixture, inner, service }
    }

    /// Returns a service of another `layer()` call.
    pub(crate) fn another_service(&self) -> Service {
        (self.fixture.layer)(self.inner.clone())
    }

    /// Polls the service ready and calls it.
    pub(crate) fn call(&mut self, request: Request) -> Call {
        call(&mut self.service, request)
    }

    /// Brings the guard to where the next request is rejected.
    pub(crate) fn saturate(&self) {
        self.fixture.saturate.iter().for_each(|action| action());
    }

    /// Brings a guard that queues to where the next request waits.
    pub(crate) fn occupy(&self) {
        self.fixture.occupy.iter().for_each(|action| action());
    }

    /// Brings the guard back to where the next request is admitted.
    pub(crate) fn relieve(&self) {
        self.fixture.relieve.iter().rev().for_each(|action| action());
    }

    /// Returns how much is held.
    pub(crate) fn held(&self) -> u64 {
        self.fixture.held_now()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.kit.counts()
    }
}

/// Polls `service` ready and calls it.
pub(crate) fn call(service: &mut Service, request: Request) -> Call {
    poll_ready(service);
    service.call(request)
}

/// Polls `service`, which must be ready.
pub(crate) fn poll_ready(service: &mut Service) {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))), "the service is not ready");
}

pub(crate) fn poll(call: &mut Call) -> Poll<Result<u64, BoxError>> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls `call` until it has ended.
pub(crate) fn finish(call: &mut Call) -> Result<u64, BoxError> {
    for _ in 0..1_000 {
        if let Poll::Ready(result) = poll(call) {
            return result;
        }
    }
    panic!("a call that nothing delays did not end");
}

pub(crate) fn assert_rejected(result: Result<u64, BoxError>) {
    match result {
        Ok(_) => panic!("a saturated guard admitted a request"),
        Err(error) => assert!(error.is::<Rejected>(), "the error is not a `Rejected`: {error}"),
    }
}

/// A waker that records whether it was woken.
#[derive(Clone, Default)]
pub(crate) struct WakeFlag(Arc<AtomicBool>);

impl WakeFlag {
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::new(self.clone()))
    }

    /// Returns whether it was woken since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, SeqCst)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
