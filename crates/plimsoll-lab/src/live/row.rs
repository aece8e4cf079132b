//! One row: one load, bare or guarded, against a fresh server.

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::Progress;
use crate::error::LabError;
use crate::live::client::Client;
use crate::live::guards::Guards;
use crate::live::pacer::pace;
use crate::live::plan::Plan;
use crate::live::schedule::Schedule;
use crate::live::server::{Listener, Server};
use crate::live::tally::{STEP, Tally};

/// Driven but not measured, so that a row shows the steady state. An unbounded queue is full after
/// `deadline / (load - 1)`, and the slots are busy after one service time.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// How often a void row is run again. After that its last result stays, marked void.
const RETRIES: u32 = 2;

/// The share of the schedule that must be sent within the row.
const SENT_SHARE: f64 = 0.99;

/// The result of one row.
///
/// Rates are per second. Times are in milliseconds from the moment a request was due.
/// `offered = goodput + late + rejected + failed`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Whether the guard stood in front of the handler.
    pub guarded: bool,
    /// The planned load, in multiples of the capacity.
    pub load: f64,
    /// Requests that were due.
    pub offered: f64,
    /// Answered 2xx within the deadline.
    pub goodput: f64,
    /// The highest goodput that any policy could reach: the smaller of `offered` and the capacity.
    ///
    /// Goodput can exceed it by requests that waited when the measured time ended and were answered
    /// later.
    pub bound: f64,
    /// The median time of the admitted requests, which are those not rejected. A late one counts as
    /// the deadline, the least that it took. `None` if there are none.
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the same.
    pub p99_ms: Option<f64>,
    /// Answered 429 or 503 within the deadline.
    pub rejected: f64,
    /// The median time to a rejection. `None` if there are none.
    pub rejected_p50_ms: Option<f64>,
    /// The 99th percentile of the same.
    pub rejected_p99_ms: Option<f64>,
    /// Not answered by the deadline: the client had left.
    pub late: f64,
    /// Requests that the bottleneck worked on to the end after their clients had left. This is the
    /// capacity that overload burns. They are part of the late ones.
    pub wasted: f64,
    /// No connection, a broken one, or another status.
    pub failed: f64,
    /// The 99th percentile of the load generator's own delay.
    pub lag_p99_ms: f64,
    /// Whether the load generator kept to its schedule. If not, the row says nothing about the
    /// server.
    pub valid: bool,
    /// Good answers per second in each 100 ms since the row began, the warm-up included. For the
    /// page only.
    #[serde(skip)]
    pub goodput_timeline: Vec<f64>,
    /// The tail of the admitted requests: milliseconds, and the share that took longer. For the
    /// page only.
    #[serde(skip)]
    pub tail: Vec<(f64, f64)>,
    /// The error of the first request that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
}

impl Row {
    /// Returns the goodput as a share of the bound.
    pub fn of_bound(&self) -> f64 {
        if self.bound > 0.0 { self.goodput / self.bound } else { 0.0 }
    }

    fn of(runner: &RowRunner<'_>, guarded: bool, load: f64, tally: &Tally, wasted: f64) -> Self {
        let per_second = |count: u64| count as f64 / runner.measured.as_secs_f64();
        let offered = per_second(tally.offered);
        let lag_p99_ms = tally.lag.quantile_ms(0.99).unwrap_or(0.0);
        let lag_limit_ms = runner.plan.lag_limit().as_secs_f64() * 1_000.0;
        Self {
            guarded,
            load,
            offered,
            goodput: per_second(tally.good),
            bound: runner.plan.bound(offered),
            p50_ms: tally.admitted.quantile_ms(0.50),
            p99_ms: tally.admitted.quantile_ms(0.99),
            rejected: per_second(tally.rejected.len()),
            rejected_p50_ms: tally.rejected.quantile_ms(0.50),
            rejected_p99_ms: tally.rejected.quantile_ms(0.99),
            late: per_second(tally.late),
            wasted,
            failed: per_second(tally.failed),
            lag_p99_ms,
            valid: lag_p99_ms <= lag_limit_ms && tally.sent_share() >= SENT_SHARE,
            goodput_timeline: tally.goodput_timeline.iter().map(|n| *n as f64 / STEP.as_secs_f64()).collect(),
            tail: tally.admitted.tail(),
            first_failure: tally.first_failure.clone(),
        }
    }
}

/// Runs rows with common settings.
#[derive(Debug)]
pub(crate) struct RowRunner<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) listener: &'a Listener,
    pub(crate) measured: Duration,
    pub(crate) seed: u64,
}

impl RowRunner<'_> {
    /// Returns about how long one row takes.
    pub(crate) fn row_time(&self) -> Duration {
        WARM_UP + self.measured + self.plan.deadline
    }

    /// Runs a row, again if it was void, and keeps `progress` moving meanwhile.
    pub(crate) fn run(
        &self,
        load: f64,
        guards: Option<&Guards<'_>>,
        progress: &mut Progress,
    ) -> Result<Row, LabError> {
        progress.row_begins(guards.is_some(), load);
        let mut row = self.run_once(load, guards, progress)?;
        for _ in 0..RETRIES {
            if row.valid {
                break;
            }
            progress.row_again(row.lag_p99_ms);
            row = self.run_once(load, guards, progress)?;
        }
        progress.row_done(row.goodput, row.bound, row.valid);
        Ok(row)
    }

    fn run_once(
        &self,
        load: f64,
        guards: Option<&Guards<'_>>,
        progress: &mut Progress,
    ) -> Result<Row, LabError> {
        let server = Server::start(self.listener, self.plan, guards)?;
        let span = WARM_UP + self.measured;
        let schedule = Schedule::new(self.seed, load * self.plan.capacity(), span);
        let start = Instant::now();
        let row_end = start + span + self.plan.lag_limit();
        let (arrivals, pacer) =
            pace(schedule, start, WARM_UP).map_err(LabError::io("start the pacer's thread"))?;
        let client = Client::new(self.listener.address(), self.plan.deadline);
        let driver = thread::Builder::new()
            .name("client".into())
            .spawn(move || client.drive(arrivals, row_end))
            .map_err(LabError::io("start the client's thread"))?;
        let mut waste = Waste::from(start + WARM_UP, start + span);
        while !driver.is_finished() {
            progress.tick();
            waste.sample(Instant::now(), server.wasted());
            thread::sleep(Duration::from_millis(50));
        }
        let panicked = |_| LabError::Failed("a thread of the load generator panicked".into());
        let tally = driver.join().map_err(panicked)??;
        pacer.join().map_err(panicked)?;
        Ok(Row::of(self, guards.is_some(), load, &tally, waste.rate()))
    }
}

/// The rate of wasted work between the first and the last sample within the measured time.
#[derive(Debug)]
struct Waste {
    begin: Instant,
    end: Instant,
    first: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
}

impl Waste {
    fn from(begin: Instant, end: Instant) -> Self {
        Self { begin, end, first: None, last: None }
    }

    fn sample(&mut self, now: Instant, count: u64) {
        if now >= self.begin && now <= self.end {
            self.first.get_or_insert((now, count));
            self.last = Some((now, count));
        }
    }

    /// Returns wasted requests per second, or 0 with fewer than two samples.
    fn rate(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.first, self.last) else {
            return 0.0;
        };
        let seconds = to.saturating_duration_since(from).as_secs_f64();
        if seconds > 0.0 { after.saturating_sub(before) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waste_counts_only_within_the_measured_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waste = Waste::from(at(1), at(5));
        assert_eq!(waste.rate(), 0.0);
        waste.sample(at(0), 0);
        waste.sample(at(1), 100);
        assert_eq!(waste.rate(), 0.0);
        waste.sample(at(3), 300);
        waste.sample(at(5), 900);
        waste.sample(at(6), 5_000);
        assert_eq!(waste.rate(), 200.0);
    }
}
