//! The settings that all guards over a semaphore of fixed capacity have in common.

/// Writes the configuration and the builder of such a guard. Guards differ in their defaults.
///
/// ```text
/// semaphore_setup! {
///     Valve, ValveConfig, ValveBuilder:
///     name "valve", queue 0 "0", discipline KeepOldest "rejects newcomers instead"
/// }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! semaphore_setup {
    (
        $guard:ident, $config:ident, $builder:ident:
        name $name:literal, queue $queue:literal $queue_text:literal,
        discipline $discipline:ident $when_full:literal
    ) => {
        #[doc = concat!("The settings of a [`", stringify!($guard), "`]. Plain data; validated when one is built.")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
        pub struct $config {
            #[doc = concat!("The name that rejections carry. Default: \"", $name, "\".")]
            pub name: String,
            /// The maximum number of requests in flight. Default: 1. Range: 1 to 2³¹ − 1.
            ///
            /// Set it to the number of requests that the bottleneck serves at once.
            pub concurrency: u32,
            #[doc = concat!("The maximum number of waiting requests. Default: ", $queue_text, ". Range: 0 to 2³¹ − 1.")]
            ///
            /// A queue longer than `max_wait × concurrency ÷ service time` only holds requests that
            /// will be rejected anyway.
            pub queue: u32,
            /// The longest wait. Default: 100 ms. Above 0 if requests may wait.
            ///
            /// Choose a fraction of the callers' own time-out, so that enough of it remains for the
            /// work.
            #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
            pub max_wait: std::time::Duration,
            /// The order in which waiting requests are served, and which of them is evicted when
            /// the queue is full.
            ///
            #[doc = concat!("Default: [`", stringify!($discipline), "`](plimsoll_core::Discipline::", stringify!($discipline), "), which ", $when_full, ".")]
            pub discipline: $crate::Discipline,
        }

        impl Default for $config {
            fn default() -> Self {
                $config {
                    name: $name.into(),
                    concurrency: 1,
                    queue: $queue,
                    max_wait: std::time::Duration::from_millis(100),
                    discipline: $crate::Discipline::$discipline,
                }
            }
        }

        impl $config {
            /// Checks every setting.
            ///
            /// # Errors
            /// Returns an error naming the first invalid setting, its value and the allowed range.
            pub fn validate(&self) -> Result<(), $crate::ConfigError> {
                use $crate::parts::{FixedCapacity, check};
                check::name(&self.name)?;
                check::within("concurrency", self.concurrency, 1..=FixedCapacity::MAX)?;
                check::queue(self.queue, self.max_wait)?;
                self.discipline.validate()
            }
        }

        #[doc = concat!("Builds a [`", stringify!($guard), "`]. Created by [`", stringify!($guard), "::builder`].")]
        #[derive(Clone, Debug, Default)]
        #[must_use = "a builder does nothing until it is built"]
        pub struct $builder {
            config: $config,
            setup: $crate::parts::Setup,
        }

        impl $guard {
            /// Returns a builder with the default settings.
            pub fn builder() -> $builder {
                $builder::default()
            }
        }

        impl $builder {
            /// Sets the maximum number of requests in flight. Default: 1. Range: 1 to 2³¹ − 1.
            #[doc(alias = "max_concurrency")]
            pub fn concurrency(mut self, concurrency: u32) -> Self {
                self.config.concurrency = concurrency;
                self
            }

            /// Sets the maximum number of waiting requests.
            ///
            #[doc = concat!("Default: ", $queue_text, ". Range: 0 to 2³¹ − 1.")]
            pub fn queue(mut self, queue: u32) -> Self {
                self.config.queue = queue;
                self
            }

            /// Sets the longest wait. Default: 100 ms. Above 0 if requests may wait.
            pub fn max_wait(mut self, max_wait: std::time::Duration) -> Self {
                self.config.max_wait = max_wait;
                self
            }

            /// Sets the queue discipline: the order in which waiting requests are served, and which
            /// of them is evicted when the queue is full.
            ///
            #[doc = concat!("Default: [`", stringify!($discipline), "`](plimsoll_core::Discipline::", stringify!($discipline), "), which ", $when_full, ".")]
            pub fn discipline(mut self, discipline: $crate::Discipline) -> Self {
                self.config.discipline = discipline;
                self
            }

            $crate::setup_setters!($config: clock, observe);

            /// Checks the settings and builds the guard.
            ///
            /// # Errors
            /// Returns an error naming the invalid setting, its value and the allowed range.
            pub fn build(self) -> Result<$guard, $crate::ConfigError> {
                self.config.validate()?;
                let $config { name, concurrency, queue, max_wait, discipline } = self.config;
                let setup = self.setup.identity(&name);
                let capacity = $crate::parts::FixedCapacity::new(concurrency);
                let semaphore =
                    $crate::parts::Semaphore::new(setup.name, capacity, setup.clock, queue, max_wait);
                semaphore.set_discipline(discipline);
                Ok($guard(std::sync::Arc::new(semaphore.observe(setup.observer))))
            }
        }
    };
}
