//! The event counts of a guard balance.

use crate::kit::Counts;
use crate::stage::{Stage, assert_rejected, finish, poll};
use crate::{Request, Subject, Verdict};

/// Requests = admitted + rejected + abandoned, and admitted = completed + refunded + in flight.
pub(super) fn balance(subject: &Subject) -> Verdict {
    let mut stage = Stage::new(subject, 1);
    let guards = stage.fixture.guards;
    let mut requests = 0;
    // The events of saturating and relieving the guard.
    let mut by_fixture = Counts::default();
    for round in 0..3 {
        finish(&mut stage.call(Request::default())).unwrap();
        let _ = finish(&mut stage.call(Request { fail: true, ..Request::default() }));
        let mut dropped = stage.call(Request { pending: 3, ..Request::default() });
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        requests += 3;
        let before = stage.counts();
        stage.saturate();
        let saturated = stage.counts();
        for _ in 0..=round {
            assert_rejected(finish(&mut stage.call(Request::default())));
        }
        let rejected = stage.counts();
        assert_eq!(rejected.rejected - saturated.rejected, round + 1, "a rejection was not reported once");
        stage.relieve();
        let counts = stage.counts();
        by_fixture.admitted += saturated.admitted - before.admitted;
        by_fixture.completed +=
            saturated.completed - before.completed + counts.completed - rejected.completed;
        by_fixture.refunded += saturated.refunded - before.refunded + counts.refunded - rejected.refunded;
        assert_eq!(counts.in_flight(), 0, "an admitted request was not released");
        assert_eq!(counts.abandoned, 0, "a wait was reported as abandoned");
        assert_eq!(
            counts.completed - by_fixture.completed,
            requests * guards,
            "a call was not completed once"
        );
        // In a tuple, the earlier guards are refunded when a later one rejects.
        let undone = counts.refunded - by_fixture.refunded;
        let admitted = counts.admitted - by_fixture.admitted - undone;
        assert_eq!(admitted, requests * guards, "admitted + rejected differs from the requests");
    }
    if stage.fixture.waits {
        stage.occupy();
        let before = stage.counts();
        let mut waiting = stage.call(Request::default());
        assert!(poll(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(
            stage.counts().abandoned - before.abandoned,
            1,
            "a caller that left its wait was not reported once"
        );
        stage.relieve();
        assert_eq!(stage.counts().in_flight(), 0);
    }
    Verdict::Holds
}
