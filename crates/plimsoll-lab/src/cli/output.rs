//! Output: text to standard output, results as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::LabError;

/// Returns a result as the text of a JSON file.
pub(crate) fn json(result: &impl Serialize) -> Result<String, LabError> {
    let text = serde_json::to_string_pretty(result).map_err(|error| LabError::Failed(error.to_string()))?;
    Ok(text + "\n")
}

/// Prints to standard output. Ignores a reader that has closed its end.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
