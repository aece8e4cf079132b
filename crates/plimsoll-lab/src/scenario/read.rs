//! From a scenario's keys to simulations; everything that can be found wrong is found here.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::scenario::raw::{self, Number, Raw, Text, Whole};
use crate::scenario::source::{Misread, Source};
use crate::scenario::{Scenario, Step};
use crate::sim::{Arrivals, Case, Change, Clients, Herd, Law, Piece, Policy, ServerPlan};
use crate::value::{parse_duration, show};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const NANO: Duration = Duration::from_nanos(1);
/// Attempts of one simulation, retries apart: a minute of work and what fits into memory.
const MOST_REQUESTS: f64 = 50e6;

/// Reads the scenario `text`, which stands in `file`; a trace it names lies in `beside`.
///
/// # Errors
/// The first thing that is not allowed, with its line.
pub fn read(name: &str, file: &str, text: &str, beside: Option<&Path>) -> Result<Scenario, Misread> {
    let from = Source { file, text };
    let raw: Raw = from.parse()?;
    Reader { from, beside }.scenario(name, &raw)
}

struct Reader<'a> {
    from: Source<'a>,
    beside: Option<&'a Path>,
}

type Read<T> = Result<T, Misread>;

impl Reader<'_> {
    fn scenario(&self, name: &str, raw: &Raw) -> Read<Scenario> {
        let seconds = self.number("seconds", &raw.seconds, 0.1..=3_600.0)?;
        let span = Duration::from_secs_f64(seconds);
        let server = self.server(&raw.server)?;
        let capacity = server.capacity();
        let clients = self.clients(&raw.clients)?;
        let trigger = raw.trigger.as_ref();
        let from = self.time("trigger.from", &trigger.from, Duration::ZERO..=span)?;
        let until = self.time("trigger.until", &trigger.until, from + NANO..=span)?;
        let lead_in =
            self.time_or("trigger.lead_in", &trigger.lead_in, Duration::ZERO..=until - from - NANO)?;
        let (slots, speed) = self.during(trigger, &server)?;
        let mut changed = server.clone();
        if (slots, speed) != (server.slots, 1.0) {
            changed.changes.push(Change { at: from, slots, speed });
            changed.changes.push(Change { at: until, slots: server.slots, speed: 1.0 });
            changed.changes.sort_by_key(|change| change.at);
        }
        let herd = self.whole_or("trigger.herd", &trigger.herd, 1..=1_000_000)?;
        let herd = herd.map(|count| Herd { at: from, count });
        let mut steps = Vec::new();
        for (load, arrivals) in self.arrivals(&raw.arrivals, &raw.trigger, capacity, from..until)? {
            if load * capacity * seconds > MOST_REQUESTS {
                let most = MOST_REQUESTS / (capacity * seconds);
                let must =
                    format!("short enough: loads up to {most:.1} fit into {seconds} s at this capacity");
                return Err(self.from.refuse("seconds", &raw.seconds, must));
            }
            let case = Case {
                server: changed.clone(),
                clients,
                arrivals,
                herd,
                window: from + lead_in..until,
                span,
            };
            let during = f64::from(slots) * speed / server.service.mean().as_secs_f64();
            steps.push(Step { load, capacity: during, case });
        }
        let policies = self.policies(&raw.policy, &server, clients.deadline)?;
        Ok(Scenario { name: name.into(), about: raw.about.clone(), capacity, from, until, steps, policies })
    }

    fn server(&self, raw: &raw::Server) -> Read<ServerPlan> {
        let slots = self.whole("server.slots", &raw.slots, 1..=65_535)?;
        let refusal_cost = raw
            .refusal_cost
            .as_ref()
            .map_or(Ok(0.0), |cost| self.number("server.refusal_cost", cost, 0.0..=0.9))?;
        let mut plan = ServerPlan { refusal_cost, ..ServerPlan::new(slots, self.law(&raw.service)?) };
        let (mut slots, mut speed, mut last) = (slots, 1.0, Duration::ZERO);
        for change in &raw.change {
            let at = self.time("server.change.at", &change.at, last..=HOUR)?;
            slots = self.whole_or("server.change.slots", &change.slots, 0..=65_535)?.unwrap_or(slots);
            if let Some(given) = &change.speed {
                speed = self.number("server.change.speed", given, 0.0..=100.0)?;
            }
            plan.changes.push(Change { at, slots, speed });
            last = at;
        }
        Ok(plan)
    }

    fn law(&self, raw: &Spanned<raw::Service>) -> Read<Law> {
        let keys = raw.as_ref();
        let times = Duration::from_micros(1)..=Duration::from_secs(60);
        let mean = || self.needed_time(raw, "server.service.mean", &keys.mean, times.clone());
        let used: &[&str] = match keys.law.as_ref().as_str() {
            "constant" | "exponential" => &["mean"],
            "lognormal" => &["mean", "sigma"],
            "pareto" => &["mean", "shape"],
            "bimodal" => &["short", "long", "share"],
            _ => {
                let must = "constant, exponential, lognormal, pareto or bimodal";
                return Err(self.from.refuse("server.service.law", &keys.law, must));
            }
        };
        self.only(
            used,
            "server.service",
            &keys.law,
            &[
                ("mean", span(&keys.mean)),
                ("sigma", span(&keys.sigma)),
                ("shape", span(&keys.shape)),
                ("short", span(&keys.short)),
                ("long", span(&keys.long)),
                ("share", span(&keys.share)),
            ],
        )?;
        let number = |key, given, range| self.needed_number(raw, key, given, range);
        Ok(match keys.law.as_ref().as_str() {
            "constant" => Law::Constant(mean()?),
            "exponential" => Law::Exponential(mean()?),
            "lognormal" => Law::Lognormal {
                mean: mean()?,
                sigma: number("server.service.sigma", &keys.sigma, 0.0..=5.0)?,
            },
            "pareto" => Law::Pareto {
                mean: mean()?,
                shape: number("server.service.shape", &keys.shape, 1.01..=100.0)?,
            },
            _ => Law::Bimodal {
                short: self.needed_time(raw, "server.service.short", &keys.short, times.clone())?,
                long: self.needed_time(raw, "server.service.long", &keys.long, times.clone())?,
                share: number("server.service.share", &keys.share, 0.0..=1.0)?,
            },
        })
    }

    fn clients(&self, raw: &raw::Clients) -> Read<Clients> {
        let deadline = raw.deadline.as_ref();
        let deadline = deadline.map(|given| self.time("clients.deadline", given, NANO..=HOUR)).transpose()?;
        let budget = raw.budget.as_ref();
        Ok(Clients {
            deadline,
            retries: self.whole_or("clients.retries", &raw.retries, 0..=100)?.unwrap_or(0),
            backoff: self.time_or("clients.backoff", &raw.backoff, Duration::ZERO..=HOUR)?,
            jitter: raw.jitter,
            budget: budget.map(|given| self.number("clients.budget", given, 0.0..=100.0)).transpose()?,
        })
    }

    /// Slots and speed while the trigger lasts.
    fn during(&self, raw: &raw::Trigger, server: &ServerPlan) -> Read<(u32, f64)> {
        let slots = self.whole_or("trigger.slots", &raw.slots, 0..=65_535)?.unwrap_or(server.slots);
        let speed = raw.speed.as_ref();
        let speed = speed.map_or(Ok(1.0), |given| self.number("trigger.speed", given, 0.0..=100.0))?;
        Ok((slots, speed))
    }

    fn arrivals(
        &self,
        raw: &Spanned<raw::Arrivals>,
        trigger: &Spanned<raw::Trigger>,
        capacity: f64,
        at: std::ops::Range<Duration>,
    ) -> Read<Vec<(f64, Arrivals)>> {
        let keys = raw.as_ref();
        let kind = keys.kind.as_ref().map_or("poisson", |kind| kind.as_ref().as_str());
        let used: &[&str] = match kind {
            "poisson" => &["load", "rate"],
            "ramp" => &["load", "rate", "to"],
            "bursts" => &["load", "rate", "burst", "on", "off"],
            "steps" => &["steps"],
            "trace" => &["file"],
            _ => {
                let Some(given) = &keys.kind else { unreachable!("poisson is known") };
                let must = "poisson, ramp, bursts, steps or trace";
                return Err(self.from.refuse("arrivals.kind", given, must));
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
        self.only(
            used,
            "arrivals",
            keys.kind.as_ref().unwrap_or(&Spanned::new(raw.span(), kind.into())),
            &given,
        )?;
        if let Some(loads) = trigger.as_ref().loads.as_ref().filter(|_| kind != "poisson") {
            return Err(self.from.refuse(
                "trigger.loads",
                loads,
                format!("left out where arrivals.kind is {kind}"),
            ));
        }
        let load = |key, given: &Number| self.number(key, given, 0.0..=1_000.0);
        Ok(match kind {
            "poisson" => {
                let base = self.base(raw, capacity)?;
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
                let base = self.base(raw, capacity)?;
                let to = self.needed_number(raw, "arrivals.to", &keys.to, 0.0..=1_000.0)?;
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
                let low = self.base(raw, capacity)?;
                let high = self.needed_number(raw, "arrivals.burst", &keys.burst, 0.0..=1_000.0)?;
                let times = Duration::from_millis(1)..=HOUR;
                let on = self.needed_time(raw, "arrivals.on", &keys.on, times.clone())?;
                let off = self.needed_time(raw, "arrivals.off", &keys.off, times)?;
                vec![(high, Arrivals::Bursts { high: high * capacity, low: low * capacity, on, off })]
            }
            "steps" => {
                let steps = keys.steps.as_ref().ok_or_else(|| self.missing(raw, "arrivals.steps"))?;
                let (mut pieces, mut most, mut rate) = (Vec::new(), 0.0_f64, 0.0);
                let mut last = Duration::ZERO;
                for step in steps.as_ref() {
                    let until = self.time("arrivals.steps.at", &step.at, last..=HOUR)?;
                    pieces.push(Piece { until, rate, to: rate });
                    let next = load("arrivals.steps.load", &step.load)?;
                    (rate, most, last) = (next * capacity, most.max(next), until);
                }
                pieces.push(Piece { until: Duration::MAX, rate, to: rate });
                vec![(most, Arrivals::Pieces(pieces))]
            }
            _ => {
                let file = keys.file.as_ref().ok_or_else(|| self.missing(raw, "arrivals.file"))?;
                let trace = self.trace(file)?;
                let long = trace.last().map_or(1.0, Duration::as_secs_f64).max(1e-9);
                vec![(trace.len() as f64 / long / capacity, Arrivals::Trace(trace))]
            }
        })
    }

    /// The load outside the trigger, however it was given.
    fn base(&self, raw: &Spanned<raw::Arrivals>, capacity: f64) -> Read<f64> {
        let above = |key, given: &Number, most: f64| {
            let value = *given.as_ref();
            let must = format!("above 0 and at most {most}");
            if value > 0.0 && value <= most { Ok(value) } else { Err(self.from.refuse(key, given, must)) }
        };
        match (&raw.as_ref().load, &raw.as_ref().rate) {
            (Some(load), None) => above("arrivals.load", load, 1_000.0),
            (None, Some(rate)) => Ok(above("arrivals.rate", rate, 10_000_000.0)? / capacity),
            (Some(_), Some(rate)) => {
                Err(self.from.refuse("arrivals.rate", rate, "left out where load is given"))
            }
            (None, None) => {
                Err(self.missing(raw, "arrivals.load (in multiples of the capacity) or arrivals.rate"))
            }
        }
    }

    fn loads(&self, trigger: &raw::Trigger) -> Read<Option<Vec<f64>>> {
        let Some(loads) = &trigger.loads else { return Ok(None) };
        if loads.as_ref().is_empty() || loads.as_ref().len() > 32 {
            return Err(self.from.refuse("trigger.loads", loads, "a list of 1 to 32 numbers"));
        }
        let each = loads.as_ref().iter().map(|load| self.number("trigger.loads", load, 0.001..=1_000.0));
        each.collect::<Read<Vec<f64>>>().map(Some)
    }

    fn trace(&self, file: &Text) -> Read<Arc<[Duration]>> {
        let refuse = |why: String| self.from.refuse("arrivals.file", file, why);
        let path = self.beside.unwrap_or(Path::new(".")).join(file.as_ref());
        let text = std::fs::read_to_string(&path).map_err(|error| {
            refuse(format!("a file of arrival times, relative to the scenario's own directory ({error})"))
        })?;
        let mut moments: Vec<Duration> = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let seconds = line.trim().parse::<f64>().ok().filter(|s| (0.0..=3_600.0).contains(s));
            let moment = seconds.map(Duration::from_secs_f64);
            let moment = moment.filter(|moment| moments.last().is_none_or(|last| last <= moment));
            moments.push(moment.ok_or_else(|| {
                let line: String = line.chars().take(40).collect();
                refuse(format!(
                    "a file of seconds from the start, one a line, none before the last, and its line {} is {line:?}",
                    index + 1
                ))
            })?);
        }
        if moments.is_empty() {
            return Err(refuse("a file with at least one arrival time".into()));
        }
        Ok(moments.into())
    }

    fn policies(
        &self,
        raw: &[Spanned<raw::Policy>],
        server: &ServerPlan,
        deadline: Option<Duration>,
    ) -> Read<Vec<(String, Policy)>> {
        // As the demo does: a quarter of the time that the deadline leaves beside the work is for
        // waiting, and the room is what the server gets done in that time.
        let patience = deadline.unwrap_or(SECOND).saturating_sub(server.service.mean()) / 4;
        let longest_wait = patience.max(Duration::from_millis(1));
        let inside = server.slots;
        let room = (server.capacity() * longest_wait.as_secs_f64()).ceil() as u32;
        // The rate that is right at twice the capacity, and nowhere else.
        let keep = 0.5;
        if raw.is_empty() {
            return Ok(vec![
                ("bare".into(), Policy::Bare),
                ("valve".into(), Policy::Valve { inside }),
                ("waiting valve".into(), Policy::Waiting { inside, room, longest_wait }),
                ("drop half".into(), Policy::Drop { keep }),
                ("drop + valve".into(), Policy::DropValve { keep, inside }),
            ]);
        }
        raw.iter()
            .map(|raw| {
                let keys = raw.as_ref();
                let kind = keys.kind.as_ref().as_str();
                let used: &[&str] = match kind {
                    "bare" => &[],
                    "valve" => &["inside"],
                    "waiting-valve" => &["inside", "room", "longest_wait"],
                    "drop" => &["keep"],
                    "drop+valve" => &["keep", "inside"],
                    "three" => &["keep", "inside", "room", "longest_wait"],
                    _ => {
                        let must = "bare, valve, waiting-valve, drop, drop+valve or three";
                        return Err(self.from.refuse("policy.kind", &keys.kind, must));
                    }
                };
                self.only(
                    used,
                    "policy",
                    &keys.kind,
                    &[
                        ("inside", span(&keys.inside)),
                        ("room", span(&keys.room)),
                        ("longest_wait", span(&keys.longest_wait)),
                        ("keep", span(&keys.keep)),
                    ],
                )?;
                let inside = self.whole_or("policy.inside", &keys.inside, 1..=1_000_000)?.unwrap_or(inside);
                let room = self.whole_or("policy.room", &keys.room, 1..=1_000_000)?.unwrap_or(room);
                let longest_wait = match &keys.longest_wait {
                    Some(given) => self.time("policy.longest_wait", given, NANO..=HOUR)?,
                    None => longest_wait,
                };
                let keep = keys
                    .keep
                    .as_ref()
                    .map_or(Ok(keep), |given| self.number("policy.keep", given, 0.0..=1.0))?;
                let policy = match kind {
                    "bare" => Policy::Bare,
                    "valve" => Policy::Valve { inside },
                    "waiting-valve" => Policy::Waiting { inside, room, longest_wait },
                    "drop" => Policy::Drop { keep },
                    "drop+valve" => Policy::DropValve { keep, inside },
                    _ => Policy::Three { keep, inside, room, longest_wait },
                };
                Ok((keys.name.clone().unwrap_or_else(|| kind.replace('-', " ")), policy))
            })
            .collect()
    }

    /// Refuses keys that the table's kind has no use for.
    fn only(
        &self,
        used: &[&str],
        table: &str,
        kind: &Text,
        given: &[(&str, Option<std::ops::Range<usize>>)],
    ) -> Read<()> {
        for (key, at) in given {
            if let Some(at) = at.as_ref().filter(|_| !used.contains(key)) {
                let used = if used.is_empty() { "none".into() } else { used.join(", ") };
                let what = format!("{table}.{key} is not allowed with {}: allowed are {used}", kind.as_ref());
                return Err(self.from.misread(at, what));
            }
        }
        Ok(())
    }

    fn missing<T>(&self, table: &Spanned<T>, key: &str) -> Misread {
        self.from.misread(&table.span(), format!("{key} is missing"))
    }

    fn number(&self, key: &str, given: &Number, range: RangeInclusive<f64>) -> Read<f64> {
        let value = *given.as_ref();
        // NaN is in no range.
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.from.refuse(key, given, format!("a number from {} to {}", range.start(), range.end())))
    }

    fn needed_number<T>(
        &self,
        table: &Spanned<T>,
        key: &str,
        given: &Option<Number>,
        range: RangeInclusive<f64>,
    ) -> Read<f64> {
        given.as_ref().map_or_else(|| Err(self.missing(table, key)), |given| self.number(key, given, range))
    }

    fn whole(&self, key: &str, given: &Whole, range: RangeInclusive<u32>) -> Read<u32> {
        let value = u32::try_from(*given.as_ref()).ok().filter(|value| range.contains(value));
        let must = || format!("a whole number from {} to {}", range.start(), range.end());
        value.ok_or_else(|| self.from.refuse(key, given, must()))
    }

    fn whole_or(&self, key: &str, given: &Option<Whole>, range: RangeInclusive<u32>) -> Read<Option<u32>> {
        given.as_ref().map(|given| self.whole(key, given, range)).transpose()
    }

    fn time(&self, key: &str, given: &Text, range: RangeInclusive<Duration>) -> Read<Duration> {
        parse_duration(given.as_ref()).filter(|time| range.contains(time)).ok_or_else(|| {
            let (low, high) = (show(*range.start()), show(*range.end()));
            let must = format!("a time from {low} to {high} with its unit (us, ms or s), such as \"20ms\"");
            self.from.refuse(key, given, must)
        })
    }

    /// Zero where it is not given.
    fn time_or(&self, key: &str, given: &Option<Text>, range: RangeInclusive<Duration>) -> Read<Duration> {
        given.as_ref().map_or(Ok(Duration::ZERO), |given| self.time(key, given, range))
    }

    fn needed_time<T>(
        &self,
        table: &Spanned<T>,
        key: &str,
        given: &Option<Text>,
        range: RangeInclusive<Duration>,
    ) -> Read<Duration> {
        given.as_ref().map_or_else(|| Err(self.missing(table, key)), |given| self.time(key, given, range))
    }
}

fn span<T>(given: &Option<Spanned<T>>) -> Option<std::ops::Range<usize>> {
    given.as_ref().map(Spanned::span)
}
