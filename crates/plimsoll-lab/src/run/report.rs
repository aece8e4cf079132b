//! The outcome as an HTML page.

use crate::html::{Grid, Page, figures};
use crate::live::report::labels::load_name;
use crate::run::faults::with_last;
use crate::run::figures::{at_load, course, goodput, latency, ms, tail};
use crate::run::outcome::{Outcome, Row};
use crate::run::table::herd;

/// The load whose timeline and tail are drawn, or the nearest one to it.
const SHOWN_LOAD: f64 = 4.0;

/// Returns the whole page.
pub(crate) fn report(outcome: &Outcome) -> String {
    let loads = loads(outcome);
    let shown = loads.iter().copied().min_by(|a, b| {
        let far = |load: f64| (load / SHOWN_LOAD).ln().abs();
        far(*a).total_cmp(&far(*b))
    });
    let shown = shown.unwrap_or(SHOWN_LOAD);
    let mut parts = Vec::new();
    if loads.len() > 1 {
        parts.push(goodput(outcome, &loads));
        parts.push(latency(outcome, &loads));
    }
    parts.push(course(outcome, shown));
    parts.push(tail(outcome, shown));
    let page = Page {
        title: format!("Simulated overload: {}", outcome.scenario),
        intro: intro(outcome, shown),
        summary: summary(outcome.rows.iter().filter(|row| row.load == shown), outcome.seeds),
        parts,
        extra: faults(outcome.rows.iter().filter(|row| row.load == shown)).into_iter().collect(),
        all_rows: (loads.len() > 1).then(|| summary(outcome.rows.iter(), outcome.seeds)),
        footer: format!(
            "Made by plimsoll-lab run {}, seeds {} to {}, in virtual time. The same command makes the same page.",
            outcome.scenario,
            outcome.seed,
            outcome.seed.saturating_add(u64::from(outcome.seeds) - 1)
        ),
    };
    page.html()
}

fn loads(outcome: &Outcome) -> Vec<f64> {
    let mut loads: Vec<f64> = outcome.rows.iter().map(|row| row.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    loads
}

fn intro(outcome: &Outcome, shown: f64) -> Vec<String> {
    let deadline = outcome.deadline_ms.map_or("for ever".into(), |ms| format!("{ms} ms"));
    let (from, until) = outcome.trigger_s;
    let at: Vec<String> = at_load(outcome, shown)
        .map(|(_, row)| format!("{}: {} %", row.policy, figures(100.0 * row.of_bound.mean)))
        .collect();
    vec![
        outcome.about.clone(),
        format!(
            "The server has {} slots of {} ms on average, which is {} requests per second. A client waits {deadline}. \
             A rejection costs {} % of a request. The trigger lasts from {from} s to {until} s of {} s. Every policy \
             has the same arrivals. Figures are means over {} seeds, with 95 % bootstrap intervals.",
            outcome.slots,
            short(outcome.service_ms),
            short(outcome.capacity),
            short(100.0 * outcome.rejection_cost),
            outcome.seconds,
            outcome.seeds
        ),
        format!("Goodput at {}, as a share of the bound. {}.", load_name(shown), at.join(" · ")),
    ]
}

fn summary<'a>(rows: impl Iterator<Item = &'a Row>, seeds: u32) -> Grid {
    let lines = rows.map(|row| {
        let recovery = row.recovery_s.map_or_else(|| "–".into(), |time| format!("{:.2} s", time.mean));
        let herd = herd(row, seeds).map_or_else(String::new, |herd| format!(", {herd}"));
        let verdict = match row.judged {
            0 => format!("–{herd}"),
            judged => format!("{} ({} of {judged}){herd}", row.verdict.as_str(), row.recovered),
        };
        vec![
            row.policy.clone(),
            load_name(row.load),
            figures(row.offered.mean),
            figures(row.goodput.mean),
            percent(row.of_bound.mean),
            ms(row.p99_ms),
            figures(row.rejected.mean),
            figures(row.failed.mean),
            figures(row.late.mean),
            recovery,
            verdict,
        ]
    });
    Grid {
        caption: "Rates per second during the trigger, and the time from its end until goodput had recovered"
            .into(),
        head: words(&[
            "policy", "load", "offered", "goodput", "of bound", "p99, ms", "rejected", "failed", "late",
            "recovery", "verdict",
        ]),
        lines: lines.collect(),
    }
}

/// Returns all faults as a table. `None` if the server has none.
fn faults<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<Grid> {
    let lines = rows.flat_map(|row| {
        with_last(&row.faults).map(|(fault, is_last)| {
            vec![
                row.policy.clone(),
                load_name(row.load),
                fault.name(),
                figures(fault.sent.mean),
                figures(fault.reached.mean),
                fault.recovery(is_last),
            ]
        })
    });
    let lines: Vec<Vec<String>> = lines.collect();
    let caption = "Calls sent during each fault, calls that the policy admitted to the server, and the recovery after the fault";
    (!lines.is_empty()).then(|| Grid {
        caption: caption.into(),
        head: words(&["policy", "load", "fault", "sent", "reached", "recovery"]),
        lines,
    })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).into()).collect()
}

/// Rounds to three digits after the decimal point.
fn short(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
