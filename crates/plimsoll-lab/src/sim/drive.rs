//! Drives a simulation from event to event, until no event is left.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::task::{Context, Poll, Waker};

use plimsoll::{Dice, Instant, ManualTime};
use tower_service::Service;

use crate::sim::arrivals::ArrivalStream;
use crate::sim::case::{Case, Change};
use crate::sim::clients::{Attempt, Retrier};
use crate::sim::fault::Fault;
use crate::sim::machine::NEVER;
use crate::sim::nanos::nanos;
use crate::sim::record::{End, Record};
use crate::sim::server::{CallError, Request, Server};
use crate::sim::tasks::{Id, Tasks};

/// Returns the dice of one purpose, so that all policies see the same arrivals and service times.
pub(crate) fn dice(seed: u64, purpose: u64) -> Dice {
    Dice::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
}

/// Drives `case` through `service`, whose innermost service is `server` and whose guards read
/// `time`.
pub(crate) fn drive<S>(service: S, server: Server, time: &ManualTime, case: &Case, seed: u64) -> Record
where
    S: Service<Request, Response = (), Error = CallError>,
{
    let mut stream = ArrivalStream::new(&case.arrivals, dice(seed, 1));
    let span = nanos(case.span);
    let fresh = stream.next().filter(|at| *at < span).unwrap_or(NEVER);
    let mut drive = Drive {
        service,
        server,
        time,
        tasks: Tasks::new(),
        retrier: Retrier::new(case.clients, dice(seed, 2)),
        record: Record::new(case),
        span,
        deadline: case.clients.deadline.map(nanos),
        stream,
        fresh,
        changes: case.server.changes.iter(),
        fault_changes: fault_changes(&case.server.faults),
        deadlines: VecDeque::new(),
        retries: BinaryHeap::new(),
        sequence: 0,
    };
    if let Some(herd) = case.herd {
        for _ in 0..herd.count {
            drive.schedule(Attempt { sent: nanos(herd.at), tries: 0, herd: true });
        }
    }
    drive.run();
    drive.record.totals = drive.server.totals();
    drive.server.reached(|during| drive.record.reached(during));
    drive.record
}

/// Returns the moments at which faults begin and end.
fn fault_changes(faults: &[Fault]) -> VecDeque<(u64, Option<usize>)> {
    let each = faults.iter().enumerate();
    each.flat_map(|(n, fault)| [(nanos(fault.from), Some(n)), (nanos(fault.until), None)]).collect()
}

struct Drive<'a, S: Service<Request>> {
    service: S,
    server: Server,
    time: &'a ManualTime,
    tasks: Tasks<S::Future>,
    retrier: Retrier,
    record: Record,
    span: u64,
    deadline: Option<u64>,
    stream: ArrivalStream<'a>,
    /// When the next fresh request arrives.
    fresh: u64,
    changes: std::slice::Iter<'a, Change>,
    /// When a fault begins or ends, and which one begins.
    fault_changes: VecDeque<(u64, Option<usize>)>,
    /// When clients give up. All deadlines are equally long, so the queue is in order.
    deadlines: VecDeque<(u64, Id)>,
    /// Attempts to be sent, by time. The sequence number keeps equal times in order.
    retries: BinaryHeap<Reverse<(u64, u64, u32, bool)>>,
    sequence: u64,
}

impl<S> Drive<'_, S>
where
    S: Service<Request, Response = (), Error = CallError>,
{
    fn run(&mut self) {
        loop {
            let now = self.next();
            if now == NEVER {
                return;
            }
            self.time.advance_to(Instant::from_nanos(now));
            self.server.advance_to(now);
            self.poll_woken(now);
            while let Some(change) = self.changes.as_slice().first().filter(|change| nanos(change.at) <= now)
            {
                self.server.change(change);
                self.changes.next();
            }
            while let Some((_, fault)) = self.fault_changes.front().copied().filter(|change| change.0 <= now)
            {
                self.fault_changes.pop_front();
                self.server.set_fault(fault);
            }
            while let Some((_, id)) = self.deadlines.front().copied().filter(|deadline| deadline.0 <= now) {
                self.deadlines.pop_front();
                if let Some(attempt) = self.tasks.cancel(id) {
                    self.ended(attempt, End::Late, now);
                    self.poll_woken(now);
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
                self.retrier.fresh_sent();
                self.send(attempt);
            }
            self.record.backlog(now, self.server.backlog());
        }
    }

    /// Returns the time of the next event.
    fn next(&self) -> u64 {
        let change = self.changes.as_slice().first().map_or(NEVER, |change| nanos(change.at));
        let fault = self.fault_changes.front().map_or(NEVER, |change| change.0);
        let deadline = self.deadlines.front().map_or(NEVER, |deadline| deadline.0);
        let retry = self.retries.peek().map_or(NEVER, |Reverse(retry)| retry.0);
        let sleeper = self.time.next_sleeper().map_or(NEVER, Instant::as_nanos);
        self.fresh.min(self.server.next_end()).min(change).min(fault).min(deadline).min(retry).min(sleeper)
    }

    /// Polls all woken tasks, and those that they wake.
    fn poll_woken(&mut self, now: u64) {
        while let Some((result, attempt)) = self.tasks.next_woken() {
            self.answered(attempt, result, now);
        }
    }

    fn send(&mut self, attempt: Attempt) {
        self.record.sent(attempt);
        // The layers are ready whenever the innermost service is, and ours always is.
        let ready = self.service.poll_ready(&mut Context::from_waker(Waker::noop()));
        debug_assert!(matches!(ready, Poll::Ready(Ok(()))));
        let future = self.service.call(Request);
        match self.tasks.begin(future, attempt) {
            Ok(result) => self.answered(attempt, result, attempt.sent),
            Err(id) => {
                if let Some(deadline) = self.deadline {
                    self.deadlines.push_back((attempt.sent.saturating_add(deadline), id));
                }
            }
        }
        self.poll_woken(attempt.sent);
    }

    fn answered(&mut self, attempt: Attempt, result: Result<(), CallError>, now: u64) {
        match result {
            Ok(()) => self.ended(attempt, End::Good, now),
            Err(CallError::Failed | CallError::Status(_)) => self.ended(attempt, End::Failed, now),
            Err(CallError::Left) => self.ended(attempt, End::Late, now),
            Err(CallError::Throttled) => self.ended(attempt, End::Rejected, now),
            Err(CallError::Rejected) => {
                self.server.rejected();
                self.ended(attempt, End::Rejected, now);
            }
        }
    }

    fn ended(&mut self, attempt: Attempt, end: End, now: u64) {
        self.record.ended(attempt, end, now);
        if end != End::Good
            && let Some(next) = self.retrier.retry(attempt, now)
        {
            self.schedule(next);
        }
    }

    fn schedule(&mut self, attempt: Attempt) {
        if attempt.sent < self.span {
            self.sequence += 1;
            self.retries.push(Reverse((attempt.sent, self.sequence, attempt.tries, attempt.herd)));
        }
    }
}
