//! Waking: a task that was left pending is woken.

use crate::stage::{Stage, WakeFlag, assert_rejected, finish, poll};
use crate::{Request, Subject, Verdict};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service as _;

/// A task is woken when the inner service is ready, when it is admitted, and when its wait expires.
pub(super) fn wakers(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    let woken = WakeFlag::default();
    let waker = woken.waker();
    let mut cx = Context::from_waker(&waker);

    stage.inner.set_ready(false);
    match stage.service.poll_ready(&mut cx) {
        Poll::Pending => {
            stage.inner.set_ready(true);
            assert!(woken.take(), "the inner service is ready, and the task was not woken");
        }
        // A service that is always ready: the call waits for the inner service.
        Poll::Ready(_) => {
            let mut call = stage.service.call(Request::default());
            assert!(call.as_mut().poll(&mut cx).is_pending(), "a service was called that was not ready");
            stage.inner.set_ready(true);
            assert!(woken.take(), "the inner service is ready, and the task was not woken");
            finish(&mut call).unwrap();
        }
    }
    if !stage.fixture.waits {
        return Verdict::Holds;
    }

    stage.occupy();
    let mut waiting = stage.call(Request::default());
    // Polled by one task and then by another. The last one must be woken.
    assert!(poll(&mut waiting).is_pending(), "the guard is occupied, and the call does not wait");
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    stage.relieve();
    assert!(woken.take(), "the request can be admitted, and the task was not woken");
    finish(&mut waiting).unwrap();

    stage.occupy();
    let mut waiting = stage.call(Request::default());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    let before = stage.counts().rejected;
    stage.kit.time.advance(Duration::from_secs(86_400));
    assert!(woken.take(), "the wait has expired, and the task was not woken");
    assert_rejected(finish(&mut waiting));
    assert!(stage.counts().rejected > before, "an expired wait was not reported as a rejection");
    stage.relieve();
    Verdict::Holds
}
