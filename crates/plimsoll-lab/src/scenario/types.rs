//! The types of single values in a scenario file.
//!
//! A value of another type is read as one that is in no range. So the error for it is that of any
//! invalid value, with its key and what is allowed.

use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

pub(crate) type Number = Spanned<AnyNumber>;
pub(crate) type Whole = Spanned<AnyWhole>;
pub(crate) type Text = Spanned<AnyText>;

/// A number, or NaN for a value of another type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyNumber(pub(crate) f64);

/// A whole number, or −1 for a value of another type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyWhole(pub(crate) i64);

/// A text, which is empty for a value of another type.
#[derive(Clone, Debug)]
pub(crate) struct AnyText(String);

impl AnyText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AnyText {
    fn from(text: &str) -> Self {
        AnyText(text.into())
    }
}

impl<'de> Deserialize<'de> for AnyNumber {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(AnyNumber(match Value::deserialize(from)? {
            Value::Float(number) => number,
            Value::Integer(whole) => whole as f64,
            _ => f64::NAN,
        }))
    }
}

impl<'de> Deserialize<'de> for AnyWhole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(AnyWhole(Value::deserialize(from)?.as_integer().unwrap_or(-1)))
    }
}

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(AnyText(Value::deserialize(from)?.as_str().unwrap_or_default().into()))
    }
}
