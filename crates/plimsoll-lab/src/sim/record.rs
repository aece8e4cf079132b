//! The result of a simulation: each attempt counted in exactly one column, and a timeline.

use std::time::Duration;

use crate::live::tally::Times;
use crate::sim::case::Case;
use crate::sim::clients::Attempt;
use crate::sim::fault::FaultCounts;
use crate::sim::machine::Totals;
use crate::sim::nanos::nanos;

/// The length of one step of the timeline.
pub const STEP: Duration = Duration::from_millis(100);
const STEP_NANOS: u64 = 100_000_000;

/// What happened within one [`STEP`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Fresh requests that arrived, without the herd.
    pub fresh: u32,
    /// Attempts that were sent: fresh ones, retries and the herd.
    pub attempts: u32,
    /// Good answers that arrived, the herd's included.
    pub good: u32,
    /// Good answers to the herd.
    pub herd: u32,
    /// Rejections that arrived.
    pub rejected: u32,
    /// Failures that arrived.
    pub failed: u32,
    /// Clients that gave up.
    pub late: u32,
    /// Requests in the server's FIFO at the last event, abandoned ones included.
    pub backlog: u32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Good,
    Rejected,
    Failed,
    Late,
}

/// The result of one simulation.
///
/// For the attempts sent within the window, `offered = good + rejected + failed + late`.
#[derive(Debug)]
pub struct Record {
    /// Attempts.
    pub offered: u64,
    /// Answered within the deadline.
    pub good: u64,
    /// Rejected within the deadline.
    pub rejected: u64,
    /// Answered with failure within the deadline.
    pub failed: u64,
    /// Not answered by the deadline: the client had left.
    pub late: u64,
    /// What happened in each [`STEP`] from the start.
    pub timeline: Vec<Interval>,
    /// Attempts of the whole simulation.
    pub attempts: u64,
    /// The counts of each fault of the server.
    pub faults: Vec<FaultCounts>,
    pub(crate) good_times: Times,
    pub(crate) rejected_times: Times,
    pub(crate) totals: Totals,
    window: std::ops::Range<u64>,
    fault_spans: Vec<std::ops::Range<u64>>,
}

impl Record {
    pub(crate) fn new(case: &Case) -> Self {
        Record {
            offered: 0,
            good: 0,
            rejected: 0,
            failed: 0,
            late: 0,
            timeline: Vec::new(),
            attempts: 0,
            faults: vec![FaultCounts::default(); case.server.faults.len()],
            good_times: Times::new(),
            rejected_times: Times::new(),
            totals: Totals::default(),
            window: nanos(case.window.start)..nanos(case.window.end),
            fault_spans: case
                .server
                .faults
                .iter()
                .map(|fault| nanos(fault.from)..nanos(fault.until))
                .collect(),
        }
    }

    fn interval_at(&mut self, at: u64) -> &mut Interval {
        let index = (at / STEP_NANOS) as usize;
        if index >= self.timeline.len() {
            self.timeline.resize(index + 1, Interval::default());
        }
        match self.timeline.get_mut(index) {
            Some(interval) => interval,
            None => unreachable!("the timeline was made long enough"),
        }
    }

    pub(crate) fn sent(&mut self, attempt: Attempt) {
        self.attempts += 1;
        let interval = self.interval_at(attempt.sent);
        interval.attempts += 1;
        interval.fresh += u32::from(attempt.tries == 0 && !attempt.herd);
        for (span, counts) in self.fault_spans.iter().zip(&mut self.faults) {
            counts.sent += u64::from(span.contains(&attempt.sent));
        }
    }

    pub(crate) fn backlog(&mut self, now: u64, requests: usize) {
        self.interval_at(now).backlog = u32::try_from(requests).unwrap_or(u32::MAX);
    }

    pub(crate) fn ended(&mut self, attempt: Attempt, end: End, now: u64) {
        let interval = self.interval_at(now);
        match end {
            End::Good => {
                interval.good += 1;
                interval.herd += u32::from(attempt.herd);
            }
            End::Rejected => interval.rejected += 1,
            End::Failed => interval.failed += 1,
            End::Late => interval.late += 1,
        }
        if !self.window.contains(&attempt.sent) {
            return;
        }
        self.offered += 1;
        let took = Duration::from_nanos(now - attempt.sent);
        match end {
            End::Good => {
                self.good += 1;
                self.good_times.record(took);
            }
            End::Rejected => {
                self.rejected += 1;
                self.rejected_times.record(took);
            }
            End::Failed => self.failed += 1,
            End::Late => self.late += 1,
        }
    }

    /// Stores how many calls reached the server during each fault.
    pub(crate) fn reached(&mut self, during: &[u64]) {
        for (counts, reached) in self.faults.iter_mut().zip(during) {
            counts.reached = *reached;
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / Duration::from_nanos(self.window.end - self.window.start).as_secs_f64()
    }

    /// Returns attempts per second in the window.
    pub fn offered_rate(&self) -> f64 {
        self.per_second(self.offered)
    }

    /// Returns good answers per second in the window.
    pub fn goodput(&self) -> f64 {
        self.per_second(self.good)
    }

    /// Returns rejections per second in the window.
    pub fn rejected_rate(&self) -> f64 {
        self.per_second(self.rejected)
    }

    /// Returns failures per second in the window.
    pub fn failed_rate(&self) -> f64 {
        self.per_second(self.failed)
    }

    /// Returns attempts per second in the window whose clients gave up.
    pub fn late_rate(&self) -> f64 {
        self.per_second(self.late)
    }

    /// Returns the `q`-quantile of the time to a good answer, in milliseconds. `None` without any.
    pub fn good_ms(&self, q: f64) -> Option<f64> {
        self.good_times.quantile_ms(q)
    }

    /// Returns the `q`-quantile of the time to a rejection, in milliseconds. `None` without any.
    pub fn rejected_ms(&self, q: f64) -> Option<f64> {
        self.rejected_times.quantile_ms(q)
    }

    /// Returns the mean time from arrival at the server to a slot, over the whole simulation.
    pub fn mean_queueing(&self) -> Duration {
        let mean = self.totals.waited / u128::from(self.totals.started.max(1));
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// Returns the number of requests that were worked on to the end after their clients had left,
    /// over the whole simulation.
    pub fn wasted(&self) -> u64 {
        self.totals.wasted
    }
}
