//! The simulated server: slots, and one unbounded FIFO before them.
//!
//! Service is measured in *work*, nanoseconds at speed 1: a server that slows down or stalls moves
//! the clock by which all ends are kept, and no end has to be computed anew.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use plimsoll::{Dice, Rejected};
use tower_service::Service;

use crate::sim::case::{Change, ServerPlan};
use crate::sim::law::Law;

/// A request, as far as the server cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request;

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
struct Floor {
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

/// A handle to the server, and the innermost service of every stack.
#[derive(Clone, Debug)]
pub(crate) struct Server(Rc<RefCell<Floor>>);

/// No event.
pub(crate) const NEVER: u64 = u64::MAX;

impl Server {
    pub(crate) fn new(plan: &ServerPlan, dice: Dice) -> Self {
        Server(Rc::new(RefCell::new(Floor {
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
        })))
    }

    /// When the next request is done.
    pub(crate) fn next_end(&self) -> u64 {
        self.0.borrow().next_end()
    }

    /// It is `now`: finishes what is done, and begins what waited for that.
    pub(crate) fn move_to(&self, now: u64) {
        let mut woken = None;
        self.0.borrow_mut().now = now;
        while self.0.borrow_mut().finish_one(&mut woken) {
            // With the floor open: a waker is somebody else's code.
            if let Some(waker) = woken.take() {
                waker.wake();
            }
        }
    }

    /// Other slots and another speed from now on.
    pub(crate) fn change(&self, change: &Change) {
        self.0.borrow_mut().change(change);
    }

    /// A request was refused before it came here.
    pub(crate) fn refused(&self) {
        let mut floor = self.0.borrow_mut();
        if floor.refusal_work > 0.0 {
            floor.pay();
            floor.debt.0 += floor.refusal_work;
        }
    }

    /// How many stand in the FIFO.
    pub(crate) fn backlog(&self) -> usize {
        self.0.borrow().queue.len()
    }

    pub(crate) fn done(&self) -> Done {
        self.0.borrow().done
    }
}

impl Floor {
    fn work_at(&self, time: u64) -> f64 {
        self.since.0 + time.saturating_sub(self.since.1) as f64 * self.speed
    }

    fn next_end(&self) -> u64 {
        match self.ends.peek() {
            Some(Reverse((end, ..))) if self.speed > 0.0 => {
                let left = (*end as f64 - self.since.0).max(0.0) / self.speed;
                self.since.1.saturating_add(left.ceil() as u64)
            }
            _ => NEVER,
        }
    }

    fn change(&mut self, change: &Change) {
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

    fn come(&mut self, waker: Waker) -> u32 {
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
            let end = (self.work_at(self.now) + work).round() as u64;
            self.busy += 1;
            self.done.started += 1;
            self.ends.push(Reverse((end, self.done.started, id)));
            if let Some(job) = self.jobs.get_mut(id as usize) {
                job.step = Step::Served;
                self.done.waited += u128::from(self.now - job.came);
            }
        }
    }

    fn finish_one(&mut self, woken: &mut Option<Waker>) -> bool {
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
    fn look(&mut self, id: u32, waker: &Waker) -> bool {
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
    fn forget(&mut self, id: u32) {
        let Some(job) = self.jobs.get_mut(id as usize) else { return };
        job.wanted = false;
        job.waker = None;
        if job.step == Step::Finished {
            job.step = Step::Free;
            self.free.push(id);
        }
    }
}

impl Service<Request> for Server {
    type Response = ();
    type Error = Rejected;
    type Future = Work;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Work {
        Work { server: Some(self.clone()), job: None }
    }
}

/// One request at the server, from its first poll. Dropped, it leaves its job behind.
#[derive(Debug)]
pub(crate) struct Work {
    server: Option<Server>,
    job: Option<u32>,
}

impl Future for Work {
    type Output = Result<(), Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(server) = &self.server else { return Poll::Ready(Ok(())) };
        let mut floor = server.0.borrow_mut();
        match self.job {
            None => {
                let job = floor.come(cx.waker().clone());
                drop(floor);
                self.job = Some(job);
                Poll::Pending
            }
            Some(job) => {
                if !floor.look(job, cx.waker()) {
                    return Poll::Pending;
                }
                drop(floor);
                self.job = None;
                self.server = None;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let (Some(server), Some(job)) = (&self.server, self.job) {
            server.0.borrow_mut().forget(job);
        }
    }
}
