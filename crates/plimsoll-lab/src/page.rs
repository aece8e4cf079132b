//! The demo's report as a page to read.

use crate::html::{Axis, Grid, Kind, Page, Part, Plot, Series, figures};
use crate::reading::reading;
use crate::report::Report;
use crate::row::Row;
use crate::table::{load_name, side_name};

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut lead = vec![format!(
        "A real server with {} slots of {} ms, {:.1} requests a second at most, driven over real sockets; a client \
         waits {} ms. A refusal costs {:.1} µs of processor time.",
        report.slots,
        report.service_time_ms,
        report.capacity,
        report.deadline_ms,
        report.refusal_cost * report.service_time_ms * 1_000.0
    )];
    lead.extend(reading(report));
    let page = Page {
        title: "Overload on real sockets, bare and guarded".into(),
        lead,
        summary: summary(report),
        parts: vec![goodput(report), latency(report)],
        whole: None,
        foot: format!(
            "Made by plimsoll-lab demo, seed {}, {} s a row, with the real clock of one machine: figures differ from run \
             to run.",
            report.seed, report.seconds
        ),
    };
    page.html()
}

fn summary(report: &Report) -> Grid {
    let lines = report.rows.iter().map(|row| {
        let mut name = side_name(row.guarded).to_owned();
        if !row.valid {
            name.push_str(", void");
        }
        vec![
            name,
            load_name(row.load),
            figures(row.offered),
            figures(row.goodput),
            figures(row.bound),
            ms(row.p50_ms),
            ms(row.p99_ms),
            figures(row.refused),
            ms(row.refused_p99_ms),
            figures(row.late),
            figures(row.wasted),
        ]
    });
    let head = [
        "side",
        "load",
        "offered",
        "goodput",
        "bound",
        "p50, ms",
        "p99, ms",
        "refused",
        "its p99, ms",
        "late",
        "wasted",
    ];
    Grid {
        caption: "Per second, and milliseconds from the intended moment of sending".into(),
        head: head.map(String::from).into(),
        lines: lines.collect(),
    }
}

fn goodput(report: &Report) -> Part {
    let bound = Series {
        name: "bound".into(),
        class: "bound".into(),
        points: report.side(false).map(|row| (row.load, Some(row.bound))).collect(),
        dots: false,
        named: true,
    };
    let mut series = vec![bound];
    series.extend(sides(report, |row| Some(row.goodput)));
    let most = report.rows.iter().map(|row| row.goodput.max(row.bound)).fold(0.0, f64::max);
    Part {
        plot: Plot {
            id: "goodput",
            title: "Goodput over load".into(),
            says: "Good answers per second, bare and guarded, at each load, and the bound".into(),
            x: load_axis(report),
            y: Axis::even("good answers per second", most, 5.0),
            band: None,
            series,
        },
        text: "Answers within the deadline. The bound is the smaller of what was asked for and what the slots can do."
            .into(),
        grid: grid(report, "Goodput per second", |row| figures(row.goodput)),
    }
}

fn latency(report: &Report) -> Part {
    let mut series = sides(report, |row| row.p99_ms);
    for mut half in sides(report, |row| row.p50_ms) {
        (half.dots, half.named) = (false, false);
        half.class.push_str(" thin");
        series.push(half);
    }
    let all = || report.rows.iter().flat_map(|row| [row.p50_ms, row.p99_ms]).flatten();
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let (low, high) = if high > 0.0 { (low.max(1e-3), high) } else { (1.0, 10.0) };
    Part {
        plot: Plot {
            id: "latency",
            title: "Time to an answer over load".into(),
            says: "Median and 99th percentile of the time to a good answer, bare and guarded, at each load"
                .into(),
            x: load_axis(report),
            y: Axis::thirds("milliseconds to a good answer", low, high),
            band: None,
            series,
        },
        text: "The 99th percentile (with dots) and the median (thin) of answers within the deadline.".into(),
        grid: grid(report, "Milliseconds: median / 99th percentile", |row| {
            format!("{} / {}", ms(row.p50_ms), ms(row.p99_ms))
        }),
    }
}

fn load_axis(report: &Report) -> Axis {
    let mut loads: Vec<f64> = report.side(false).map(|row| row.load).collect();
    loads.sort_by(f64::total_cmp);
    Axis::values("load, in multiples of the capacity", Kind::Log, &loads, load_name)
}

fn sides(report: &Report, of: impl Fn(&Row) -> Option<f64>) -> Vec<Series> {
    let each = [(false, "c0"), (true, "c2")].into_iter().map(|(guarded, class)| {
        let mut points: Vec<_> = report.side(guarded).map(|row| (row.load, of(row))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name: side_name(guarded).into(), class: class.into(), points, dots: true, named: true }
    });
    each.collect()
}

fn grid(report: &Report, caption: &str, cell: impl Fn(&Row) -> String) -> Grid {
    let lines = report.side(false).map(|bare| {
        let guarded = report.side(true).find(|row| row.load == bare.load);
        vec![load_name(bare.load), cell(bare), guarded.map_or_else(|| "–".into(), &cell)]
    });
    Grid {
        caption: caption.into(),
        head: ["load", "bare", "guarded"].map(String::from).into(),
        lines: lines.collect(),
    }
}

fn ms(time: Option<f64>) -> String {
    time.map_or_else(|| "–".into(), figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn the_page_stands_alone_and_has_every_row() {
        let mut report = report();
        report.rows[2].valid = false;
        report.rows[2].p50_ms = None;
        let page = page(&report);
        for part in ["<!DOCTYPE html>", "<svg", "<title id=", "776", "bare, void", "prefers-color-scheme"] {
            assert!(page.contains(part), "{part}");
        }
        for part in ["<script", "http://", "https://", "NaN", "inf", "url("] {
            assert!(!page.contains(part), "{part}");
        }
    }
}
