//! The state of the simulated server: its slots and its FIFO. The time is an argument.
//!
//! Service is measured in *work*, which is nanoseconds at speed 1. A server that slows down or
//! stalls moves the clock by which all ends are kept, so no end must be computed again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::task::Waker;

use plimsoll::Dice;

use crate::sim::case::{Change, ServerPlan};
use crate::sim::fault::{Fault, FaultKind};
use crate::sim::law::Law;
use crate::sim::nanos::nanos;

/// The time of no event.
pub(crate) const NEVER: u64 = u64::MAX;

/// The totals of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests that got a slot.
    pub(crate) started: u64,
    /// The sum of their times in the FIFO, in nanoseconds.
    pub(crate) waited: u128,
    /// Requests worked on to the end after their clients had left.
    pub(crate) wasted: u64,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Good,
    Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Free,
    Queued,
    Served,
    Finished(Answer),
    /// The server has lost it in a restart.
    Lost,
}

#[derive(Debug)]
struct Job {
    stage: Stage,
    arrived: u64,
    waker: Option<Waker>,
    /// Whether a caller still waits for it.
    wanted: bool,
}

#[derive(Debug)]
pub(super) struct Machine {
    law: Law,
    dice: Dice,
    rejection_work: f64,
    slots: u32,
    busy: u32,
    now: u64,
    /// The speed without a fault. `speed` is what a fault leaves of it.
    planned_speed: f64,
    speed: f64,
    /// Work and time at the last change of speed.
    since: (f64, u64),
    jobs: Vec<Job>,
    free: Vec<u32>,
    queue: VecDeque<u32>,
    /// The ends of jobs in units of work. The number in the middle keeps equal ends in order.
    ends: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// Work owed to rejections, and the time of that count. Idle slots work it off. Otherwise the
    /// next request that gets a slot must wait for it there.
    debt: (f64, u64),
    totals: Totals,
    faults: Vec<Fault>,
    /// The number of requests that arrived during each fault.
    reached: Vec<u64>,
    /// The present fault.
    fault: Option<usize>,
    /// When failure answers are due, as a time. The number in the middle keeps equal times in
    /// order.
    failures: BinaryHeap<Reverse<(u64, u64, u32)>>,
    failed: u64,
}

impl Machine {
    pub(super) fn new(plan: &ServerPlan, dice: Dice) -> Self {
        Machine {
            law: plan.service,
            dice,
            rejection_work: plan.rejection_cost * plan.service.mean().as_nanos() as f64,
            slots: plan.slots,
            busy: 0,
            now: 0,
            planned_speed: 1.0,
            speed: 1.0,
            since: (0.0, 0),
            jobs: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            ends: BinaryHeap::new(),
            debt: (0.0, 0),
            totals: Totals::default(),
            faults: plan.faults.clone(),
            reached: vec![0; plan.faults.len()],
            fault: None,
            failures: BinaryHeap::new(),
            failed: 0,
        }
    }

    /// Sets the time. [`finish_one`](Self::finish_one) then returns the jobs that have ended.
    pub(super) fn advance_to(&mut self, now: u64) {
        self.now = now;
    }

    /// Adds the cost of one rejection to the debt.
    pub(super) fn rejected(&mut self) {
        if self.rejection_work > 0.0 {
            self.pay_debt();
            self.debt.0 += self.rejection_work;
        }
    }

    pub(super) fn backlog(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    fn work_at(&self, time: u64) -> f64 {
        self.since.0 + time.saturating_sub(self.since.1) as f64 * self.speed
    }

    pub(super) fn next_end(&self) -> u64 {
        self.next_done().min(self.next_failure())
    }

    fn next_done(&self) -> u64 {
        match self.ends.peek() {
            Some(Reverse((end, ..))) if self.speed > 0.0 => {
                let left = (*end as f64 - self.since.0).max(0.0) / self.speed;
                self.since.1.saturating_add(left.ceil() as u64)
            }
            _ => NEVER,
        }
    }

    fn next_failure(&self) -> u64 {
        self.failures.peek().map_or(NEVER, |Reverse((at, ..))| *at)
    }

    pub(super) fn reached(&self) -> &[u64] {
        &self.reached
    }

    fn kind(&self) -> Option<FaultKind> {
        Some(self.faults.get(self.fault?)?.kind)
    }

    pub(super) fn change(&mut self, change: &Change) {
        // The slots so far have worked off a part of the debt.
        self.pay_debt();
        (self.slots, self.planned_speed) = (change.slots, change.speed);
        self.set_speed();
        self.start_queued();
    }

    /// Begins a fault, or ends the present one.
    pub(super) fn set_fault(&mut self, fault: Option<usize>) {
        let ended = self.kind();
        self.fault = fault;
        self.set_speed();
        if ended == Some(FaultKind::Hangs { forgets: true }) {
            self.lose_all();
        }
        self.start_queued();
    }

    /// Settles the work done at the old speed, and sets the new one.
    fn set_speed(&mut self) {
        self.pay_debt();
        self.since = (self.work_at(self.now), self.now);
        self.speed = match self.kind() {
            Some(FaultKind::Slow { factor }) => self.planned_speed / factor,
            Some(FaultKind::Hangs { .. }) => 0.0,
            Some(FaultKind::Fails { .. }) | None => self.planned_speed,
        };
    }

    /// Restarts the server: it loses all its requests.
    fn lose_all(&mut self) {
        let served = self.ends.drain().map(|Reverse((.., id))| id);
        for id in served.chain(self.queue.drain(..)) {
            let Some(job) = self.jobs.get_mut(id as usize) else { continue };
            job.waker = None;
            job.stage = if job.wanted { Stage::Lost } else { Stage::Free };
            if !job.wanted {
                self.free.push(id);
            }
        }
        self.busy = 0;
    }

    /// Reduces the debt by the work of the idle slots.
    fn pay_debt(&mut self) {
        let idle = f64::from(self.slots.saturating_sub(self.busy)) * self.speed;
        let (owed, since) = self.debt;
        self.debt = ((owed - idle * self.now.saturating_sub(since) as f64).max(0.0), self.now);
    }

    pub(super) fn arrive(&mut self, waker: Waker) -> u32 {
        let job = Job { stage: Stage::Queued, arrived: self.now, waker: Some(waker), wanted: true };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.jobs.get_mut(id as usize) {
                    *place = job;
                }
                id
            }
            None => {
                self.jobs.push(job);
                u32::try_from(self.jobs.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(reached) = self.fault.and_then(|fault| self.reached.get_mut(fault)) {
            *reached += 1;
        }
        if let Some(FaultKind::Fails { after }) = self.kind() {
            self.failed += 1;
            self.failures.push(Reverse((self.now.saturating_add(nanos(after)), self.failed, id)));
        } else {
            self.queue.push_back(id);
            self.start_queued();
        }
        id
    }

    /// Gives free slots to the first requests of the FIFO.
    fn start_queued(&mut self) {
        while self.busy < self.slots
            && let Some(id) = self.queue.pop_front()
        {
            self.pay_debt();
            let work = self.law.draw(&self.dice) as f64 + std::mem::take(&mut self.debt.0);
            let end = (self.work_at(self.now) + work + 0.5) as u64;
            self.busy += 1;
            self.totals.started += 1;
            self.ends.push(Reverse((end, self.totals.started, id)));
            if let Some(job) = self.jobs.get_mut(id as usize) {
                job.stage = Stage::Served;
                self.totals.waited += u128::from(self.now - job.arrived);
            }
        }
    }

    pub(super) fn finish_one(&mut self, woken: &mut Option<Waker>) -> bool {
        if self.next_failure() <= self.now {
            let Some(Reverse((.., id))) = self.failures.pop() else { return false };
            self.answer(id, Answer::Failure, woken);
            return true;
        }
        if self.next_done() > self.now {
            return false;
        }
        let Some(Reverse((.., id))) = self.ends.pop() else { return false };
        self.pay_debt();
        self.busy -= 1;
        if !self.answer(id, Answer::Good, woken) {
            self.totals.wasted += 1;
        }
        self.start_queued();
        true
    }

    /// Gives job `id` its answer. Returns whether a caller still waits for it.
    fn answer(&mut self, id: u32, answer: Answer, woken: &mut Option<Waker>) -> bool {
        let Some(job) = self.jobs.get_mut(id as usize) else { return false };
        job.stage = Stage::Finished(answer);
        *woken = job.waker.take();
        if !job.wanted {
            job.stage = Stage::Free;
            self.free.push(id);
        }
        job.wanted
    }

    /// Returns the answer to job `id`. If there is none yet, stores `waker`.
    pub(super) fn poll_answer(&mut self, id: u32, waker: &Waker) -> Option<Answer> {
        let job = self.jobs.get_mut(id as usize)?;
        if let Stage::Finished(answer) = job.stage {
            job.stage = Stage::Free;
            self.free.push(id);
            return Some(answer);
        }
        match &mut job.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// Marks job `id` as abandoned by its caller. It keeps its place.
    pub(super) fn abandon(&mut self, id: u32) {
        let Some(job) = self.jobs.get_mut(id as usize) else { return };
        job.wanted = false;
        job.waker = None;
        if matches!(job.stage, Stage::Finished(_) | Stage::Lost) {
            job.stage = Stage::Free;
            self.free.push(id);
        }
    }
}
