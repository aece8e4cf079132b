//! The outcome as a table for the terminal.

use std::fmt::Write;

use crate::fair::outcome::{FairnessOutcome, FairnessRow};

const HEAD: [&str; 2] = [
    "                        Jain  worst x     (+1)  below 0.9     used  over bound",
    "  policy                 min      min      min          %      min            ",
];

/// Formats a block per case with a line per policy.
pub(crate) fn table(outcome: &FairnessOutcome) -> String {
    let mut out = String::new();
    for case in outcome.cases() {
        if !case.is_empty() {
            let _ = writeln!(out, "{case}");
        }
        for head in HEAD {
            let _ = writeln!(out, "{}", head.trim_end());
        }
        for row in outcome.of(case) {
            let _ = writeln!(out, "{}", line(row));
        }
        out.push('\n');
    }
    out
}

fn line(row: &FairnessRow) -> String {
    let all = &row.verdict;
    if all.judged == 0 {
        return format!("  {:<19}no account had a share of ten requests in a window", row.policy);
    }
    format!(
        "  {:<19}{:>7.4}{:>9.3}{:>9.3}{:>11.2}{:>9.4}{:>12}",
        row.policy,
        all.jain,
        all.worst,
        all.worst_plus_one,
        all.short_percent(),
        all.used,
        all.over_bound
    )
}
