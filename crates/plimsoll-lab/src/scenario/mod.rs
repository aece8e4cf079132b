//! Scenarios: TOML files that describe what `plimsoll-lab run` simulates.

mod arrivals;
mod breaker;
mod discipline;
mod policies;
mod raw;
mod read;
mod server;
mod shedder;
mod source;
mod types;
mod values;

use std::time::Duration;

use crate::catalog;
use crate::error::LabError;
use crate::sim::{Case, Policy};
pub use read::read;
pub(crate) use read::{NANO, ReadResult, Reader};
pub use source::ScenarioError;
pub(crate) use source::Source;
pub(crate) use types::{Number, Text, Whole};

/// A scenario, read and checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// The name, which is that of its file.
    pub name: String,
    /// A one-sentence description.
    pub about: String,
    /// The capacity of the server before anything changes, in requests per second.
    pub capacity: f64,
    /// When the trigger begins.
    pub from: Duration,
    /// When the trigger ends.
    pub until: Duration,
    /// One step per load of the trigger.
    pub steps: Vec<Step>,
    /// The policies to compare, with their names.
    pub policies: Vec<(String, Policy)>,
}

/// One load of a scenario.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The rate of fresh requests during the trigger, in multiples of the capacity before it.
    pub load: f64,
    /// The capacity of the server during the trigger, in requests per second.
    pub capacity: f64,
    /// The case to simulate.
    pub case: Case,
}

/// Finds and reads the scenario `name`: a shipped one by name, or a file.
///
/// # Errors
/// [`LabError::Usage`] if there is no such scenario. [`LabError::Scenario`] if it is invalid.
pub fn find(name: &str) -> Result<Scenario, LabError> {
    let found = catalog::find(name)?;
    Ok(read(&found.name, &found.file, &found.text, found.directory.as_deref())?)
}
