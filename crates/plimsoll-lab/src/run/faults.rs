//! What each fault of the server did to a policy.

use serde::Serialize;

use crate::run::estimate::Estimate;
use crate::run::recovery::{Recovery, after};
use crate::scenario::{Scenario, Step};
use crate::sim::{FaultCounts, Record};

/// One fault of the server, behind one policy at one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultRow {
    /// The kind of the fault: `fails`, `slow` or `hangs`.
    pub kind: String,
    /// When it begins and ends, in seconds.
    pub fault_s: (f64, f64),
    /// Attempts sent during the fault.
    pub sent: Estimate,
    /// Calls that reached the server during the fault. Where callers queue, some were sent before
    /// it.
    pub reached: Estimate,
    /// The number of seeds with which goodput recovered before the next fault began.
    pub recovered: u32,
    /// Seconds from the end of the fault to the recovery, over those seeds.
    pub recovery_s: Option<Estimate>,
}

/// Returns a row per fault.
pub(super) fn faults(scenario: &Scenario, step: &Step, records: &[Record]) -> Vec<FaultRow> {
    let faults = &step.case.server.faults;
    let first = faults.first().map_or(scenario.from, |fault| fault.from.min(scenario.from));
    let next = faults.iter().skip(1).map(|fault| fault.from).chain([step.case.span]);
    let each = faults.iter().zip(next).enumerate().map(|(n, (fault, next))| {
        let count = |of: fn(&FaultCounts) -> u64| {
            let each = records.iter().filter_map(|record| record.faults.get(n));
            let each: Vec<f64> = each.map(|counts| of(counts) as f64).collect();
            Estimate::of(&each).unwrap_or(Estimate { mean: 0.0, low: 0.0, high: 0.0 })
        };
        let recovered =
            records.iter().filter_map(|record| match after(&record.timeline, first, fault.until, next) {
                Recovery::After(time) => Some(time.as_secs_f64()),
                Recovery::Unknown | Recovery::Draining | Recovery::Never => None,
            });
        let recovered: Vec<f64> = recovered.collect();
        FaultRow {
            kind: fault.kind.as_str().into(),
            fault_s: (fault.from.as_secs_f64(), fault.until.as_secs_f64()),
            sent: count(|counts| counts.sent),
            reached: count(|counts| counts.reached),
            recovered: recovered.len() as u32,
            recovery_s: Estimate::of(&recovered),
        }
    });
    each.collect()
}

impl FaultRow {
    /// Returns when the fault lasts, and its kind.
    pub(super) fn name(&self) -> String {
        format!("{} s to {} s, {}", self.fault_s.0, self.fault_s.1, self.kind)
    }

    pub(super) fn recovery(&self, seeds: u32) -> String {
        let some =
            if self.recovered < seeds { format!(" ({} of {seeds})", self.recovered) } else { String::new() };
        match self.recovery_s {
            Some(recovered) => format!("recovered after {:.2} s{some}", recovered.mean),
            None => "not recovered before the next fault".into(),
        }
    }

    /// Formats the row as one line.
    pub(super) fn line(&self, seeds: u32) -> String {
        let (sent, reached) = (self.sent.mean, self.reached.mean);
        format!(
            "{:>24}: {sent:.0} calls sent, {reached:.0} reached the server, {}",
            self.name(),
            self.recovery(seeds)
        )
    }
}
