//! The cells of `Workers`.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use plimsoll::dispatch::Worker;
use plimsoll::{Dice, Rejected, Workers};

use super::pools::{Pool, erlang_b, loss_system};
use crate::sim::dice;
use crate::trouble::cell::{Cell, Size};
use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::row::{Phase, Row};

const GUARD: Guard = Guard::Workers;

/// Returns the cells.
pub(crate) fn cells() -> Vec<Cell> {
    vec![
        Cell::new(GUARD, Trouble::T1, long_stall),
        Cell::new(GUARD, Trouble::T14, workers_busy_for_minutes),
        Cell::new(GUARD, Trouble::T15, workers_are_aborted),
        Cell::new(GUARD, Trouble::T21, almost_all_busy),
        Cell::new(GUARD, Trouble::T22, many_threads),
    ]
}

/// The troubles without a meaning here, and why.
pub(crate) const WITHOUT_MEANING: &[(Trouble, &str)] = &[
    (Trouble::T4, "It does not read how calls end."),
    (Trouble::T5, "It does not read how calls end."),
    (Trouble::T8, "It keeps no history, so idle time changes nothing."),
    (Trouble::T10, "It has no keys."),
    (Trouble::T11, "It has no queue."),
    (Trouble::T12, "No caller waits in it."),
    (Trouble::T13, "It reads no signal."),
];

/// The troubles that nobody has measured yet.
pub(crate) const NOT_YET: &[Trouble] = &[
    Trouble::T2,
    Trouble::T3,
    Trouble::T6,
    Trouble::T7,
    Trouble::T9,
    Trouble::T16,
    Trouble::T17,
    Trouble::T18,
    Trouble::T19,
    Trouble::T20,
];

type Idle = Pin<Box<dyn Future<Output = (Worker<u64>, Option<u64>)>>>;

/// Workers whose jobs end when they are released.
struct Crew {
    workers: Workers<u64>,
    idle: Vec<Idle>,
    busy: Vec<Option<Worker<u64>>>,
    jobs: u64,
}

fn wait(mut worker: Worker<u64>) -> Idle {
    Box::pin(async move {
        let job = worker.next().await;
        (worker, job)
    })
}

fn poll(idle: &mut Idle) -> Option<(Worker<u64>, Option<u64>)> {
    match idle.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

impl Crew {
    fn new(workers: u32, seed: u64) -> Self {
        let built = Workers::builder().workers(workers).dice(dice(seed, 100)).build();
        let (workers, all) = built.unwrap_or_else(|error| unreachable!("{error}"));
        let mut crew = Crew { workers, idle: Vec::new(), busy: Vec::new(), jobs: 0 };
        all.into_iter().for_each(|worker| crew.rest(worker));
        crew
    }

    /// Makes the worker wait for a job.
    fn rest(&mut self, worker: Worker<u64>) {
        let mut idle = wait(worker);
        match poll(&mut idle) {
            Some((worker, _)) => self.busy.push(Some(worker)),
            None => self.idle.push(idle),
        }
    }

    /// Returns the number of the worker that has a job.
    fn begin(&mut self) -> usize {
        let begun = (0..self.idle.len()).find_map(|at| {
            let ready = self.idle.get_mut(at).and_then(poll)?;
            drop(self.idle.swap_remove(at));
            Some(ready.0)
        });
        let free = self.busy.iter().position(Option::is_none).unwrap_or(self.busy.len());
        match self.busy.get_mut(free) {
            Some(place) => *place = begun,
            None => self.busy.push(begun),
        }
        free
    }
}

impl Pool for Crew {
    fn take(&mut self) -> Result<usize, Rejected> {
        self.jobs += 1;
        self.workers.submit(self.jobs).map_err(|error| error.rejected)?;
        Ok(self.begin())
    }

    fn release(&mut self, number: usize) {
        if let Some(worker) = self.busy.get_mut(number).and_then(Option::take) {
            self.rest(worker);
        }
    }
}

/// All work stalls. No more jobs are accepted than there are workers, and all are back at once.
fn long_stall(_: Size, seed: u64) -> Vec<Row> {
    const WORKERS: u32 = 16;
    let mut crew = Crew::new(WORKERS, seed);
    let taken: Vec<usize> = (0..10_000).filter_map(|_| crew.take().ok()).collect();
    let accepted = taken.len();
    taken.into_iter().for_each(|number| crew.release(number));
    let load = f64::from(WORKERS) / 2.0;
    let losses = loss_system(&mut crew, WORKERS, 0, load, &dice(seed, 31));
    let limit = (1.0 - erlang_b(WORKERS, load)) * 98.0;
    vec![
        Row::at_most("jobs accepted while all work stalls", accepted as f64, 16.0, "jobs")
            .phase(Phase::During),
        Row::at_least("accepted at half load", (1.0 - losses.rejected) * 100.0, limit, "%")
            .phase(Phase::After),
    ]
}

/// Half of the workers have a job that lasts for minutes. The others take what they can.
fn workers_busy_for_minutes(_: Size, seed: u64) -> Vec<Row> {
    let (mut crew, held, load) = (Crew::new(16, seed), 8, 6.4);
    let _held: Vec<_> = (0..held).map(|_| crew.take()).collect();
    let losses = loss_system(&mut crew, 16, held, load, &dice(seed, 32));
    let share = (1.0 - losses.rejected) / (1.0 - erlang_b(8, load)) * 100.0;
    let case = "accepted of what 8 idle workers of 16 can do, load 6.4";
    vec![Row::at_least(case, share, 98.0, "%").phase(Phase::During)]
}

/// Workers are aborted at random, also between the hand-over of a job and the moment they take it.
/// Each job that was accepted is done once.
fn workers_are_aborted(_: Size, seed: u64) -> Vec<Row> {
    let mut crew = Crew::new(4, seed);
    let dice: Dice = dice(seed, 33);
    let (mut accepted, mut done) = (0_u32, 0_u32);
    for job in 0..20_000 {
        accepted += u32::from(crew.workers.submit(job).is_ok());
        if dice.chance(0.1) && !crew.idle.is_empty() {
            // Its task is aborted, perhaps with a job that it has not taken.
            drop(crew.idle.swap_remove(dice.below(crew.idle.len() as u64) as usize));
        }
        if dice.chance(0.5) {
            crew.idle.extend(crew.workers.replace().map(wait));
        }
        for mut idle in std::mem::take(&mut crew.idle) {
            match poll(&mut idle) {
                Some((worker, job)) => {
                    done += u32::from(job.is_some());
                    crew.rest(worker);
                }
                None => crew.idle.push(idle),
            }
        }
        // A worker that got its next job at once.
        for worker in std::mem::take(&mut crew.busy).into_iter().flatten() {
            done += 1;
            crew.rest(worker);
        }
    }
    let unfinished = crew.workers.reclaim().len() as u32;
    let lost = accepted.abs_diff(done + unfinished);
    vec![Row::at_most("jobs lost or done twice", f64::from(lost), 0.0, "of 20,000")]
}

/// The workers are busy to 50, 80, 90 or 95 %.
fn almost_all_busy(_: Size, seed: u64) -> Vec<Row> {
    const WORKERS: u32 = 16;
    let (mut rows, mut untrue) = (Vec::new(), 0);
    for offered in [0.5, 0.8, 0.9, 0.95] {
        let load = offered * f64::from(WORKERS);
        let losses = loss_system(&mut Crew::new(WORKERS, seed), WORKERS, 0, load, &dice(seed, 34));
        untrue += losses.untrue;
        let (value, limit) = (losses.rejected * 100.0, erlang_b(WORKERS, load) * 100.0 + 1.0);
        let case = format!("rejected, {WORKERS} workers at {:.0} %", offered * 100.0);
        rows.push(Row::at_most(case, value, limit, "%").phase(Phase::During));
    }
    rows.push(Row::at_most("rejections with an idle worker or untrue numbers", f64::from(untrue), 0.0, ""));
    rows
}

/// Many threads submit to workers on threads of their own. Each job that was accepted is done once.
fn many_threads(size: Size, _: u64) -> Vec<Row> {
    let mut lost = 0.0;
    for threads in [1, 2, 8, 64] {
        let built = Workers::<u64>::new(4);
        let (workers, all) = built.unwrap_or_else(|error| unreachable!("{error}"));
        let (accepted, done) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for mut worker in all {
                let done = &done;
                scope.spawn(move || {
                    while let Some(job) = worker.blocking_next() {
                        done.fetch_add(job, Ordering::Relaxed);
                    }
                });
            }
            let submitters: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        for job in 1..size.pick(300, 20_000) {
                            if workers.submit(job).is_ok() {
                                accepted.fetch_add(job, Ordering::Relaxed);
                            }
                            std::thread::yield_now();
                        }
                    })
                })
                .collect();
            submitters.into_iter().for_each(|submitter| drop(submitter.join()));
            workers.close();
        });
        lost += (accepted.into_inner() as f64 - done.into_inner() as f64).abs();
    }
    vec![Row::at_most("difference of jobs accepted and done", lost, 0.0, "jobs")]
}
