//! The simulated server's floor: who has a slot, who stands in the FIFO. A machine: it is told the time.
//!
//! Service is measured in *work*, nanoseconds at speed 1: a server that slows down or stalls moves
//! the clock by which all ends are kept, and no end has to be computed anew.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::task::Waker;

use plimsoll::Dice;

use crate::sim::case::{Change, ServerPlan};
use crate::sim::law::Law;

/// No event.
pub(crate) const NEVER: u64 = u64::MAX;

/// What the server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Requests that got a slot.
    pub(crate) started: u64,
    /// How long those stood in the FIFO, in all.
    pub(crate) waited: u128,
    /// Requests worked on to the end although their clients had left.
    pub(crate) wasted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Free,
    Queued,
    Served,
    Finished,
}

#[derive(Debug)]
struct Job {
    step: Step,
    came: u64,
    waker: Option<Waker>,
    /// Whether anybody waits for it.
    wanted: bool,
}

#[derive(Debug)]
pub(super) struct Floor {
    law: Law,
    dice: Dice,
    refusal_work: f64,
    slots: u32,
    busy: u32,
    now: u64,
    speed: f64,
    /// Work and time as of the last change of speed.
    since: (f64, u64),
    jobs: Vec<Job>,
    free: Vec<u32>,
    queue: VecDeque<u32>,
    /// Ends in units of work; the number in the middle keeps equal ends in order.
    ends: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// Work owed to refusals, as of the time beside it. Idle slots pay it off, otherwise the next
    /// that is served has to wait for it in its slot.
    debt: (f64, u64),
    done: Done,
}

impl Floor {
    pub(super) fn new(plan: &ServerPlan, dice: Dice) -> Self {
        Floor {
            law: plan.service,
            dice,
            refusal_work: plan.refusal_cost * plan.service.mean().as_nanos() as f64,
            slots: plan.slots,
            busy: 0,
            now: 0,
            speed: 1.0,
            since: (0.0, 0),
            jobs: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            ends: BinaryHeap::new(),
            debt: (0.0, 0),
            done: Done::default(),
        }
    }

    /// It is `now`; what ends by then is to be fetched by [`finish_one`](Self::finish_one).
    pub(super) fn move_to(&mut self, now: u64) {
        self.now = now;
    }

    /// A request was refused: its cost is owed.
    pub(super) fn refused(&mut self) {
        if self.refusal_work > 0.0 {
            self.pay();
            self.debt.0 += self.refusal_work;
        }
    }

    pub(super) fn backlog(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn done(&self) -> Done {
        self.done
    }

    fn work_at(&self, time: u64) -> f64 {
        self.since.0 + time.saturating_sub(self.since.1) as f64 * self.speed
    }

    pub(super) fn next_end(&self) -> u64 {
        match self.ends.peek() {
            Some(Reverse((end, ..))) if self.speed > 0.0 => {
                let left = (*end as f64 - self.since.0).max(0.0) / self.speed;
                self.since.1.saturating_add(left.ceil() as u64)
            }
            _ => NEVER,
        }
    }

    pub(super) fn change(&mut self, change: &Change) {
        self.pay();
        self.since = (self.work_at(self.now), self.now);
        (self.slots, self.speed) = (change.slots, change.speed);
        self.fill();
    }

    /// Slots that had nothing to do have worked off what refusals cost.
    fn pay(&mut self) {
        let idle = f64::from(self.slots.saturating_sub(self.busy)) * self.speed;
        let (owed, since) = self.debt;
        self.debt = ((owed - idle * self.now.saturating_sub(since) as f64).max(0.0), self.now);
    }

    pub(super) fn come(&mut self, waker: Waker) -> u32 {
        let job = Job { step: Step::Queued, came: self.now, waker: Some(waker), wanted: true };
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
        self.queue.push_back(id);
        self.fill();
        id
    }

    /// Puts those to work who are first in line, as far as there are slots.
    fn fill(&mut self) {
        while self.busy < self.slots
            && let Some(id) = self.queue.pop_front()
        {
            self.pay();
            let work = self.law.draw(&self.dice) as f64 + std::mem::take(&mut self.debt.0);
            let end = (self.work_at(self.now) + work + 0.5) as u64;
            self.busy += 1;
            self.done.started += 1;
            self.ends.push(Reverse((end, self.done.started, id)));
            if let Some(job) = self.jobs.get_mut(id as usize) {
                job.step = Step::Served;
                self.done.waited += u128::from(self.now - job.came);
            }
        }
    }

    pub(super) fn finish_one(&mut self, woken: &mut Option<Waker>) -> bool {
        if self.next_end() > self.now {
            return false;
        }
        let Some(Reverse((.., id))) = self.ends.pop() else { return false };
        self.pay();
        self.busy -= 1;
        if let Some(job) = self.jobs.get_mut(id as usize) {
            job.step = Step::Finished;
            *woken = job.waker.take();
            if !job.wanted {
                job.step = Step::Free;
                self.done.wasted += 1;
                self.free.push(id);
            }
        }
        self.fill();
        true
    }

    /// Whether job `id` is finished; if not, `waker` is to be called.
    pub(super) fn look(&mut self, id: u32, waker: &Waker) -> bool {
        let Some(job) = self.jobs.get_mut(id as usize) else { return true };
        if job.step == Step::Finished {
            job.step = Step::Free;
            self.free.push(id);
            return true;
        }
        match &mut job.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }

    /// Nobody waits for job `id` any more; it stays where it is.
    pub(super) fn forget(&mut self, id: u32) {
        let Some(job) = self.jobs.get_mut(id as usize) else { return };
        job.wanted = false;
        job.waker = None;
        if job.step == Step::Finished {
            job.step = Step::Free;
            self.free.push(id);
        }
    }
}
