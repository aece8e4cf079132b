//! The drive: from event to event until nothing is left to happen.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::task::{Context, Poll, Waker};

use plimsoll::{Dice, Instant, ManualTime};
use tower_service::Service;

use crate::sim::arrivals::Stream;
use crate::sim::book::{End, Record};
use crate::sim::case::{Case, Change};
use crate::sim::clients::{Attempt, Crowd};
use crate::sim::fault::Fault;
use crate::sim::floor::NEVER;
use crate::sim::nanos::nanos;
use crate::sim::server::{NotGood, Request, Server};
use crate::sim::tasks::{Id, Tasks};

/// Dice of one purpose, so that two policies see the same arrivals and the same service times.
pub(crate) fn dice(seed: u64, purpose: u64) -> Dice {
    Dice::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
}

/// Drives `case` through `service`, whose innermost service is `server` and whose guards read
/// `time`.
pub(crate) fn drive<S>(service: S, server: Server, time: &ManualTime, case: &Case, seed: u64) -> Record
where
    S: Service<Request, Response = (), Error = NotGood>,
{
    let mut stream = Stream::new(&case.arrivals, dice(seed, 1));
    let span = nanos(case.span);
    let fresh = stream.next().filter(|at| *at < span).unwrap_or(NEVER);
    let mut drive = Drive {
        service,
        server,
        time,
        tasks: Tasks::new(),
        crowd: Crowd::new(case.clients, dice(seed, 2)),
        record: Record::new(case),
        span,
        deadline: case.clients.deadline.map(nanos),
        stream,
        fresh,
        changes: case.server.changes.iter(),
        turns: turns(&case.server.faults),
        leaves: VecDeque::new(),
        retries: BinaryHeap::new(),
        order: 0,
    };
    if let Some(herd) = case.herd {
        for _ in 0..herd.count {
            drive.later(Attempt { sent: nanos(herd.at), tries: 0, herd: true });
        }
    }
    drive.run();
    drive.record.done = drive.server.done();
    drive.server.reached(|during| drive.record.reached(during));
    drive.record
}

/// The moments at which faults begin and end.
fn turns(faults: &[Fault]) -> VecDeque<(u64, Option<usize>)> {
    let each = faults.iter().enumerate();
    each.flat_map(|(n, fault)| [(nanos(fault.from), Some(n)), (nanos(fault.until), None)]).collect()
}

struct Drive<'a, S: Service<Request>> {
    service: S,
    server: Server,
    time: &'a ManualTime,
    tasks: Tasks<S::Future>,
    crowd: Crowd,
    record: Record,
    span: u64,
    deadline: Option<u64>,
    stream: Stream<'a>,
    /// When the next fresh request comes.
    fresh: u64,
    changes: std::slice::Iter<'a, Change>,
    /// When the server falls ill, and with which of its faults, or is well again.
    turns: VecDeque<(u64, Option<usize>)>,
    /// When clients leave: all have the same patience, so this is in order by itself.
    leaves: VecDeque<(u64, Id)>,
    /// What will be sent again, by time; the number in the middle keeps the order.
    retries: BinaryHeap<Reverse<(u64, u64, u32, bool)>>,
    order: u64,
}

impl<S> Drive<'_, S>
where
    S: Service<Request, Response = (), Error = NotGood>,
{
    fn run(&mut self) {
        loop {
            let now = self.next();
            if now == NEVER {
                return;
            }
            self.time.advance_to(Instant::from_nanos(now));
            self.server.move_to(now);
            self.settle(now);
            while let Some(change) = self.changes.as_slice().first().filter(|change| nanos(change.at) <= now)
            {
                self.server.change(change);
                self.changes.next();
            }
            while let Some((_, fault)) = self.turns.front().copied().filter(|turn| turn.0 <= now) {
                self.turns.pop_front();
                self.server.turn(fault);
            }
            while let Some((_, id)) = self.leaves.front().copied().filter(|leave| leave.0 <= now) {
                self.leaves.pop_front();
                if let Some(attempt) = self.tasks.leave(id) {
                    self.ended(attempt, End::Late, now);
                    self.settle(now);
                }
            }
            while let Some(Reverse((sent, _, tries, herd))) = self.retries.peek().copied()
                && sent <= now
            {
                self.retries.pop();
                self.send(Attempt { sent, tries, herd });
            }
            while self.fresh <= now {
                let attempt = Attempt { sent: self.fresh, tries: 0, herd: false };
                self.fresh = self.stream.next().filter(|at| *at < self.span).unwrap_or(NEVER);
                self.crowd.fresh();
                self.send(attempt);
            }
            self.record.backlog(now, self.server.backlog());
        }
    }

    /// When something happens next.
    fn next(&self) -> u64 {
        let change = self.changes.as_slice().first().map_or(NEVER, |change| nanos(change.at));
        let turn = self.turns.front().map_or(NEVER, |turn| turn.0);
        let leave = self.leaves.front().map_or(NEVER, |leave| leave.0);
        let retry = self.retries.peek().map_or(NEVER, |Reverse(retry)| retry.0);
        let sleeper = self.time.next_sleeper().map_or(NEVER, Instant::as_nanos);
        self.fresh.min(self.server.next_end()).min(change).min(turn).min(leave).min(retry).min(sleeper)
    }

    /// Polls all that were woken, and whom these wake.
    fn settle(&mut self, now: u64) {
        while let Some((result, attempt)) = self.tasks.next_woken() {
            self.answered(attempt, result, now);
        }
    }

    fn send(&mut self, attempt: Attempt) {
        self.record.sent(attempt);
        // Plimsoll's services are ready whenever the innermost is, and ours always is.
        let ready = self.service.poll_ready(&mut Context::from_waker(Waker::noop()));
        debug_assert!(matches!(ready, Poll::Ready(Ok(()))));
        let future = self.service.call(Request);
        match self.tasks.begin(future, attempt) {
            Ok(result) => self.answered(attempt, result, attempt.sent),
            Err(id) => {
                if let Some(deadline) = self.deadline {
                    self.leaves.push_back((attempt.sent.saturating_add(deadline), id));
                }
            }
        }
        self.settle(attempt.sent);
    }

    fn answered(&mut self, attempt: Attempt, result: Result<(), NotGood>, now: u64) {
        match result {
            Ok(()) => self.ended(attempt, End::Good, now),
            Err(NotGood::Failed) => self.ended(attempt, End::Failed, now),
            Err(NotGood::Unsent) => self.ended(attempt, End::Refused, now),
            Err(NotGood::Refused) => {
                self.server.rejected();
                self.ended(attempt, End::Refused, now);
            }
        }
    }

    fn ended(&mut self, attempt: Attempt, end: End, now: u64) {
        self.record.ended(attempt, end, now);
        if end != End::Good
            && let Some(next) = self.crowd.again(attempt, now)
        {
            self.later(next);
        }
    }

    fn later(&mut self, attempt: Attempt) {
        if attempt.sent < self.span {
            self.order += 1;
            self.retries.push(Reverse((attempt.sent, self.order, attempt.tries, attempt.herd)));
        }
    }
}
