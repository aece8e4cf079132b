//! Judges what each account was admitted, relative to its share.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fair::arrivals::{Account, active_seconds};
use crate::fair::case::Case;
use crate::fair::share::{Entitlement, fair_level};

/// Accounts with a smaller share in a window are not judged: one request would be over a tenth of
/// it.
const MIN_SHARE: f64 = 10.0;
/// Below this part of its share an account counts as short.
const SHORT_BELOW: f64 = 0.9;

/// The verdict on one simulation, or on several.
///
/// For an account in a window, x is what it was admitted over its share. The share is the smaller
/// of two max-min fair divisions of the rate, made in hindsight. One divides by the requests that
/// really came in the window, the other by the planned rates.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The lowest Jain's index of all windows. A value of x above 1 counts as 1.
    pub jain: f64,
    /// The lowest x of all accounts and windows.
    pub worst: f64,
    /// The lowest (admitted + 1) / share. One request is a twentieth of a share of 20.
    pub worst_plus_one: f64,
    /// The lowest ratio of all windows between what was admitted and what could have been.
    pub used: f64,
    /// The number of judged pairs of account and window.
    pub judged: u64,
    /// The number of those with an x below 0.9.
    pub short: u64,
    /// The number of admissions above the bound of some span.
    pub over_bound: u64,
    /// The counts by group.
    pub groups: BTreeMap<String, GroupVerdict>,
}

/// The verdict on a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupVerdict {
    /// The number of judged pairs of account and window.
    pub judged: u64,
    /// The number of those with an x below 0.9.
    pub short: u64,
    /// The lowest x.
    pub worst: f64,
}

impl Verdict {
    /// Creates a verdict on nothing.
    pub(super) fn new() -> Self {
        Verdict {
            jain: 1.0,
            worst: f64::INFINITY,
            worst_plus_one: f64::INFINITY,
            used: f64::INFINITY,
            judged: 0,
            short: 0,
            over_bound: 0,
            groups: BTreeMap::new(),
        }
    }

    /// Adds the verdict on another simulation.
    pub(super) fn merge(&mut self, other: &Verdict) {
        self.jain = self.jain.min(other.jain);
        self.worst = self.worst.min(other.worst);
        self.worst_plus_one = self.worst_plus_one.min(other.worst_plus_one);
        self.used = self.used.min(other.used);
        self.judged += other.judged;
        self.short += other.short;
        self.over_bound += other.over_bound;
        for (name, of_group) in &other.groups {
            let group = self.group(name);
            group.judged += of_group.judged;
            group.short += of_group.short;
            group.worst = group.worst.min(of_group.worst);
        }
    }

    fn group(&mut self, name: &str) -> &mut GroupVerdict {
        let none = GroupVerdict { judged: 0, short: 0, worst: f64::INFINITY };
        self.groups.entry(name.into()).or_insert(none)
    }

    /// Returns the percentage of judged pairs that were short.
    pub fn short_percent(&self) -> f64 {
        100.0 * self.short as f64 / self.judged.max(1) as f64
    }
}

/// The counts of one window.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By account: requests and admissions.
    by_account: Vec<(u32, u32)>,
    admitted: u64,
    /// Requests from new keys.
    from_new_keys: u64,
}

impl Counts {
    pub(super) fn clear(&mut self) {
        self.by_account.clear();
        (self.admitted, self.from_new_keys) = (0, 0);
    }

    pub(super) fn record(&mut self, key: u64, admitted: bool, is_new_key: bool) {
        self.admitted += u64::from(admitted);
        if is_new_key {
            self.from_new_keys += 1;
            return;
        }
        let key = key as usize;
        if self.by_account.len() <= key {
            self.by_account.resize(key + 1, (0, 0));
        }
        if let Some((requests, admitted_here)) = self.by_account.get_mut(key) {
            *requests += 1;
            *admitted_here += u32::from(admitted);
        }
    }

    /// Judges the window between two moments.
    pub(super) fn judge(
        &self,
        case: &Case,
        accounts: &[Account],
        (from, until): (u64, u64),
        into: &mut Verdict,
    ) {
        let seconds = (until - from) as f64 / 1e9;
        let whole = f64::from(case.rate(from)) * seconds;
        let permutations = case.permutations(from);
        let (mut observed, mut planned) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::new();
        for (n, account) in accounts.iter().enumerate() {
            let Some(group) =
                case.groups.get(account.group as usize).filter(|group| !group.new_key_per_request)
            else {
                continue;
            };
            let (requests, admitted_here) = self.by_account.get(n).copied().unwrap_or_default();
            let active = active_seconds(account, group, from, until);
            if active <= 0.0 && requests == 0 {
                continue;
            }
            let entitlement = group.entitlement(account.n, permutations);
            let entitlement = Entitlement {
                floor: entitlement.floor * seconds,
                cap: entitlement.cap * seconds,
                ..entitlement
            };
            observed.push((entitlement, f64::from(requests)));
            planned.push((entitlement, account.rate * active));
            outcomes.push((group, f64::from(admitted_here)));
        }
        let levels = [
            fair_level(whole * case.judged_share, &observed),
            fair_level(whole * case.judged_share, &planned),
        ];
        let (mut sum, mut squares, mut judged) = (0.0, 0.0, 0_u64);
        for (((entitlement, requests), (_, demand)), (group, admitted_here)) in
            observed.iter().zip(&planned).zip(&outcomes)
        {
            let share = entitlement.at(levels[0], *requests).min(entitlement.at(levels[1], *demand));
            if !group.judged || share < MIN_SHARE {
                continue;
            }
            let x = admitted_here / share;
            // An account with more than its share uses what others left. If it took it from them,
            // their x shows it.
            let part = x.min(1.0);
            (sum, squares, judged) = (sum + part, squares + part * part, judged + 1);
            into.worst = into.worst.min(x);
            into.worst_plus_one = into.worst_plus_one.min((admitted_here + 1.0) / share);
            let short = u64::from(x < SHORT_BELOW);
            into.judged += 1;
            into.short += short;
            let of_group = into.group(&group.name);
            of_group.judged += 1;
            of_group.short += short;
            of_group.worst = of_group.worst.min(x);
        }
        if squares > 0.0 {
            into.jain = into.jain.min(sum * sum / (judged as f64 * squares));
        } else if judged > 0 {
            into.jain = 0.0;
        }
        let wanted: f64 = observed.iter().map(|(entitlement, requests)| entitlement.cap.min(*requests)).sum();
        let admissible = whole.min(wanted + self.from_new_keys as f64);
        if admissible > 0.0 {
            into.used = into.used.min(self.admitted as f64 / admissible);
        }
    }
}
