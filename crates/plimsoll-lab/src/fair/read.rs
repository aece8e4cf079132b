//! Turns the keys of a fairness scenario into cases. All invalid input is found here.

use std::time::Duration;

use toml::Spanned;

use crate::fair::case::{Case, Demand, FairnessScenario, Group, Policy, Retries, Turns};
use crate::fair::raw::{self, Raw};
use crate::scenario::{NANO, Number, ReadResult, Reader, Source, Text};

/// The maximum number of requests of one simulation: some minutes of work.
const MAX_REQUESTS: f64 = 200e6;
/// Ten minutes, in arrival slices of a millisecond.
const MAX_SECONDS: f64 = 600.0;

/// Reads the scenario `text` of the file `file`.
///
/// # Errors
/// Returns the first thing that is not allowed, with its line.
pub fn read(name: &str, file: &str, text: &str) -> ReadResult<FairnessScenario> {
    let source = Source { file, text };
    let raw: Raw = source.parse()?;
    Reader { source, directory: None }.fairness_scenario(name, &raw)
}

/// The numbers that distinguish one case from another.
struct Variant {
    name: String,
    rate: Option<(usize, f64)>,
    turn: Option<(usize, Duration)>,
    poisson: bool,
}

impl Reader<'_> {
    fn fairness_scenario(&self, name: &str, raw: &Raw) -> ReadResult<FairnessScenario> {
        let seconds = self.number("seconds", &raw.seconds, 4.0..=MAX_SECONDS)?;
        let span = Duration::from_secs_f64(seconds);
        let keys = raw.fairness.as_ref();
        let rate = self.whole("fairness.rate", &keys.rate, 1..=1_000_000_000)?;
        let mut rates = vec![(Duration::ZERO, rate)];
        for change in &keys.change {
            let last = rates.last().map_or(Duration::ZERO, |(at, _)| *at);
            let at = self.time("fairness.change.at", &change.at, last + NANO..=span)?;
            rates.push((at, self.whole("fairness.change.rate", &change.rate, 1..=1_000_000_000)?));
        }
        let number = |key, given: &Option<Number>, range, or| {
            given.as_ref().map_or(Ok(or), |given| self.number(key, given, range))
        };
        let mut permute: Vec<Duration> = Vec::new();
        for moment in &keys.permute {
            let last = permute.last().copied().unwrap_or_default();
            permute.push(self.time("fairness.permute", moment, last + NANO..=span)?);
        }
        let case = Case {
            name: String::new(),
            span,
            burst: self.whole("fairness.burst", &keys.burst, 1..=100_000_000)?,
            max_keys: self.optional_whole("fairness.max_keys", &keys.max_keys, 1..=1 << 26)?.unwrap_or(65_536)
                as usize,
            tail: number("fairness.tail", &keys.tail, 0.001..=1.0, 0.05)?,
            judged_share: number("fairness.judged_share", &keys.judged_share, 0.001..=1.0, 1.0)?,
            poisson: false,
            permute,
            retries: self.retries(keys)?,
            groups: self.groups(&raw.fairness, span)?,
            rates,
        };
        let min = case.rates.iter().map(|(_, rate)| *rate).min().unwrap_or(rate);
        let floors: f64 = case.groups.iter().map(|group| group.floor * f64::from(group.accounts)).sum();
        if floors > f64::from(min) {
            let what =
                format!("the floors add up to {floors} units per second: allowed is at most the rate, {min}");
            return Err(self.source.error_at(&raw.fairness.span(), what));
        }
        if case.windows().is_empty() {
            let expected = "longer: four seconds must remain after the start or after a change";
            return Err(self.source.invalid("seconds", &raw.seconds, expected));
        }
        let mut cases = Vec::new();
        for variants in self.variants(keys)? {
            let mut case = Case { name: variants.name, poisson: variants.poisson, ..case.clone() };
            if let Some((group, rate)) =
                variants.rate.and_then(|(n, rate)| Some((case.groups.get_mut(n)?, rate)))
            {
                group.demand = Demand::Each(rate);
            }
            if let Some((group, each)) =
                variants.turn.and_then(|(n, each)| Some((case.groups.get_mut(n)?, each)))
            {
                group.turns = Some(Turns { each });
            }
            let offered = |group: &Group| group.demand_of_all() * (group.until - group.from).as_secs_f64();
            let requests: f64 = case.groups.iter().map(offered).sum();
            if requests > MAX_REQUESTS {
                let expected = format!(
                    "shorter: {requests:.0} requests per simulation; allowed are at most {MAX_REQUESTS}"
                );
                return Err(self.source.invalid("seconds", &raw.seconds, expected));
            }
            cases.push(case);
        }
        Ok(FairnessScenario {
            name: name.into(),
            about: raw.about.clone(),
            cases,
            policies: self.fairness_policies(keys)?,
        })
    }

    fn retries(&self, keys: &raw::Fairness) -> ReadResult<Option<Retries>> {
        let times = self.optional_whole("fairness.retries", &keys.retries, 0..=100)?.unwrap_or(0);
        let after = match &keys.retry_after {
            // Half of it is at least one slice of the arrivals.
            Some(given) => {
                self.time("fairness.retry_after", given, Duration::from_millis(4)..=Duration::from_secs(60))?
            }
            None => Duration::from_millis(100),
        };
        Ok((times > 0).then_some(Retries { times, after }))
    }

    fn fairness_policies(&self, keys: &raw::Fairness) -> ReadResult<Vec<Policy>> {
        let Some(given) = &keys.policies else { return Ok(Policy::ALL.to_vec()) };
        let names = Policy::ALL.map(Policy::as_str).join(", ");
        let mut policies: Vec<Policy> = Vec::new();
        for text in given.as_ref() {
            let policy = Policy::ALL.into_iter().find(|policy| policy.as_str() == text.as_ref().as_str());
            let policy = policy.filter(|policy| !policies.contains(policy));
            policies.push(policy.ok_or_else(|| {
                self.source.invalid("fairness.policies", text, format!("one of {names}, each once"))
            })?);
        }
        if policies.is_empty() {
            return Err(self.source.invalid(
                "fairness.policies",
                given,
                format!("a list of some of {names}"),
            ));
        }
        Ok(policies)
    }

    fn groups(&self, raw: &Spanned<raw::Fairness>, span: Duration) -> ReadResult<Vec<Group>> {
        let groups = &raw.as_ref().group;
        if groups.is_empty() {
            return Err(self.missing(raw, "[[fairness.group]]"));
        }
        groups.iter().map(|group| self.group(group, span)).collect()
    }

    fn group(&self, raw: &Spanned<raw::Group>, span: Duration) -> ReadResult<Group> {
        let keys = raw.as_ref();
        let from = match &keys.from {
            Some(given) => self.time("fairness.group.from", given, Duration::ZERO..=span - NANO)?,
            None => Duration::ZERO,
        };
        let until = match &keys.until {
            Some(given) => self.time("fairness.group.until", given, from + NANO..=span)?,
            None => span,
        };
        let new_key_per_request = keys.new_key_per_request.as_ref().is_some_and(|given| *given.as_ref());
        let accounts = self.optional_whole("fairness.group.accounts", &keys.accounts, 1..=2_000_000)?;
        if let (true, Some(given)) = (new_key_per_request, &keys.accounts) {
            return Err(self.source.invalid(
                "fairness.group.accounts",
                given,
                "left out with new_key_per_request: each request is an account of its own",
            ));
        }
        let weights = match &keys.weights {
            None => vec![1.0],
            Some(given) if given.as_ref().is_empty() => {
                return Err(self.source.invalid(
                    "fairness.group.weights",
                    given,
                    "a list of at least one number",
                ));
            }
            Some(given) => {
                let each = given.as_ref().iter();
                each.map(|weight| self.number("fairness.group.weights", weight, 0.0..=1e6))
                    .collect::<ReadResult<_>>()?
            }
        };
        let floor = keys.floor.as_ref();
        let floor = floor.map_or(Ok(0.0), |given| self.number("fairness.group.floor", given, 0.0..=1e9))?;
        let cap = self.optional_whole("fairness.group.cap", &keys.cap, 1..=1_000_000_000)?;
        if let (Some(cap), Some(given)) = (cap, &keys.cap)
            && f64::from(cap) < floor
        {
            return Err(self.source.invalid(
                "fairness.group.cap",
                given,
                format!("at least the floor of {floor}"),
            ));
        }
        let lifetime = keys.lifetime.as_ref();
        let lives = Duration::from_millis(10)..=span;
        Ok(Group {
            name: keys.name.clone(),
            accounts: accounts.unwrap_or(1),
            demand: self.demand(raw)?,
            from,
            until,
            turns: None,
            weights,
            floor,
            cap,
            lifetime: lifetime.map(|given| self.time("fairness.group.lifetime", given, lives)).transpose()?,
            new_key_per_request,
            judged: keys.judged && !new_key_per_request,
        })
    }

    fn demand(&self, raw: &Spanned<raw::Group>) -> ReadResult<Demand> {
        let keys = raw.as_ref();
        let rate = |key, given: &Number| self.number(key, given, 0.001..=100e6);
        match (&keys.rate, &keys.rates, &keys.total) {
            (Some(given), None, None) => {
                let low = rate("fairness.group.rate", given)?;
                match &keys.rate_to {
                    Some(to) => Ok(Demand::Spread(low, rate("fairness.group.rate_to", to)?)),
                    None => Ok(Demand::Each(low)),
                }
            }
            // Each case has its own rate.
            (None, Some(given), None) if !given.as_ref().is_empty() => Ok(Demand::Each(0.0)),
            (None, None, Some(given)) => {
                let exponent = keys.zipf.as_ref();
                let exponent =
                    exponent.map_or(Ok(0.0), |s| self.number("fairness.group.zipf", s, 0.0..=4.0))?;
                Ok(Demand::Zipf { total: rate("fairness.group.total", given)?, exponent })
            }
            (None, None, None) => {
                Err(self
                    .missing(raw, "fairness.group.rate (each account's), rates (one for each case) or total"))
            }
            _ => {
                let what = "exactly one of fairness.group.rate, rates and total is allowed, and rates must not be empty";
                Err(self.source.error_at(&raw.span(), what.into()))
            }
        }
    }

    /// Returns all cases: each kind of arrivals with each of the rates and each of the turns.
    fn variants(&self, keys: &raw::Fairness) -> ReadResult<Vec<Variant>> {
        let mut kinds: Vec<(bool, &str)> = vec![(false, "")];
        if let Some(given) = &keys.arrivals {
            let kind = |text: &Text| match text.as_ref().as_str() {
                "paced" => Ok((false, "paced")),
                "poisson" => Ok((true, "poisson")),
                _ => Err(self.source.invalid("fairness.arrivals", text, "a list of paced, poisson or both")),
            };
            kinds = given.as_ref().iter().map(kind).collect::<ReadResult<_>>()?;
            if kinds.is_empty() {
                return Err(self.source.invalid(
                    "fairness.arrivals",
                    given,
                    "a list of paced, poisson or both",
                ));
            }
        }
        let (mut rates, mut turns) = (vec![None], vec![None]);
        for (n, group) in keys.group.iter().enumerate() {
            let group = group.as_ref();
            if let Some(given) = &group.rates {
                if rates != [None] {
                    return Err(self.source.invalid(
                        "fairness.group.rates",
                        given,
                        "left out: another group has the key",
                    ));
                }
                let each = given.as_ref().iter();
                let rate = |rate| Ok(Some((n, self.number("fairness.group.rates", rate, 0.001..=100e6)?)));
                rates = each.map(rate).collect::<ReadResult<_>>()?;
            }
            if let Some(given) = &group.turns {
                if turns != [None] || given.as_ref().is_empty() {
                    let expected = "a list of at least one time, in one group only";
                    return Err(self.source.invalid("fairness.group.turns", given, expected));
                }
                let each = given.as_ref().iter();
                let times = Duration::from_millis(1)..=Duration::from_secs(60);
                let turn = |turn| Ok(Some((n, self.time("fairness.group.turns", turn, times.clone())?)));
                turns = each.map(turn).collect::<ReadResult<_>>()?;
            }
        }
        let name = |n: usize| keys.group.get(n).map_or("", |group| group.as_ref().name.as_str());
        let mut all = Vec::new();
        for rate in &rates {
            for turn in &turns {
                for (poisson, kind) in &kinds {
                    let mut parts: Vec<String> = Vec::new();
                    parts.extend(rate.map(|(n, rate)| format!("{} {rate}/s", name(n))));
                    parts.extend(turn.map(|(n, turn)| format!("{} in turns of {turn:?}", name(n))));
                    parts.extend((!kind.is_empty()).then(|| (*kind).into()));
                    all.push(Variant { name: parts.join(", "), rate: *rate, turn: *turn, poisson: *poisson });
                }
            }
        }
        Ok(all)
    }
}
