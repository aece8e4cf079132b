//! Release: however a call ends, nothing stays held and the guard learns the outcome.

use crate::stage::{Stage, finish, poll};
use crate::{InnerError, Request, Subject, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where the call is when it is dropped.
#[derive(Clone, Copy, PartialEq)]
enum Delayed {
    /// In the inner service.
    Not,
    /// In the queue of the guard at first.
    ByGuard,
    /// Admitted, but the inner service is not ready.
    ByInner,
}

/// A call that is dropped after any number of polls, waiting or in flight, releases everything.
pub(super) fn cancellation(subject: &Subject) -> Verdict {
    for delayed in [Delayed::Not, Delayed::ByGuard, Delayed::ByInner] {
        for polls in 0..8 {
            let mut stage = Stage::new(subject, 1);
            // A gate decides at once, and is not called before the inner service is ready.
            if delayed != Delayed::Not && !stage.fixture.waits {
                continue;
            }
            match delayed {
                Delayed::Not => {}
                Delayed::ByGuard => stage.occupy(),
                Delayed::ByInner => stage.inner.set_ready(false),
            }
            let before = stage.held();
            let mut call = stage.call(Request { pending: 4, ..Request::default() });
            let mut relieved = delayed != Delayed::ByGuard;
            for n in 0..polls {
                if !relieved && n == 2 {
                    stage.relieve();
                    relieved = true;
                }
                if poll(&mut call).is_ready() {
                    break;
                }
            }
            drop(call);
            stage.inner.set_ready(true);
            if !relieved {
                assert_eq!(
                    stage.held(),
                    before,
                    "dropped in the queue after {polls} polls, something is held"
                );
                stage.relieve();
            }
            assert_eq!(stage.held(), 0, "dropped after {polls} polls, something is held");
            assert_eq!(stage.counts().in_flight(), 0, "dropped after {polls} polls, it was not released");
            finish(&mut stage.call(Request::default())).expect("what was cancelled is not free again");
        }
    }
    Verdict::Holds
}

/// A panic, in `call` or in `poll`, releases everything and counts as a failure.
pub(super) fn panics(subject: &Subject) -> Verdict {
    let guards = Stage::new(subject, 1).fixture.guards;
    for request in [
        Request { panic_in_call: true, ..Request::default() },
        Request { panic_in_poll: true, ..Request::default() },
        Request { panic_in_poll: true, pending: 2, ..Request::default() },
    ] {
        let mut stage = Stage::new(subject, 1);
        let mut call = None;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let call = call.insert(stage.call(request));
            let _ = finish(call);
        }));
        assert!(caught.is_err(), "the panic was swallowed");
        // The future is still alive, as inside a layer that catches panics.
        assert_eq!(stage.held(), 0, "after a panic, something is held");
        assert_eq!(stage.counts().failed, guards, "a panic was not counted as one failure by each guard");
        drop(call);
        assert_eq!(stage.counts().completed, guards, "it was released twice");
        finish(&mut stage.call(Request::default())).expect("after a panic, the guard rejects");
    }
    Verdict::Holds
}

/// The error of the inner service is returned unchanged, and counts as a failure.
pub(super) fn inner_error(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    let error = finish(&mut stage.call(Request { id: 7, fail: true, ..Request::default() })).unwrap_err();
    assert_eq!(error.downcast_ref::<InnerError>(), Some(&InnerError(7)), "another error: {error}");
    assert_eq!(
        stage.counts().failed,
        stage.fixture.guards,
        "an error was not counted as one failure by each guard"
    );
    assert_eq!(stage.held(), 0);
    Verdict::Holds
}
