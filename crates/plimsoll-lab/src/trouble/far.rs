//! The far side: a simulated server that can go wrong, and the production layers in front of it.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use plimsoll::{Clock, Dice};
use tower_service::Service;

use crate::sim::{CallError, Change, Fault, FaultKind, Law, Request, Server, ServerPlan, Work};

/// The time that a failure takes.
const FAILURE: Duration = Duration::from_millis(1);

/// The far side of a [`Day`](crate::trouble::day::Day): its capacity, and what fails when.
///
/// Faults are added in the order of time and do not overlap. Flaws may overlap with anything.
#[derive(Clone, Debug)]
pub(crate) struct Far {
    pub(crate) plan: ServerPlan,
    flaws: Vec<Flaw>,
}

/// What happens to calls for a while before they reach the slots.
#[derive(Clone, Copy, Debug)]
struct Flaw {
    from: Duration,
    until: Duration,
    kind: FlawKind,
}

#[derive(Clone, Copy, Debug)]
enum FlawKind {
    /// Calls are answered with this HTTP status.
    Status(u16),
    /// The first calls are held for a time, without a slot.
    Hold(u32, Duration),
}

impl Far {
    /// Creates a server of `slots` slots, each of which serves a call in exactly `time`.
    pub(crate) fn slots(slots: u32, time: Duration) -> Self {
        Self::serving(slots, Law::Constant(time))
    }

    /// Creates a server of `slots` slots with service times of this law.
    pub(crate) fn serving(slots: u32, law: Law) -> Self {
        Far { plan: ServerPlan::new(slots, law), flaws: Vec::new() }
    }

    /// Returns the capacity, in calls per second.
    pub(crate) fn capacity(&self) -> f64 {
        self.plan.capacity()
    }

    /// Stops all work at `at` for `lasts`. The server then continues where it stopped.
    pub(crate) fn stalls(self, at: Duration, lasts: Duration) -> Self {
        self.fault(at, lasts, FaultKind::Hangs { forgets: false })
    }

    /// Stalls for `lasts` at the beginning of every `period` from `from` to `until`.
    pub(crate) fn stalls_every(
        mut self,
        period: Duration,
        lasts: Duration,
        from: Duration,
        until: Duration,
    ) -> Self {
        let mut at = from;
        while at < until {
            self = self.stalls(at, lasts);
            at += period;
        }
        self
    }

    /// Stops all work at `at` for `lasts`. The server then restarts, and has lost its calls.
    pub(crate) fn hangs(self, at: Duration, lasts: Duration) -> Self {
        self.fault(at, lasts, FaultKind::Hangs { forgets: true })
    }

    fn fault(mut self, from: Duration, lasts: Duration, kind: FaultKind) -> Self {
        self.plan.faults.push(Fault { from, until: from + lasts, kind });
        self
    }

    /// Answers every call with this HTTP status, within a millisecond and without a slot.
    pub(crate) fn answers(self, at: Duration, lasts: Duration, status: u16) -> Self {
        self.flaw(at, lasts, FlawKind::Status(status))
    }

    /// Holds the first `calls` calls from `at` on for `lasts`, without a slot, as long polls are.
    pub(crate) fn holds(self, at: Duration, lasts: Duration, calls: u32) -> Self {
        self.flaw(at, lasts, FlawKind::Hold(calls, lasts))
    }

    fn flaw(mut self, from: Duration, lasts: Duration, kind: FlawKind) -> Self {
        self.flaws.push(Flaw { from, until: from.saturating_add(lasts), kind });
        self
    }

    /// Changes the number of slots at `at`.
    pub(crate) fn becomes(mut self, at: Duration, slots: u32) -> Self {
        self.plan.changes.push(Change { at, slots, speed: 1.0 });
        self
    }

    /// Makes each rejection take this share of the time of a call from the slots.
    pub(crate) fn rejection_cost(mut self, share: f64) -> Self {
        self.plan.rejection_cost = share;
        self
    }

    /// Starts the server.
    pub(crate) fn start(&self, clock: Clock, dice: Dice) -> FarSide {
        let server = Server::new(&self.plan, dice);
        let held = Cell::new(0);
        FarSide(Rc::new(Inner { server, clock, flaws: self.flaws.clone(), held }))
    }
}

/// The running far side: the innermost service of every stack.
#[derive(Clone, Debug)]
pub(crate) struct FarSide(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    clock: Clock,
    flaws: Vec<Flaw>,
    /// The calls that were held so far.
    held: Cell<u32>,
}

impl FarSide {
    pub(crate) fn server(&self) -> &Server {
        &self.0.server
    }
}

impl Service<Request> for FarSide {
    type Response = ();
    type Error = CallError;
    type Future = FarCall;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> FarCall {
        let Inner { server, clock, flaws, held } = &*self.0;
        let now = clock.now();
        let at = Duration::from_nanos(now.as_nanos());
        let flaw = flaws.iter().find(|flaw| flaw.from <= at && at < flaw.until);
        let pause = |time| -> Option<Pause> { Some(Box::pin(clock.sleep_until(now + time))) };
        let work = || Ending::Work(server.clone().call(request));
        let (pause, ending) = match flaw.map(|flaw| flaw.kind) {
            None => (None, work()),
            Some(FlawKind::Hold(calls, _)) if held.get() >= calls => (None, work()),
            Some(FlawKind::Hold(_, time)) => {
                held.set(held.get() + 1);
                (pause(time), work())
            }
            Some(FlawKind::Status(status)) => (pause(FAILURE), Ending::Error(CallError::Status(status))),
        };
        FarCall { pause, ending }
    }
}

pub(crate) type Pause = Pin<Box<dyn Future<Output = ()>>>;

/// A call at the far side: perhaps a pause, then an error or the server's work.
pub(crate) struct FarCall {
    pause: Option<Pause>,
    ending: Ending,
}

enum Ending {
    Error(CallError),
    Work(Work),
}

impl Future for FarCall {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        match &mut self.ending {
            Ending::Error(error) => Poll::Ready(Err(*error)),
            Ending::Work(work) => Pin::new(work).poll(cx),
        }
    }
}
