//! The text of a scenario, and errors that point into it.

use std::fmt;
use std::ops::Range;

use toml::Spanned;

/// Why a scenario is invalid. Displayed as one line: file, line, what is there, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScenarioError {
    /// The name of the file.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// What the line contains, and what is allowed.
    pub what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value that spans several lines must still be displayed on one.
        let what = self.what.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{}:{}: {}", self.file, self.line, what.replace(char::is_control, "?"))
    }
}

impl std::error::Error for ScenarioError {}

/// The text and the name of its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// Parses the text.
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ScenarioError> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let line = self.text.lines().nth(self.line(&span) - 1).unwrap_or_default().trim();
            let message = error.message().replace("field", "key");
            self.error_at(&span, format!("'{line}' is not allowed: {message}"))
        })
    }

    /// Returns an error for the value of `key`.
    pub(crate) fn invalid<T>(
        &self,
        key: &str,
        value: &Spanned<T>,
        expected: impl fmt::Display,
    ) -> ScenarioError {
        let given = self.text.get(value.span()).unwrap_or_default();
        self.error_at(&value.span(), format!("{key} = {given} is not allowed: it must be {expected}"))
    }

    /// Returns an error that points at a place in the text.
    pub(crate) fn error_at(&self, at: &Range<usize>, what: String) -> ScenarioError {
        ScenarioError { file: self.file.into(), line: self.line(at), what }
    }

    fn line(&self, at: &Range<usize>) -> usize {
        self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1
    }
}
