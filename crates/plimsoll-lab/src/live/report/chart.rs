//! A chart of goodput over load in block characters, readable without colour and as plain text.

use std::fmt::Write;

use crate::live::report::Report;
use crate::live::report::labels::{load_name, side_name};
use crate::live::row::Row;

/// Cells of the longest bar. With its labels a line stays below 80 columns.
const WIDTH: usize = 54;

/// Draws the bare bar above the guarded one at each load, and the bound.
pub(crate) fn chart(report: &Report) -> String {
    let peaks = report.rows.iter().map(|row| row.goodput.max(row.bound));
    let scale = peaks.fold(f64::MIN_POSITIVE, f64::max) / WIDTH as f64;
    let mut out =
        format!("goodput over load    ░ bare   █ guarded   │ bound    one cell is {scale:.0}/s\n\n");
    for bare in report.side(false) {
        let _ = writeln!(out, "{}", line(bare, &load_name(bare.load), scale));
        let guarded = report.side(true).filter(|row| row.load == bare.load);
        for row in guarded.take(1) {
            let _ = writeln!(out, "{}", line(row, "", scale));
        }
    }
    out
}

fn line(row: &Row, label: &str, scale: f64) -> String {
    let cells = |value: f64| ((value / scale).round() as usize).min(WIDTH);
    let fill = if row.guarded { '█' } else { '░' };
    // The bound is drawn behind the bar, or behind the gap up to where the bar could have ended.
    let (bar, bound) = (cells(row.goodput), cells(row.bound));
    let (bar, gap): (String, String) =
        (std::iter::repeat_n(fill, bar).collect(), " ".repeat(bound.saturating_sub(bar)));
    let mark = if row.valid { "" } else { " void" };
    let side = side_name(row.guarded);
    let good = row.goodput;
    format!("{label:>6} {side:<7} {bar}{gap}│ {good:.0}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::report::tests::report;

    #[test]
    fn bars_show_goodput_and_the_bound() {
        let mut report = report();
        report.rows[2].valid = false;
        let drawn = chart(&report);
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
        let lines: Vec<&str> = drawn.lines().skip(2).collect();
        assert_eq!(lines.len(), 6);
        let count = |line: &str, c| line.chars().filter(|d| *d == c).count();
        assert_eq!(count(lines[0], '░'), WIDTH / 2);
        assert_eq!(count(lines[4], '░'), 3);
        assert!(lines[4].ends_with("│ 40 void"));
        assert_eq!(count(lines[5], '█'), 52);
        let bound_at = |line: &str| line.chars().position(|c| c == '│');
        assert_eq!(bound_at(lines[4]), bound_at(lines[5]));
    }
}
