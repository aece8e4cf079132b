//! Workers with a direct hand-off: the handle that jobs are submitted to.

mod builder;
mod config;
mod handoff;
mod worker;

use crate::bitmap::Bitmap;
use crate::chunks::Chunks;
use handoff::Handoff;
use plimsoll_core::parts::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, recover};
use plimsoll_core::parts::{OneOrMany, wake};
use plimsoll_core::{Clock, ControlError, Dice, Event, Inspect, Observer, Reason, Rejected};
use std::collections::VecDeque;
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
    dice: Dice,
    workers: u32,
    // The number of `Workers` handles.
    handles: AtomicUsize,
    closed: AtomicBool,
    // The workers that wait for a job. A hint: the hand-off decides.
    idle: Bitmap,
    handoffs: Chunks<Handoff<J>>,
    // The workers that were dropped and not yet replaced.
    missing: Mutex<Vec<u32>>,
    // The jobs of workers that were dropped before they took them, and their number.
    stranded: Mutex<VecDeque<J>>,
    stranded_count: AtomicUsize,
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
        let (shared, mut job) = (&*self.0, job);
        // Acquire: pairs with the Release in `close`.
        while !shared.is_closed() {
            let Some(handoff) = shared.take_idle() else {
                return Err(SubmitError { job, rejected: self.rejected(Reason::Busy) });
            };
            match handoff.put(job) {
                Ok(waker) => {
                    shared.observer.emit(|| Event::admitted(shared.name));
                    waker.into_iter().for_each(wake);
                    return Ok(());
                }
                // The worker has stopped waiting. Another may be idle.
                Err(back) => job = back,
            }
        }
        Err(SubmitError { job, rejected: self.rejected(Reason::Closed) })
    }

    #[cold]
    fn rejected(&self, reason: Reason) -> Rejected {
        let shared = &*self.0;
        let workers = u64::from(shared.workers);
        let rejected = Rejected::new(shared.name, reason);
        let rejected = if reason == Reason::Busy { rejected.numbers(workers, workers) } else { rejected };
        shared.observer.emit(|| Event::rejected(rejected));
        rejected
    }

    /// Rejects all jobs from now on with `Closed`.
    ///
    /// Idle workers end at once, the others when they have finished their jobs.
    pub fn close(&self) {
        // Release: pairs with the Acquire in `is_closed`. A worker that begins to wait reads the
        // flag under the lock of its hand-off, so it sees the flag or is woken here.
        self.0.closed.store(true, Ordering::Release);
        for handoff in self.0.handoffs.iter() {
            handoff.withdraw().into_iter().for_each(wake);
        }
    }

    /// Returns whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Takes back the jobs that were handed to workers which were dropped before they took them.
    ///
    /// Such a job stays here only while no worker is idle. The next idle worker gets it, or after
    /// [`close`](Self::close) the next one that has finished its job. If no worker is left, call
    /// this, or the jobs are dropped with the last handle. That emits [`Event::Lost`].
    pub fn reclaim(&self) -> Vec<J> {
        std::iter::from_fn(|| self.0.take_stranded()).collect()
    }

    /// Returns the number of workers, the missing ones included.
    pub fn workers(&self) -> u32 {
        self.0.workers
    }

    /// Returns the number of idle workers. It reads a bit of every worker.
    pub fn idle(&self) -> u32 {
        if self.is_closed() { 0 } else { self.0.idle.count(self.0.workers) }
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
    fn missing(&self) -> MutexGuard<'_, Vec<u32>> {
        recover(self.missing.lock())
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes an idle worker at random, and returns its hand-off.
    fn take_idle(&self) -> Option<&Handoff<J>> {
        let from = self.dice.below(u64::from(self.workers)) as u32;
        loop {
            let next = |thorough| self.idle.next(from, self.workers, thorough);
            let index = next(false).or_else(|| next(true))?;
            if self.idle.remove(index) {
                return self.handoffs.get(index);
            }
        }
    }

    /// Passes on the job of a worker that was dropped.
    fn strand(&self, job: J) {
        let mut stranded = recover(self.stranded.lock());
        stranded.push_back(job);
        // AcqRel: pairs with `has_stranded`.
        self.stranded_count.fetch_add(1, Ordering::AcqRel);
        drop(stranded);
        self.deliver_stranded();
    }

    /// Returns whether jobs wait for an idle worker. Called by a worker that has become idle.
    fn has_stranded(&self) -> bool {
        // A write that changes nothing reads the latest value. If a job is stranded after that, its
        // thread sees the worker that calls this.
        self.stranded_count.fetch_add(0, Ordering::AcqRel) > 0
    }

    fn take_stranded(&self) -> Option<J> {
        let job = recover(self.stranded.lock()).pop_front()?;
        self.stranded_count.fetch_sub(1, Ordering::AcqRel);
        Some(job)
    }

    /// Hands the jobs of dropped workers to idle ones.
    fn deliver_stranded(&self) {
        let mut wakers = OneOrMany::none();
        let mut stranded = recover(self.stranded.lock());
        while !stranded.is_empty()
            && let Some(handoff) = self.take_idle()
            && let Some(job) = stranded.pop_front()
        {
            match handoff.put(job) {
                Ok(waker) => {
                    self.stranded_count.fetch_sub(1, Ordering::AcqRel);
                    waker.into_iter().for_each(|waker| wakers.push(waker));
                }
                Err(job) => stranded.push_front(job),
            }
        }
        drop(stranded);
        wakers.for_each(wake);
    }
}

/// The jobs that no worker will take are lost, and an event states their number.
impl<J> Drop for Shared<J> {
    fn drop(&mut self) {
        let lost = std::iter::from_fn(|| self.take_stranded()).count() as u64;
        if lost > 0 {
            let (name, lost_event) = (self.name, Event::lost(self.name, Reason::Closed, lost));
            self.observer.emit_all(|emit| {
                // None of them has begun.
                (0..lost).for_each(|_| emit(Event::refunded(name)));
                emit(lost_event);
            });
        }
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
