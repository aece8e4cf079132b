//! The matrix as Markdown, for the documentation.

use std::fmt::Write;

use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::report::overview::{SIGNS, overview, reasons};
use crate::trouble::row::Row;
use crate::trouble::run::Matrix;

const INTRO: &str = "\
# What a bad day does to each guard

Every guard, with its default settings and the one setting that it needs, in every trouble. The layers and guards are those of
production, in virtual time. A figure stands beside its limit and, where that is known, beside the figure of the same system
without the guard. More than 2 % below that figure is harm, unless the guard spends it on purpose.

";

/// Returns the whole document. The same matrix returns the same text.
pub fn markdown(matrix: &Matrix) -> String {
    let mut out = String::from(INTRO);
    let _ = writeln!(
        out,
        "Made by `plimsoll-lab trouble{} --markdown docs/trouble.md`, seed {}. The same command makes the same file.\n",
        if matrix.size == "full" { " --full" } else { "" },
        matrix.seed
    );
    out.push_str("## At a glance\n\n");
    let ids: Vec<&str> = Trouble::ALL.iter().map(|trouble| trouble.id()).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", ids.join(" | "), "---|".repeat(ids.len()));
    for line in overview(matrix) {
        let _ = writeln!(out, "| {} |", line.join(" | "));
    }
    let _ = writeln!(out, "\n{SIGNS}\n\n| | trouble | |\n|---|---|---|");
    for trouble in Trouble::ALL {
        let _ = writeln!(out, "| {trouble} | {} | {} |", trouble.name(), trouble.about());
    }
    out.push_str("\n## Figures\n");
    for guard in Guard::ALL {
        let rows: Vec<&Row> = matrix.rows.iter().filter(|row| row.guard == guard).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "\n### {guard}\n\n| trouble | phase | case | figure and limit | without | verdict |\n|---|---|---|---|---|---|"
        );
        for row in rows {
            let why = row.reason().map_or_else(String::new, |why| format!(": {why}"));
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {}{why} |",
                row.trouble,
                row.phase.as_str(),
                row.case,
                row.figure(),
                row.bare(),
                row.verdict(),
            );
        }
    }
    out.push_str("\n## Without a meaning\n\n| guard | troubles | why |\n|---|---|---|\n");
    for reason in reasons() {
        let _ = writeln!(out, "| {} |", reason.join(" | "));
    }
    out
}
