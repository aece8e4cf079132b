//! The matrix as Markdown, for the documentation.

use std::fmt::Write;

use crate::trouble::guard::Guard;
use crate::trouble::kind::Trouble;
use crate::trouble::report::overview::{SIGNS, overview, reasons, worst};
use crate::trouble::row::Row;
use crate::trouble::run::Matrix;

const INTRO: &str = "\
# What a bad day does to each guard

Every guard, with its default settings and the one setting that it needs, in every trouble. The layers and guards are those of
production, in virtual time. A figure stands beside its limit and, where that is known, beside the figure of the same system
without the guard. More than 2 % below that figure is harm, unless the guard spends it on purpose.

";

const FIGURES: &str = "
## Figures

Each line is one trouble: the number of its figures, and the one that is closest to its limit, or furthest beyond it. Figures of the
calm before the trouble count last. The options `--out` and `--json` write all figures.
";

/// Returns the document: a line for each crossing, and the misses in full.
///
/// The same matrix returns the same text.
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
    out.push_str(FIGURES);
    let worst = worst(matrix);
    for guard in Guard::ALL {
        let lines: Vec<_> = worst.iter().filter(|(row, _)| row.guard == guard).collect();
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "\n### {guard}\n\n| trouble | figures | the closest: phase, case | figure and limit | without |\n|---|---|---|---|---|"
        );
        for (row, count) in lines {
            let _ = writeln!(
                out,
                "| {} | {count} | {}: {} | {} | {} |",
                row.trouble,
                row.phase.as_str(),
                row.case,
                row.figure(),
                row.bare(),
            );
        }
        let of_guard = || matrix.rows.iter().filter(|row| row.guard == guard);
        notes(&mut out, "Needs attention", of_guard().filter(|row| !row.is_fine()), |row| {
            Some(row.verdict())
        });
        let known = of_guard().filter(|row| row.is_fine() && row.known_miss.is_some());
        notes(&mut out, "Known to be missed", known, Row::reason);
        spent(&mut out, of_guard());
    }
    out.push_str("\n## Without a meaning\n\n| why | troubles | guards |\n|---|---|---|\n");
    for reason in reasons() {
        let _ = writeln!(out, "| {} |", reason.join(" | "));
    }
    out
}

/// Writes a list of rows in full, each with a note.
fn notes<'a>(
    out: &mut String,
    title: &str,
    rows: impl Iterator<Item = &'a Row>,
    note: impl Fn(&'a Row) -> Option<&'static str>,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        let _ = writeln!(out, "\n{title}:\n");
    }
    for row in rows {
        let (phase, figure, bare) = (row.phase.as_str(), row.figure(), row.bare());
        let note = note(row).unwrap_or_default();
        let _ = writeln!(out, "- {}, {phase}: {}: {figure}, without: {bare}. {note}", row.trouble, row.case);
    }
}

/// Writes what the guard spends on purpose: each reason once, with its troubles.
fn spent<'a>(out: &mut String, rows: impl Iterator<Item = &'a Row>) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows.filter(|row| row.known_miss.is_none()) {
        let Some(why) = row.reason() else { continue };
        let id = row.trouble.id();
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, troubles)) if troubles.contains(&id) => {}
            Some((_, troubles)) => troubles.push(id),
            None => reasons.push((why, vec![id])),
        }
    }
    if !reasons.is_empty() {
        out.push_str("\nBelow the figure without the guard, on purpose:\n\n");
    }
    for (why, troubles) in reasons {
        let _ = writeln!(out, "- {}: {why}", troubles.join(", "));
    }
}
