//! The hand-off of a job: no queue between its submitter and the worker.

use plimsoll_core::parts::sync::{Mutex, MutexGuard, recover};
use std::task::Waker;

/// Holds a job between its submission and the moment the worker takes it.
///
/// Its lock decides whether the worker gets a job: a worker that has withdrawn is given none.
pub(super) struct Handoff<J>(Mutex<State<J>>);

struct State<J> {
    // Whether the worker waits for a job.
    open: bool,
    job: Option<J>,
    waker: Option<Waker>,
}

/// What a worker finds that waits.
pub(super) enum Found<J> {
    Job(J),
    Closed,
    /// No job. `new` states whether the worker has just begun to wait.
    Nothing {
        new: bool,
    },
}

impl<J> Default for Handoff<J> {
    fn default() -> Self {
        Handoff(Mutex::new(State { open: false, job: None, waker: None }))
    }
}

impl<J> Handoff<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        recover(self.0.lock())
    }

    /// Hands over a job. Returns the waker of the worker, to be called without any lock.
    ///
    /// Returns the job if the worker does not wait.
    pub(super) fn put(&self, job: J) -> Result<Option<Waker>, J> {
        let mut state = self.lock();
        if !state.open {
            return Err(job);
        }
        state.open = false;
        state.job = Some(job);
        Ok(state.waker.take())
    }

    /// Takes the job. If there is none, stores the waker and begins to wait, unless it is closed.
    pub(super) fn wait(&self, waker: Waker, is_closed: impl FnOnce() -> bool) -> Found<J> {
        let mut state = self.lock();
        if let Some(job) = state.job.take() {
            return Found::Job(job);
        }
        // Read under the lock: `close` comes here after it has set the flag. A worker that sees the
        // flag earlier is given no job any more.
        let open = !is_closed();
        let was_open = std::mem::replace(&mut state.open, open);
        let old = state.waker.replace(waker);
        // The old waker is foreign code: it is dropped after the lock is released.
        drop(state);
        drop(old);
        if open { Found::Nothing { new: !was_open } } else { Found::Closed }
    }

    /// Takes the job, if there is one.
    pub(super) fn take(&self) -> Option<J> {
        self.lock().job.take()
    }

    /// Ends the wait. A job that was handed over stays.
    pub(super) fn withdraw(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.open = false;
        state.waker.take()
    }
}
