//! Scenarios: what `plimsoll-lab run` can be asked to simulate, as TOML.

mod arrivals;
mod breaker;
mod buffer;
mod policies;
mod raw;
mod read;
mod server;
mod shipped;
mod source;
mod values;

use std::path::Path;
use std::time::Duration;

use crate::error::{Flaw, LabError};
use crate::sim::{Case, Policy};
pub use read::read;
pub use shipped::{Shipped, shipped};
pub use source::Misread;

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
/// [`LabError::Flaw`] if there is no such scenario, [`LabError::Misread`] if it cannot be used.
pub fn find(asked: &str) -> Result<Scenario, LabError> {
    if let Some(found) = shipped().iter().find(|one| one.name == asked) {
        return Ok(read(found.name, &format!("{}.toml", found.name), found.text, None)?);
    }
    let path = Path::new(asked);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let names: Vec<&str> = shipped().iter().map(|one| one.name).collect();
        let allowed = format!("{error}; allowed is a scenario's file or one of {}", names.join(", "));
        Flaw::new("SCENARIO", asked, allowed)
    })?;
    let name = path.file_stem().map_or_else(|| asked.into(), |stem| stem.to_string_lossy());
    Ok(read(&name, asked, &text, path.parent())?)
}
