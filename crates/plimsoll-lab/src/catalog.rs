//! Scenarios by name: those that come with the program, and a user's files.

use std::path::{Path, PathBuf};

use crate::error::{LabError, UsageError};

/// A scenario that comes with the program.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Shipped {
    /// The name to run it by.
    pub name: &'static str,
    /// Its TOML, to copy and change.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../scenarios/", $name, ".toml")) }),+]
    };
}

/// Those with a server.
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

/// Those with accounts that share a rate.
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

/// A scenario's text, and where it is from.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) text: String,
    /// The directory of its file.
    pub(crate) directory: Option<PathBuf>,
}

/// The text of the scenario `asked` for, of whatever kind.
pub(crate) fn find(asked: &str) -> Result<Found, LabError> {
    let all = || scenarios().iter().chain(fairness_scenarios());
    if let Some(found) = all().find(|one| one.name == asked) {
        let (name, file) = (found.name.into(), format!("{}.toml", found.name));
        return Ok(Found { name, file, text: found.text.into(), directory: None });
    }
    let path = Path::new(asked);
    let text = std::fs::read_to_string(path).map_err(|error| {
        let names: Vec<&str> = all().map(|one| one.name).collect();
        let allowed = format!("{error}; allowed is a scenario's file or one of {}", names.join(", "));
        UsageError::new("SCENARIO", asked, allowed)
    })?;
    let name = path.file_stem().map_or_else(|| asked.into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Found { name, file: asked.into(), text, directory: path.parent().map(Path::to_path_buf) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fair, scenario};

    #[test]
    fn every_shipped_scenario_can_be_used_and_says_what_it_is_about() {
        for one in scenarios() {
            let scenario = scenario::find(one.name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(scenario.name, one.name);
            assert!(scenario.about.len() > 20 && !scenario.steps.is_empty());
            assert!(scenario.policies.len() >= 2);
        }
    }

    #[test]
    fn every_shipped_contest_can_be_used_and_is_judged() {
        for one in fairness_scenarios() {
            assert!(fair::is_fairness(one.text), "{}", one.name);
            let scenario = fair::find(one.name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(scenario.name, one.name);
            assert!(scenario.about.len() > 20 && !scenario.cases.is_empty());
            assert!(scenario.cases.iter().all(|case| !case.windows().is_empty()), "{}", one.name);
        }
    }
}
