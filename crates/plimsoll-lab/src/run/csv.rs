//! The outcome as comma-separated values: a line per row, an interval per estimate.

use std::fmt::Write;

use crate::run::estimate::Estimate;
use crate::run::outcome::Outcome;

/// Formats the outcome, with a header line. A missing value is an empty field.
pub(crate) fn csv(outcome: &Outcome) -> String {
    let mut out = String::from("scenario,policy,load");
    for name in [
        "offered",
        "goodput",
        "of_bound",
        "p50_ms",
        "p99_ms",
        "rejected",
        "rejected_p99_ms",
        "failed",
        "late",
        "wasted",
        "recovery_s",
    ] {
        let _ = write!(out, ",{name},{name}_low,{name}_high");
    }
    out.push_str(",bound,judged,recovered,verdict\n");
    for row in &outcome.rows {
        let _ = write!(out, "{},{},{}", quoted(&outcome.scenario), quoted(&row.policy), row.load);
        for each in [
            Some(row.offered),
            Some(row.goodput),
            Some(row.of_bound),
            row.p50_ms,
            row.p99_ms,
            Some(row.rejected),
            row.rejected_p99_ms,
            Some(row.failed),
            Some(row.late),
            Some(row.wasted),
            row.recovery_s,
        ] {
            match each {
                Some(Estimate { mean, low, high }) => {
                    let _ = write!(out, ",{mean},{low},{high}");
                }
                None => out.push_str(",,,"),
            }
        }
        let verdict = match row.judged {
            0 => "",
            _ => row.verdict.as_str(),
        };
        let _ = writeln!(out, ",{},{},{},{verdict}", row.bound, row.judged, row.recovered);
    }
    out
}

/// Quotes a name. A user's name may contain a comma.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
