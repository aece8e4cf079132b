//! The rows as a table and as a file.

use crate::measure::{MIN_ROUNDS, Measured, quartiles};
use plimsoll_bench::{Bytes, Case, Target, version};
use serde::Serialize;
use std::path::Path;

/// Plimsoll against one peer. Times are in nanoseconds per operation.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    group: &'static str,
    subject: &'static str,
    /// With its version. `None` if no peer can be driven by this many threads.
    peer: Option<String>,
    threads: usize,
    ns: f64,
    ns_quartiles: [f64; 2],
    peer_ns: Option<f64>,
    peer_ns_quartiles: Option<[f64; 2]>,
    /// The median of the ratios of the single rounds.
    ratio: Option<f64>,
    ratio_quartiles: Option<[f64; 2]>,
    /// The same for what both add to the work without a guard.
    net_ratio: Option<f64>,
    /// The same work without any guard. It is a part of `ns` and `peer_ns`, and so of the ratio.
    bare_ns: Option<f64>,
    allocs: f64,
    peer_allocs: Option<f64>,
    rounds: usize,
    discarded: usize,
    target: Option<Target>,
    /// `None` without a target, or with too few rounds.
    met: Option<bool>,
}

/// Returns the rows of one case: ours against each peer.
pub(crate) fn rows(group: &'static str, case: &Case, threads: usize, measured: &Measured) -> Vec<Row> {
    let ours = &measured.nanos[0];
    let [low, ns, high] = quartiles(ours);
    let bare_ns = measured.nanos.last().filter(|_| case.has_bare()).map(|bare| quartiles(bare)[1]);
    let alone = Row {
        group,
        subject: case.subject,
        peer: None,
        threads,
        ns,
        ns_quartiles: [low, high],
        peer_ns: None,
        peer_ns_quartiles: None,
        ratio: None,
        ratio_quartiles: None,
        net_ratio: None,
        bare_ns,
        allocs: measured.allocs[0],
        peer_allocs: None,
        rounds: ours.len(),
        discarded: measured.discarded,
        target: None,
        met: None,
    };
    let against: Vec<Row> = case
        .peers(threads)
        .zip(measured.nanos.iter().zip(&measured.allocs).skip(1))
        .map(|(peer, (theirs, allocs))| {
            let [peer_low, peer_ns, peer_high] = quartiles(theirs);
            let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
            let [low, ratio, high] = quartiles(&ratios);
            let net_ratio = measured.nanos.last().filter(|_| case.has_bare()).map(|bare| {
                let sides = ours.iter().zip(theirs).zip(bare);
                let nets: Vec<f64> =
                    sides.map(|((ours, theirs), bare)| (ours - bare) / (theirs - bare)).collect();
                quartiles(&nets)[1]
            });
            let target = peer.target_with(threads);
            let met = target.filter(|_| ours.len() >= MIN_ROUNDS).map(|target| match target {
                Target::Ratio(max) => ratio <= max,
                Target::Net(max) => net_ratio.is_some_and(|net| net <= max),
                Target::Nanos(max) => ns <= max,
            });
            Row {
                peer: Some(format!("{} {} {}", peer.package, version(peer.package), peer.what)),
                peer_ns: Some(peer_ns),
                peer_ns_quartiles: Some([peer_low, peer_high]),
                ratio: Some(ratio),
                ratio_quartiles: Some([low, high]),
                net_ratio,
                peer_allocs: Some(*allocs),
                target,
                met,
                ..alone
            }
        })
        .collect();
    if against.is_empty() { vec![alone] } else { against }
}

/// The memory of something of ours and of a peer, in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct BytesRow {
    group: &'static str,
    subject: &'static str,
    /// With its version.
    peer: String,
    bytes: f64,
    peer_bytes: f64,
    /// The maximum for ours.
    target: f64,
    met: bool,
}

/// Returns the row of one measurement.
pub(crate) fn bytes_row(group: &'static str, measured: &Bytes) -> BytesRow {
    let &Bytes { subject, bytes, package, what, peer_bytes, target } = measured;
    let peer = format!("{package} {} {what}", version(package));
    BytesRow { group, subject, peer, bytes, peer_bytes, target, met: bytes <= target }
}

/// Prints the tables.
pub(crate) fn print(rows: &[Row], bytes: &[BytesRow]) {
    println!("{}", plimsoll_bench::cpu());
    if !rows.is_empty() {
        print_times(rows);
    }
    for BytesRow { group, subject, peer, bytes, peer_bytes, target, met } in bytes {
        let met = if *met { "yes" } else { "NO" };
        println!("{group}  {subject}: {bytes:.1} B each (≤ {target} B: {met})  {peer}: {peer_bytes:.1} B");
    }
}

fn print_times(rows: &[Row]) {
    let head = [
        "group",
        "subject",
        "thr",
        "peer",
        "ns",
        "peer ns",
        "ratio",
        "(quartiles)",
        "net",
        "target",
        "met",
        "bare ns",
        "allocs",
        "peer's",
        "rounds",
        "discarded",
    ];
    let mut table = vec![head.map(String::from)];
    table.extend(rows.iter().map(cells));
    let mut width = [0; 16];
    for line in &table {
        width.iter_mut().zip(line).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    for line in &table {
        let cells: Vec<_> = line.iter().zip(width).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
    if rows.iter().any(|row| row.rounds < MIN_ROUNDS) {
        println!("\nA row with fewer than {MIN_ROUNDS} rounds is not reliable: the machine was too busy.");
    }
}

fn cells(row: &Row) -> [String; 16] {
    let number = |n: Option<f64>| n.filter(|n| n.is_finite()).map_or("–".into(), |n| format!("{n:.2}"));
    [
        row.group.into(),
        row.subject.into(),
        row.threads.to_string(),
        row.peer.clone().unwrap_or("–".into()),
        number(Some(row.ns)),
        number(row.peer_ns),
        number(row.ratio),
        row.ratio_quartiles
            .filter(|quartiles| quartiles.iter().all(|n| n.is_finite()))
            .map_or(String::new(), |[low, high]| format!("{low:.2}–{high:.2}")),
        number(row.net_ratio),
        match row.target {
            Some(Target::Ratio(max)) => format!("≤ {max:.2}"),
            Some(Target::Net(max)) => format!("≤ {max:.2} net"),
            Some(Target::Nanos(max)) => format!("≤ {max} ns"),
            None => "–".into(),
        },
        row.met.map_or("–", |met| if met { "yes" } else { "NO" }).into(),
        number(row.bare_ns),
        number(Some(row.allocs)),
        number(row.peer_allocs),
        row.rounds.to_string(),
        row.discarded.to_string(),
    ]
}

/// Writes all rows as one JSON list.
pub(crate) fn write(path: &Path, rows: &[Row], bytes: &[BytesRow]) -> std::io::Result<()> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Any<'a> {
        Time(&'a Row),
        Bytes(&'a BytesRow),
    }
    let all: Vec<_> = rows.iter().map(Any::Time).chain(bytes.iter().map(Any::Bytes)).collect();
    std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")
}
