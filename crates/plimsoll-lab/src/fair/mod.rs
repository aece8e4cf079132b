//! Fairness scenarios: accounts that share one rate, by several policies.
//!
//! There is no server and no service time, only arrivals in virtual time and admissions. The real
//! limiters decide, on a manual clock. Two known ways to share a rate are implemented here, to
//! compare with. All policies end in the same global limiter.
//!
//! The measure is what an account was admitted over its fair share ([`fair_level`]). It is taken in
//! windows of two seconds, which begin two seconds after the start and after each change. An
//! independent [bound](Bound) watches the sum of all admissions.

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

/// Finds and reads the scenario `name`: a shipped one by name, or a file.
///
/// # Errors
/// [`LabError::Usage`] if there is no such scenario. [`LabError::Scenario`] if it is invalid.
pub fn find(name: &str) -> Result<FairnessScenario, LabError> {
    let found = catalog::find(name)?;
    Ok(read(&found.name, &found.file, &found.text)?)
}

/// Returns whether a scenario's text has the table `[fairness]`.
pub(crate) fn is_fairness(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("fairness"))
}

/// Simulates every policy in every case with `seeds` seeds from `seed` on, on all processors.
///
/// The same arguments return the same outcome.
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
