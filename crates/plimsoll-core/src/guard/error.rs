//! Errors about settings: when a guard is built, or while it runs.

use std::borrow::Cow;
use std::fmt::{self, Display};

macro_rules! setting_error {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            field: &'static str,
            value: String,
            allowed: Cow<'static, str>,
        }

        impl $name {
            /// Creates an error for `value` in `field`.
            ///
            /// `allowed` describes the valid values, such as "1 to 100".
            pub fn new(
                field: &'static str,
                value: impl Display,
                allowed: impl Into<Cow<'static, str>>,
            ) -> Self {
                Self { field, value: value.to_string(), allowed: allowed.into() }
            }

            /// Returns the name of the invalid setting.
            pub fn field(&self) -> &'static str {
                self.field
            }

            /// Returns the invalid value as text.
            pub fn value(&self) -> &str {
                &self.value
            }

            /// Returns a description of the valid values.
            pub fn allowed(&self) -> &str {
                &self.allowed
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} = {} is not allowed: it must be {}", self.field, self.value, self.allowed)
            }
        }

        impl std::error::Error for $name {}
    };
}

setting_error! {
    /// An invalid setting, found when a guard is built: its name, its value and the valid values.
    ConfigError
}

setting_error! {
    /// An invalid change to a running guard: the setting, the value and the valid values.
    ///
    /// The guard keeps the value it had.
    ControlError
}

impl ControlError {
    /// Creates an error for a setting that the guard does not have.
    ///
    /// `settings` lists those it has.
    pub fn unknown(setting: &str, settings: &[&str]) -> Self {
        let allowed = match settings {
            [] => "absent, as this guard has no settings".into(),
            [one] => one.to_string(),
            many => format!("one of {}", many.join(", ")),
        };
        Self { field: "setting", value: setting.into(), allowed: allowed.into() }
    }
}

impl From<ConfigError> for ControlError {
    fn from(e: ConfigError) -> Self {
        ControlError { field: e.field, value: e.value, allowed: e.allowed }
    }
}
