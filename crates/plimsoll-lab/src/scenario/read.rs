//! Turns the keys of a scenario into simulations. All invalid input is found here.

use std::path::Path;
use std::time::Duration;

use crate::scenario::raw::{self, Raw};
use crate::scenario::source::{ScenarioError, Source};
use crate::scenario::{Scenario, Step};
use crate::sim::{Case, Change, Clients, Herd};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const NANO: Duration = Duration::from_nanos(1);
/// The maximum number of fresh requests of one simulation: a minute of work, and what fits into
/// memory.
const MAX_REQUESTS: f64 = 50e6;

/// Reads the scenario `text` of the file `file`. Traces that it names are in `directory`.
///
/// # Errors
/// Returns the first thing that is not allowed, with its line.
pub fn read(name: &str, file: &str, text: &str, directory: Option<&Path>) -> Result<Scenario, ScenarioError> {
    let source = Source { file, text };
    let raw: Raw = source.parse()?;
    Reader { source, directory }.scenario(name, &raw)
}

pub(crate) struct Reader<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) directory: Option<&'a Path>,
}

pub(crate) type ReadResult<T> = Result<T, ScenarioError>;

impl Reader<'_> {
    fn scenario(&self, name: &str, raw: &Raw) -> ReadResult<Scenario> {
        let seconds = self.number("seconds", &raw.seconds, 0.1..=3_600.0)?;
        let span = Duration::from_secs_f64(seconds);
        let clients = self.clients(&raw.clients)?;
        let server = self.server(&raw.server, clients.deadline, span)?;
        let capacity = server.capacity();
        let trigger = raw.trigger.as_ref();
        let from = self.time("trigger.from", &trigger.from, Duration::ZERO..=span)?;
        let until = self.time("trigger.until", &trigger.until, from + NANO..=span)?;
        let warm_up =
            self.time_or_zero("trigger.warm_up", &trigger.warm_up, Duration::ZERO..=until - from - NANO)?;
        let (slots, speed) = self.trigger_server(trigger, &server)?;
        let mut changed = server.clone();
        if (slots, speed) != (server.slots, 1.0) {
            changed.changes.push(Change { at: from, slots, speed });
            changed.changes.push(Change { at: until, slots: server.slots, speed: 1.0 });
            changed.changes.sort_by_key(|change| change.at);
        }
        let herd = self.optional_whole("trigger.herd", &trigger.herd, 1..=1_000_000)?;
        let herd = herd.map(|count| Herd { at: from, count });
        let mut steps = Vec::new();
        for (load, arrivals) in self.arrivals(&raw.arrivals, &raw.trigger, capacity, from..until)? {
            if load * capacity * seconds > MAX_REQUESTS {
                let max = MAX_REQUESTS / (capacity * seconds);
                let expected = format!("shorter: loads up to {max:.1} fit into {seconds} s at this capacity");
                return Err(self.source.invalid("seconds", &raw.seconds, expected));
            }
            let case = Case {
                server: changed.clone(),
                clients,
                arrivals,
                herd,
                window: from + warm_up..until,
                span,
            };
            let capacity = changed.capacity_over(&case.window);
            // The load is also a name, so it is rounded to three digits.
            let load = (load * 1e3).round() / 1e3;
            steps.push(Step { load, capacity, case });
        }
        let policies = self.policies(&raw.policy, &server, clients.deadline)?;
        Ok(Scenario { name: name.into(), about: raw.about.clone(), capacity, from, until, steps, policies })
    }

    fn clients(&self, raw: &raw::Clients) -> ReadResult<Clients> {
        let deadline = raw.deadline.as_ref();
        let deadline = deadline.map(|given| self.time("clients.deadline", given, NANO..=HOUR)).transpose()?;
        let budget = raw.budget.as_ref();
        Ok(Clients {
            deadline,
            retries: self.optional_whole("clients.retries", &raw.retries, 0..=100)?.unwrap_or(0),
            backoff: self.time_or_zero("clients.backoff", &raw.backoff, Duration::ZERO..=HOUR)?,
            jitter: raw.jitter,
            budget: budget.map(|given| self.number("clients.budget", given, 0.0..=100.0)).transpose()?,
        })
    }
}
