//! What can go wrong: a flaw in what the user asked for, or a fault while running.

use std::fmt;
use std::io;

use crate::scenario::ScenarioError;

/// A flag's value that cannot be used. Shown as one line: flag, value, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// The value as given.
    pub given: String,
    /// What would have been accepted, and where it helps why this was not.
    pub allowed: String,
}

impl UsageError {
    /// A flaw in the value of `flag`.
    pub fn new(flag: &'static str, given: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { flag, given: given.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug form: quoted, and a line break inside the value stays on our one line.
        write!(f, "{} {:?}: {}", self.flag, self.given, self.allowed)
    }
}

impl std::error::Error for UsageError {}

/// Why a run ended without a report.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// What was asked for cannot be done.
    Usage(UsageError),
    /// A scenario's file cannot be used.
    Scenario(ScenarioError),
    /// The operating system rejected something during `doing`.
    Io {
        /// What the lab was about to do.
        doing: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A part of the run did not do what it is there for; the text says which.
    Failed(String),
}

impl LabError {
    /// For `map_err`: names what was being done.
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
    fn a_flaw_is_one_line_whatever_was_given() {
        let shown = UsageError::new("--loads", "a\nb", "allowed are numbers").to_string();
        assert_eq!(shown, "--loads \"a\\nb\": allowed are numbers");
    }
}
