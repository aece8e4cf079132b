//! The outcome as comma-separated values: a line per case and policy.

use std::fmt::Write;

use crate::fair::outcome::FairnessOutcome;
use crate::run::quoted;

/// Formats the outcome, with a header line.
pub(crate) fn csv(outcome: &FairnessOutcome) -> String {
    let mut out =
        String::from("scenario,case,policy,jain,worst,worst_plus_one,used,judged,short,over_bound\n");
    for row in &outcome.rows {
        let all = &row.verdict;
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{}",
            quoted(&outcome.scenario),
            quoted(&row.case),
            quoted(&row.policy),
            all.jain,
            all.worst,
            all.worst_plus_one,
            all.used,
            all.judged,
            all.short,
            all.over_bound
        );
    }
    out
}
