//! The settings of a tiered limiter, and building one.

use super::caller::CLASS_LIMIT;
use super::classes::{Class, ClassLimits, SharedLimit};
use super::{ClassOf, FEW, MAX_CLASSES, Tiered, TieredRateLimiter};
use crate::keyed::KeyedLimiter;
use crate::setup::{
    Common, MAX_KEYS, MAX_WAIT, QUEUE, check_max_keys, max_keys_setter, queue_setters, when_full_setter,
};
use crate::table::Crowd;
use crate::table::gcra_table::GcraTable;
use crate::table::sparse::Overrides;
use crate::{Quota, WhenFull};
use plimsoll_core::parts::{Setup, check, intern};
use plimsoll_core::{ConfigError, setup_setters};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The settings of a [`TieredRateLimiter`]. Plain data; validated when a limiter is built.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct TieredRateLimiterConfig {
    /// The name that rejections carry, followed by that of the tier. Default: "tiers".
    pub name: String,
    /// The quota that all accounts share. Default: none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub global: Option<Quota>,
    /// The classes. Default: none. Range: 1 to 511 classes.
    ///
    /// Every account that is in no other class is in the first one.
    pub classes: Vec<Class>,
    /// The maximum number of keys that are remembered, rounded up to a multiple of 8.
    /// Default: 262,144. Range: 1 to 2³⁰.
    pub max_keys: usize,
    /// What happens to a new account when the table is full of accounts that owe units. Default:
    /// `Evict`.
    pub when_full: WhenFull,
    /// The maximum number of waiting requests, of all accounts together. Default: 1,024.
    /// Range: 0 to 2³¹ − 1.
    pub queue: u32,
    /// The longest wait. Default: 10 s. Above 0 if requests may wait.
    #[cfg_attr(feature = "serde", serde(with = "plimsoll_core::parts::duration_text"))]
    pub max_wait: Duration,
}

impl Default for TieredRateLimiterConfig {
    fn default() -> Self {
        TieredRateLimiterConfig {
            name: "tiers".into(),
            global: None,
            classes: vec![],
            max_keys: MAX_KEYS,
            when_full: WhenFull::default(),
            queue: QUEUE,
            max_wait: MAX_WAIT,
        }
    }
}

impl TieredRateLimiterConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns an error naming the first invalid setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::name(&self.name)?;
        self.global.iter().try_for_each(Quota::validate)?;
        check::within("classes", self.classes.len(), 1..=MAX_CLASSES)?;
        for (n, class) in self.classes.iter().enumerate() {
            class.validate()?;
            let name = || format!("{:?}", class.name);
            if self.classes.iter().take(n).any(|other| other.name == class.name) {
                return Err(ConfigError::new("class.name", name(), "given to one class only"));
            }
        }
        check_max_keys(self.max_keys)?;
        check::queue(self.queue, self.max_wait)
    }
}

/// Returns the classes after the first `skipped` ones, by name.
fn by_name(classes: &[Class], skipped: usize) -> HashMap<&'static str, u16> {
    let all = classes.iter().enumerate().skip(skipped);
    all.map(|(n, class)| (intern(&class.name), n as u16)).collect()
}

/// Builds a [`TieredRateLimiter`]. Created by
/// [`TieredRateLimiter::builder`](KeyedLimiter::builder).
#[must_use = "a builder does nothing until it is built"]
pub struct TieredRateLimiterBuilder<K: ?Sized> {
    config: TieredRateLimiterConfig,
    setup: Setup,
    class_of: ClassOf<K>,
}

impl<K: ?Sized> TieredRateLimiter<K> {
    /// Returns a builder with the default settings. It needs at least one [class](Class).
    pub fn builder() -> TieredRateLimiterBuilder<K> {
        let config = TieredRateLimiterConfig::default();
        TieredRateLimiterBuilder { config, setup: Setup::default(), class_of: None }
    }
}

impl<K: ?Sized> TieredRateLimiterBuilder<K> {
    /// Sets the quota that all accounts share. Default: none.
    pub fn global(mut self, quota: Quota) -> Self {
        self.config.global = Some(quota);
        self
    }

    /// Adds a class. Range: 1 to 511 classes.
    ///
    /// Every account that is in no other class is in the first one.
    pub fn class(mut self, class: Class) -> Self {
        self.config.classes.push(class);
        self
    }

    /// Sets the closure that names the class of a key, called for each request.
    ///
    /// For a name that no class has, the first class stands, so put the strictest one first. The
    /// limiter then emits [`Misconfigured`](plimsoll_core::Event::Misconfigured), once. `K` may be
    /// a type of your own that knows its class, such as a user with a plan. Its hash must depend on
    /// the identity of the account only. So must its class: one that changes to and fro gets more
    /// than by either. Default: every account is in the first class.
    pub fn class_of(mut self, class_of: impl Fn(&K) -> &'static str + Send + Sync + 'static) -> Self {
        self.class_of = Some(Arc::new(class_of));
        self
    }

    max_keys_setter!();
    when_full_setter!();
    queue_setters!(keyed);
    setup_setters!(TieredRateLimiterConfig: clock, dice, observe);

    /// Builds the limiter.
    ///
    /// # Errors
    /// Returns an error naming the invalid setting, its value and the allowed range.
    pub fn build(self) -> Result<TieredRateLimiter<K>, ConfigError> {
        self.config.validate()?;
        let TieredRateLimiterConfig { name, global, classes, max_keys, when_full, queue, max_wait } =
            self.config;
        let identity = self.setup.identity(&name);
        let crowd = Crowd::new(identity.name, identity.observer.clone());
        Ok(KeyedLimiter(Arc::new(Tiered {
            global: global.map(|quota| SharedLimit::new(&format!("{name}/global"), quota)),
            further: by_name(&classes, FEW),
            classes: classes.iter().map(|class| ClassLimits::new(&name, class)).collect(),
            named_unknown: AtomicBool::new(false),
            class_of: self.class_of,
            assigned: Overrides::new(),
            accounts: GcraTable::new(max_keys, when_full, &identity.dice, crowd),
            common: Common::new(identity, queue, max_wait, CLASS_LIMIT + classes.len()),
        })))
    }
}

impl<K: ?Sized> Clone for TieredRateLimiterBuilder<K> {
    fn clone(&self) -> Self {
        let (config, setup) = (self.config.clone(), self.setup.clone());
        TieredRateLimiterBuilder { config, setup, class_of: self.class_of.clone() }
    }
}

impl<K: ?Sized> fmt::Debug for TieredRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TieredRateLimiterBuilder")
            .field("config", &self.config)
            .field("setup", &self.setup)
            .finish()
    }
}
