//! The result as a table.

use std::fmt::Write;

use crate::live::report::Report;
use crate::live::report::labels::{load_name, side_name};
use crate::live::row::Row;

const HEAD: [&str; 2] = [
    "        offered goodput     of  bound  admitted, ms   late rejected rejected, ms",
    "  load       /s      /s  bound     /s    p50    p99     /s      /s    p50    p99",
];

/// Formats the rows of both sides, one table below the other, and a line per kind of error.
pub(crate) fn table(report: &Report) -> String {
    let mut out = String::new();
    for guarded in [false, true] {
        let _ = writeln!(out, "{}", side_name(guarded));
        for head in HEAD {
            let _ = writeln!(out, "{head}");
        }
        for row in report.side(guarded) {
            out.push_str(&line(row, report.deadline_ms));
        }
        out.push('\n');
    }
    for row in report.rows.iter().filter(|row| row.failed > 0.0) {
        let why = row.first_failure.as_deref().unwrap_or("unknown");
        let (side, load) = (side_name(row.guarded), load_name(row.load));
        let _ = writeln!(out, "{side} {load}: {:.1} failed/s, first: {why}", row.failed);
    }
    out
}

fn line(row: &Row, deadline_ms: f64) -> String {
    let mark = if row.valid { "" } else { " void" };
    format!(
        "{:>6} {:>8.0}{:>8.0}{:>5.0} %{:>7.0}{:>7}{:>7}{:>7.0}{:>8.0}{:>7}{:>7}{mark}\n",
        load_name(row.load),
        row.offered,
        row.goodput,
        row.of_bound() * 100.0,
        row.bound,
        time(row.p50_ms, deadline_ms),
        time(row.p99_ms, deadline_ms),
        row.late,
        row.rejected,
        time(row.rejected_p50_ms, deadline_ms),
        time(row.rejected_p99_ms, deadline_ms),
    )
}

/// Formats milliseconds with one digit, or a dash for `None`. Nothing is measured beyond the
/// deadline, when the client leaves.
fn time(ms: Option<f64>, deadline_ms: f64) -> String {
    match ms {
        None => "–".into(),
        Some(ms) if ms >= deadline_ms => format!("≥{deadline_ms:.0}"),
        Some(ms) => format!("{ms:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::report::tests::{report, row};

    #[test]
    fn every_row_is_a_line_within_80_columns() {
        let mut report = report();
        report.rows.push(row(true, 100.0, 0.0));
        let shown = table(&report);
        assert!(shown.lines().all(|line| line.chars().count() <= 80));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "bare");
        let width = lines[2].chars().count();
        assert_eq!(lines[1].chars().count(), width);
        for line in lines.iter().filter(|line| line.contains('%')) {
            assert_eq!(line.chars().count(), width, "{line}");
        }
        let overload = lines[5].split_whitespace().collect::<Vec<_>>();
        assert_eq!(overload[..6], ["4×", "3200", "40", "5", "%", "800"]);
        assert!(shown.contains("–"));
        assert!(!shown.contains("void") && !shown.contains("failed"));
    }

    #[test]
    fn void_rows_and_failures_are_marked() {
        let mut report = report();
        report.rows[2].valid = false;
        report.rows[2].failed = 2.5;
        report.rows[2].first_failure = Some("rejected by the kernel".into());
        let shown = table(&report);
        assert!(shown.contains(" void\n"));
        assert!(shown.contains("bare 4×: 2.5 failed/s, first: rejected by the kernel"));
    }
}
