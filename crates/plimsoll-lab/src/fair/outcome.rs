//! The result of a fairness scenario, as it is written to the JSON file.

use serde::Serialize;

use crate::fair::judge::Verdict;

/// The whole result. It is the same for the same scenario and seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FairnessOutcome {
    /// The name of the scenario.
    pub scenario: String,
    /// Its description.
    pub about: String,
    /// The first seed.
    pub seed: u64,
    /// The number of seeds.
    pub seeds: u32,
    /// A row per case and policy.
    pub rows: Vec<FairnessRow>,
}

/// One policy in one case, with all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FairnessRow {
    /// The name of the case. Empty if there is only one.
    pub case: String,
    /// The name of the policy.
    pub policy: String,
    /// The worst verdict of all seeds.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl FairnessOutcome {
    /// Returns the names of the cases in order, each once.
    pub fn cases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.case.as_str()).collect();
        names.dedup();
        names
    }

    /// Returns the rows of one case.
    pub fn of(&self, case: &str) -> impl Iterator<Item = &FairnessRow> {
        self.rows.iter().filter(move |row| row.case == case)
    }
}
