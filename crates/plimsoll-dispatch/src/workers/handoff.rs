//! The hand-off of a job: no queue between its submitter and the worker.

use crate::slots::Slot;
use plimsoll_core::parts::sync::{Mutex, MutexGuard, recover};
use plimsoll_core::parts::wake;
use std::task::Waker;

/// Holds a job between its submission and the moment the worker takes it.
pub(super) struct Handoff<J>(Mutex<State<J>>);

struct State<J> {
    // The job, with the slot of the worker.
    job: Option<(Slot, J)>,
    waker: Option<Waker>,
}

impl<J> Default for Handoff<J> {
    fn default() -> Self {
        Handoff(Mutex::new(State { job: None, waker: None }))
    }
}

impl<J> Handoff<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        recover(self.0.lock())
    }

    /// Hands over a job and wakes the worker.
    ///
    /// The worker gets its slot with the job, and releases it when it waits for the next one.
    pub(super) fn put(&self, slot: Slot, job: J) {
        let mut state = self.lock();
        state.job = Some((slot, job));
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(wake);
    }

    /// Takes the job. If there is none, stores the waker instead.
    pub(super) fn take(&self, waker: Waker) -> Option<(Slot, J)> {
        let mut state = self.lock();
        if let Some(job) = state.job.take() {
            return Some(job);
        }
        let old = state.waker.replace(waker);
        // The old waker is foreign code: it is dropped after the lock is released.
        drop(state);
        drop(old);
        None
    }

    /// Wakes the worker if it waits.
    pub(super) fn wake(&self) {
        let waker = self.lock().waker.take();
        waker.into_iter().for_each(wake);
    }
}
