//! The text of a scenario, and errors that point into it.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

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
            let missing = error.message().strip_prefix("missing field `");
            if let Some(key) = missing.and_then(|rest| rest.strip_suffix('`')) {
                return self.error_at(&span, self.missing(&span, key));
            }
            let line = self.text.lines().nth(self.line(&span) - 1).unwrap_or_default().trim();
            self.error_at(&span, format!("'{line}' is not allowed: {}", plain(error.message())))
        })
    }

    /// Says which table requires `key`. The table is at `span`.
    fn missing(&self, span: &Range<usize>, key: &str) -> String {
        let root = DeTable::parse(self.text);
        match root.ok().and_then(|root| path_of(root.get_ref(), span)) {
            Some((path, true)) => format!("{path}.{key} is missing: [[{path}]] requires it"),
            Some((path, false)) => format!("{path}.{key} is missing: [{path}] requires it"),
            None => format!("{key} is missing: a scenario requires it"),
        }
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

/// Returns the path of the table at `span`, and whether it is an item of a list.
fn path_of(table: &DeTable<'_>, span: &Range<usize>) -> Option<(String, bool)> {
    table.iter().find_map(|(key, value)| {
        let key = key.get_ref();
        let search = |value: &Spanned<DeValue<'_>>, is_item| match value.get_ref() {
            DeValue::Table(_) if value.span() == *span => Some((key.to_string(), is_item)),
            DeValue::Table(inner) => {
                path_of(inner, span).map(|(path, is_item)| (format!("{key}.{path}"), is_item))
            }
            _ => None,
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().find_map(|item| search(item, true)),
            _ => search(value, false),
        }
    })
}

/// Rewrites a message of the parser without the words of its implementation.
fn plain(message: &str) -> String {
    let expected = message.strip_prefix("invalid ").and_then(|rest| rest.rsplit_once(", expected "));
    match expected.map(|(_, expected)| expected) {
        Some(expected) if expected.starts_with("struct ") => "it must be a table".into(),
        Some("a sequence") => "it must be a list".into(),
        Some("a boolean") => "it must be true or false".into(),
        Some("a string") => "it must be a text in quotes".into(),
        _ => message.replace("field", "key"),
    }
}
