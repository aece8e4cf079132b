//! Scenarios: what `plimsoll-lab run` can be asked to simulate, as TOML.

mod arrivals;
mod breaker;
mod buffer;
mod drop;
mod policies;
mod raw;
mod read;
mod server;
mod shipped;
mod source;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Flaw, LabError};
use crate::fair;
use crate::sim::{Case, Policy};
pub(crate) use raw::{Number, Text, Whole};
pub use read::read;
pub(crate) use read::{NANO, Read, Reader};
pub use shipped::{Shipped, shipped};
pub use source::Misread;
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
/// [`LabError::Flaw`] if there is no such scenario, [`LabError::Misread`] if it cannot be used.
pub fn find(asked: &str) -> Result<Scenario, LabError> {
    let found = text(asked)?;
    Ok(read(&found.name, &found.file, &found.text, found.beside.as_deref())?)
}

/// A scenario's text, and where it is from.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) beside: Option<PathBuf>,
}

/// The text of the scenario `asked` for, of whatever kind.
pub(crate) fn text(asked: &str) -> Result<Found, LabError> {
    let all = || shipped().iter().chain(fair::shipped());
    if let Some(found) = all().find(|one| one.name == asked) {
        let (name, file) = (found.name.into(), format!("{}.toml", found.name));
        return Ok(Found { name, file, text: found.text.into(), beside: None });
    }
    let path = Path::new(asked);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let names: Vec<&str> = all().map(|one| one.name).collect();
        let allowed = format!("{error}; allowed is a scenario's file or one of {}", names.join(", "));
        Flaw::new("SCENARIO", asked, allowed)
    })?;
    let name = path.file_stem().map_or_else(|| asked.into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Found { name, file: asked.into(), text, beside: path.parent().map(Path::to_path_buf) })
}
