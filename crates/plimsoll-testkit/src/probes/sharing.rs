//! Sharing: every service of a guard is limited together with all others.

use crate::stage::{Call, Stage, assert_rejected, call, finish, poll};
use crate::{Request, Subject, Verdict};
use plimsoll_core::Rejected;
use std::task::Poll;

/// Clones of a service, and services of other `layer()` calls, share the guard.
pub(super) fn shared_guard(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    let mut others = [stage.service.clone(), stage.another_service()];
    if let Some(limit) = stage.fixture.concurrency {
        // Requests through one service use up the concurrency of all.
        let mut in_flight: Vec<Call> =
            (0..limit).map(|_| stage.call(Request { pending: 99, ..Request::default() })).collect();
        assert!(in_flight.iter_mut().all(|call| poll(call).is_pending()));
        assert_eq!(stage.held(), limit, "what is in flight is not held");
        for other in &mut others {
            match poll(&mut call(other, Request::default())) {
                Poll::Ready(Ok(_)) => panic!("another service of the same guard admitted one more"),
                Poll::Ready(Err(error)) => assert!(error.is::<Rejected>(), "{error}"),
                Poll::Pending => assert!(stage.fixture.waits, "a gate must decide at once"),
            }
        }
    }
    stage.saturate();
    for other in &mut others {
        assert_rejected(finish(&mut call(other, Request::default())));
    }
    stage.relieve();
    for other in &mut others {
        finish(&mut call(other, Request::default())).expect("a relieved guard rejects");
    }
    Verdict::Holds
}
