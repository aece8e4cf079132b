//! Workers without a far side: as a loss system, and aborted at random.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use plimsoll::dispatch::Worker;
use plimsoll::{Dice, Rejected, Workers};

use super::pools::{Pool, loss_system};
use crate::sim::dice;
use crate::trouble::cell::Size;
use crate::trouble::erlang::erlang_b;
use crate::trouble::row::{Phase, Row};

type WaitingWorker = Pin<Box<dyn Future<Output = (Worker<u64>, Option<u64>)>>>;

/// Workers whose jobs end when they are released.
struct WorkerPool {
    workers: Workers<u64>,
    idle: Vec<WaitingWorker>,
    busy: Vec<Option<Worker<u64>>>,
    jobs: u64,
}

fn wait(mut worker: Worker<u64>) -> WaitingWorker {
    Box::pin(async move {
        let job = worker.next().await;
        (worker, job)
    })
}

fn poll(idle: &mut WaitingWorker) -> Option<(Worker<u64>, Option<u64>)> {
    match idle.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

impl WorkerPool {
    fn new(workers: u32, seed: u64) -> Self {
        let built = Workers::builder().workers(workers).dice(dice(seed, 100)).build();
        let (workers, all) = built.unwrap_or_else(|error| unreachable!("{error}"));
        let mut pool = WorkerPool { workers, idle: Vec::new(), busy: Vec::new(), jobs: 0 };
        all.into_iter().for_each(|worker| pool.rest(worker));
        pool
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

impl Pool for WorkerPool {
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

/// Workers are aborted at random, also between the hand-over of a job and the moment they take it.
/// Each job that was accepted is done once.
pub(super) fn workers_are_aborted(seed: u64) -> Vec<Row> {
    let mut pool = WorkerPool::new(4, seed);
    let dice: Dice = dice(seed, 33);
    let (mut accepted, mut done) = (0_u32, 0_u32);
    for job in 0..20_000 {
        accepted += u32::from(pool.workers.submit(job).is_ok());
        if dice.chance(0.1) && !pool.idle.is_empty() {
            // Its task is aborted, perhaps with a job that it has not taken.
            drop(pool.idle.swap_remove(dice.below(pool.idle.len() as u64) as usize));
        }
        if dice.chance(0.5) {
            pool.idle.extend(pool.workers.replace().map(wait));
        }
        for mut idle in std::mem::take(&mut pool.idle) {
            match poll(&mut idle) {
                Some((worker, job)) => {
                    done += u32::from(job.is_some());
                    pool.rest(worker);
                }
                None => pool.idle.push(idle),
            }
        }
        // A worker that got its next job at once.
        for worker in std::mem::take(&mut pool.busy).into_iter().flatten() {
            done += 1;
            pool.rest(worker);
        }
    }
    let unfinished = pool.workers.reclaim().len() as u32;
    let lost = accepted.abs_diff(done + unfinished);
    vec![Row::at_most("jobs lost or done twice", f64::from(lost), 0.0, "of 20,000")]
}

/// The workers are busy to 50, 80, 90 or 95 %.
pub(super) fn almost_all_busy(_: Size, seed: u64) -> Vec<Row> {
    const WORKERS: u32 = 16;
    let (mut rows, mut untrue) = (Vec::new(), 0);
    for offered in [0.5, 0.8, 0.9, 0.95] {
        let load = offered * f64::from(WORKERS);
        let losses = loss_system(&mut WorkerPool::new(WORKERS, seed), WORKERS, 0, load, &dice(seed, 34));
        untrue += losses.untrue;
        let (value, limit) = (losses.rejected * 100.0, erlang_b(WORKERS, load) * 100.0 + 1.0);
        let case = format!("rejected, {WORKERS} workers at {:.0} %", offered * 100.0);
        rows.push(Row::at_most(case, value, limit, "%").phase(Phase::During));
    }
    rows.push(Row::at_most("rejections with an idle worker or untrue numbers", f64::from(untrue), 0.0, ""));
    rows
}
