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
    /// The number of seeds that could be judged.
    pub judged: u32,
    /// The number of judged seeds with which goodput recovered before the next fault, or before the
    /// end.
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
        let after = records.iter().map(|record| after(step, &record.timeline, first, fault.until, next));
        let after: Vec<Recovery> = after.collect();
        let recovered = Recovery::times(&after);
        FaultRow {
            kind: fault.kind.as_str().into(),
            fault_s: (fault.from.as_secs_f64(), fault.until.as_secs_f64()),
            sent: count(|counts| counts.sent),
            reached: count(|counts| counts.reached),
            judged: Recovery::judged(&after),
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

    /// Returns whether and when goodput recovered. The last fault has no next one.
    pub(super) fn recovery(&self, is_last: bool) -> String {
        let (recovered, judged) = (self.recovered, self.judged);
        let some = if recovered < judged { format!(" ({recovered} of {judged})") } else { String::new() };
        match self.recovery_s {
            Some(recovered) => format!("recovered after {:.2} s{some}", recovered.mean),
            None if judged == 0 => "recovery not judged".into(),
            None if is_last => "not recovered".into(),
            None => "not recovered before the next fault".into(),
        }
    }

    /// Formats the row as one line.
    pub(super) fn line(&self, is_last: bool) -> String {
        let (sent, reached) = (self.sent.mean, self.reached.mean);
        format!(
            "{:>24}: {sent:.0} calls sent, {reached:.0} reached the server, {}",
            self.name(),
            self.recovery(is_last)
        )
    }
}

/// Returns the faults, each with whether it is the last.
pub(super) fn with_last(faults: &[FaultRow]) -> impl Iterator<Item = (&FaultRow, bool)> {
    faults.iter().enumerate().map(|(n, fault)| (fault, n + 1 == faults.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_with_a_next_one_mentions_it() {
        let estimate = |mean| Estimate { mean, low: mean, high: mean };
        let mut fault = FaultRow {
            kind: "fails".into(),
            fault_s: (1.0, 2.5),
            sent: estimate(30.0),
            reached: estimate(20.0),
            judged: 3,
            recovered: 0,
            recovery_s: None,
        };
        let shown = |faults: &[FaultRow]| -> Vec<String> {
            with_last(faults).map(|(fault, is_last)| fault.recovery(is_last)).collect()
        };
        assert_eq!(shown(&[fault.clone()]), ["not recovered"]);
        assert_eq!(
            shown(&[fault.clone(), fault.clone()]),
            ["not recovered before the next fault", "not recovered"]
        );
        assert_eq!(
            fault.line(true).trim(),
            "1 s to 2.5 s, fails: 30 calls sent, 20 reached the server, not recovered"
        );
        (fault.recovered, fault.recovery_s) = (2, Some(estimate(0.5)));
        assert_eq!(shown(&[fault.clone()]), ["recovered after 0.50 s (2 of 3)"]);
        (fault.judged, fault.recovered, fault.recovery_s) = (0, 0, None);
        assert_eq!(shown(&[fault]), ["recovery not judged"]);
    }
}
