//! The outcome as a table for the terminal.

use std::fmt::Write;

use crate::live::report::labels::load_name;
use crate::run::estimate::Estimate;
use crate::run::faults::with_last;
use crate::run::outcome::{Outcome, Row};

const HEAD: [&str; 2] = [
    "         offered goodput   95 %       of  admitted, ms  rejected   late recovery",
    "  load        /s      /s      ±    bound    p50    p99       /s     /s     time  verdict",
];

/// Formats a block per policy with a line per load.
pub(crate) fn table(outcome: &Outcome) -> String {
    let mut out = String::new();
    for policy in outcome.policies() {
        let _ = writeln!(out, "{policy}");
        for head in HEAD {
            let _ = writeln!(out, "{head}");
        }
        for row in outcome.of(policy) {
            out.push_str(&line(row, outcome.seeds));
            out.push('\n');
            for (fault, is_last) in with_last(&row.faults) {
                let _ = writeln!(out, "{}", fault.line(is_last));
            }
        }
        out.push('\n');
    }
    out
}

fn line(row: &Row, seeds: u32) -> String {
    let ms = |time: Option<Estimate>| time.map_or_else(|| "–".into(), |time| format!("{:.1}", time.mean));
    let mut line = format!(
        "{:>6}{:>10.0}{:>8.0}{:>7.1}{:>7.1} %{:>7}{:>7}{:>9.0}{:>7.0}{:>9}  {}",
        load_name(row.load),
        row.offered.mean,
        row.goodput.mean,
        row.goodput.half(),
        row.of_bound.mean * 100.0,
        ms(row.p50_ms),
        ms(row.p99_ms),
        row.rejected.mean,
        row.late.mean,
        row.recovery_s.map_or_else(|| "–".into(), |time| format!("{:.2} s", time.mean)),
        row.verdict.as_str(),
    );
    if row.recovered > 0 && row.recovered < row.judged {
        let _ = write!(line, " ({} of {})", row.recovered, row.judged);
    }
    if row.failed.mean > 0.0 {
        let _ = write!(line, ", {:.0} failed/s", row.failed.mean);
    }
    if let Some(herd) = herd(row, seeds) {
        let _ = write!(line, ", {herd}");
    }
    line
}

/// Returns what became of the herd in most seeds, if there was one.
pub(super) fn herd(row: &Row, seeds: u32) -> Option<String> {
    let recovered = row.herd_recovered?;
    Some(match row.herd_recovery_s {
        Some(time) if 2 * recovered > seeds => format!("herd served after {:.1} s", time.mean),
        _ => "herd not served".into(),
    })
}
