//! Durations in settings files: "100ms", "5s", "1h 30m".
//!
//! Use it by `#[serde(with = "plimsoll_core::parts::duration_text")]`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use std::time::Duration;

/// Writes a duration as text.
///
/// # Errors
/// Returns the error of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads a duration from text.
///
/// # Errors
/// Returns an error if the text is not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|e| D::Error::custom(format_args!("{text:?} is not a duration such as \"100ms\": {e}")))
}

/// The same for an optional duration, which is left out if there is none.
///
/// Use it by `#[serde(default, skip_serializing_if = "Option::is_none", with = "…::duration_text::option")]`.
pub mod option {
    use serde::{Deserializer, Serializer};
    use std::time::Duration;

    /// Writes the duration as text.
    ///
    /// # Errors
    /// Returns the error of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a duration from text.
    ///
    /// # Errors
    /// Returns an error if the text is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
