//! A guard under test: how it is built, and which settings are invalid.

use crate::{Fixture, Kit};
use std::fmt::{self, Display};

/// A guard that can be put through the probes.
#[derive(Clone, Copy)]
pub struct Subject {
    pub(crate) name: &'static str,
    pub(crate) build: fn(&Kit) -> Fixture,
    pub(crate) invalid_settings: fn() -> Vec<InvalidSetting>,
}

impl Subject {
    /// Creates a subject. The matrix shows it as `name`.
    ///
    /// `build` builds a new guard with the clock, the dice and the observer of the kit.
    /// `invalid_settings` tries settings that the guard must reject.
    pub const fn new(
        name: &'static str,
        build: fn(&Kit) -> Fixture,
        invalid_settings: fn() -> Vec<InvalidSetting>,
    ) -> Self {
        Subject { name, build, invalid_settings }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.name).finish()
    }
}

/// An invalid setting that was tried, and the error text. Created by [`invalid`].
#[derive(Clone, Debug)]
pub struct InvalidSetting {
    pub(crate) description: &'static str,
    pub(crate) error: Option<String>,
}

/// Records the result of building or changing a guard with an invalid setting.
///
/// ```
/// use plimsoll_core::parts::check;
/// use plimsoll_testkit::invalid;
///
/// let tried = [
///     invalid("empty name", check::name("")),
///     invalid("keep above 1", check::share("keep", 1.5)),
/// ];
/// ```
pub fn invalid<T, E: Display>(description: &'static str, result: Result<T, E>) -> InvalidSetting {
    InvalidSetting { description, error: result.err().map(|error| error.to_string()) }
}
