//! The cells of `Workers`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use plimsoll::dispatch::Worker;
use plimsoll::{Clock, Instant, Workers};
use tower_service::Service;

use super::worker_pool::{almost_all_busy, workers_are_aborted};
use crate::sim::{CallError, Request};
use crate::trouble::cell::{Cell, Size};
use crate::trouble::far::{FarCall, FarSide};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::Row;
use crate::trouble::scenes::{Lengths, SLOTS, SYSTEM, bounded, judge, scenes};

const GUARD: Guard = Guard::Workers;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    let troubles = SYSTEM.into_iter().chain([Trouble::T14]);
    let mut cells: Vec<Cell> = troubles.map(|trouble| Cell::of(GUARD, trouble, measure)).collect();
    cells.push(Cell::new(GUARD, Trouble::T21, almost_all_busy));
    cells.push(Cell::new(GUARD, Trouble::T22, many_threads));
    cells
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T9, "It has no setting that can be changed."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
    (Trouble::T19, "It reads no clock to hand over a job."),
];

/// The scenes of a trouble, and what only workers can show.
fn measure(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let mut rows = system(trouble, size, seed);
    if trouble == Trouble::T15 {
        rows.extend(workers_are_aborted(seed));
    }
    rows
}

/// As many workers as the far side has slots.
fn system(trouble: Trouble, size: Size, seed: u64) -> Vec<Row> {
    let scenes = scenes(trouble, size, Lengths::new(size));
    judge(
        &scenes,
        seed,
        "",
        |scene, _| bounded(scene, 0),
        |bench| {
            let builder = Workers::builder().workers(SLOTS).clock(bench.clock()).dice(bench.dice(0));
            let (workers, all) = builder.build()?;
            let idle = all.into_iter().map(idle).collect();
            let crew = Rc::new(RefCell::new(Crew { idle, orphans: Vec::new(), clock: bench.clock() }));
            let (watched, rest) = (workers.clone(), crew.clone());
            bench.held(move || {
                rest.borrow_mut().work_off();
                u64::from(watched.workers() - watched.idle())
            });
            Ok(Submits { workers, crew, far: bench.far() })
        },
    )
}

/// Submitters and workers on threads of their own: each job that a worker has taken is done once.
fn many_threads(size: Size, _: u64) -> Vec<Row> {
    let rounds = size.pick(2_000, 50_000);
    let each = [1, 2, 8, 64].map(|submitters| {
        let (submitted, done) = hand_over(submitters, rounds);
        let case = format!("{submitters} submitters, 4 workers: jobs done twice or never");
        Row::at_most(case, submitted.abs_diff(done) as f64, 0.0, "jobs")
    });
    each.into()
}

/// Returns how many jobs were handed over, and how many were done.
fn hand_over(submitters: u32, rounds: u32) -> (u64, u64) {
    let (workers, all) = Workers::new(4).unwrap_or_else(|error| unreachable!("{error}"));
    let (submitted, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for mut worker in all {
            let done = &done;
            scope.spawn(move || {
                while worker.blocking_next().is_some() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let submitting: Vec<_> = (0..submitters)
            .map(|_| {
                let (workers, submitted) = (workers.clone(), &submitted);
                scope.spawn(move || {
                    for _ in 0..rounds / submitters {
                        submitted.fetch_add(u64::from(workers.submit(()).is_ok()), Ordering::Relaxed);
                        thread::yield_now();
                    }
                })
            })
            .collect();
        for one in submitting {
            let _ = one.join();
        }
        workers.close();
    });
    (submitted.into_inner(), done.into_inner())
}

/// A worker that waits for a job.
type Idle = Pin<Box<dyn Future<Output = (Worker<()>, Option<()>)>>>;

/// Makes a worker wait for its next job.
fn idle(mut worker: Worker<()>) -> Idle {
    let mut waiting: Idle = Box::pin(async move {
        let job = worker.next().await;
        (worker, job)
    });
    let _ = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    waiting
}

/// The workers: those that wait, and those whose submitter has left.
struct Crew {
    idle: Vec<Idle>,
    /// Calls whose submitters have left, and when their workers give up.
    orphans: Vec<(Worker<()>, FarCall, Instant)>,
    clock: Clock,
}

/// A worker gives up this long after its submitter.
const GIVES_UP_AFTER: Duration = Duration::from_secs(1);

impl Crew {
    /// Lets the workers whose submitters have left go on.
    fn work_off(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let now = self.clock.now();
        for (worker, mut call, until) in std::mem::take(&mut self.orphans) {
            if until <= now || Pin::new(&mut call).poll(&mut cx).is_ready() {
                self.idle.push(idle(worker));
            } else {
                self.orphans.push((worker, call, until));
            }
        }
    }

    /// Returns the worker to which a job was handed over.
    fn take_busy(&mut self) -> Option<Worker<()>> {
        let mut cx = Context::from_waker(Waker::noop());
        for at in 0..self.idle.len() {
            let ready = self.idle.get_mut(at).map(|one| one.as_mut().poll(&mut cx));
            if let Some(Poll::Ready((worker, Some(())))) = ready {
                drop(self.idle.swap_remove(at));
                return Some(worker);
            }
        }
        None
    }
}

/// Submits each request as a job. Workers call the far side, whether the submitter stays or not.
struct Submits {
    workers: Workers<()>,
    crew: Rc<RefCell<Crew>>,
    far: FarSide,
}

impl Service<Request> for Submits {
    type Response = ();
    type Error = CallError;
    type Future = Job;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Job {
        let mut crew = self.crew.borrow_mut();
        crew.work_off();
        let worker = self.workers.submit(()).ok().and_then(|()| crew.take_busy());
        let call = worker.map(|worker| (worker, self.far.call(request)));
        Job { call, crew: self.crew.clone() }
    }
}

/// A job, or none if it was rejected.
struct Job {
    call: Option<(Worker<()>, FarCall)>,
    crew: Rc<RefCell<Crew>>,
}

impl Future for Job {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((_, call)) = &mut self.call else { return Poll::Ready(Err(CallError::Rejected)) };
        let end = Pin::new(call).poll(cx);
        if end.is_ready()
            && let Some((worker, _)) = self.call.take()
        {
            self.crew.borrow_mut().idle.push(idle(worker));
        }
        end
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some((worker, call)) = self.call.take() {
            let mut crew = self.crew.borrow_mut();
            let until = crew.clock.now() + GIVES_UP_AFTER;
            crew.orphans.push((worker, call, until));
        }
    }
}
