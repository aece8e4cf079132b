//! The matrix as text for a terminal.

use std::fmt::Write;

use crate::trouble::row::Row;
use crate::trouble::run::Matrix;

/// Returns a block for each cell with a line for each figure, and a count at the end.
pub fn table(matrix: &Matrix) -> String {
    let mut out = String::new();
    for cell in matrix.rows.chunk_by(|a, b| (a.guard, a.trouble) == (b.guard, b.trouble)) {
        let Some(first) = cell.first() else { continue };
        let _ = writeln!(out, "{} · {} {}", first.guard, first.trouble, first.trouble.name());
        for row in cell {
            let _ = writeln!(out, "{}", line(row));
        }
        out.push('\n');
    }
    let faults = matrix.faults().len();
    let known = matrix.rows.iter().filter(|row| row.known_miss.is_some()).count();
    let _ = writeln!(
        out,
        "{} figures: {} fine, {faults} need attention, {known} are known misses",
        matrix.rows.len(),
        matrix.rows.len() - faults
    );
    out
}

/// Returns one row as one line.
pub(crate) fn line(row: &Row) -> String {
    let (phase, case, figure, bare) = (row.phase.as_str(), &row.case, row.figure(), row.bare());
    let mut line = format!("  {phase:<7}{case:<64}{figure:>20}   without: {bare:<7} {}", row.verdict());
    if let Some(why) = row.reason() {
        let _ = write!(line, ": {why}");
    }
    line
}
