//! What goes out: text to standard output, results as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::LabError;

/// A result as it goes into a file.
pub(crate) fn json(result: &impl Serialize) -> Result<String, LabError> {
    let text = serde_json::to_string_pretty(result).map_err(|error| LabError::Failed(error.to_string()))?;
    Ok(text + "\n")
}

/// To standard output; a reader that went away is no error of ours.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
