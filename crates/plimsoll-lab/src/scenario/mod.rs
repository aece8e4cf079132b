//! Scenarios: what `plimsoll-lab run` can be asked to simulate, as TOML.

mod arrivals;
mod breaker;
mod discipline;
mod policies;
mod raw;
mod read;
mod server;
mod shedder;
mod source;
mod values;

use std::time::Duration;

use crate::catalog;
use crate::error::LabError;
use crate::sim::{Case, Policy};
pub(crate) use raw::{Number, Text, Whole};
pub use read::read;
pub(crate) use read::{NANO, ReadResult, Reader};
pub use source::ScenarioError;
pub(crate) use source::Source;

/// A scenario, read and checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name: that of its file.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// What the server can do before anything happens to it, in requests per second.
    pub capacity: f64,
    /// When the trigger begins.
    pub from: Duration,
    /// When it ends.
    pub until: Duration,
    /// One for each load that the trigger brings.
    pub steps: Vec<Step>,
    /// The policies to compare, with their names.
    pub policies: Vec<(String, Policy)>,
}

/// One load of a scenario.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Fresh requests while the trigger lasts, in multiples of the capacity before it.
    pub load: f64,
    /// What the server can do while the trigger lasts.
    pub capacity: f64,
    /// The simulation.
    pub case: Case,
}

/// The scenario `asked` for: a shipped one by its name, or a file.
///
/// # Errors
/// [`LabError::Usage`] if there is no such scenario, [`LabError::Scenario`] if it cannot be used.
pub fn find(name: &str) -> Result<Scenario, LabError> {
    let found = catalog::find(name)?;
    Ok(read(&found.name, &found.file, &found.text, found.directory.as_deref())?)
}
