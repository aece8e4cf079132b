//! What came of a contest.

use serde::Serialize;

use crate::fair::judge::Verdict;

/// The outcome of a contest: the same for the same scenario and seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FairnessOutcome {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about.
    pub about: String,
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    pub seeds: u32,
    /// A row for each case and policy.
    pub rows: Vec<FairnessRow>,
}

/// How one policy fared in one case, with all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FairnessRow {
    /// The case; empty if there is one only.
    pub case: String,
    /// The policy.
    pub policy: String,
    /// The worst of all seeds.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl FairnessOutcome {
    /// The cases' names, each once, in order.
    pub fn cases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.case.as_str()).collect();
        names.dedup();
        names
    }

    /// The rows of one case.
    pub fn of(&self, case: &str) -> impl Iterator<Item = &FairnessRow> {
        self.rows.iter().filter(move |row| row.case == case)
    }
}
