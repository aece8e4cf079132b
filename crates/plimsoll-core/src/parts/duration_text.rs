//! Durations in settings files: "100ms", "5s", "1h 30m".
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Deserialize, Serialize)]
//! struct Settings {
//!     #[serde(with = "plimsoll_core::parts::duration_text")]
//!     max_wait: Duration,
//! }
//!
//! let settings: Settings = serde_json::from_str(r#"{"max_wait":"1s 500ms"}"#)?;
//! assert_eq!(settings.max_wait, Duration::from_millis(1_500));
//! assert_eq!(serde_json::to_string(&settings)?, r#"{"max_wait":"1s 500ms"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

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
    parse(&String::deserialize(deserializer)?)
}

fn parse<E: Error>(text: &str) -> Result<Duration, E> {
    humantime::parse_duration(text)
        .map_err(|e| E::custom(format_args!("{text:?} is not a duration such as \"100ms\": {e}")))
}

/// Optional durations in settings files. A duration that is `None` is left out, or `null`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(Deserialize, Serialize)]
/// struct Settings {
///     #[serde(
///         default,
///         skip_serializing_if = "Option::is_none",
///         with = "plimsoll_core::parts::duration_text::option"
///     )]
///     max_age: Option<Duration>,
/// }
///
/// let settings: Settings = serde_json::from_str(r#"{"max_age":null}"#)?;
/// assert_eq!(settings.max_age, None);
/// assert_eq!(serde_json::to_string(&settings)?, "{}");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub mod option {
    use serde::{Deserialize, Deserializer, Serializer};
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
        Option::<String>::deserialize(deserializer)?.map(|text| super::parse(&text)).transpose()
    }
}
