//! Runs a scenario: every policy at every load with every seed.

mod csv;
mod estimate;
mod faults;
mod figures;
mod outcome;
mod recovery;
mod report;
mod table;
mod work;

use std::time::Duration;

use crate::cli::Progress;
use crate::error::LabError;
use crate::scenario::Scenario;

pub(crate) use csv::{csv, quoted};
pub use estimate::Estimate;
pub use faults::FaultRow;
pub use outcome::{Outcome, Row, Verdict};
pub(crate) use report::report;
pub(crate) use table::table;
pub(crate) use work::{share_work, share_work_among};

/// Simulates every policy at every load with `seeds` seeds from `seed` on, on all processors.
///
/// The same arguments return the same outcome.
///
/// # Errors
/// [`LabError::Failed`] if a policy cannot be built from the scenario's numbers.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    seeds: u32,
    progress: &mut Progress,
) -> Result<(Outcome, Effort), LabError> {
    let begun = std::time::Instant::now();
    let (rows, requests) = work::all(scenario, seed, seeds, progress)?;
    progress.finish();
    let outcome = Outcome::new(scenario, seed, seeds, rows);
    Ok((outcome, Effort { requests, took: begun.elapsed() }))
}

/// What a run took in real time. It is no part of the outcome.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Effort {
    /// Simulated attempts.
    pub requests: u64,
    /// Wall time.
    pub took: Duration,
}
