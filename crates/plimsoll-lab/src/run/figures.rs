//! The figures of a run's report, each with its data.

use std::time::Duration;

use crate::html::{Axis, Band, Grid, Kind, Part, Plot, STYLES, Series, figures};
use crate::live::report::labels::load_name;
use crate::run::estimate::Estimate;
use crate::run::outcome::{Outcome, Row};

pub(super) fn goodput(outcome: &Outcome, loads: &[f64]) -> Part {
    let bound = loads.iter().map(|load| {
        let row = outcome.rows.iter().filter(|row| row.load == *load).map(|row| row.bound);
        (*load, row.reduce(f64::max))
    });
    let bound = Series {
        name: "bound G*".into(),
        class: "bound".into(),
        points: bound.collect(),
        dots: false,
        named: true,
    };
    let mut series = vec![bound];
    series.extend(by_policy(outcome, |row| Some(row.goodput.mean)));
    let max = outcome.rows.iter().map(|row| row.goodput.mean.max(row.bound)).fold(0.0, f64::max);
    Part {
        plot: Plot {
            id: "goodput",
            title: "Goodput over load".into(),
            description: "Good answers per second for each policy at each load, and the bound".into(),
            x: load_axis(loads),
            y: Axis::even("good answers per second", max, 5.0),
            band: None,
            series,
        },
        text: "Answers within the deadline. The bound G* is the capacity that is left after the cost of all \
               rejections. No policy at the server can exceed it for long. A line may lie a little above it: service \
               times are drawn, and requests that wait when the trigger ends are answered after it."
            .into(),
        grid: over_load(outcome, loads, "Goodput per second, ± half of the 95 % interval", |row| {
            format!("{} ± {}", figures(row.goodput.mean), figures(row.goodput.half()))
        }),
    }
}

pub(super) fn latency(outcome: &Outcome, loads: &[f64]) -> Part {
    let mut series = by_policy(outcome, |row| Some(row.p99_ms?.mean));
    for mut half in by_policy(outcome, |row| Some(row.p50_ms?.mean)) {
        (half.dots, half.named) = (false, false);
        half.class.push_str(" thin");
        series.push(half);
    }
    let all = || series.iter().flat_map(|series| series.points.iter().filter_map(|(_, y)| *y));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let (low, high) = if high > 0.0 { (low.max(1e-3), high) } else { (1.0, 10.0) };
    Part {
        plot: Plot {
            id: "latency",
            title: "Time to an answer over load".into(),
            description:
                "Median and 99th percentile of the time to a good answer, for each policy at each load".into(),
            x: load_axis(loads),
            y: Axis::thirds("milliseconds to a good answer", low, high),
            band: None,
            series,
        },
        text: "The 99th percentile (with dots) and the median (thin) of good answers. A line ends where a \
               policy has no good answers."
            .into(),
        grid: over_load(outcome, loads, "Milliseconds: median / 99th percentile", |row| {
            format!("{} / {}", ms(row.p50_ms), ms(row.p99_ms))
        }),
    }
}

pub(super) fn course(outcome: &Outcome, load: f64) -> Part {
    let step = Duration::from_millis(outcome.step_ms).as_secs_f64();
    let series = at_load(outcome, load).map(|(n, row)| Series {
        name: row.policy.clone(),
        class: class(n),
        points: row
            .goodput_timeline
            .iter()
            .enumerate()
            .map(|(at, y)| ((at as f64 + 0.5) * step, Some(*y)))
            .collect(),
        dots: false,
        named: true,
    });
    let series: Vec<Series> = series.collect();
    let max =
        at_load(outcome, load).flat_map(|(_, row)| row.goodput_timeline.iter().copied()).fold(1.0, f64::max);
    let (from, until) = outcome.trigger_s;
    let per_second = (1.0 / step).round().max(1.0) as usize;
    let seconds = (outcome.seconds.ceil() as usize).min(120);
    let lines = (0..seconds).map(|second| {
        let mean = |row: &Row| {
            let steps: Vec<f64> =
                row.goodput_timeline.iter().skip(second * per_second).take(per_second).copied().collect();
            figures(steps.iter().sum::<f64>() / steps.len().max(1) as f64)
        };
        let cells = at_load(outcome, load).map(|(_, row)| mean(row));
        std::iter::once(format!("{second} s")).chain(cells).collect()
    });
    Part {
        plot: Plot {
            id: "course",
            title: format!("Goodput over time at {}", load_name(load)),
            description: "Good answers per second for each policy over the whole run".into(),
            x: Axis::even("seconds", outcome.seconds, 6.0),
            y: Axis::even("good answers per second", max, 5.0),
            band: Some(Band { from, until, name: "trigger".into() }),
            series,
        },
        text: format!(
            "Answers within the deadline as they arrive, in steps of {} ms, mean over the seeds.",
            outcome.step_ms
        ),
        grid: Grid {
            caption: "Good answers per second, in the second that begins at".into(),
            head: heads("second", outcome),
            lines: lines.collect(),
        },
    }
}

pub(super) fn tail(outcome: &Outcome, load: f64) -> Part {
    let series: Vec<Series> = at_load(outcome, load)
        .map(|(n, row)| Series {
            name: row.policy.clone(),
            class: class(n),
            points: row.tail.iter().filter(|(x, _)| *x > 0.0).map(|(x, y)| (*x, Some(*y))).collect(),
            dots: false,
            named: !row.tail.is_empty(),
        })
        .collect();
    let all = || series.iter().flat_map(|series| series.points.iter().copied());
    let low = all().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
    let high = all().map(|(x, _)| x).fold(0.0, f64::max);
    let min = all().filter_map(|(_, y)| y).fold(0.1, f64::min);
    let (low, high) = if high > 0.0 { (low.max(high / 1e4), high) } else { (1.0, 10.0) };
    let shares = [0.5, 0.1, 0.01, 0.001];
    let lines = shares.iter().map(|share| {
        let time = |row: &Row| {
            let after =
                row.tail.iter().find(|(_, left)| *left <= share * 1.001).filter(|_| !row.tail.is_empty());
            after.map_or_else(|| "–".into(), |(time, _)| figures(*time))
        };
        let cells = at_load(outcome, load).map(|(_, row)| time(row));
        std::iter::once(format!("{} %", share * 100.0)).chain(cells).collect()
    });
    Part {
        plot: Plot {
            id: "tail",
            title: format!("The tail at {}", load_name(load)),
            description:
                "The share of good answers that took longer than a given time, both axes logarithmic".into(),
            x: Axis::thirds("milliseconds", low, high),
            y: Axis::decades("share of good answers that took longer", min, 1.0),
            band: None,
            series,
        },
        text: "Good answers of all seeds together. A policy without good answers has no tail.".into(),
        grid: Grid {
            caption: "The time in milliseconds that at most this share of good answers exceeded".into(),
            head: heads("share", outcome),
            lines: lines.collect(),
        },
    }
}

/// Formats the mean of a time, or a dash for `None`.
pub(super) fn ms(time: Option<Estimate>) -> String {
    time.map_or_else(|| "–".into(), |time| figures(time.mean))
}

fn load_axis(loads: &[f64]) -> Axis {
    Axis::values("load, in multiples of the capacity", Kind::Log, loads, load_name)
}

fn class(n: usize) -> String {
    format!("c{}", n % STYLES)
}

/// Returns the rows at one load, each with the number of its policy.
pub(super) fn at_load(outcome: &Outcome, load: f64) -> impl Iterator<Item = (usize, &Row)> {
    outcome.policies().into_iter().enumerate().filter_map(move |(n, policy)| {
        let row = outcome.rows.iter().find(|row| row.policy == policy && row.load == load)?;
        Some((n, row))
    })
}

fn by_policy(outcome: &Outcome, of: impl Fn(&Row) -> Option<f64>) -> Vec<Series> {
    let each = outcome.policies().into_iter().enumerate().map(|(n, policy)| Series {
        name: policy.into(),
        class: class(n),
        points: outcome.of(policy).map(|row| (row.load, of(row))).collect(),
        dots: true,
        named: true,
    });
    each.collect()
}

fn over_load(outcome: &Outcome, loads: &[f64], caption: &str, cell: impl Fn(&Row) -> String) -> Grid {
    let lines = loads.iter().map(|load| {
        let cells = at_load(outcome, *load).map(|(_, row)| cell(row));
        std::iter::once(load_name(*load)).chain(cells).collect()
    });
    Grid { caption: caption.into(), head: heads("load", outcome), lines: lines.collect() }
}

fn heads(first: &str, outcome: &Outcome) -> Vec<String> {
    std::iter::once(first).chain(outcome.policies()).map(String::from).collect()
}
