//! What can go wrong: invalid input, or a failure during the run.

use std::fmt;
use std::io;

use crate::scenario::ScenarioError;

/// A flag whose value cannot be used. Displayed as one line: flag, value, allowed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// The value as given.
    pub given: String,
    /// The allowed values, and why this one was rejected where that helps.
    pub allowed: String,
}

impl UsageError {
    /// Creates an error for the value of `flag`.
    pub fn new(flag: &'static str, given: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { flag, given: given.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The debug format quotes the value and keeps a line break inside it on one line.
        write!(f, "{} {:?}: {}", self.flag, self.given, self.allowed)
    }
}

impl std::error::Error for UsageError {}

/// Why a run ended without a report.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// A flag's value cannot be used.
    Usage(UsageError),
    /// A scenario file cannot be used.
    Scenario(ScenarioError),
    /// The operating system returned an error during `doing`.
    Io {
        /// What the lab was doing.
        doing: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A part of the run failed. The text says which and how.
    Failed(String),
}

impl LabError {
    /// Returns a function for `map_err` that adds what the lab was doing.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl From<UsageError> for LabError {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl From<ScenarioError> for LabError {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Scenario(error) => error.fmt(f),
            Self::Io { doing, source } => write!(f, "could not {doing}: {source}"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Usage(_) | Self::Scenario(_) | Self::Failed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_error_is_one_line_for_any_value() {
        let shown = UsageError::new("--loads", "a\nb", "allowed are numbers").to_string();
        assert_eq!(shown, "--loads \"a\\nb\": allowed are numbers");
    }
}
