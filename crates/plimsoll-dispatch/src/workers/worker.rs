//! A worker, and replacing one.

use super::handoff::Found;
use super::{Shared, Workers};
use plimsoll_core::parts::within_budget;
use plimsoll_core::{Event, Outcome};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A worker, which receives one job at a time.
///
/// Dropped, it counts as missing until it is [replaced](Workers::replace). A job that was handed
/// over and not yet taken passes on to an idle worker, or else to the next one that is idle.
pub struct Worker<J> {
    shared: Arc<Shared<J>>,
    index: u32,
    working: bool,
}

impl<J> Workers<J> {
    /// Returns a worker in place of a missing one, whose task has ended or panicked. `None` if no
    /// worker is missing.
    pub fn replace(&self) -> Option<Worker<J>> {
        let index = self.0.missing().pop()?;
        Some(Worker::new(self.0.clone(), index))
    }
}

impl<J> Worker<J> {
    pub(super) fn new(shared: Arc<Shared<J>>, index: u32) -> Self {
        Worker { shared, index, working: false }
    }

    /// Completes the last job and waits for the next one. `None` after [`close`](Workers::close).
    ///
    /// # Cancel safety
    /// Dropped while it waits, the worker is no longer idle. A job that was handed over at the same
    /// moment is returned by the next call.
    pub async fn next(&mut self) -> Option<J> {
        self.complete(Outcome::Success);
        // Dropped, it ends the wait.
        let mut idle = Idle { worker: self, waits: false };
        let job = poll_fn(|cx| within_budget(cx, |cx| idle.poll(cx))).await?;
        idle.worker.working = true;
        Some(job)
    }

    /// Completes the last job and blocks the thread until the next one. No runtime is needed.
    ///
    /// Otherwise it works as [`next`](Self::next).
    pub fn blocking_next(&mut self) -> Option<J> {
        let clock = self.shared.clock.clone();
        clock.block_on(self.next())
    }

    fn complete(&mut self, outcome: Outcome) {
        if std::mem::take(&mut self.working) {
            let shared = &*self.shared;
            shared.observer.emit(|| Event::completed(shared.name, outcome));
        }
    }
}

/// A worker that waits for a job.
struct Idle<'a, J> {
    worker: &'a mut Worker<J>,
    waits: bool,
}

impl<J> Idle<'_, J> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<J>> {
        let (shared, index) = (&*self.worker.shared, self.worker.index);
        let Some(handoff) = shared.handoffs.get(index) else { return Poll::Ready(None) };
        let job = match handoff.wait(cx.waker().clone(), || shared.is_closed()) {
            Found::Job(job) => Some(job),
            Found::Closed => return Poll::Ready(shared.take_stranded()),
            Found::Nothing { new: false } => None,
            Found::Nothing { new: true } => {
                self.waits = true;
                shared.idle.insert(index);
                // After that: the job of a worker that was dropped finds this one, or is found.
                if shared.has_stranded() {
                    shared.deliver_stranded();
                }
                handoff.take()
            }
        };
        match job {
            Some(job) => {
                // Its number was removed by the submitter.
                self.waits = false;
                Poll::Ready(Some(job))
            }
            None => Poll::Pending,
        }
    }
}

impl<J> Drop for Idle<'_, J> {
    fn drop(&mut self) {
        let (shared, index) = (&*self.worker.shared, self.worker.index);
        if self.waits
            && let Some(handoff) = shared.handoffs.get(index)
        {
            drop(handoff.withdraw());
            shared.idle.remove(index);
        }
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.complete(if std::thread::panicking() { Outcome::Failure } else { Outcome::Cancelled });
        let job = self.shared.handoffs.get(self.index).and_then(|handoff| handoff.take());
        self.shared.missing().push(self.index);
        if let Some(job) = job {
            self.shared.strand(job);
        }
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.shared.name).field("index", &self.index).finish()
    }
}
