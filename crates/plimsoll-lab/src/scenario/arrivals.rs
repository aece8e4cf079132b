//! Reads the arrivals: one stream per load of the trigger.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::scenario::raw;
use crate::scenario::read::{HOUR, ReadResult, Reader};
use crate::scenario::types::{Number, Text};
use crate::scenario::values::span;
use crate::sim::{Arrivals, Piece};

impl Reader<'_> {
    pub(super) fn arrivals(
        &self,
        raw: &Spanned<raw::Arrivals>,
        trigger: &Spanned<raw::Trigger>,
        capacity: f64,
        at: std::ops::Range<Duration>,
    ) -> ReadResult<Vec<(f64, Arrivals)>> {
        let keys = raw.as_ref();
        let kind = keys.kind.as_ref().map_or("poisson", |kind| kind.as_ref().as_str());
        let used: &[&str] = match kind {
            "poisson" => &["load", "rate"],
            "ramp" => &["load", "rate", "to"],
            "bursts" => &["load", "rate", "burst", "on", "off"],
            "steps" => &["steps"],
            "trace" => &["file"],
            _ => {
                let Some(given) = &keys.kind else { unreachable!("the default is known") };
                let expected = "poisson, ramp, bursts, steps or trace";
                return Err(self.source.invalid("arrivals.kind", given, expected));
            }
        };
        let given = [
            ("load", span(&keys.load)),
            ("rate", span(&keys.rate)),
            ("to", span(&keys.to)),
            ("burst", span(&keys.burst)),
            ("on", span(&keys.on)),
            ("off", span(&keys.off)),
            ("steps", keys.steps.as_ref().map(Spanned::span)),
            ("file", span(&keys.file)),
        ];
        self.reject_unused(
            used,
            "arrivals",
            keys.kind.as_ref().unwrap_or(&Spanned::new(raw.span(), kind.into())),
            &given,
        )?;
        if let Some(loads) = trigger.as_ref().loads.as_ref().filter(|_| kind != "poisson") {
            return Err(self.source.invalid(
                "trigger.loads",
                loads,
                format!("left out with arrivals.kind = {kind}"),
            ));
        }
        let load = |key, given: &Number| self.number(key, given, 0.0..=1_000.0);
        Ok(match kind {
            "poisson" => {
                let base = self.base_load(raw, capacity)?;
                let mut steps = Vec::new();
                for during in self.loads(trigger.as_ref())?.unwrap_or(vec![base]) {
                    let piece =
                        |until, load: f64| Piece { until, rate: load * capacity, to: load * capacity };
                    let pieces =
                        vec![piece(at.start, base), piece(at.end, during), piece(Duration::MAX, base)];
                    steps.push((during, Arrivals::Pieces(pieces)));
                }
                steps
            }
            "ramp" => {
                let base = self.base_load(raw, capacity)?;
                let to = self.required_number(raw, "arrivals.to", &keys.to, 0.0..=1_000.0)?;
                let piece =
                    |until, from: f64, to: f64| Piece { until, rate: from * capacity, to: to * capacity };
                let pieces = vec![
                    piece(at.start, base, base),
                    piece(at.end, base, to),
                    piece(Duration::MAX, base, base),
                ];
                vec![(to, Arrivals::Pieces(pieces))]
            }
            "bursts" => {
                let low = self.base_load(raw, capacity)?;
                let high = self.required_number(raw, "arrivals.burst", &keys.burst, 0.0..=1_000.0)?;
                let times = Duration::from_millis(1)..=HOUR;
                let on = self.required_time(raw, "arrivals.on", &keys.on, times.clone())?;
                let off = self.required_time(raw, "arrivals.off", &keys.off, times)?;
                vec![(high, Arrivals::Bursts { high: high * capacity, low: low * capacity, on, off })]
            }
            "steps" => {
                let steps = keys.steps.as_ref().ok_or_else(|| self.missing(raw, "arrivals.steps"))?;
                let (mut pieces, mut max, mut rate) = (Vec::new(), 0.0_f64, 0.0);
                let mut last = Duration::ZERO;
                for step in steps.as_ref() {
                    let until = self.time("arrivals.steps.at", &step.at, last..=HOUR)?;
                    pieces.push(Piece { until, rate, to: rate });
                    let next = load("arrivals.steps.load", &step.load)?;
                    (rate, max, last) = (next * capacity, max.max(next), until);
                }
                pieces.push(Piece { until: Duration::MAX, rate, to: rate });
                vec![(max, Arrivals::Pieces(pieces))]
            }
            _ => {
                let file = keys.file.as_ref().ok_or_else(|| self.missing(raw, "arrivals.file"))?;
                let trace = self.trace(file)?;
                let long = trace.last().map_or(1.0, Duration::as_secs_f64).max(1e-9);
                vec![(trace.len() as f64 / long / capacity, Arrivals::Trace(trace))]
            }
        })
    }

    /// Returns the load outside the trigger, given as `load` or as `rate`.
    pub(super) fn base_load(&self, raw: &Spanned<raw::Arrivals>, capacity: f64) -> ReadResult<f64> {
        let above = |key, given: &Number, max: f64| {
            let value = given.as_ref().0;
            let expected = format!("above 0 and at most {max}");
            if value > 0.0 && value <= max {
                Ok(value)
            } else {
                Err(self.source.invalid(key, given, expected))
            }
        };
        match (&raw.as_ref().load, &raw.as_ref().rate) {
            (Some(load), None) => above("arrivals.load", load, 1_000.0),
            (None, Some(rate)) => Ok(above("arrivals.rate", rate, 10_000_000.0)? / capacity),
            (Some(_), Some(rate)) => {
                Err(self.source.invalid("arrivals.rate", rate, "left out: load is given"))
            }
            (None, None) => {
                Err(self.missing(raw, "arrivals.load (in multiples of the capacity) or arrivals.rate"))
            }
        }
    }

    pub(super) fn loads(&self, trigger: &raw::Trigger) -> ReadResult<Option<Vec<f64>>> {
        let Some(loads) = &trigger.loads else { return Ok(None) };
        if loads.as_ref().is_empty() || loads.as_ref().len() > 32 {
            return Err(self.source.invalid("trigger.loads", loads, "a list of 1 to 32 numbers"));
        }
        let each = loads.as_ref().iter().map(|load| self.number("trigger.loads", load, 0.001..=1_000.0));
        let each = each.collect::<ReadResult<Vec<f64>>>()?;
        // The load is the name of a step, rounded to three digits.
        let name = |load: &f64| (load * 1e3).round();
        if each.iter().enumerate().any(|(n, load)| each.iter().take(n).any(|one| name(one) == name(load))) {
            return Err(self.source.invalid("trigger.loads", loads, "a list without repeated numbers"));
        }
        Ok(Some(each))
    }

    pub(super) fn trace(&self, file: &Text) -> ReadResult<Arc<[Duration]>> {
        let invalid_file = |why: String| self.source.invalid("arrivals.file", file, why);
        let path = self.directory.unwrap_or(Path::new(".")).join(file.as_ref().as_str());
        let text = std::fs::read_to_string(&path).map_err(|error| {
            invalid_file(format!("a file of arrival times, relative to the scenario's directory ({error})"))
        })?;
        let mut moments: Vec<Duration> = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let seconds = line.trim().parse::<f64>().ok().filter(|s| (0.0..=3_600.0).contains(s));
            let moment = seconds.map(Duration::from_secs_f64);
            let moment = moment.filter(|moment| moments.last().is_none_or(|last| last <= moment));
            moments.push(moment.ok_or_else(|| {
                let line: String = line.chars().take(40).collect();
                invalid_file(format!(
                    "a file of increasing seconds from the start, one per line, and its line {} is {line:?}",
                    index + 1
                ))
            })?);
        }
        if moments.is_empty() {
            return Err(invalid_file("a file with at least one arrival time".into()));
        }
        Ok(moments.into())
    }
}
