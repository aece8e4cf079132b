//! Workers with a direct hand-off: the handle that jobs are submitted to.

mod builder;
mod config;
mod handoff;
mod worker;

use crate::chunks::Chunks;
use crate::slots::{Slot, Slots};
use handoff::Handoff;
use plimsoll_core::parts::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::{Clock, ControlError, Event, Inspect, Observer, Reason, Rejected};
use std::fmt;
use std::sync::Arc;

pub use builder::WorkersBuilder;
pub use config::WorkersConfig;
pub use worker::Worker;

/// Hands each job to an idle worker, or rejects it if none is idle.
///
/// A cheap handle: clones share the workers. When the last handle is dropped, the workers end.
///
/// There is no queue: a job stays with its submitter until a worker has it. Each worker is a loop
/// of the caller's, on a task or on a thread.
///
/// # Examples
/// ```
/// use plimsoll_dispatch::Workers;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// # let rt = tokio::runtime::Builder::new_current_thread().build()?;
/// # rt.block_on(async {
/// let (workers, all) = Workers::<u32>::new(2)?;
/// let sum = Arc::new(AtomicU32::new(0));
/// let tasks: Vec<_> = all.into_iter().map(|mut worker| {
///     let sum = sum.clone();
///     tokio::spawn(async move {
///         while let Some(job) = worker.next().await {
///             sum.fetch_add(job, Relaxed);
///         }
///     })
/// }).collect();
/// tokio::task::yield_now().await; // now both are idle
/// assert!(workers.submit(1).is_ok() && workers.submit(2).is_ok());
/// let error = workers.submit(3).unwrap_err(); // rejected at once, and the job comes back
/// assert_eq!(error.job, 3);
/// workers.close(); // the workers finish their jobs and end
/// for task in tasks { task.await?; }
/// assert_eq!(sum.load(Relaxed), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "worker pool")]
#[doc(alias = "thread pool")]
#[doc(alias = "executor")]
#[doc(alias = "job pool")]
pub struct Workers<J>(Arc<Shared<J>>);

struct Shared<J> {
    name: &'static str,
    clock: Clock,
    observer: Observer,
    // The number of `Workers` handles.
    handles: AtomicUsize,
    // A slot is free while its worker is idle.
    slots: Slots,
    handoffs: Chunks<Handoff<J>>,
    // The workers that were dropped and not yet replaced, each with its slot unless it was idle.
    missing: Mutex<Vec<(u32, Option<Slot>)>>,
}

/// A job that no worker took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitError<J> {
    /// The job.
    pub job: J,
    /// The rejection: `Busy` or `Closed`.
    pub rejected: Rejected,
}

impl<J> fmt::Display for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<J: fmt::Debug> std::error::Error for SubmitError<J> {}

impl<J> Workers<J> {
    /// Hands `job` to an idle worker. Never waits.
    ///
    /// # Errors
    /// Returns the job with the rejection: `Busy` if no worker is idle, `Closed` after
    /// [`close`](Self::close).
    #[doc(alias = "give")]
    #[doc(alias = "execute")]
    #[doc(alias = "spawn")]
    pub fn submit(&self, job: J) -> Result<(), SubmitError<J>> {
        let shared = &*self.0;
        let slot = match shared.slots.take(None) {
            Ok(slot) => slot,
            Err(reason) => return Err(SubmitError { job, rejected: self.rejected(reason) }),
        };
        shared.observer.emit(|| Event::admitted(shared.name));
        if let Some(handoff) = shared.handoffs.get(slot.index) {
            handoff.put(slot, job);
        }
        Ok(())
    }

    #[cold]
    fn rejected(&self, reason: Reason) -> Rejected {
        let shared = &*self.0;
        let rejected = if reason != Reason::Busy || shared.slots.is_closed() {
            // This call may have held the slot of a worker until it saw that the workers were
            // closed. That worker waits for a job of this call.
            self.wake_all();
            Rejected::new(shared.name, Reason::Closed)
        } else {
            let limit = u64::from(shared.slots.limit());
            Rejected::new(shared.name, reason).numbers(limit, limit)
        };
        shared.observer.emit(|| Event::rejected(rejected));
        rejected
    }

    /// Rejects all jobs from now on with `Closed`.
    ///
    /// Idle workers end at once, the others when they have finished their jobs.
    pub fn close(&self) {
        self.0.slots.close();
        self.wake_all();
    }

    /// Returns whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.slots.is_closed()
    }

    fn wake_all(&self) {
        self.0.handoffs.iter().for_each(Handoff::wake);
    }

    /// Returns the number of workers, the missing ones included.
    pub fn workers(&self) -> u32 {
        self.0.slots.limit()
    }

    /// Returns the number of idle workers. It reads the state of every worker.
    pub fn idle(&self) -> u32 {
        self.workers().saturating_sub(self.0.slots.in_use())
    }

    /// Returns the number of workers that were dropped and not yet [replaced](Self::replace).
    pub fn missing(&self) -> usize {
        self.0.missing().len()
    }

    /// Returns the name that rejections carry.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl<J> Shared<J> {
    fn missing(&self) -> MutexGuard<'_, Vec<(u32, Option<Slot>)>> {
        recover(self.missing.lock())
    }
}

impl<J: Send> Inspect for Workers<J> {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn read(&self, each: &mut dyn FnMut(&'static str, f64)) {
        each("workers", f64::from(self.workers()));
        each("idle", f64::from(self.idle()));
        each("missing", self.missing() as f64);
    }

    /// There are no settings.
    fn set(&self, setting: &str, _: f64) -> Result<(), ControlError> {
        Err(ControlError::unknown(setting, &[]))
    }
}

impl<J> Clone for Workers<J> {
    fn clone(&self) -> Self {
        // Relaxed: the handle that is cloned keeps the count above zero.
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Workers(self.0.clone())
    }
}

/// With the last handle, the workers end, as after [`close`](Workers::close).
impl<J> Drop for Workers<J> {
    fn drop(&mut self) {
        // AcqRel: the last handle to be dropped sees what was done with the others.
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

impl<J> fmt::Debug for Workers<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("name", &self.0.name)
            .field("workers", &self.workers())
            .field("idle", &self.idle())
            .field("missing", &self.missing())
            .field("closed", &self.is_closed())
            .finish()
    }
}
