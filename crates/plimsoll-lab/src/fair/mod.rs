//! Contests: accounts that ask for parts of one rate, and the policies that share it among them.
//!
//! No server stands here and nothing takes time: only arrivals, in virtual time, and who is admitted.
//! The real limiters decide, on a manual clock; beside them stand two known ways to share a rate, written
//! here to compare with. All of them end in the same global limiter.
//!
//! What is judged: in windows of two seconds, the first of them two seconds after the start and after each change,
//! what an account was admitted over its share ([`share_out`]). An independent [bound](Bound) watches over
//! what all of them are admitted together.

mod arrivals;
mod bound;
mod case;
mod csv;
mod deciders;
mod drive;
mod judge;
mod outcome;
mod raw;
mod read;
mod share;
mod table;
mod work;

pub use bound::Bound;
pub use case::{Case, Demand, FairnessScenario, Group, Policy, Retries, Turns};
pub(crate) use csv::csv;
pub use drive::drive;
pub use judge::{GroupVerdict, Verdict};
pub use outcome::{FairnessOutcome, FairnessRow};
pub use read::read;
pub use share::{Entitlement, fair_level};
pub(crate) use table::table;

use crate::catalog;
use crate::cli::Progress;
use crate::error::LabError;
use crate::run::Effort;

/// The contest `asked` for: a shipped one by its name, or a file.
///
/// # Errors
/// [`LabError::Usage`] if there is no such scenario, [`LabError::Scenario`] if it cannot be used.
pub fn find(name: &str) -> Result<FairnessScenario, LabError> {
    let found = catalog::find(name)?;
    Ok(read(&found.name, &found.file, &found.text)?)
}

/// Whether a scenario's text is that of a contest.
pub(crate) fn is_fairness(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("fairness"))
}

/// Runs every policy in every case with `seeds` seeds from `seed` on, on all processors. The same arguments
/// give the same outcome.
///
/// # Errors
/// [`LabError::Failed`] if a policy cannot be built from the case's numbers.
pub fn run(
    scenario: &FairnessScenario,
    seed: u64,
    seeds: u32,
    progress: &mut Progress,
) -> Result<(FairnessOutcome, Effort), LabError> {
    let begun = std::time::Instant::now();
    let (rows, requests) = work::all(scenario, seed, seeds, progress)?;
    progress.finish();
    let outcome =
        FairnessOutcome { scenario: scenario.name.clone(), about: scenario.about.clone(), seed, seeds, rows };
    Ok((outcome, Effort { requests, took: begun.elapsed() }))
}
