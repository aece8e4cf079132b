//! Workers with a direct hand-off: no queue between who has a job and who does it.

use crate::SlotPick;
use crate::chunks::Chunks;
use crate::slots::{Slot, Slots};
use plimsoll_core::parts::intern;
use plimsoll_core::parts::sync::{AtomicUsize, Ordering};
use plimsoll_core::parts::sync::{Mutex, MutexGuard};
use plimsoll_core::{Clock, ConfigError, Dice, Event, Observe, Observer, Outcome, Reason, Rejected};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

/// So many workers, each of which is handed a job when it is idle; no worker idle, no job taken. A cheap handle:
/// clones hand to the same workers.
///
/// When the last handle is dropped, the workers end.
///
/// Between a hand and a worker there is no queue: a job is with its giver until a worker has it. Each worker is a
/// loop of yours, on a task or on a thread.
///
/// ```
/// use plimsoll_dispatch::Workers;
///
/// # let rt = tokio::runtime::Builder::new_current_thread().build()?;
/// # rt.block_on(async {
/// let (hands, workers) = Workers::<u32>::new(2)?;
/// let done = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
/// let tasks: Vec<_> = workers.into_iter().map(|mut worker| {
///     let done = done.clone();
///     tokio::spawn(async move {
///         while let Some(job) = worker.next().await {
///             done.fetch_add(job, std::sync::atomic::Ordering::Relaxed);
///         }
///     })
/// }).collect();
/// tokio::task::yield_now().await; // both are idle now
/// assert!(hands.submit(1).is_ok() && hands.submit(2).is_ok());
/// let busy = hands.submit(3).unwrap_err(); // at once, and the job is yours still
/// assert_eq!(busy.job, 3);
/// hands.close(); // they finish what they have
/// for task in tasks { task.await?; }
/// assert_eq!(done.load(std::sync::atomic::Ordering::Relaxed), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Workers<J>(Arc<Shared<J>>);

struct Shared<J> {
    name: &'static str,
    observer: Observer,
    // How many handles there are to give by.
    hands: AtomicUsize,
    // A slot is free while its worker is idle.
    slots: Slots,
    desks: Chunks<Handoff<J>>,
    clock: Clock,
    // Whose workers are gone, and may be replaced.
    gone: Mutex<Vec<(u32, Option<Slot>)>>,
}

/// Where a job lies for the moment between giving and taking.
struct Handoff<J>(Mutex<Papers<J>>);

/// A job with the seat of the worker who is to do it, and how to wake that.
type Papers<J> = (Option<(Slot, J)>, Option<Waker>);

impl<J> Default for Handoff<J> {
    fn default() -> Self {
        Handoff(Mutex::new((None, None)))
    }
}

impl<J> Handoff<J> {
    fn lock(&self) -> MutexGuard<'_, Papers<J>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that no worker took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitError<J> {
    /// The job.
    pub job: J,
    /// Why: `Busy`, or `Closed`.
    pub rejected: Rejected,
}

impl<J> fmt::Display for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<J: fmt::Debug> std::error::Error for SubmitError<J> {}

impl<J> Workers<J> {
    /// A handle to hand jobs to, and so many workers to be put to work.
    ///
    /// # Errors
    /// If `workers` is 0 or above 2²⁰.
    pub fn new(workers: u32) -> Result<(Self, Vec<Worker<J>>), ConfigError> {
        Self::with("workers", workers, Clock::system(), None)
    }

    /// The same, with a name, a clock, and an observer that is told each decision.
    ///
    /// # Errors
    /// If `workers` is 0 or above 2²⁰, or the name is empty.
    pub fn with(
        name: &str,
        workers: u32,
        clock: Clock,
        observer: Option<Arc<dyn Observe>>,
    ) -> Result<(Self, Vec<Worker<J>>), ConfigError> {
        plimsoll_core::parts::check::name(name)?;
        crate::config::check_slots(workers)?;
        let name = intern(name);
        // All are tried: a job is not rejected while a worker is idle.
        // Loom wants the same dice each time.
        let dice = if cfg!(plimsoll_loom) { Dice::seeded(1) } else { Dice::thread() };
        let slots = Slots::new(workers, SlotPick::Random, workers, dice);
        let desks = Chunks::new();
        desks.grow(workers);
        let observer = observer.map_or(Observer::none(), |o| Observer::new(o, name));
        let shared = Arc::new(Shared {
            name,
            observer,
            hands: AtomicUsize::new(1),
            slots,
            desks,
            clock,
            gone: Mutex::default(),
        });
        let worker =
            |n| Worker { shared: shared.clone(), slot: n, seat: shared.slots.seize(n), working: false };
        let ends = (0..workers).map(worker).collect();
        Ok((Workers(shared), ends))
    }

    /// Hands `job` to an idle worker, now.
    ///
    /// # Errors
    /// The job comes back if no worker is idle (`Busy`), or after [`close`](Self::close) (`Closed`).
    pub fn submit(&self, job: J) -> Result<(), SubmitError<J>> {
        let its = &*self.0;
        let seat = match its.slots.take(None) {
            Ok(seat) => seat,
            Err(reason) => return Err(SubmitError { job, rejected: self.rejected(reason) }),
        };
        its.observer.emit(|| Event::admitted(its.name));
        if let Some(desk) = its.desks.get(seat.slot) {
            let mut desk = desk.lock();
            // The worker gets the seat with the job: it frees the slot when it asks for the next one.
            desk.0 = Some((seat, job));
            let waker = desk.1.take();
            drop(desk);
            waker.into_iter().for_each(plimsoll_core::parts::wake);
        }
        Ok(())
    }

    #[cold]
    fn rejected(&self, reason: Reason) -> Rejected {
        let its = &*self.0;
        let why = if reason != Reason::Busy || its.slots.is_closed() {
            // A worker whose slot we took for a moment, until we saw that it was closed, waits for a job of ours.
            self.wake_all();
            Rejected::new(its.name, Reason::Closed)
        } else {
            let limit = u64::from(its.slots.limit());
            Rejected::new(its.name, reason).numbers(limit, limit)
        };
        its.observer.emit(|| Event::rejected(why));
        why
    }

    /// A worker in place of one that has gone: whose task ended, or panicked. `None` if none has.
    pub fn replace(&self) -> Option<Worker<J>> {
        let (slot, seat) = self.gone().pop()?;
        Some(Worker { shared: self.0.clone(), slot, seat, working: false })
    }

    fn gone(&self) -> MutexGuard<'_, Vec<(u32, Option<Slot>)>> {
        self.0.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out nothing from now on; workers that are idle end, the others when they have done what they have.
    pub fn close(&self) {
        self.0.slots.close();
        self.wake_all();
    }

    fn wake_all(&self) {
        for desk in self.0.desks.iter() {
            let waker = desk.lock().1.take();
            waker.into_iter().for_each(plimsoll_core::parts::wake);
        }
    }

    /// How many workers there are, with those who have gone.
    pub fn workers(&self) -> u32 {
        self.0.slots.limit()
    }

    /// How many are idle now. Looks at each.
    pub fn idle(&self) -> u32 {
        self.workers().saturating_sub(self.0.slots.taken())
    }

    /// How many have gone and not been replaced.
    pub fn missing(&self) -> usize {
        self.gone().len()
    }
}

/// A worker's end: it is handed one job at a time. Dropped, it counts as gone until it is
/// [replaced](Workers::replace); a job that it was handed and has not taken waits for the new one.
pub struct Worker<J> {
    shared: Arc<Shared<J>>,
    slot: u32,
    // While it is not idle.
    seat: Option<Slot>,
    working: bool,
}

impl<J> Worker<J> {
    /// The last job is done; waits for the next. `None` when it is closed.
    ///
    /// # Cancel safety
    /// Dropped while it waits, this worker is not idle any more; a job that it was handed in the same moment is
    /// there at the next call.
    pub async fn next(&mut self) -> Option<J> {
        self.done(Outcome::Success);
        if let Some(seat) = self.seat.take() {
            self.shared.slots.free(seat, false);
        }
        // Dropped, it is not idle any more.
        let mut idle = Idle(self);
        let (seat, job) = poll_fn(|cx| idle.poll(cx)).await?;
        idle.0.seat = Some(seat);
        idle.0.working = true;
        Some(job)
    }

    /// [`next`](Self::next) on a plain thread, no runtime needed.
    pub fn blocking_next(&mut self) -> Option<J> {
        let clock = self.shared.clock.clone();
        clock.block_until(None, self.next()).flatten()
    }

    fn done(&mut self, outcome: Outcome) {
        if std::mem::take(&mut self.working) {
            let its = &*self.shared;
            its.observer.emit(|| Event::completed(its.name, outcome));
        }
    }
}

/// A worker that waits for a job.
struct Idle<'a, J>(&'a mut Worker<J>);

impl<J> Idle<'_, J> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Slot, J)>> {
        let its = &*self.0.shared;
        let waker = cx.waker().clone();
        let Some(desk) = its.desks.get(self.0.slot) else { return Poll::Ready(None) };
        let mut papers = desk.lock();
        if let Some(work) = papers.0.take() {
            return Poll::Ready(Some(work));
        }
        let old = papers.1.replace(waker);
        drop(papers);
        drop(old);
        // After it can be woken. Whoever has taken our slot will bring a job, even now.
        if its.slots.is_closed() && self.rise() { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Not idle from now on, unless somebody brings a job.
    fn rise(&mut self) -> bool {
        if self.0.seat.is_none() {
            self.0.seat = self.0.shared.slots.seize(self.0.slot);
        }
        self.0.seat.is_some()
    }
}

impl<J> Drop for Idle<'_, J> {
    fn drop(&mut self) {
        self.rise();
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.done(if std::thread::panicking() { Outcome::Failure } else { Outcome::Cancelled });
        let gone = (self.slot, self.seat.take());
        self.shared.gone.lock().unwrap_or_else(PoisonError::into_inner).push(gone);
    }
}

impl<J> Clone for Workers<J> {
    fn clone(&self) -> Self {
        // Relaxed: there is one while another is made.
        self.0.hands.fetch_add(1, Ordering::Relaxed);
        Workers(self.0.clone())
    }
}

/// Nobody is left to hand anything over: the workers end, as after [`close`](Workers::close).
impl<J> Drop for Workers<J> {
    fn drop(&mut self) {
        if self.0.hands.fetch_sub(1, Ordering::AcqRel) == 1 {
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
            .field("closed", &self.0.slots.is_closed())
            .finish()
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.shared.name).field("slot", &self.slot).finish()
    }
}
