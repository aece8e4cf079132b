//! The settings that all builders share: the name, the clock, the dice, the observer.

use crate::observe::intern;
use crate::{Clock, Dice, Observe, Observer};
use std::fmt;
use std::sync::Arc;

/// What a builder holds besides the configuration of its guard.
#[derive(Clone, Default)]
pub struct Setup {
    /// The clock. Default: the system clock.
    pub clock: Clock,
    /// The dice. Default: a generator of the calling thread.
    pub dice: Dice,
    /// The observer. Default: none.
    pub observer: Option<Arc<dyn Observe>>,
}

/// What a guard is built from, besides its configuration.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name, interned.
    pub name: &'static str,
    /// The clock.
    pub clock: Clock,
    /// The dice.
    pub dice: Dice,
    /// The observer of the guard with this name.
    pub observer: Observer,
}

impl Setup {
    /// Interns `name` and selects the observer of the guard with that name.
    pub fn identity(self, name: &str) -> Identity {
        let name = intern(name);
        let observer = self.observer.map_or(Observer::none(), |observer| Observer::new(observer, name));
        Identity { name, clock: self.clock, dice: self.dice, observer }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.observer.is_some();
        f.debug_struct("Setup").field("clock", &self.clock).field("observed", &observed).finish()
    }
}

/// Writes the setters that all builders have. The builder has the fields `config` and `setup`.
///
/// ```text
/// setup_setters!(ValveConfig: clock, observe);
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! setup_setters {
    ($config:ty: $($setter:ident),*) => {
        /// Replaces all settings with those of `config`.
        pub fn config(mut self, config: $config) -> Self {
            self.config = config;
            self
        }

        $crate::setup_setters!(@name);
        $($crate::setup_setters!(@$setter);)*
    };
    (@name) => {
        /// Sets the name that rejections and metrics carry.
        ///
        /// Name a guard after what it protects. Each different name takes memory for the life of
        /// the process.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.config.name = name.into();
            self
        }
    };
    (@clock) => {
        /// Sets the clock. Default: the system clock.
        pub fn clock(mut self, clock: $crate::Clock) -> Self {
            self.setup.clock = clock;
            self
        }
    };
    (@dice) => {
        /// Sets the source of random numbers. Default: a generator of the calling thread.
        pub fn dice(mut self, dice: $crate::Dice) -> Self {
            self.setup.dice = dice;
            self
        }
    };
    (@observe) => {
        /// Sets the observer, which receives an [event](plimsoll_core::Event) for each decision.
        ///
        /// Default: none.
        pub fn observe(mut self, observer: std::sync::Arc<dyn $crate::Observe>) -> Self {
            self.setup.observer = Some(observer);
            self
        }
    };
}
