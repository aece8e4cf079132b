//! The matrix as an HTML page.

use crate::html::{Grid, Page};
use crate::trouble::kind::Trouble;
use crate::trouble::report::overview::{SIGNS, overview, reasons, worst};
use crate::trouble::row::Row;
use crate::trouble::run::Matrix;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).into()).collect()
}

/// Returns the whole page.
pub fn page(matrix: &Matrix) -> String {
    let head = ["guard"].into_iter().chain(Trouble::ALL.iter().map(|trouble| trouble.id()));
    let row = |row: &Row| {
        let why = row.reason().unwrap_or_default();
        vec![
            row.guard.to_string(),
            row.trouble.to_string(),
            row.phase.as_str().into(),
            row.case.clone(),
            row.figure(),
            row.bare(),
            row.verdict().into(),
            why.into(),
        ]
    };
    let (fine, all) = (matrix.rows.len() - matrix.faults().len(), matrix.rows.len());
    let trouble =
        |trouble: &Trouble| [trouble.id(), trouble.name(), trouble.about()].map(str::to_owned).to_vec();
    let closest = |(row, count): (&Row, usize)| {
        vec![
            row.guard.to_string(),
            row.trouble.to_string(),
            format!("{}: {}", row.phase.as_str(), row.case),
            row.figure(),
            row.bare(),
            row.verdict().into(),
            count.to_string(),
        ]
    };
    let page = Page {
        title: "What a bad day does to each guard".into(),
        intro: vec![
            "Every guard, with its default settings and the one setting that it needs, in every trouble. The layers \
             and guards are those of production, in virtual time. More than 2 % below the figure without the guard \
             is harm, unless the guard spends it on purpose."
                .into(),
            format!("{fine} of {all} figures need no attention."),
            SIGNS.into(),
        ],
        summary: Grid {
            caption: "Guards and troubles at a glance".into(),
            head: head.map(str::to_owned).collect(),
            lines: overview(matrix),
        },
        extra: vec![
            Grid {
                caption: "The troubles".into(),
                head: words(&["trouble", "name", "what happens"]),
                lines: Trouble::ALL.iter().map(trouble).collect(),
            },
            Grid {
                caption: "For each guard and trouble, the figure closest to its limit or furthest beyond it".into(),
                head: words(&["guard", "trouble", "phase: case", "figure and limit", "without", "verdict", "figures"]),
                lines: worst(matrix).into_iter().map(closest).collect(),
            },
            Grid {
                caption: "Troubles without a meaning for a guard".into(),
                head: words(&["why", "troubles", "guards"]),
                lines: reasons().into_iter().map(Vec::from).collect(),
            },
        ],
        parts: Vec::new(),
        all_rows: Some(Grid {
            caption: "Every figure with its limit".into(),
            head: words(&["guard", "trouble", "phase", "case", "figure and limit", "without", "verdict", "why"]),
            lines: matrix.rows.iter().map(row).collect(),
        }),
        footer: format!(
            "Made by plimsoll-lab trouble, size {}, seed {}, in virtual time. The same command makes the same page.",
            matrix.size, matrix.seed
        ),
    };
    page.html()
}
