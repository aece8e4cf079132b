//! The result of a demo run, as it is written to the JSON file.

mod chart;
pub(crate) mod labels;
mod page;
mod reading;
mod table;

pub(crate) use chart::chart;
pub(crate) use page::page;
pub(crate) use reading::reading;
pub(crate) use table::table;

use serde::Serialize;

use crate::cli::Settings;
use crate::live::cost::RejectionCost;
use crate::live::plan::Plan;
use crate::live::row::Row;

/// The whole result: the settings, the cost of a rejection, and a row per load, bare rows first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The capacity of the bottleneck, in requests per second.
    pub capacity: f64,
    /// The slots of the bottleneck.
    pub slots: usize,
    /// The time that a request holds its slot.
    pub service_time_ms: f64,
    /// The time that the client waits.
    pub deadline_ms: f64,
    /// The measured time of each row.
    pub seconds: f64,
    /// The seed of the arrivals.
    pub seed: u64,
    /// The processor time of one rejection over the service time. See
    /// [`RejectionCost`].
    pub rejection_cost: f64,
    /// The measured rows.
    pub rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(settings: &Settings, cost: RejectionCost, rows: Vec<Row>) -> Self {
        let plan: &Plan = &settings.plan;
        Self {
            capacity: plan.capacity(),
            slots: plan.slots,
            service_time_ms: plan.service_time.as_secs_f64() * 1_000.0,
            deadline_ms: plan.deadline.as_secs_f64() * 1_000.0,
            seconds: settings.measured.as_secs_f64(),
            seed: settings.seed,
            rejection_cost: cost.of_service_time,
            rows,
        }
    }

    /// Returns the rows without (`false`) or with (`true`) the guard.
    pub(crate) fn side(&self, guarded: bool) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.guarded == guarded)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a row with plausible numbers.
    pub(crate) fn row(guarded: bool, load: f64, goodput: f64) -> Row {
        let offered = load * 800.0;
        Row {
            guarded,
            load,
            offered,
            goodput,
            bound: offered.min(800.0),
            p50_ms: (goodput > 0.0).then_some(45.25),
            p99_ms: (goodput > 0.0).then_some(66.5),
            rejected: if guarded { offered - goodput } else { 0.0 },
            rejected_p50_ms: (guarded && offered > goodput).then_some(0.25),
            rejected_p99_ms: (guarded && offered > goodput).then_some(1.234),
            late: if guarded { 0.0 } else { offered - goodput },
            wasted: if guarded { 0.0 } else { 760.0 * f64::from(load > 1.0) },
            failed: 0.0,
            lag_p99_ms: 0.4,
            valid: true,
            goodput_timeline: vec![goodput; 10],
            tail: vec![(20.0, 0.5), (66.0, 0.01)],
            first_failure: None,
        }
    }

    /// Returns a report of three loads: light, at capacity, overloaded.
    pub(crate) fn report() -> Report {
        Report {
            capacity: 800.0,
            slots: 16,
            service_time_ms: 20.0,
            deadline_ms: 200.0,
            seconds: 4.0,
            seed: 1,
            rejection_cost: 0.0001,
            rows: vec![
                row(false, 0.5, 400.0),
                row(false, 1.0, 700.0),
                row(false, 4.0, 40.0),
                row(true, 0.5, 400.0),
                row(true, 1.0, 760.0),
                row(true, 4.0, 776.0),
            ],
        }
    }

    #[test]
    fn json_has_all_fields_and_null_without_rejections() {
        let mut report = report();
        report.rows.push(row(false, 8.0, 0.0));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["capacity"], 800.0);
        assert_eq!(json["rejection_cost"], 0.0001);
        let first = json["rows"][0].as_object().unwrap();
        for field in [
            "guarded",
            "load",
            "offered",
            "goodput",
            "bound",
            "p50_ms",
            "p99_ms",
            "rejected",
            "rejected_p50_ms",
            "rejected_p99_ms",
            "valid",
            "late",
            "failed",
            "wasted",
            "lag_p99_ms",
        ] {
            assert!(first.contains_key(field), "{field}");
        }
        assert_eq!(first["guarded"], false);
        assert!(json["rows"][6]["rejected_p99_ms"].is_null());
    }
}
