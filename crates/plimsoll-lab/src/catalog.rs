//! Finds scenarios by name: those that come with the program, and a user's files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{LabError, UsageError};

/// A scenario that comes with the program.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Shipped {
    /// The name to pass to `plimsoll-lab run`.
    pub name: &'static str,
    /// The TOML text, to copy and change.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../scenarios/", $name, ".toml")) }),+]
    };
}

/// Returns the shipped scenarios that have a server.
pub fn scenarios() -> &'static [Shipped] {
    shipped!(
        "overload",
        "burst",
        "retry-storm",
        "herd",
        "capacity-halves",
        "disciplines",
        "dependency",
        "controllers",
        "demo",
    )
}

/// Returns the shipped scenarios in which accounts share one rate.
pub fn fairness_scenarios() -> &'static [Shipped] {
    shipped!(
        "elephant",
        "elephants",
        "accounts-join",
        "alternating",
        "weights",
        "floors-caps",
        "rate-live",
        "retries",
        "churn",
        "key-flood",
        "zipf",
        "tiny",
        "mixed",
    )
}

/// The largest distance to a name that is suggested, in edits.
const MAX_TYPOS: usize = 2;

/// The text of a scenario and where it was found.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) text: String,
    /// The directory of the file. Relative paths in the scenario start here.
    pub(crate) directory: Option<PathBuf>,
}

/// Finds a scenario: a shipped one by its name, or a file by its path.
pub(crate) fn find(wanted: &str) -> Result<Found, LabError> {
    let all = || scenarios().iter().chain(fairness_scenarios());
    if let Some(found) = all().find(|one| one.name == wanted) {
        let (name, file) = (found.name.into(), format!("{}.toml", found.name));
        return Ok(Found { name, file, text: found.text.into(), directory: None });
    }
    let path = Path::new(wanted);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let names: Vec<&str> = all().map(|one| one.name).collect();
        let why = match error.kind() {
            ErrorKind::NotFound => not_found(wanted, &names),
            _ => error.to_string(),
        };
        let allowed = format!("{why}; allowed is a scenario file or one of {}", names.join(", "));
        UsageError::new("SCENARIO", wanted, allowed)
    })?;
    let name = path.file_stem().map_or_else(|| wanted.into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Found { name, file: wanted.into(), text, directory: path.parent().map(Path::to_path_buf) })
}

/// Says that there is no such scenario, and names the nearest one if it is near enough for a typo.
fn not_found(wanted: &str, names: &[&str]) -> String {
    let stem = Path::new(wanted).file_stem().unwrap_or_default().to_string_lossy();
    let distance = |name: &str| strsim::osa_distance(name, &stem);
    let nearest = names.iter().min_by_key(|name| distance(name));
    let none = "there is no scenario or file of that name";
    match nearest.filter(|name| distance(name) <= MAX_TYPOS.min(name.len() / 3)) {
        Some(name) => format!("{none} (did you mean {name:?}?)"),
        None => none.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fair, scenario};

    #[test]
    fn every_shipped_scenario_is_valid() {
        for one in scenarios() {
            let scenario = scenario::find(one.name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(scenario.name, one.name);
            assert!(scenario.about.len() > 20 && !scenario.steps.is_empty());
            assert!(scenario.policies.len() >= 2);
        }
    }

    #[test]
    fn every_shipped_fairness_scenario_is_valid_and_judged() {
        for one in fairness_scenarios() {
            assert!(fair::is_fairness(one.text), "{}", one.name);
            let scenario = fair::find(one.name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(scenario.name, one.name);
            assert!(scenario.about.len() > 20 && !scenario.cases.is_empty());
            assert!(scenario.cases.iter().all(|case| !case.windows().is_empty()), "{}", one.name);
        }
    }
}
