//! A caller, the limits that apply to it, and the one that rejects it.

use super::charge::Intervals;
use super::classes::{ClassLimits, SharedLimit};
use crate::Quota;
use crate::bucket::Reading;
use crate::quota::gcra::Rate;
use plimsoll_core::Reason;

/// The numbers of the shared limits: the global one, and that of class 0; class `n` adds `n`.
pub(super) const GLOBAL_LIMIT: usize = 0;
pub(super) const CLASS_LIMIT: usize = 1;

/// A caller, derived from its key.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub(super) hash: u64,
    // The class that the closure states. An assignment overrides it, and may change while the
    // request waits.
    pub(super) stated: u16,
    pub(super) class: u16,
    pub(super) own: Option<Quota>,
}

/// The limits that apply to a caller, read once.
pub(super) struct Limits<'a> {
    pub(super) class: &'a ClassLimits,
    pub(super) each: Option<Rate>,
    pub(super) all: Option<(&'a SharedLimit, Reading)>,
    pub(super) global: Option<(&'a SharedLimit, Reading)>,
}

impl<'a> Limits<'a> {
    /// Returns the limits that the caller shares with others, with their numbers.
    pub(super) fn shared(
        &self,
        caller: Caller,
    ) -> impl Iterator<Item = (usize, &'a SharedLimit, Reading)> + use<'a> {
        let numbers = [CLASS_LIMIT + usize::from(caller.class), GLOBAL_LIMIT];
        let limits = numbers.into_iter().zip([self.all, self.global]);
        limits.filter_map(|(n, limit)| limit.map(|(limit, seen)| (n, limit, seen)))
    }

    /// Returns whether one of the limits is that of any window.
    pub(super) fn is_exact(&self) -> bool {
        let shared = [&self.all, &self.global].into_iter().flatten().any(|(_, seen)| seen.rate.is_exact());
        shared || self.each.is_some_and(Rate::is_exact)
    }

    pub(super) fn intervals(&self) -> Intervals {
        let shared = |limit: Option<(&SharedLimit, Reading)>| limit.map_or(0, |(_, seen)| seen.rate.interval);
        Intervals {
            each: self.each.map_or(0, |rate| rate.interval),
            all: shared(self.all),
            global: shared(self.global),
        }
    }
}

/// The limit that rejects for the longest time.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    pub(super) by: &'static str,
    pub(super) reason: Reason,
    pub(super) rate: Rate,
    pub(super) at: u64,
}

impl Refusal {
    pub(super) fn of_account(limits: &Limits<'_>, rate: Rate, reason: Reason, at: u64) -> Self {
        Refusal { by: limits.class.account, reason, rate, at }
    }

    pub(super) fn of_shared(limit: &SharedLimit, rate: Rate, at: u64) -> Self {
        Refusal { by: limit.name, reason: Reason::Throttled, rate, at }
    }
}
