//! The keys of a fairness scenario's file.

use serde::Deserialize;
use toml::Spanned;

use crate::scenario::{Number, Text, Whole};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) about: String,
    pub(super) seconds: Number,
    pub(super) fairness: Spanned<Fairness>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fairness {
    pub(super) rate: Whole,
    pub(super) burst: Whole,
    pub(super) max_keys: Option<Whole>,
    pub(super) tail: Option<Number>,
    pub(super) judged_share: Option<Number>,
    pub(super) arrivals: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub(super) permute: Vec<Text>,
    pub(super) retries: Option<Whole>,
    pub(super) retry_after: Option<Text>,
    pub(super) policies: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub(super) change: Vec<Change>,
    #[serde(default)]
    pub(super) group: Vec<Spanned<Group>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) at: Text,
    pub(super) rate: Whole,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) accounts: Option<Whole>,
    pub(super) rate: Option<Number>,
    pub(super) rates: Option<Spanned<Vec<Number>>>,
    pub(super) rate_to: Option<Number>,
    pub(super) total: Option<Number>,
    pub(super) zipf: Option<Number>,
    pub(super) from: Option<Text>,
    pub(super) until: Option<Text>,
    pub(super) turns: Option<Spanned<Vec<Text>>>,
    pub(super) weights: Option<Spanned<Vec<Number>>>,
    pub(super) floor: Option<Number>,
    pub(super) cap: Option<Whole>,
    pub(super) lifetime: Option<Text>,
    pub(super) new_key_per_request: Option<Spanned<bool>>,
    #[serde(default = "judged_by_default")]
    pub(super) judged: bool,
}

fn judged_by_default() -> bool {
    true
}
