//! Shares the simulations among all processors and collects their results in order.

use crate::cli::Progress;
use crate::error::LabError;
use crate::fair::case::{Case, FairnessScenario, Policy};
use crate::fair::drive::drive;
use crate::fair::judge::Verdict;
use crate::fair::outcome::FairnessRow;
use crate::run::share_work;

/// Simulates every row. Returns the rows and the number of simulated requests.
pub(super) fn all(
    scenario: &FairnessScenario,
    seed: u64,
    seeds: u32,
    progress: &mut Progress,
) -> Result<(Vec<FairnessRow>, u64), LabError> {
    let rows: Vec<(&Case, Policy)> = scenario
        .cases
        .iter()
        .flat_map(|case| scenario.policies.iter().map(move |policy| (case, *policy)))
        .collect();
    // One simulation per part, so that a row of long ones does not run alone at the end.
    let runs: Vec<(usize, &Case, Policy, u64)> = rows
        .iter()
        .enumerate()
        .flat_map(|(row, (case, policy))| {
            (0..u64::from(seeds)).map(move |n| (row, *case, *policy, seed.wrapping_add(n)))
        })
        .collect();
    let one = |(_, case, policy, seed): &(usize, &Case, Policy, u64)| {
        drive(case, *policy, *seed).map_err(|error| LabError::Failed(error.to_string()))
    };
    let done = share_work(&runs, one, |done| progress.simulated(done, runs.len(), "runs"))?;
    let mut verdicts = vec![Verdict::new(); rows.len()];
    let mut requests = 0;
    for ((row, ..), (verdict, count)) in runs.iter().zip(&done) {
        requests += count;
        if let Some(all) = verdicts.get_mut(*row) {
            all.merge(verdict);
        }
    }
    let row = |((case, policy), verdict): (&(&Case, Policy), Verdict)| FairnessRow {
        case: case.name.clone(),
        policy: policy.as_str().into(),
        verdict,
    };
    Ok((rows.iter().zip(verdicts).map(row).collect(), requests))
}
