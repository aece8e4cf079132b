//! The result of a run, as it is written to the JSON file. It contains no wall time, so it is
//! repeatable.

use serde::Serialize;

use crate::live::tally::Times;
use crate::run::estimate::Estimate;
use crate::run::faults::{FaultRow, faults};
use crate::run::recovery::{Recovery, herd_recovery, judge};
use crate::scenario::{Scenario, Step};
use crate::sim::{Interval, Record, STEP};

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The name of the scenario.
    pub scenario: String,
    /// Its description.
    pub about: String,
    /// The capacity of the server outside the trigger, in requests per second.
    pub capacity: f64,
    /// The slots of the server.
    pub slots: u32,
    /// The mean service time.
    pub service_ms: f64,
    /// The time that a client waits. `None` means for ever.
    pub deadline_ms: Option<f64>,
    /// The cost of a rejection, as a share of the mean service time.
    pub rejection_cost: f64,
    /// The first seed.
    pub seed: u64,
    /// The number of seeds. Each is the previous one plus 1.
    pub seeds: u32,
    /// When the trigger began and ended, in seconds.
    pub trigger_s: (f64, f64),
    /// The length of a simulation, in seconds.
    pub seconds: f64,
    /// The length of one step of the timelines.
    pub step_ms: u64,
    /// Every policy at every load, policy by policy.
    pub rows: Vec<Row>,
}

/// One policy at one load.
///
/// Rates are per second, of the attempts sent during the trigger without its warm-up.
/// `offered = goodput + rejected + failed + late`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The name of the policy.
    pub policy: String,
    /// The planned rate of fresh requests, in multiples of the capacity.
    pub load: f64,
    /// Attempts, retries included.
    pub offered: Estimate,
    /// Answered within the deadline.
    pub goodput: Estimate,
    /// G*, the highest goodput that any policy could reach with these attempts.
    ///
    /// Where the load changes during the trigger, it is the mean of G* over the steps. Queueing can
    /// carry work from a busy step into an idle one, so goodput may exceed it a little.
    pub bound: f64,
    /// Goodput as a share of the bound.
    pub of_bound: Estimate,
    /// The median time to a good answer.
    pub p50_ms: Option<Estimate>,
    /// The 99th percentile of the time to a good answer.
    pub p99_ms: Option<Estimate>,
    /// Rejected within the deadline.
    pub rejected: Estimate,
    /// The 99th percentile of the time to a rejection.
    pub rejected_p99_ms: Option<Estimate>,
    /// Answered with failure within the deadline.
    pub failed: Estimate,
    /// Given up by their clients at the deadline.
    pub late: Estimate,
    /// Requests of the whole simulation that were worked on after their clients had left.
    pub wasted: Estimate,
    /// The number of seeds that could be judged.
    pub judged: u32,
    /// The number of judged seeds with which goodput recovered.
    pub recovered: u32,
    /// Whether goodput recovers by itself within the simulation.
    pub verdict: Verdict,
    /// Seconds from the end of the trigger to the recovery, over the seeds that recovered.
    pub recovery_s: Option<Estimate>,
    /// The number of seeds with which 99 % of the herd was served. `None` without a herd.
    pub herd_recovered: Option<u32>,
    /// Seconds until 99 % of the herd was served, over those seeds.
    pub herd_recovery_s: Option<Estimate>,
    /// The effect of each fault of the server, in the order of time.
    pub faults: Vec<FaultRow>,
    /// Good answers per second in each step, mean over the seeds.
    pub goodput_timeline: Vec<f64>,
    /// Attempts per second in each step, mean over the seeds.
    pub offered_timeline: Vec<f64>,
    /// Times to a good answer in milliseconds, each with the share of answers that took longer.
    pub tail: Vec<(f64, f64)>,
}

/// Whether goodput recovers by itself after the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// With most seeds it recovered within the simulation.
    Stable,
    /// It did not recover, but the backlog was shrinking. A longer simulation would show a
    /// recovery.
    Draining,
    /// It did not recover, and the backlog was not shrinking. The overload sustains itself.
    Metastable,
    /// The scenario leaves too little time before or after its trigger, or has random bursts.
    Unjudged,
}

impl Verdict {
    /// Returns the verdict as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Stable => "stable",
            Verdict::Draining => "draining",
            Verdict::Metastable => "metastable",
            Verdict::Unjudged => "–",
        }
    }
}

impl Outcome {
    pub(super) fn new(scenario: &Scenario, seed: u64, seeds: u32, rows: Vec<Row>) -> Self {
        let case = scenario.steps.first().map(|step| &step.case);
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        Outcome {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            capacity: scenario.capacity,
            slots: case.map_or(0, |case| case.server.slots),
            service_ms: case.map_or(0.0, |case| ms(case.server.service.mean())),
            deadline_ms: case.and_then(|case| case.clients.deadline).map(ms),
            rejection_cost: case.map_or(0.0, |case| case.server.rejection_cost),
            seed,
            seeds,
            trigger_s: (scenario.from.as_secs_f64(), scenario.until.as_secs_f64()),
            seconds: case.map_or(0.0, |case| case.span.as_secs_f64()),
            step_ms: STEP.as_millis() as u64,
            rows,
        }
    }

    /// Returns the names of the policies in order, each once.
    pub fn policies(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.policy.as_str()) {
                names.push(&row.policy);
            }
        }
        names
    }

    /// Returns the rows of one policy.
    pub fn of(&self, policy: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.policy == policy)
    }
}

impl Row {
    /// Creates a row from the records of all seeds.
    pub(super) fn new(scenario: &Scenario, policy: &str, step: &Step, records: &[Record]) -> Self {
        let mean = |of: &dyn Fn(&Record) -> f64| {
            let values: Vec<f64> = records.iter().map(of).collect();
            Estimate::of(&values).unwrap_or(Estimate { mean: 0.0, low: 0.0, high: 0.0 })
        };
        let some = |of: &dyn Fn(&Record) -> Option<f64>| {
            Estimate::of(&records.iter().filter_map(of).collect::<Vec<f64>>())
        };
        let bound = |record: &Record| bound(step, record);
        let after: Vec<Recovery> =
            records.iter().map(|record| judge(scenario, step, &record.timeline)).collect();
        let recovered = Recovery::times(&after);
        let draining = after.iter().filter(|after| **after == Recovery::Draining).count();
        let judged = Recovery::judged(&after);
        let verdict = match (recovered.len(), judged as usize) {
            (_, 0) => Verdict::Unjudged,
            (recovered, judged) if 2 * recovered > judged => Verdict::Stable,
            (recovered, judged) if 2 * (recovered + draining) > judged => Verdict::Draining,
            _ => Verdict::Metastable,
        };
        let herd: Option<Vec<f64>> = step.case.herd.map(|herd| {
            let recovered =
                records.iter().filter_map(|record| herd_recovery(&record.timeline, herd.at, herd.count));
            recovered.map(|time| time.as_secs_f64()).collect()
        });
        Row {
            policy: policy.into(),
            load: step.load,
            offered: mean(&Record::offered_rate),
            goodput: mean(&Record::goodput),
            bound: mean(&bound).mean,
            of_bound: mean(&|record| {
                if bound(record) > 0.0 { record.goodput() / bound(record) } else { 0.0 }
            }),
            p50_ms: some(&|record| record.good_ms(0.5)),
            p99_ms: some(&|record| record.good_ms(0.99)),
            rejected: mean(&Record::rejected_rate),
            rejected_p99_ms: some(&|record| record.rejected_ms(0.99)),
            failed: mean(&Record::failed_rate),
            late: mean(&Record::late_rate),
            wasted: mean(&|record| record.wasted() as f64),
            judged,
            recovered: recovered.len() as u32,
            verdict,
            recovery_s: Estimate::of(&recovered),
            herd_recovered: herd.as_ref().map(|recovered| recovered.len() as u32),
            herd_recovery_s: herd.and_then(|recovered| Estimate::of(&recovered)),
            faults: faults(scenario, step, records),
            goodput_timeline: line(records, step, |interval| interval.good),
            offered_timeline: line(records, step, |interval| interval.attempts),
            tail: tail(records),
        }
    }
}

/// Returns the bound for the attempts of one record.
fn bound(step: &Step, record: &Record) -> f64 {
    let (plan, window) = (&step.case.server, &step.case.window);
    if step.case.arrivals.is_steady(window) && plan.faults.is_empty() {
        return plan.bound(step.capacity, record.offered_rate());
    }
    let at = |time: std::time::Duration| (time.as_nanos() / STEP.as_nanos()) as usize;
    let intervals = record.timeline.get(at(window.start)..at(window.end)).unwrap_or_default();
    let capacity = |at: usize| match plan.faults.is_empty() {
        true => step.capacity,
        false => plan.capacity_over(&(STEP * at as u32..STEP * (at + 1) as u32)),
    };
    let each = intervals.iter().enumerate().map(|(n, interval)| {
        plan.bound(capacity(at(window.start) + n), f64::from(interval.attempts) / STEP.as_secs_f64())
    });
    each.sum::<f64>() / intervals.len().max(1) as f64
}

/// Returns a rate over time, mean over the seeds, from the start to the end of arrivals.
fn line(records: &[Record], step: &Step, of: impl Fn(&Interval) -> u32) -> Vec<f64> {
    let steps = (step.case.span.as_nanos() / STEP.as_nanos()) as usize;
    let duration = records.len() as f64 * STEP.as_secs_f64();
    let sum = |at| {
        records.iter().filter_map(|record| record.timeline.get(at)).map(|m| f64::from(of(m))).sum::<f64>()
    };
    (0..steps).map(|at| sum(at) / duration).collect()
}

/// Returns the tail of all seeds together.
///
/// Its shares fall by a quarter of a decade each, down to the last one with at least ten answers.
fn tail(records: &[Record]) -> Vec<(f64, f64)> {
    let mut all = Times::new();
    records.iter().for_each(|record| all.add(&record.good_times));
    let falling = (1..=24).map(|quarter| 10_f64.powf(-f64::from(quarter) / 4.0));
    let shares = [0.98, 0.9, 0.75].into_iter().chain(falling);
    let shares = shares.take_while(|share| share * all.len() as f64 >= 10.0);
    shares.filter_map(|share| Some((all.quantile_ms(1.0 - share)?, share))).collect()
}
