//! The keys of a scenario file.
//!
//! Each table is one flat struct, and keys that a `kind` does not use are rejected by the reader.
//! serde's tagged enums would lose the line numbers for the errors.

use serde::Deserialize;
use toml::Spanned;

use crate::scenario::types::{Number, Text, Whole};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) about: String,
    pub(super) seconds: Number,
    pub(super) server: Server,
    #[serde(default)]
    pub(super) clients: Clients,
    pub(super) arrivals: Spanned<Arrivals>,
    pub(super) trigger: Spanned<Trigger>,
    #[serde(default)]
    pub(super) policy: Vec<Spanned<Policy>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) slots: Whole,
    pub(super) service: Spanned<Service>,
    pub(super) rejection_cost: Option<Number>,
    #[serde(default)]
    pub(super) change: Vec<Change>,
    #[serde(default)]
    pub(super) fault: Vec<Spanned<Fault>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) law: Text,
    pub(super) mean: Option<Text>,
    pub(super) sigma: Option<Number>,
    pub(super) shape: Option<Number>,
    pub(super) short: Option<Text>,
    pub(super) long: Option<Text>,
    pub(super) share: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) at: Text,
    pub(super) slots: Option<Whole>,
    pub(super) speed: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) from: Text,
    pub(super) until: Text,
    pub(super) kind: Text,
    pub(super) after: Option<Text>,
    pub(super) factor: Option<Number>,
    pub(super) forgets: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clients {
    pub(super) deadline: Option<Text>,
    pub(super) retries: Option<Whole>,
    pub(super) backoff: Option<Text>,
    #[serde(default)]
    pub(super) jitter: bool,
    pub(super) budget: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrivals {
    pub(super) kind: Option<Text>,
    pub(super) load: Option<Number>,
    pub(super) rate: Option<Number>,
    pub(super) to: Option<Number>,
    pub(super) burst: Option<Number>,
    pub(super) on: Option<Text>,
    pub(super) off: Option<Text>,
    pub(super) steps: Option<Spanned<Vec<Step>>>,
    pub(super) file: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) at: Text,
    pub(super) load: Number,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trigger {
    pub(super) from: Text,
    pub(super) until: Text,
    pub(super) warm_up: Option<Text>,
    pub(super) loads: Option<Spanned<Vec<Number>>>,
    pub(super) slots: Option<Whole>,
    pub(super) speed: Option<Number>,
    pub(super) herd: Option<Whole>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) kind: Text,
    pub(super) name: Option<Spanned<String>>,
    pub(super) concurrency: Option<Whole>,
    pub(super) queue: Option<Whole>,
    pub(super) max_wait: Option<Text>,
    pub(super) keep_rate: Option<Number>,
    pub(super) discipline: Option<Text>,
    pub(super) max_age: Option<Text>,
    pub(super) target: Option<Text>,
    pub(super) interval: Option<Text>,
    pub(super) slice: Option<Text>,
    pub(super) slices: Option<Whole>,
    pub(super) ratio: Option<Number>,
    pub(super) min_calls: Option<Whole>,
    pub(super) within: Option<Text>,
    pub(super) slow: Option<Text>,
    pub(super) open_time: Option<Text>,
    pub(super) max_open_time: Option<Text>,
    pub(super) probe_concurrency: Option<Whole>,
    pub(super) probe_lease: Option<Text>,
    pub(super) ramp: Option<Text>,
    pub(super) call_timeout: Option<Text>,
    pub(super) control: Option<Text>,
    pub(super) workers: Option<Whole>,
    pub(super) capacity_hint: Option<Number>,
    pub(super) from: Option<Whole>,
    pub(super) to: Option<Whole>,
    pub(super) slots: Option<Whole>,
    pub(super) multiplier: Option<Number>,
    pub(super) window: Option<Text>,
    pub(super) min_rate: Option<Number>,
}
