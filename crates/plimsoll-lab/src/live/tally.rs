//! The counts of a row: every request that was due is counted in exactly one column.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::live::pacer::Arrival;

/// The outcome of one request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A 2xx answer within the deadline: the only outcome of value to the client.
    Good(Duration),
    /// Answered 429 or 503.
    Rejected(Duration),
    /// No answer by the deadline, whose length this holds. The client has left.
    Late(Duration),
    /// No connection, a broken one, or another status.
    Failed(String),
}

/// One request, as the client saw it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) arrival: Arrival,
    /// When the client began to send it.
    pub(crate) dispatched: Instant,
    pub(crate) outcome: Outcome,
}

/// Longer times are recorded as this: ten minutes, ten times the longest deadline.
const MAX_MICROS: u64 = 600_000_000;

/// A histogram of durations in microseconds, with three significant digits.
#[derive(Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        // The range is fixed, because `saturating_record` clips to it. A range that grows on demand
        // begins at two microseconds.
        #[allow(clippy::expect_used)]
        Self(Histogram::new_with_max(MAX_MICROS, 3).expect("valid bounds"))
    }

    /// Records a duration.
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros);
    }

    /// Adds the durations of another histogram.
    pub(crate) fn add(&mut self, other: &Times) {
        // Cannot fail: all histograms have the same range.
        let _ = self.0.add(&other.0);
    }

    /// Returns the number of recorded durations.
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Returns the tail: milliseconds, and the share of all durations that are longer.
    pub(crate) fn tail(&self) -> Vec<(f64, f64)> {
        let all = self.0.len() as f64;
        let mut longer = self.0.len();
        let points = self.0.iter_recorded().map(|step| {
            longer = longer.saturating_sub(step.count_at_value());
            (step.value_iterated_to() as f64 / 1_000.0, longer as f64 / all)
        });
        points.collect()
    }

    /// Returns the `q`-quantile in milliseconds, or `None` if nothing was recorded.
    pub(crate) fn quantile_ms(&self, q: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(q) as f64 / 1_000.0)
    }
}

/// The length of one step of the timeline.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// The counts of one row. `offered = good + late + rejected + failed`.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Requests that were due.
    pub(crate) offered: u64,
    /// Requests that were sent before the row ended.
    pub(crate) sent_in_time: u64,
    /// Answered 2xx within the deadline.
    pub(crate) good: u64,
    /// The times of all requests that were not rejected, from the moment they were due.
    ///
    /// A late request counts as the deadline, because its real time is unknown. Without the late
    /// ones the 99th percentile would lie within the deadline whatever the server did.
    pub(crate) admitted: Times,
    /// The times to a rejection, from the moment the request was due.
    pub(crate) rejected: Times,
    /// Good answers in each [`STEP`] since the row began, the warm-up included.
    pub(crate) goodput_timeline: Vec<u64>,
    /// Requests given up at their deadline.
    pub(crate) late: u64,
    /// Requests that met an error.
    pub(crate) failed: u64,
    /// The first error.
    pub(crate) first_failure: Option<String>,
    /// The load generator's own delay: dispatched minus intended.
    pub(crate) lag: Times,
}

impl Tally {
    /// Creates a tally of nothing.
    pub(crate) fn new() -> Self {
        Self {
            offered: 0,
            sent_in_time: 0,
            good: 0,
            goodput_timeline: Vec::new(),
            admitted: Times::new(),
            rejected: Times::new(),
            late: 0,
            failed: 0,
            first_failure: None,
            lag: Times::new(),
        }
    }

    /// Records one request. Those of the warm-up only count in the timeline.
    ///
    /// A request counts as sent on schedule if it was sent until `row_end`.
    pub(crate) fn record(&mut self, sent: Sent, row_end: Instant) {
        if let Outcome::Good(time) = sent.outcome {
            let at = (sent.arrival.offset + time).as_millis() / STEP.as_millis();
            let at = usize::try_from(at).unwrap_or(usize::MAX).min(100_000);
            if self.goodput_timeline.len() <= at {
                self.goodput_timeline.resize(at + 1, 0);
            }
            if let Some(step) = self.goodput_timeline.get_mut(at) {
                *step += 1;
            }
        }
        if !sent.arrival.measured {
            return;
        }
        self.offered += 1;
        self.sent_in_time += u64::from(sent.dispatched <= row_end);
        let intended = sent.arrival.intended;
        self.lag.record(sent.dispatched.saturating_duration_since(intended));
        match sent.outcome {
            Outcome::Good(time) => {
                self.good += 1;
                self.admitted.record(time);
            }
            Outcome::Rejected(time) => self.rejected.record(time),
            Outcome::Late(deadline) => {
                self.late += 1;
                self.admitted.record(deadline);
            }
            Outcome::Failed(why) => self.fail(why),
        }
    }

    /// Records requests that were due but never reported an outcome.
    pub(crate) fn record_lost(&mut self, lost: u64) {
        if lost > 0 {
            self.offered += lost;
            self.fail("lost in the client".into());
            self.failed += lost - 1;
        }
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }

    /// Returns the share of the schedule that was sent before the row ended.
    pub(crate) fn sent_share(&self) -> f64 {
        match self.offered {
            0 => 1.0,
            offered => self.sent_in_time as f64 / offered as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(start: Instant, measured: bool, outcome: Outcome) -> Sent {
        let arrival = Arrival { intended: start, offset: Duration::ZERO, measured };
        Sent { arrival, dispatched: start + MS, outcome }
    }

    #[test]
    fn requests_count_in_one_column_and_warm_up_in_none() {
        let start = Instant::now();
        let mut tally = Tally::new();
        for n in 0..100_u32 {
            let outcome = match n % 4 {
                0 => Outcome::Good(n * MS),
                1 => Outcome::Rejected(MS),
                2 => Outcome::Late(200 * MS),
                _ => Outcome::Failed(format!("error {n}")),
            };
            tally.record(sent(start, n >= 20, outcome), start + MS);
        }
        tally.record_lost(3);
        tally.record_lost(0);
        assert_eq!(tally.offered, 83);
        let (good, rejected) = (tally.good, tally.rejected.len());
        assert_eq!((good, rejected, tally.late, tally.failed), (20, 20, 20, 23));
        assert_eq!(tally.offered, good + rejected + tally.late + tally.failed);
        assert_eq!(tally.first_failure.as_deref(), Some("error 23"));
        assert_eq!(tally.lag.quantile_ms(0.99), Some(1.0));
        // Half of the admitted requests were late, so the 99th percentile is at least the deadline.
        assert!(tally.admitted.quantile_ms(0.4).unwrap() < 100.0);
        assert!(tally.admitted.quantile_ms(0.99).unwrap() >= 200.0);
    }

    #[test]
    fn quantiles_need_recorded_times() {
        let mut times = Times::new();
        assert_eq!(times.quantile_ms(0.5), None);
        (1..=100).for_each(|n| times.record(n * MS));
        let p50 = times.quantile_ms(0.5).unwrap();
        let p99 = times.quantile_ms(0.99).unwrap();
        assert!((p50 - 50.0).abs() < 0.1, "{p50}");
        assert!((p99 - 99.0).abs() < 0.2, "{p99}");
        times.record(Duration::from_secs(3_600));
        assert!(times.quantile_ms(1.0).unwrap() >= 600_000.0);
    }

    #[test]
    fn request_sent_after_the_row_lowers_the_sent_share() {
        let start = Instant::now();
        let mut tally = Tally::new();
        assert_eq!(tally.sent_share(), 1.0);
        tally.record(sent(start, true, Outcome::Late(MS)), start + MS);
        tally.record(sent(start + 2 * MS, true, Outcome::Late(MS)), start + MS);
        assert_eq!(tally.sent_share(), 0.5);
    }

    #[test]
    fn timeline_counts_answers_on_arrival_and_tail_the_slower() {
        let start = Instant::now();
        let mut tally = Tally::new();
        for n in [0, 50, 60, 250] {
            let mut sent = sent(start, n > 0, Outcome::Good(60 * MS));
            sent.arrival.offset = n * MS;
            tally.record(sent, start + MS);
        }
        tally.record(sent(start, true, Outcome::Late(200 * MS)), start + MS);
        assert_eq!(tally.goodput_timeline, [1, 2, 0, 1]);
        let tail = tally.admitted.tail();
        assert!((tail[0].0 - 60.0).abs() < 0.1 && tail[0].1 == 0.25, "{tail:?}");
        assert!(tail.len() == 2 && tail[1].0 >= 200.0 && tail[1].1 == 0.0, "{tail:?}");
    }
}
