//! The demo's report as an HTML page.

use crate::html::{Axis, Band, Grid, Kind, Page, Part, Plot, Series, figures};
use crate::live::report::Report;
use crate::live::report::labels::{load_name, side_name};
use crate::live::report::reading::{SHOWN_LOAD, reading};
use crate::live::row::{Row, WARM_UP};
use crate::live::tally::STEP;

/// Returns the whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut intro = vec![format!(
        "A real server with {} slots of {} ms is driven over real sockets. Its capacity is {:.1} requests per second. A \
         client waits {} ms. A rejection costs {:.1} µs of processor time.",
        report.slots,
        report.service_time_ms,
        report.capacity,
        report.deadline_ms,
        report.rejection_cost * report.service_time_ms * 1_000.0
    )];
    intro.extend(reading(report));
    let page = Page {
        title: "Overload on real sockets, bare and guarded".into(),
        intro,
        summary: summary(report),
        extra: Vec::new(),
        parts: vec![goodput(report), latency(report), course(report), tail(report)],
        all_rows: None,
        footer: format!(
            "Made by plimsoll-lab demo with seed {} and {} s per row. It reads the real clock, so the figures differ from \
             run to run.",
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
            ms(row.p50_ms, report),
            ms(row.p99_ms, report),
            figures(row.rejected),
            ms(row.rejected_p50_ms, report),
            ms(row.rejected_p99_ms, report),
            figures(row.late),
            figures(row.wasted),
        ]
    });
    let head = [
        "side", "load", "offered", "goodput", "bound", "p50, ms", "p99, ms", "rejected", "p50, ms",
        "p99, ms", "late", "wasted",
    ];
    Grid {
        caption: "Rates per second. Times in milliseconds from the moment a request was due".into(),
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
    let max = report.rows.iter().map(|row| row.goodput.max(row.bound)).fold(0.0, f64::max);
    Part {
        plot: Plot {
            id: "goodput",
            title: "Goodput over load".into(),
            description: "Good answers per second, bare and guarded, at each load, and the bound".into(),
            x: load_axis(report),
            y: Axis::even("good answers per second", max, 5.0),
            band: None,
            series,
        },
        text: "Answers within the deadline. The bound is the smaller of the offered load and the capacity."
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
            description: "Median and 99th percentile of the time to an answer, bare and guarded, at each load"
                .into(),
            x: load_axis(report),
            y: Axis::thirds("milliseconds to an answer", low, high),
            band: None,
            series,
        },
        text: "The 99th percentile (with dots) and the median (thin) of all requests that were not rejected. The \
               client leaves at the deadline, so a line that lies on the deadline is at least that high."
            .into(),
        grid: grid(report, "Milliseconds: median / 99th percentile", |row| {
            format!("{} / {}", ms(row.p50_ms, report), ms(row.p99_ms, report))
        }),
    }
}

/// Returns the load whose timeline and tail are drawn: the one nearest to [`SHOWN_LOAD`].
fn shown(report: &Report) -> f64 {
    let distance = |load: f64| (load - SHOWN_LOAD).abs();
    let loads = report.side(false).map(|row| row.load);
    loads.min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(SHOWN_LOAD)
}

/// Returns the bare and the guarded row at that load.
fn pair(report: &Report) -> impl Iterator<Item = (&'static str, &Row)> {
    let load = shown(report);
    let sides = [(false, "c0"), (true, "c2")];
    sides.into_iter().filter_map(move |(guarded, class)| {
        report.side(guarded).find(|row| row.load == load).map(|row| (class, row))
    })
}

fn line(class: &str, row: &Row, points: Vec<(f64, Option<f64>)>) -> Series {
    Series { name: side_name(row.guarded).into(), class: class.into(), points, dots: false, named: true }
}

fn course(report: &Report) -> Part {
    let step = STEP.as_secs_f64();
    let seconds = WARM_UP.as_secs_f64() + report.seconds;
    let steps = (seconds / step).round() as usize;
    // A step without answers is missing at the end of the timeline. Its rate is 0, not unknown.
    let at = |row: &Row, n: usize| row.goodput_timeline.get(n).copied().unwrap_or(0.0);
    let series: Vec<Series> = pair(report)
        .map(|(class, row)| {
            line(class, row, (0..steps).map(|n| ((n as f64 + 0.5) * step, Some(at(row, n)))).collect())
        })
        .collect();
    let max = pair(report).flat_map(|(_, row)| row.goodput_timeline.iter().copied()).fold(1.0, f64::max);
    let per_second = (1.0 / step).round().max(1.0) as usize;
    let lines = (0..(seconds.ceil() as usize).min(120)).map(|second| {
        let mean = |row: &Row| {
            let range = second * per_second..((second + 1) * per_second).min(steps);
            let count = range.len().max(1) as f64;
            figures(range.map(|n| at(row, n)).sum::<f64>() / count)
        };
        std::iter::once(format!("{second} s")).chain(pair(report).map(|(_, row)| mean(row))).collect()
    });
    Part {
        plot: Plot {
            id: "course",
            title: format!("Goodput over time at {}", load_name(shown(report))),
            description: "Good answers per second, bare and guarded, from the start of the row".into(),
            x: Axis::even("seconds", seconds, 6.0),
            y: Axis::even("good answers per second", max, 5.0),
            band: Some(Band { from: 0.0, until: WARM_UP.as_secs_f64(), name: "warm-up".into() }),
            series,
        },
        text: "Answers within the deadline as they arrive, in steps of 100 ms. The other figures leave out the warm-up."
            .into(),
        grid: Grid {
            caption: "Good answers per second, in the second that begins at".into(),
            head: ["second", "bare", "guarded"].map(String::from).into(),
            lines: lines.collect(),
        },
    }
}

fn tail(report: &Report) -> Part {
    let series: Vec<Series> = pair(report)
        .map(|(class, row)| {
            let mut points: Vec<_> =
                row.tail.iter().filter(|(_, left)| *left > 0.0).map(|(x, y)| (*x, Some(*y))).collect();
            // A request that was given up took at least the deadline. The line continues to there.
            if row.late > 0.0 {
                let share = points.last().map_or(Some(1.0), |last| last.1);
                points.extend(points.is_empty().then_some((1.0, share)));
                points.push((report.deadline_ms, share));
            }
            line(class, row, points)
        })
        .collect();
    let all = || series.iter().flat_map(|series| series.points.iter().copied());
    let min = all().filter_map(|(_, y)| y).fold(0.1, f64::min);
    let shares = [0.5, 0.1, 0.01, 0.001];
    let lines = shares.iter().map(|share| {
        let time =
            |row: &Row| ms(row.tail.iter().find(|(_, left)| left <= share).map(|(time, _)| *time), report);
        std::iter::once(format!("{} %", share * 100.0))
            .chain(pair(report).map(|(_, row)| time(row)))
            .collect()
    });
    Part {
        plot: Plot {
            id: "tail",
            title: format!("The tail at {}", load_name(shown(report))),
            description:
                "The share of admitted requests that took longer than a given time, both axes logarithmic"
                    .into(),
            x: Axis::thirds("milliseconds", 1.0, report.deadline_ms),
            y: Axis::decades("share that took longer", min, 1.0),
            band: None,
            series,
        },
        text: "All requests that were not rejected. The share at which a line reaches the deadline is lost."
            .into(),
        grid: Grid {
            caption: "The time in milliseconds that at most this share of requests exceeded".into(),
            head: ["share", "bare", "guarded"].map(String::from).into(),
            lines: lines.collect(),
        },
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

/// Formats milliseconds. Nothing is measured beyond the deadline, when the client leaves.
fn ms(time: Option<f64>, report: &Report) -> String {
    match time {
        None => "–".into(),
        Some(ms) if ms >= report.deadline_ms => format!("≥ {}", figures(report.deadline_ms)),
        Some(ms) => figures(ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::report::tests::report;

    #[test]
    fn page_is_self_contained_and_has_every_row() {
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
