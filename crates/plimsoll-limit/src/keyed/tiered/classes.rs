//! The limits of a tiered limiter: for all accounts, for each class, for each account in a class.

use crate::Quota;
use crate::bucket::{LiveBucket, Reading};
use crate::quota::live::LiveQuota;
use plimsoll_core::ConfigError;
use plimsoll_core::parts::intern;
use std::fmt;

/// A class of accounts, such as "free" or "premium", and its limits.
///
/// ```
/// use plimsoll_limit::{Class, Quota};
///
/// // 5 units a second for each free account, and 300 for all of them together.
/// let free = Class::new("free").each(Quota::per_second(5).burst(10)).all(Quota::per_second(300));
/// # let _ = free;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Class {
    pub(super) name: String,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub(super) each: Option<Quota>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub(super) all: Option<Quota>,
}

impl Class {
    /// Creates a class without limits of its own. Its name is not "global" and contains no "/".
    pub fn new(name: impl Into<String>) -> Self {
        Class { name: name.into(), each: None, all: None }
    }

    /// Sets the quota of each account in the class.
    #[must_use]
    pub fn each(mut self, quota: Quota) -> Self {
        self.each = Some(quota);
        self
    }

    /// Sets the quota that all accounts in the class share.
    #[must_use]
    pub fn all(mut self, quota: Quota) -> Self {
        self.all = Some(quota);
        self
    }

    /// Checks the name and both quotas.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        // A slash separates the name of a class from that of its tier.
        if self.name.is_empty() || self.name == "global" || self.name.contains('/') {
            let allowed = "not empty, other than \"global\", and without \"/\"";
            return Err(ConfigError::new("class.name", format!("{:?}", self.name), allowed));
        }
        for (quota, accounts) in [(self.each, "each account"), (self.all, "all accounts")] {
            if let Some(Err(e)) = quota.map(|quota| quota.validate()) {
                let value = format!("{} ({accounts} in class {:?})", e.value(), self.name);
                return Err(ConfigError::new(e.field(), value, e.allowed().to_owned()));
            }
        }
        Ok(())
    }
}

/// A limit that many accounts share.
pub(super) struct SharedLimit {
    pub(super) name: &'static str,
    pub(super) bucket: LiveBucket,
}

impl SharedLimit {
    pub(super) fn new(name: &str, quota: Quota) -> Self {
        SharedLimit { name: intern(name), bucket: LiveBucket::new(quota) }
    }

    /// Returns the bucket as it is, and its state after a charge. Returns `None` if the slow path
    /// must decide.
    #[inline(always)]
    pub(super) fn offer(&self, now: u64, units: u32) -> Option<(Reading, u64)> {
        let seen = self.bucket.read();
        if seen.rate.is_exact() {
            return None;
        }
        Some((seen, seen.take(now, units).ok()?))
    }

    /// Charges what was [offered](Self::offer). Returns the interval.
    #[inline(always)]
    pub(super) fn accept(&self, (seen, free): (Reading, u64), now: u64, units: u32) -> Option<u64> {
        if self.bucket.exchange(seen, free) {
            return Some(seen.rate.interval);
        }
        self.take(now, units)
    }

    /// Charges the units after another thread was faster.
    #[cold]
    #[inline(never)]
    fn take(&self, now: u64, units: u32) -> Option<u64> {
        let taken = self.bucket.take(self.bucket.read(), now, units);
        taken.ok().map(|rate| rate.interval)
    }
}

/// The limits of a class.
pub(super) struct ClassLimits {
    pub(super) name: &'static str,
    /// The name of the limit of each account.
    pub(super) account: &'static str,
    pub(super) each: Option<LiveQuota>,
    pub(super) all: Option<SharedLimit>,
}

impl ClassLimits {
    pub(super) fn new(limiter: &str, class: &Class) -> Self {
        ClassLimits {
            name: intern(&class.name),
            account: intern(&format!("{limiter}/{}/account", class.name)),
            each: class.each.map(LiveQuota::new),
            all: class.all.map(|quota| SharedLimit::new(&format!("{limiter}/{}", class.name), quota)),
        }
    }

    /// Returns the class with its present quotas.
    pub(super) fn to_class(&self) -> Class {
        Class {
            name: self.name.to_owned(),
            each: self.each.as_ref().map(LiveQuota::quota),
            all: self.all.as_ref().map(|limit| limit.bucket.quota()),
        }
    }
}

impl fmt::Debug for ClassLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (each, all) = (self.each.as_ref(), self.all.as_ref());
        f.debug_struct(self.name)
            .field("each", &each.map(LiveQuota::quota))
            .field("all", &all.map(|all| all.bucket.quota()))
            .finish()
    }
}
