//! Readiness: of the inner service, and of the guarded one.

use crate::stage::{Stage, assert_rejected, call, finish, poll, poll_ready};
use crate::{Request, Service, Subject, Verdict};
use std::task::{Context, Poll, Waker};
use tower_service::Service as _;

/// The instance of the inner service that was polled ready is the one that is called.
pub(super) fn ready_instance(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    for id in 0..3 {
        assert_eq!(finish(&mut stage.call(Request { id, ..Request::default() })).unwrap(), id);
    }
    // Through a clone, too: servers clone the service for each request.
    let mut clone = stage.service.clone();
    finish(&mut call(&mut clone, Request::default())).unwrap();
    assert_eq!(stage.inner.unready_calls(), 0, "an instance was called that was not polled ready");
    assert_eq!(stage.inner.calls(), 4);
    Verdict::Holds
}

/// A service that is ready, or was rejected once, and is then left alone takes no capacity.
pub(super) fn idle_clone(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    let before = stage.held();
    let mut idle: Vec<Service> = (0..8).map(|_| stage.service.clone()).collect();
    idle.iter_mut().for_each(poll_ready);
    assert_eq!(stage.held(), before, "a ready clone holds something");
    // One is rejected, polled ready again, and left alone.
    stage.saturate();
    assert_rejected(finish(&mut idle[0].call(Request::default())));
    let _ = idle[0].poll_ready(&mut Context::from_waker(Waker::noop()));
    stage.relieve();
    for id in 0..5 {
        let result = finish(&mut stage.call(Request { id, ..Request::default() }));
        assert_eq!(result.expect("a request is rejected while none is in flight"), id);
    }
    assert_eq!(stage.held(), before);
    Verdict::Holds
}

/// The inner service is not called before it is ready, and is polled until it ends.
pub(super) fn pending_inner(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    stage.inner.set_ready(false);
    match stage.service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => {
            assert_eq!(stage.held(), 0, "the guard holds something while the inner service is not ready");
            assert_eq!(stage.counts().admitted, 0);
            stage.inner.set_ready(true);
            finish(&mut stage.call(Request::default())).unwrap();
        }
        Poll::Ready(_) => {
            let mut call = stage.service.call(Request::default());
            assert!(poll(&mut call).is_pending(), "a service was called that was not ready");
            assert_eq!(stage.inner.calls(), 0);
            stage.inner.set_ready(true);
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
