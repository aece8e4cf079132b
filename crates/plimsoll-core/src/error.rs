//! A setting that is refused, when a guard is built or while it runs.

use std::fmt::{self, Display};

macro_rules! refusal {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            field: &'static str,
            given: String,
            allowed: &'static str,
        }

        impl $name {
            /// Refuses the value `given` for `field`; `allowed` says what would do ("1 to 100").
            pub fn new(field: &'static str, given: impl Display, allowed: &'static str) -> Self {
                Self { field, given: given.to_string(), allowed }
            }

            /// The setting that was refused.
            pub fn field(&self) -> &'static str {
                self.field
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} = {} is not allowed: it must be {}", self.field, self.given, self.allowed)
            }
        }

        impl std::error::Error for $name {}
    };
}

refusal! {
    /// A setting was refused when a guard was built. Names the field, the value and what is allowed.
    ConfigError
}

refusal! {
    /// A live command was refused; nothing has changed. Names the field, the value and what is allowed.
    ControlError
}

impl From<ConfigError> for ControlError {
    fn from(e: ConfigError) -> Self {
        ControlError { field: e.field, given: e.given, allowed: e.allowed }
    }
}
