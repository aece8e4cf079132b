//! The simulated server as a tower service: the innermost of every stack.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use plimsoll::{Dice, Rejected};
use tower_service::Service;

use crate::sim::case::{Change, ServerPlan};
use crate::sim::machine::{Answer, Machine, Totals};

/// A request, as far as the server cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request;

/// The name of the guard that stands at the clients.
pub(crate) const THROTTLE: &str = "throttle";

/// How an answer that comes is not a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// A guard said no.
    Rejected,
    /// The client's own throttle said no: the server never heard of it.
    Throttled,
    /// The server said that it has failed.
    Failed,
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

    /// When the next request is done.
    pub(crate) fn next_end(&self) -> u64 {
        self.0.borrow().next_end()
    }

    /// It is `now`: finishes what is done, and begins what waited for that.
    pub(crate) fn advance_to(&self, now: u64) {
        let mut woken = None;
        self.0.borrow_mut().advance_to(now);
        while self.0.borrow_mut().finish_one(&mut woken) {
            // With the floor open: a waker is somebody else's code.
            if let Some(waker) = woken.take() {
                waker.wake();
            }
        }
    }

    /// Other slots and another speed from now on.
    pub(crate) fn change(&self, change: &Change) {
        self.0.borrow_mut().change(change);
    }

    /// One of its faults begins, or has ended.
    pub(crate) fn set_fault(&self, fault: Option<usize>) {
        self.0.borrow_mut().set_fault(fault);
    }

    /// Shows how many came during each fault.
    pub(crate) fn reached(&self, to: impl FnOnce(&[u64])) {
        to(self.0.borrow().reached());
    }

    /// A request was rejected before it came here.
    pub(crate) fn rejected(&self) {
        self.0.borrow_mut().rejected();
    }

    /// How many have got a slot so far, and how long those stood in the FIFO, in all, in nanoseconds.
    pub(crate) fn started(&self) -> (u64, u128) {
        let totals = self.totals();
        (totals.started, totals.waited)
    }

    /// How many stand in the FIFO.
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

/// One request at the server, from its first poll. Dropped, it leaves its job behind.
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
