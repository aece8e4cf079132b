//! What the server's faults did to a policy, each for itself.

use serde::Serialize;

use crate::run::aftermath::{Aftermath, after};
use crate::run::estimate::Estimate;
use crate::scenario::{Scenario, Step};
use crate::sim::{Met, Record};

/// One of the server's faults behind one policy at one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultRow {
    /// What the server does: it fails, is slow or hangs.
    pub kind: String,
    /// When it begins and ends, in seconds.
    pub fault_s: (f64, f64),
    /// Attempts that were sent while it lasted.
    pub sent: Estimate,
    /// Calls that reached the server while it lasted. Where callers wait, some of them were sent before.
    pub reached: Estimate,
    /// With how many seeds goodput was back before the next fault began, and stayed.
    pub returned: u32,
    /// Seconds from the fault's end until it was, over those seeds.
    pub back_s: Option<Estimate>,
}

/// A row for each fault.
pub(super) fn faults(scenario: &Scenario, step: &Step, records: &[Record]) -> Vec<FaultRow> {
    let faults = &step.case.server.faults;
    let first = faults.first().map_or(scenario.from, |fault| fault.from.min(scenario.from));
    let next = faults.iter().skip(1).map(|fault| fault.from).chain([step.case.span]);
    let each = faults.iter().zip(next).enumerate().map(|(n, (fault, next))| {
        let count = |of: fn(&Met) -> u64| {
            let each = records.iter().filter_map(|record| record.faults.get(n));
            let each: Vec<f64> = each.map(|met| of(met) as f64).collect();
            Estimate::of(&each).unwrap_or(Estimate { mean: 0.0, low: 0.0, high: 0.0 })
        };
        let back = records.iter().filter_map(|record| match after(&record.line, first, fault.until, next) {
            Aftermath::Back(time) => Some(time.as_secs_f64()),
            Aftermath::Unknown | Aftermath::Draining | Aftermath::Gone => None,
        });
        let back: Vec<f64> = back.collect();
        FaultRow {
            kind: fault.kind.as_str().into(),
            fault_s: (fault.from.as_secs_f64(), fault.until.as_secs_f64()),
            sent: count(|met| met.sent),
            reached: count(|met| met.reached),
            returned: back.len() as u32,
            back_s: Estimate::of(&back),
        }
    });
    each.collect()
}

impl FaultRow {
    /// When, and what.
    pub(super) fn name(&self) -> String {
        format!("{} s to {} s, {}", self.fault_s.0, self.fault_s.1, self.kind)
    }

    pub(super) fn back(&self, seeds: u32) -> String {
        let some =
            if self.returned < seeds { format!(" ({} of {seeds})", self.returned) } else { String::new() };
        match self.back_s {
            Some(back) => format!("back after {:.2} s{some}", back.mean),
            None => "not back before the next".into(),
        }
    }

    /// In a line.
    pub(super) fn line(&self, seeds: u32) -> String {
        let (sent, reached) = (self.sent.mean, self.reached.mean);
        format!("{:>24}: {sent:.0} calls, {reached:.0} reached it, {}", self.name(), self.back(seeds))
    }
}
