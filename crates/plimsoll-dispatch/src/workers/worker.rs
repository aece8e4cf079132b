//! A worker, and replacing one.

use super::{Shared, Workers};
use crate::slots::Slot;
use plimsoll_core::parts::within_budget;
use plimsoll_core::{Event, Outcome};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A worker, which receives one job at a time.
///
/// Dropped, it counts as missing until it is [replaced](Workers::replace). A job that was handed
/// over and not yet taken waits for the replacement.
pub struct Worker<J> {
    shared: Arc<Shared<J>>,
    index: u32,
    // Its own slot, while it is not idle.
    slot: Option<Slot>,
    working: bool,
}

impl<J> Workers<J> {
    /// Returns a worker in place of a missing one, whose task has ended or panicked. `None` if no
    /// worker is missing.
    pub fn replace(&self) -> Option<Worker<J>> {
        let (index, slot) = self.0.missing().pop()?;
        Some(Worker::new(self.0.clone(), index, slot))
    }
}

impl<J> Worker<J> {
    pub(super) fn new(shared: Arc<Shared<J>>, index: u32, slot: Option<Slot>) -> Self {
        Worker { shared, index, slot, working: false }
    }

    /// Completes the last job and waits for the next one. `None` after [`close`](Workers::close).
    ///
    /// # Cancel safety
    /// Dropped while it waits, the worker is no longer idle. A job that was handed over at the same
    /// moment is returned by the next call.
    pub async fn next(&mut self) -> Option<J> {
        self.complete(Outcome::Success);
        if let Some(slot) = self.slot.take() {
            self.shared.slots.release(slot, false);
        }
        // Dropped, it ends the idle state.
        let mut idle = Idle(self);
        let (slot, job) = poll_fn(|cx| within_budget(cx, |cx| idle.poll(cx))).await?;
        idle.0.slot = Some(slot);
        idle.0.working = true;
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
struct Idle<'a, J>(&'a mut Worker<J>);

impl<J> Idle<'_, J> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Slot, J)>> {
        let shared = &*self.0.shared;
        let Some(handoff) = shared.handoffs.get(self.0.index) else { return Poll::Ready(None) };
        if let Some(job) = handoff.take(cx.waker().clone()) {
            return Poll::Ready(Some(job));
        }
        // After the waker is stored. A submitter that has taken the slot hands over a job even now.
        if shared.slots.is_closed() && self.end() { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Ends the idle state: takes the worker's own slot. Returns `false` if a submitter has taken
    /// it and hands over a job.
    fn end(&mut self) -> bool {
        if self.0.slot.is_none() {
            self.0.slot = self.0.shared.slots.seize(self.0.index);
        }
        self.0.slot.is_some()
    }
}

impl<J> Drop for Idle<'_, J> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.complete(if std::thread::panicking() { Outcome::Failure } else { Outcome::Cancelled });
        let missing = (self.index, self.slot.take());
        self.shared.missing().push(missing);
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.shared.name).field("index", &self.index).finish()
    }
}
