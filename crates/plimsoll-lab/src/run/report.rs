//! The outcome as a page to read.

use crate::html::{Grid, Page, figures};
use crate::live::report::labels::load_name;
use crate::run::figures::{at_load, course, goodput, latency, ms, tail};
use crate::run::outcome::{Outcome, Row};
use crate::run::table::herd;

/// The load whose course and tail are drawn: the one nearest to this.
const SHOWN_LOAD: f64 = 4.0;

/// The whole page.
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
        title: format!("Overload, simulated: {}", outcome.scenario),
        intro: intro(outcome, shown),
        summary: summary(outcome.rows.iter().filter(|row| row.load == shown)),
        parts,
        extra: faults(outcome, outcome.rows.iter().filter(|row| row.load == shown)),
        all_rows: (loads.len() > 1).then(|| summary(outcome.rows.iter())),
        footer: format!(
            "Made by plimsoll-lab run {}, seeds {} to {}, in virtual time: the same command gives the same page.",
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
        .map(|(_, row)| format!("{} {} %", row.policy, figures(100.0 * row.of_bound.mean)))
        .collect();
    vec![
        outcome.about.clone(),
        format!(
            "The server has {} slots of {} ms on average and can do {} requests a second; a client waits {deadline}; \
             a refusal costs {} % of a request. The trigger lasts from {from} s to {until} s of {} s. Every policy \
             meets the same arrivals; figures are means over {} seeds, with 95 % bootstrap intervals.",
            outcome.slots,
            short(outcome.service_ms),
            short(outcome.capacity),
            short(100.0 * outcome.rejection_cost),
            outcome.seconds,
            outcome.seeds
        ),
        format!("Of the bound at {}: {}.", load_name(shown), at.join(", ")),
    ]
}

fn summary<'a>(rows: impl Iterator<Item = &'a Row>) -> Grid {
    let lines = rows.map(|row| {
        let recovery = row.recovery_s.map_or_else(|| "–".into(), |time| format!("{:.2} s", time.mean));
        let herd = herd(row).map_or_else(String::new, |herd| format!(", {herd}"));
        let verdict = match row.judged {
            0 => "–".into(),
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
        caption:
            "While the trigger lasts, per second; and how long after its end goodput was back, with how many \
                  of the seeds"
                .into(),
        head: words(&[
            "policy",
            "load",
            "offered",
            "goodput",
            "of bound",
            "p99, ms",
            "rejected",
            "failed",
            "late",
            "back after",
            "verdict",
        ]),
        lines: lines.collect(),
    }
}

/// All of them as a table; `None` if the server is well all the time.
fn faults<'a>(outcome: &Outcome, rows: impl Iterator<Item = &'a Row>) -> Option<Grid> {
    let lines = rows.flat_map(|row| {
        row.faults.iter().map(|fault| {
            vec![
                row.policy.clone(),
                load_name(row.load),
                fault.name(),
                figures(fault.sent.mean),
                figures(fault.reached.mean),
                fault.recovery(outcome.seeds),
            ]
        })
    });
    let lines: Vec<Vec<String>> = lines.collect();
    let caption = "What is sent while the server is not well, what of it the policy lets through, and how long \
                   after that goodput was back";
    let head = ["policy", "load", "the server", "sent", "reached it", "goodput"];
    (!lines.is_empty()).then(|| Grid {
        caption: caption.into(),
        head: head.map(String::from).to_vec(),
        lines,
    })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).into()).collect()
}

/// At most three digits after the point, and no more than are needed.
fn short(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
