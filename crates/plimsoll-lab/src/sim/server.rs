//! The simulated server as a tower service, the innermost of every stack.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use plimsoll::{Dice, Rejected};
use tower_service::Service;

use crate::sim::case::{Change, ServerPlan};
use crate::sim::machine::{Answer, Machine, Totals};

/// A request, as far as the server needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request;

/// The name of the guard at the clients.
pub(crate) const THROTTLE: &str = "throttle";

/// Why an answer is not a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// A guard rejected the call.
    Rejected,
    /// The client's own throttle rejected the call, which never reached the server.
    Throttled,
    /// The server failed.
    Failed,
    /// The server answered with this HTTP status.
    Status(u16),
    /// The caller left. Returned outside all layers.
    Left,
}

impl From<Rejected> for CallError {
    fn from(rejected: Rejected) -> Self {
        if rejected.by() == THROTTLE { CallError::Throttled } else { CallError::Rejected }
    }
}

/// A handle to the server, and the innermost service of every stack.
#[derive(Clone, Debug)]
pub(crate) struct Server(Rc<RefCell<Machine>>);

impl Server {
    pub(crate) fn new(plan: &ServerPlan, dice: Dice) -> Self {
        Server(Rc::new(RefCell::new(Machine::new(plan, dice))))
    }

    /// Returns the time at which the next request ends.
    pub(crate) fn next_end(&self) -> u64 {
        self.0.borrow().next_end()
    }

    /// Advances to `now`: finishes the requests that have ended, and starts queued ones.
    pub(crate) fn advance_to(&self, now: u64) {
        let mut woken = None;
        self.0.borrow_mut().advance_to(now);
        while self.0.borrow_mut().finish_one(&mut woken) {
            // Called outside the borrow: a waker is foreign code.
            if let Some(waker) = woken.take() {
                waker.wake();
            }
        }
    }

    /// Sets the slots and the speed from now on.
    pub(crate) fn change(&self, change: &Change) {
        self.0.borrow_mut().change(change);
    }

    /// Begins a fault, or ends the present one.
    pub(crate) fn set_fault(&self, fault: Option<usize>) {
        self.0.borrow_mut().set_fault(fault);
    }

    /// Passes the number of arrivals during each fault to `to`.
    pub(crate) fn reached(&self, to: impl FnOnce(&[u64])) {
        to(self.0.borrow().reached());
    }

    /// Adds the cost of a rejection in front of the server.
    pub(crate) fn rejected(&self) {
        self.0.borrow_mut().rejected();
    }

    /// Returns how many requests got a slot, and the sum of their times in the FIFO in nanoseconds.
    pub(crate) fn started(&self) -> (u64, u128) {
        let totals = self.totals();
        (totals.started, totals.waited)
    }

    /// Returns the number of requests in the FIFO.
    pub(crate) fn backlog(&self) -> usize {
        self.0.borrow().backlog()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.0.borrow().totals()
    }
}

impl Service<Request> for Server {
    type Response = ();
    type Error = CallError;
    type Future = Work;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Work {
        Work { server: Some(self.clone()), job: None }
    }
}

/// One request at the server, from its first poll on. If it is dropped, its job stays in the
/// server.
#[derive(Debug)]
pub(crate) struct Work {
    server: Option<Server>,
    job: Option<u32>,
}

impl Future for Work {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(server) = &self.server else { return Poll::Ready(Ok(())) };
        let mut machine = server.0.borrow_mut();
        match self.job {
            None => {
                let job = machine.arrive(cx.waker().clone());
                drop(machine);
                self.job = Some(job);
                Poll::Pending
            }
            Some(job) => {
                let Some(answer) = machine.poll_answer(job, cx.waker()) else { return Poll::Pending };
                drop(machine);
                self.job = None;
                self.server = None;
                Poll::Ready(match answer {
                    Answer::Good => Ok(()),
                    Answer::Failure => Err(CallError::Failed),
                })
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let (Some(server), Some(job)) = (&self.server, self.job) {
            server.0.borrow_mut().abandon(job);
        }
    }
}
